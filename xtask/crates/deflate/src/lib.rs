//! gzip of data that comes piece by piece: the very bytes that libdeflate 1.26.1 makes of all of it at once at its slowest
//! level.
//!
//! libdeflate wants the whole of the data and room for the whole of the result, and works on one thread. Its algorithm
//! does not need that: it looks 32 KiB back and a block ahead. This is a translation of that level, cut in two where
//! nothing goes back: one thread finds matches, another one chooses among them. What they hold is bounded, whatever the size
//! of the data. Tests compare the bytes.
//!
//! libdeflate is Copyright 2016 Eric Biggers and others, under the MIT licence: `LICENSE-libdeflate`.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "positions are within a window or a block, and hashes are cut on purpose"
)]

mod block;
mod costs;
mod finder;
mod huffman;
mod parser;
mod path;
mod queue;
mod split;
mod tables;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use finder::Finder;
use parser::{AHEAD, Gone, Input, Parser};

/// No flags, time or name, compressed as slowly as can be, of no known operating system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
/// How many pieces and how many batches of matches may wait.
const WAITING: usize = 2;

/// What comes out of a [`Gzip`].
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    /// The next bytes of the result, and how many bytes of the data they end.
    Bytes(Vec<u8>, usize),
    /// Nothing yet.
    Wait,
    /// Nothing more.
    End,
}

/// Compresses on two threads of its own. They end by themselves if this is dropped.
#[derive(Debug)]
pub struct Gzip {
    /// None once all data was given.
    pieces: Option<SyncSender<Option<Arc<[u8]>>>>,
    written: Receiver<(Vec<u8>, usize)>,
    threads: Vec<JoinHandle<Result<(), Gone>>>,
    crc: flate2::Crc,
    header: bool,
    trailer: bool,
}

impl Gzip {
    /// Starts.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new() -> io::Result<Self> {
        let (pieces, given) = mpsc::sync_channel(WAITING);
        let (found, matches) = mpsc::sync_channel(WAITING);
        // What waits here is less than what the data that is under way becomes.
        let (out, written) = mpsc::channel();
        let find = Builder::new().name("matches".to_owned()).spawn(move || find(&given, &found))?;
        let parse = Builder::new().name("compress".to_owned()).spawn(move || {
            let input = || matches.recv().map_err(|_| Gone);
            Parser::new(input, |bytes, of| out.send((bytes, of)).map_err(|_| Gone)).run()
        })?;
        Ok(Self {
            pieces: Some(pieces),
            written,
            threads: vec![find, parse],
            crc: flate2::Crc::new(),
            header: true,
            trailer: true,
        })
    }

    /// Gives the next piece of the data; waits while enough is under way. How it is cut has no say in the result.
    ///
    /// # Errors
    /// A thread died.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        self.crc.update(piece);
        let sent = self.pieces.as_ref().is_some_and(|pieces| pieces.send(Some(piece.into())).is_ok());
        if sent { Ok(()) } else { Err(died()) }
    }

    /// Ends the data.
    ///
    /// # Errors
    /// A thread died.
    pub fn end(&mut self) -> io::Result<()> {
        let sent = self.pieces.take().is_some_and(|pieces| pieces.send(None).is_ok());
        if sent { Ok(()) } else { Err(died()) }
    }

    /// Waits so long for what comes out next.
    ///
    /// # Errors
    /// A thread died.
    pub fn next(&mut self, wait: Duration) -> io::Result<Out> {
        if std::mem::take(&mut self.header) {
            return Ok(Out::Bytes(HEADER.to_vec(), 0));
        }
        match self.written.recv_timeout(wait) {
            Ok((bytes, of)) => Ok(Out::Bytes(bytes, of)),
            Err(RecvTimeoutError::Timeout) => Ok(Out::Wait),
            Err(RecvTimeoutError::Disconnected) => {
                if !self.threads.drain(..).all(|thread| matches!(thread.join(), Ok(Ok(())))) {
                    return Err(died());
                }
                if std::mem::take(&mut self.trailer) {
                    let trailer = [self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes()];
                    return Ok(Out::Bytes(trailer.concat(), 0));
                }
                Ok(Out::End)
            }
        }
    }
}

fn died() -> io::Error {
    io::Error::other("a compressing thread died")
}

fn find(given: &Receiver<Option<Arc<[u8]>>>, found: &SyncSender<Input>) -> Result<(), Gone> {
    let send = |input| found.send(input).map_err(|_| Gone);
    let mut finder = Finder::new();
    loop {
        let piece = given.recv().map_err(|_| Gone)?;
        let hold = if piece.is_some() { AHEAD } else { 0 };
        match piece {
            Some(piece) => {
                finder.push(&piece);
                send(Input::Data(piece))?;
            }
            None => send(Input::End)?,
        }
        while let Some(matches) = finder.find(hold) {
            send(Input::Found(matches))?;
        }
        if hold == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
