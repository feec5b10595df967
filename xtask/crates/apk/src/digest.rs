//! Checksums as Alpine writes them: `Q1` and base64 of a SHA-1, `Q2` and base64 of a SHA-256.

use std::fmt;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fault::{Fault, Kind};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// A checksum of an index, a control segment or a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Checksum {
    /// What Alpine's indexes and packages of format 2 hold.
    Sha1([u8; 20]),
    /// What apk-tools also reads.
    Sha256([u8; 32]),
}

impl Checksum {
    /// Reads `Q1...` or `Q2...`.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Fault::new(Kind::Mismatch, format!("`{}` is not a checksum", text.escape_debug()));
        let decode = |text: &str| BASE64.decode(text).map_err(|_| invalid());
        if let Some(text) = text.strip_prefix("Q1") {
            return Ok(Self::Sha1(decode(text)?.try_into().map_err(|_| invalid())?));
        }
        let text = text.strip_prefix("Q2").ok_or_else(invalid)?;
        Ok(Self::Sha256(decode(text)?.try_into().map_err(|_| invalid())?))
    }

    /// Reads the 40 hexadecimal digits of a SHA-1, as a tar header has them.
    pub fn from_sha1_hex(text: &str) -> Result<Self> {
        let mut sum = [0; 20];
        hex::decode_to_slice(text, &mut sum)
            .map_err(|_| Fault::new(Kind::Mismatch, format!("`{}` is not a SHA-1", text.escape_debug())))?;
        Ok(Self::Sha1(sum))
    }

    /// The SHA-1 checksum of these bytes.
    pub fn sha1_of(bytes: &[u8]) -> Self {
        Self::Sha1(Sha1::digest(bytes).into())
    }

    /// Whether these bytes have this checksum.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        *self == self.same_kind_of(bytes)
    }

    /// The checksum of these bytes, of the same kind as this one.
    #[must_use]
    pub fn same_kind_of(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Sha1(_) => Self::sha1_of(bytes),
            Self::Sha256(_) => Self::Sha256(Sha256::digest(bytes).into()),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha1(sum) => write!(f, "Q1{}", BASE64.encode(sum)),
            Self::Sha256(sum) => write!(f, "Q2{}", BASE64.encode(sum)),
        }
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The SHA-256 of these bytes, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What a file is known to be before it is opened: both are checked before anything in it is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'a> {
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: Option<&'a str>,
}

impl Expected<'_> {
    /// Checks a file that is called `what` in the error.
    pub fn check(&self, what: &str, bytes: &[u8]) -> Result<()> {
        if let Some(size) = self.size
            && bytes.len() as u64 != size
        {
            let name = format!("the size of {what}");
            return Err(
                Fault::mismatch(name, format!("{size} bytes"), format!("{} bytes", bytes.len())).into()
            );
        }
        if let Some(expected) = self.sha256 {
            let found = sha256_hex(bytes);
            if found != expected {
                return Err(Fault::mismatch(format!("the SHA-256 of {what}"), expected, found).into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_written() {
        for text in ["Q1pcfTfDNEbNKQc2s1tia7da05M8Q=", "Q2uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="] {
            assert_eq!(Checksum::parse(text).unwrap().to_string(), text);
        }
        // The checksum that busybox's link `sh` has in Alpine's own database.
        assert!(Checksum::parse("Q1pcfTfDNEbNKQc2s1tia7da05M8Q=").unwrap().is_of(b"/bin/busybox"));
        assert!(
            Checksum::parse("Q2uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=").unwrap().is_of(b"hello world")
        );
        assert!(!Checksum::sha1_of(b"a").is_of(b"b"));
        let hex = "a5c7d37c33446cd290736b35b626bb75ad3933c4";
        assert_eq!(Checksum::from_sha1_hex(hex).unwrap(), Checksum::sha1_of(b"/bin/busybox"));
        assert!(Checksum::from_sha1_hex(&hex[1..]).is_err());
    }

    #[test]
    fn what_is_no_checksum() {
        for text in
            ["", "Q1", "Q1pcfT", "Q3pcfTfDNEbNKQc2s1tia7da05M8Q=", "Q1pcfTfDNEbNKQc2s1tia7da05M8Q", "Q1é"]
        {
            assert!(Checksum::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn size_and_sum_are_checked() {
        let sum = sha256_hex(b"abc");
        let expected = |size, sha256| Expected { size, sha256 };
        expected(Some(3), Some(sum.as_str())).check("x", b"abc").unwrap();
        expected(None, None).check("x", b"abc").unwrap();
        insta::assert_snapshot!(expected(Some(4), None).check("the index", b"abc").unwrap_err(), @r"
        the size of the index is not what was expected
          expected 4 bytes
          found    3 bytes
        ");
        assert!(expected(Some(3), Some(sum.as_str())).check("x", b"abd").is_err());
    }
}
