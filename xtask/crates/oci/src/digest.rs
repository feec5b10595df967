//! SHA-256 digests as OCI writes them.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use anyhow::Result;
use digest::Hasher;
use fault::{Fault, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How much is read or written between two looks at whether the user interrupted, in bytes.
pub(crate) const CHUNK: usize = 1 << 20;

/// A SHA-256 digest, written `sha256:` and 64 lowercase hexadecimal digits. No other algorithm is spoken here, so
/// one that was parsed is always safe as a file name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(digest::Digest);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(digest::Digest::of(bytes))
    }

    /// The 64 hexadecimal digits: a blob's file name under `blobs/sha256`.
    pub fn hex(&self) -> String {
        self.0.to_string()
    }

    /// The same as the type of `oci-spec`.
    pub(crate) fn spec(&self) -> Result<oci_spec::image::Digest> {
        Ok(oci_spec::image::Digest::try_from(self.to_string())?)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
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
        let parsed = text.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
        let refused = || {
            let message =
                format!("{text:?} is not a digest: expected `sha256:` and 64 lowercase hexadecimal digits");
            Fault::new(Kind::InvalidData, message)
        };
        Ok(Self(parsed.ok_or_else(refused)?))
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

/// What was hashed, and the number of its bytes.
pub(crate) fn finish(hasher: Hasher) -> (Digest, u64) {
    let (digest, size) = hasher.finish();
    (Digest(digest), size)
}

/// Reads to the end, but never more than one byte over `limit`: the digest and number of the bytes read.
pub(crate) fn hash_reader(from: &mut dyn Read, limit: u64) -> Result<(Digest, u64)> {
    let (digest, size) = digest::hash(&mut from.take(limit.saturating_add(1)))?;
    Ok((Digest(digest), size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

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
