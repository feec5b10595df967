//! The host's side of the agent: commands and files go in by one port, what scripts write comes out by two others.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The ports' names.
pub(crate) const PORTS: [&str; 3] = ["control", "stdout", "stderr"];
/// How much is written at a time, so that an interrupt is noticed in between.
const CHUNK: usize = 64 << 10;
/// How often it is looked whether the machine lives.
const PAUSE: Duration = Duration::from_millis(100);

/// Something came.
pub(crate) enum Event {
    /// The agent is there, on a kernel that was booted just now or before.
    Hello(String),
    /// A command that writes nothing is done.
    Done {
        /// Which.
        mark: String,
        /// How.
        code: i32,
    },
    /// Bytes that a script wrote, by port: 1 for standard output, 2 for standard error.
    Wrote(usize, Vec<u8>),
}

/// Connected to a machine's ports.
pub(crate) struct Channel {
    control: UnixStream,
    came: Receiver<(usize, Vec<u8>)>,
    lines: Vec<u8>,
}

impl Channel {
    /// Connects to the sockets in a directory, which QEMU makes when it starts.
    pub(crate) fn connect(dir: &Path, mut check: impl FnMut() -> Result<()>) -> Result<Self> {
        let (sender, came) = sync_channel(64);
        let mut streams = Vec::new();
        for name in PORTS {
            let path = dir.join(name);
            streams.push(loop {
                if let Ok(stream) = UnixStream::connect(&path) {
                    break stream;
                }
                check()?;
                thread::sleep(Duration::from_millis(20));
            });
        }
        for (port, stream) in streams.iter().enumerate() {
            let (stream, sender) = (stream.try_clone()?, sender.clone());
            thread::Builder::new()
                .name(PORTS[port].to_owned())
                .spawn(move || forward(port, stream, &sender))?;
        }
        Ok(Self { control: streams.swap_remove(0), came, lines: Vec::new() })
    }

    /// Sends a command, and bytes that belong to it.
    pub(crate) fn send(&mut self, command: &str, bytes: &[u8]) -> Result<()> {
        let line = format!("{command}\n");
        for chunk in std::iter::once(line.as_bytes()).chain(bytes.chunks(CHUNK)) {
            exec::interrupt::check()?;
            self.control.write_all(chunk).context("the machine does not take what is sent to it")?;
        }
        Ok(())
    }

    /// What comes next; none after the deadline. `check` fails where waiting is in vain.
    pub(crate) fn next(
        &mut self,
        deadline: Instant,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.line() {
                return Ok(Some(event));
            }
            match self.came.recv_timeout(PAUSE) {
                Ok((0, bytes)) => self.lines.extend(bytes),
                Ok((port, bytes)) => return Ok(Some(Event::Wrote(port, bytes))),
                Err(RecvTimeoutError::Timeout) => {}
                // All ports are closed: `check` says why.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(PAUSE),
            }
            exec::interrupt::check()?;
            check()?;
            if Instant::now() > deadline {
                return Ok(None);
            }
        }
    }

    /// The next whole line of the control port.
    fn line(&mut self) -> Option<Event> {
        loop {
            let end = self.lines.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.lines.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match line.trim_end().split_once(' ') {
                Some(("hello", boot)) => return Some(Event::Hello(boot.to_owned())),
                Some((mark, code)) => {
                    if let Ok(code) = code.parse() {
                        return Some(Event::Done { mark: mark.to_owned(), code });
                    }
                }
                None => {}
            }
        }
    }
}

fn forward(port: usize, mut stream: UnixStream, to: &SyncSender<(usize, Vec<u8>)>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if to.send((port, buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

/// Finds the mark that ends what one script writes.
pub(crate) struct Splitter {
    pattern: Vec<u8>,
    held: Vec<u8>,
    /// The exit code that came with the mark.
    pub(crate) code: Option<i32>,
}

impl Splitter {
    pub(crate) fn new(mark: &str) -> Self {
        Self { pattern: format!("\0{mark} ").into_bytes(), held: Vec::new(), code: None }
    }

    /// Passes on what is the script's. What comes after the mark is not.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut dyn Write) -> Result<()> {
        if self.code.is_some() {
            return Ok(());
        }
        self.held.extend(bytes);
        let size = self.pattern.len();
        if let Some(at) = self.held.windows(size).position(|window| window == self.pattern) {
            let rest = &self.held[at + size..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let code = String::from_utf8_lossy(&rest[..end]).trim().parse();
                self.code = Some(code.context("the agent's mark has no exit code")?);
            }
            out.write_all(&self.held[..at])?;
            self.held.drain(..at);
        } else {
            // The beginning of a mark may be all that came.
            let from = self.held.len().saturating_sub(size - 1);
            let begins = |at: &usize| self.pattern.starts_with(&self.held[*at..]);
            let keep = (from..self.held.len()).find(begins).unwrap_or(self.held.len());
            out.write_all(&self.held[..keep])?;
            self.held.drain(..keep);
        }
        out.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_however_it_is_cut() {
        let all = b"one\0\0no\0m\ntwo\0mark 7\nlater";
        for size in 1..all.len() {
            let (mut splitter, mut out) = (Splitter::new("mark"), Vec::new());
            for chunk in all.chunks(size) {
                splitter.feed(chunk, &mut out).unwrap();
            }
            assert_eq!((splitter.code, &*out), (Some(7), &b"one\0\0no\0m\ntwo"[..]), "{size}");
        }
    }

    #[test]
    fn what_is_written_is_passed_on_at_once() {
        let (mut splitter, mut out) = (Splitter::new("mark"), Vec::new());
        splitter.feed(b"password: ", &mut out).unwrap();
        assert_eq!(out, b"password: ");
    }
}
