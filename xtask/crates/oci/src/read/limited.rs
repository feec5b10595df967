//! A bound on what is read: decompressed bytes cost their maker next to nothing.

use std::fmt;
use std::io::{self, Read};

use fault::{Fault, Kind};

/// A reader that fails once it has given `limit` bytes and there are more.
pub(crate) struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R> Limited<R> {
    pub(crate) fn new(inner: R, limit: u64) -> Self {
        Self { inner, left: limit, limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A large file is read in one go; what is said of it is said by `fault`.
        if exec::interrupt::pending() {
            return Err(io::Error::other("interrupted"));
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if room > 0 || buffer.is_empty() {
            let read = self.inner.read(&mut buffer[..room])?;
            self.left -= read as u64;
            return Ok(read);
        }
        match self.inner.read(&mut [0])? {
            0 => Ok(0),
            _ => Err(io::Error::other(Over(self.limit))),
        }
    }
}

#[derive(Debug)]
struct Over(u64);

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has more than {} bytes once decompressed", self.0)
    }
}

impl std::error::Error for Over {}

/// What a failed read of an archive means: an error of the operating system stays one, all others (bad checksum, bad
/// gzip, over the limit) are the layer's fault, unless the user has interrupted.
pub(crate) fn fault(error: io::Error) -> anyhow::Error {
    if let Err(interrupted) = exec::interrupt::check() {
        return interrupted;
    }
    if error.raw_os_error().is_some() {
        return anyhow::Error::new(error).context("reading a layer");
    }
    Fault::new(Kind::InvalidData, format!("the layer cannot be read: {error}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_limit_is_read_and_one_more_is_not() {
        let mut bytes = Vec::new();
        assert_eq!(Limited::new(&b"abc"[..], 3).read_to_end(&mut bytes).unwrap(), 3);
        let error = Limited::new(&b"abcd"[..], 3).read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 3 bytes once decompressed");
    }
}
