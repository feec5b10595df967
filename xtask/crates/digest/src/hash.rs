//! Hashing what passes by.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use sha2::Digest as _;

use crate::{Algorithm, Digest};

/// How much is read at once, between two looks at whether the user interrupted, in bytes.
const CHUNK: usize = 64 << 10;

/// A SHA-256 in the making that also counts bytes.
#[derive(Default)]
pub struct Hasher {
    state: Algorithm,
    size: u64,
}

impl Hasher {
    /// Takes more bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// How many bytes were taken in so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest and the number of the bytes.
    pub fn finish(self) -> (Digest, u64) {
        (Digest(self.state.finalize().into()), self.size)
    }
}

/// A writer or reader that hashes all that goes through it.
pub struct Hashing<T> {
    /// What is written to, or read from.
    pub inner: T,
    /// Of what went through so far.
    pub hasher: Hasher,
}

impl<T> Hashing<T> {
    /// One through which nothing went yet.
    pub fn new(inner: T) -> Self {
        Self { inner, hasher: Hasher::default() }
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Reads to the end, chunk by chunk, unless the user interrupts.
///
/// # Errors
/// Those of `from` as they are, and of `each`.
pub fn each_chunk(from: &mut dyn Read, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        exec::interrupt::check()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => each(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The digest and number of the bytes that a reader gives.
pub fn hash(from: &mut dyn Read) -> Result<(Digest, u64)> {
    let mut hasher = Hasher::default();
    each_chunk(from, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// The digest and size in bytes of a file.
pub fn hash_file(path: &Path) -> Result<(Digest, u64)> {
    let hashed = || hash(&mut File::open(path)?);
    hashed().with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_file_hashes_as_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200_000)) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            prop_assert_eq!(hash_file(file.path()).unwrap(), (Digest::of(&bytes), bytes.len() as u64));
        }
    }
}
