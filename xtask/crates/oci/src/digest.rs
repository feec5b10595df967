//! SHA-256 digests, and hashing on the way.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use anyhow::Result;
use fault::{Fault, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// How much is read or written between two looks at whether the user interrupted, in bytes.
pub(crate) const CHUNK: usize = 1 << 20;

/// A SHA-256 digest, written `sha256:` and 64 lowercase hexadecimal digits. No other algorithm is spoken here, so
/// one that was parsed is always safe as a file name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 hexadecimal digits: a blob's file name under `blobs/sha256`.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The same as the type of `oci-spec`.
    pub(crate) fn spec(&self) -> Result<oci_spec::image::Digest> {
        Ok(oci_spec::image::Digest::try_from(self.to_string())?)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        let digits =
            text.strip_prefix("sha256:").filter(|digits| !digits.bytes().any(|b| b.is_ascii_uppercase()));
        match digits.map(|digits| hex::decode_to_slice(digits, &mut bytes)) {
            Some(Ok(())) => Ok(Self(bytes)),
            _ => Err(Fault::new(
                Kind::Data,
                format!("{text:?} is not a digest: expected `sha256:` and 64 lowercase hexadecimal digits"),
            )
            .into()),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes and counts what is written to it.
#[derive(Default)]
pub(crate) struct Hasher {
    state: Sha256,
    bytes: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The digest and the number of bytes.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (Digest(self.state.finalize().into()), self.bytes)
    }
}

/// A writer or reader that hashes all that goes through it.
pub(crate) struct Hashing<T> {
    pub(crate) inner: T,
    pub(crate) hasher: Hasher,
}

impl<T> Hashing<T> {
    pub(crate) fn new(inner: T) -> Self {
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

/// Reads to the end, but never more than one byte over `limit`: the digest and number of the bytes read.
pub(crate) fn hash_reader(from: &mut dyn Read, limit: u64) -> Result<(Digest, u64)> {
    let mut from = from.take(limit.saturating_add(1));
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        exec::interrupt::check()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_written_and_read_back() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let json = serde_json::to_string(&Digest::of(b"")).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), Digest::of(b""));
    }

    #[test]
    fn what_is_no_sha256_digest_is_refused() {
        let upper = EMPTY.replace('e', "E");
        let long = format!("{EMPTY}0");
        let path = format!("sha256:../{}", &EMPTY[10..]);
        let sha512 = format!("sha512:{}", "0".repeat(128));
        for bad in
            ["", "sha256:", &EMPTY[..70], &EMPTY[7..], &upper, &long, &path, &sha512, "sha256:/etc/passwd"]
        {
            let error = bad.parse::<Digest>().unwrap_err();
            assert_eq!(fault::exit_code(&error), 3, "{bad}");
        }
    }

    #[test]
    fn reading_stops_one_byte_over_the_limit() {
        assert_eq!(hash_reader(&mut io::repeat(1), 10).unwrap().1, 11);
        assert_eq!(hash_reader(&mut &b"abc"[..], 10).unwrap(), (Digest::of(b"abc"), 3));
        assert_eq!(hash_reader(&mut &b"abc"[..], u64::MAX).unwrap().1, 3);
    }
}
