//! Package versions, ordered as apk-tools 2.12 orders them.
//!
//! A version is numbers joined by dots, then perhaps a letter, suffixes (`_rc2`, `_p1`) and a build revision
//! (`-r3`). It is read as a list of parts; two versions compare by their first parts that differ. What the
//! kinds of parts mean for the order when one version goes on where the other does not:
//! `_alpha` < `_beta` < `_pre` < `_rc` < the end < `-r` < a suffix's number < `_cvs` < `_svn` < `_git` <
//! `_hg` < `_p` < a letter < another number. After a dot, leading zeros make a number a fraction: `1.01` is
//! before `1.1`, and `1.00` before `1.0`.
//!
//! apk keeps numbers in 32 bits and lets them wrap, and takes forms that no package has (an empty text, a
//! letter alone); both are kept, since a version that apk orders otherwise would make us choose otherwise.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use anyhow::Result;
use fault::{Fault, Kind};

use crate::limits;

/// What comes before a release, oldest first.
const PRE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
/// What comes after a release, oldest first.
const POST: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// A package's version.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    parts: Vec<(Part, i32)>,
}

/// The kinds of parts, in the order that decides when two versions have different ones at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// `_alpha` and the others of [`PRE`]: before the end, so before the release itself.
    PreSuffix,
    /// The end of the version.
    End,
    /// `-r` and its number.
    Revision,
    /// The number of a suffix.
    SuffixNumber,
    /// `_p` and the others of [`POST`].
    PostSuffix,
    /// One lower-case letter after a number.
    Letter,
    /// A number, or what follows the leading zeros of one.
    Number,
    /// A number after a dot, where leading zeros count.
    Fraction,
}

impl Version {
    /// Reads a version; an error if apk would call it invalid, or it is longer than
    /// [`limits::VERSION_LENGTH`].
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Fault::new(Kind::Mismatch, format!("`{}` is not a package version: {why}", text.escape_debug()))
        };
        if text.len() > limits::VERSION_LENGTH {
            return Err(invalid(&format!("longer than {} bytes", limits::VERSION_LENGTH)).into());
        }
        let parts = parts(text.as_bytes()).map_err(|rest| {
            invalid(&format!("cannot read on from `{}`", String::from_utf8_lossy(rest).escape_debug()))
        })?;
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compares as `~` does: equal as soon as one version ends, or goes on with another kind of part, so that
    /// `1.2.3-r4` is equal to `1.2`. Not transitive, so no order.
    pub fn compare_fuzzy(&self, other: &Self) -> Ordering {
        for (a, b) in self.parts.iter().zip(&other.parts) {
            if a.0.kind() != b.0.kind() {
                return Ordering::Equal;
            }
            if a.1 != b.1 {
                return a.1.cmp(&b.1);
            }
        }
        Ordering::Equal
    }
}

impl Part {
    /// The two kinds of suffixes are one kind with values from -4 to 4, but where kinds differ.
    fn kind(self) -> Self {
        if self == Self::PreSuffix { Self::PostSuffix } else { self }
    }
}

/// The parts of a version with [`Part::End`] last, or what could not be read.
fn parts(text: &[u8]) -> Result<Vec<(Part, i32)>, &[u8]> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut part = Part::Number;
    loop {
        let value;
        (part, value, rest) = take_value(part, rest)?;
        // The kind of an empty text is never seen, only that it ended.
        if !text.is_empty() {
            parts.push((part, value));
        }
        if rest.is_empty() {
            parts.push((Part::End, 0));
            return Ok(parts);
        }
        if part == Part::Fraction && value < 0 {
            part = Part::Number;
        } else {
            (part, rest) = next_part(part, rest).ok_or(rest)?;
        }
    }
}

/// The value of a part of this kind at the start of `rest`, and what follows it.
fn take_value(part: Part, rest: &[u8]) -> Result<(Part, i32, &[u8]), &[u8]> {
    match part {
        Part::Fraction if rest.first() == Some(&b'0') => {
            let zeros = rest.iter().take_while(|&&byte| byte == b'0').count();
            let value = i32::try_from(zeros).map_err(|_| rest)?;
            Ok((part, -value, &rest[zeros..]))
        }
        Part::Letter => rest.split_first().map(|(&letter, rest)| (part, i32::from(letter), rest)).ok_or(rest),
        Part::PreSuffix | Part::PostSuffix => take_suffix(rest).ok_or(rest),
        _ => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let value = rest[..digits]
                .iter()
                .fold(0_i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')));
            Ok((part, value, &rest[digits..]))
        }
    }
}

/// The name of a suffix. A `_` at the very end stands for the first of [`POST`].
fn take_suffix(rest: &[u8]) -> Option<(Part, i32, &[u8])> {
    if rest.is_empty() {
        return Some((Part::PostSuffix, 0, rest));
    }
    let named = |names: &[&str]| names.iter().position(|name| rest.starts_with(name.as_bytes()));
    if let Some(at) = named(&PRE) {
        let value = i32::try_from(at).ok()? - 4;
        return Some((Part::PreSuffix, value, &rest[PRE[at].len()..]));
    }
    let at = named(&POST)?;
    Some((Part::PostSuffix, i32::try_from(at).ok()?, &rest[POST[at].len()..]))
}

/// The kind of part that goes on after one of kind `part`, by the next character.
fn next_part(part: Part, rest: &[u8]) -> Option<(Part, &[u8])> {
    use Part::{Fraction, Letter, Number, PostSuffix, PreSuffix, Revision, SuffixNumber};
    match (part, rest) {
        (Number | Fraction, [b'a'..=b'z', ..]) => Some((Letter, rest)),
        (Letter, [b'0'..=b'9', ..]) => Some((Number, rest)),
        (PreSuffix | PostSuffix, [b'0'..=b'9', ..]) => Some((SuffixNumber, rest)),
        (Number | Fraction, [b'.', rest @ ..]) => Some((Fraction, rest)),
        (Number | Fraction | Letter | PreSuffix | PostSuffix | SuffixNumber, [b'_', rest @ ..]) => {
            Some((PostSuffix, rest))
        }
        (_, [b'-', b'r', rest @ ..]) => Some((Revision, rest)),
        _ => None,
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (part, value) in &self.parts {
            (*part as u8, value).hash(state);
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
