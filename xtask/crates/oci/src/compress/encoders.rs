//! The encoders.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use deflate::{Gzip, Out};
use progress::Task;
use zstd::zstd_safe::CParameter;

use super::{Encoder, ZSTD_LEVEL, ZSTD_WINDOW};

/// How often a wait looks whether the user interrupted.
const POLL: Duration = Duration::from_millis(50);

/// libdeflate's slowest level, on threads of its own.
pub(super) struct Threaded<'a, W> {
    gzip: Gzip,
    out: W,
    task: &'a dyn Task,
}

impl<'a, W: Write> Threaded<'a, W> {
    pub(super) fn new(out: W, task: &'a dyn Task) -> Result<Self> {
        let gzip = Gzip::new().context("cannot start the threads to compress on")?;
        Ok(Self { gzip, out, task })
    }

    /// Writes what is there; is there more to come?
    fn take(&mut self, wait: Duration) -> Result<bool> {
        loop {
            match self.gzip.next(wait)? {
                Out::Bytes(bytes, of) => {
                    self.out.write_all(&bytes)?;
                    self.task.advance(of as u64);
                }
                Out::Wait => return Ok(true),
                Out::End => return Ok(false),
            }
        }
    }
}

impl<W: Write> Encoder<W> for Threaded<'_, W> {
    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.gzip.push(bytes)?;
        self.take(Duration::ZERO).map(drop)
    }

    fn finish(mut self: Box<Self>) -> Result<W> {
        self.gzip.end()?;
        while self.take(POLL)? {
            exec::interrupt::check()?;
        }
        Ok(self.out)
    }
}

/// libzstd, which is given all of the data first.
pub(super) struct Whole<'a, W> {
    data: Vec<u8>,
    out: W,
    task: &'a dyn Task,
}

impl<'a, W> Whole<'a, W> {
    pub(super) fn new(out: W, task: &'a dyn Task) -> Self {
        Self { data: Vec::new(), out, task }
    }
}

impl<W: Write> Encoder<W> for Whole<'_, W> {
    fn piece(&mut self, bytes: &[u8]) -> Result<()> {
        self.data.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<W> {
        let bytes = self.data.len() as u64;
        let compressed = on_a_thread(std::mem::take(&mut self.data))?;
        self.task.advance(bytes);
        self.out.write_all(&compressed)?;
        Ok(self.out)
    }
}

/// Compresses on a thread of its own: libzstd cannot be stopped, so at an interrupt the thread is left behind to
/// end with the process.
fn on_a_thread(data: Vec<u8>) -> Result<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::Builder::new()
        .name("compress".to_owned())
        .spawn(move || {
            // Nobody listens any more after an interrupt.
            let _ = send.send(zstd(&data));
        })
        .context("cannot start a thread to compress on")?;
    loop {
        match receive.recv_timeout(POLL) {
            Ok(compressed) => return compressed,
            Err(RecvTimeoutError::Timeout) => exec::interrupt::check()?,
            Err(RecvTimeoutError::Disconnected) => bail!("the compressing thread died"),
        }
    }
}

/// One zstd frame that states its size. It is made on one thread: libzstd is compiled without others, which would cut
/// the data into jobs and give other bytes.
fn zstd(data: &[u8]) -> Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    compressor.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
    Ok(compressor.compress(data)?)
}
