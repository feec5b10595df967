//! SHA-256: of bytes, of what is read or written, of files; and what size and SHA-256 a file has to have. Forms that
//! others give it (`sha256:`, Go's `h1:`, Alpine's `Q2`) are theirs.

mod hash;

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use fault::{Fault, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

pub use hash::{Hasher, Hashing, each_chunk, hash, hash_file};
/// The algorithm as a type, for signatures that name it.
pub use sha2::Sha256 as Algorithm;

/// A SHA-256, written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes in memory.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Algorithm::digest(bytes.as_ref()).into())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 digits: enough to tell versions of one tool apart.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let mut bytes = [0; 32];
        let lowercase = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if lowercase && hex::decode_to_slice(text, &mut bytes).is_ok() {
            return Ok(Self(bytes));
        }
        Err(Fault::new(
            Kind::InvalidData,
            format!("`{text}` is not a SHA-256: 64 lowercase hexadecimal digits"),
        ))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a file has to be: checked before anything in it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Of its bytes.
    pub sha256: Digest,
    /// In bytes, where it is known.
    pub size: Option<u64>,
}

impl Expected {
    /// What these bytes are.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Digest::of(bytes), size: Some(bytes.len() as u64) }
    }

    /// Checks what was found of a file that errors call `what`.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it is another.
    pub fn check(&self, what: &str, (sha256, size): (Digest, u64)) -> Result<(), Fault> {
        if sha256 == self.sha256 && self.size.is_none_or(|expected| expected == size) {
            return Ok(());
        }
        Err(self.mismatch(what, &Self { sha256, size: Some(size) }))
    }

    /// The error for a file that is not this one.
    pub fn mismatch(&self, what: &str, found: &dyn fmt::Display) -> Fault {
        Fault::mismatch(what, self, found)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sha256)?;
        self.size.map_or(Ok(()), |size| write!(f, ", {size} bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_known_digest_of_nothing() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), nothing);
        assert_eq!(Digest::of(b"").short(), nothing[..12]);
    }

    #[test]
    fn only_64_lowercase_digits_are_a_digest() {
        let good = Digest::of(b"x").to_string();
        for bad in [&good[1..], &good.to_uppercase(), "", &format!("{good}0"), &good.replace('2', "g")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn size_and_digest_are_checked() {
        let expected = Expected::of(b"abc");
        expected.check("x", (Digest::of(b"abc"), 3)).unwrap();
        Expected { size: None, ..expected }.check("x", (expected.sha256, 4)).unwrap();
        let error = expected.check("the index", (expected.sha256, 4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the index is not what was expected\n  expected {0}, 3 bytes\n  found    {0}, 4 bytes",
                expected.sha256
            )
        );
        assert_eq!(error.kind(), Kind::Mismatch);
        assert!(expected.check("x", (Digest::of(b"abd"), 3)).is_err());
    }

    proptest! {
        #[test]
        fn text_and_json_come_back(bytes in any::<[u8; 32]>()) {
            let digest = Digest(bytes);
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            let json = serde_json::to_string(&digest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        }
    }
}
