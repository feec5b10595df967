//! Bodies of requests, which can be sent again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// A body.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// None at all.
    None,
    /// In memory.
    Bytes(&'a [u8]),
    /// A part of a file, which is read as it is sent.
    File {
        /// The file; where it stands does not matter.
        file: &'a File,
        /// The first byte.
        from: u64,
        /// How many bytes.
        length: u64,
        /// Told how many bytes were read each time.
        sent: &'a dyn Fn(u64),
    },
}

/// Reads a part of a file; one that became shorter is an error, for a body must have the length that was said.
pub(crate) struct Part<'a> {
    pub(crate) file: &'a File,
    pub(crate) at: u64,
    pub(crate) left: u64,
    pub(crate) sent: &'a dyn Fn(u64),
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..want], self.at)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        self.at += read as u64;
        self.left -= read as u64;
        (self.sent)(read as u64);
        Ok(read)
    }
}
