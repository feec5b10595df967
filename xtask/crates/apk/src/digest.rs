//! Checksums as Alpine writes them: `Q1` and base64 of a SHA-1, `Q2` and base64 of a SHA-256.

use std::fmt;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use digest::{Digest, Expected};
use fault::{Fault, Kind};
use sha1::{Digest as _, Sha1};

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
            Self::Sha256(_) => Self::Sha256(*Digest::of(bytes).bytes()),
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

/// Checks the bytes of a file that is called `what` in the error, where it is known what they have to be.
pub(crate) fn check(expected: Option<&Expected>, what: &str, bytes: &[u8]) -> Result<()> {
    Ok(expected.map_or(Ok(()), |expected| expected.check(what, (Digest::of(bytes), bytes.len() as u64)))?)
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
}
