//! Signed indexes: `APKINDEX.tar.gz`, a signature and an archive with `DESCRIPTION` and `APKINDEX`.

use std::collections::HashSet;

use ::digest::Expected;
use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::digest::{self, Checksum};
use crate::gzip;
use crate::key::Keyring;
use crate::limits;
use crate::package::NOARCH;
use crate::record::{Draft, Record};
use crate::signature;
use crate::tarball::{self, EntryKind};

/// An index whose signature was verified.
#[derive(Clone, Debug)]
pub struct Index {
    /// The packages, in the index's order.
    pub packages: Vec<Record>,
    /// What could not be read as a package, and was left out.
    pub skipped: Vec<Skipped>,
    /// The architecture whose keys it was verified with.
    pub arch: String,
    /// The name of the key that signed it.
    pub key: String,
    /// How new it is.
    pub freshness: Freshness,
}

/// A record of an index that was left out, as apk leaves out what it does not understand: nobody can install it, and the
/// others are as good as ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The package's name, as far as it could be read.
    pub name: Option<String>,
    /// Why.
    pub why: String,
}

/// How new an index is: enough to see that it was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// `DESCRIPTION`: as `git describe` gave it for the repository, `v3.16.3-13-g4d933a1fa3`.
    pub description: String,
    /// When the newest package was built, in seconds since 1970.
    pub newest_build: u64,
}

impl Index {
    /// Opens an index, in this order: size and SHA-256 if they are known, signature over all that follows it,
    /// then the archive and each record. The segment with the signature is covered by none: it may be written in
    /// other ways, and says nothing but who signed. `what` names it in errors, as `the index of v3.15/main`.
    pub fn open(
        file: &[u8],
        expected: Option<&Expected>,
        keyring: &Keyring,
        arch: &str,
        what: &str,
    ) -> Result<Self> {
        let invalid = |why: &str| Fault::new(Kind::Mismatch, format!("{what} {why}"));
        digest::check(expected, what, file)?;
        if file.len() > limits::FILE {
            return Err(invalid("is too large").into());
        }
        let signed = gzip::unpack(file, 0, limits::SIGNATURE_SEGMENT, &format!("the signature of {what}"))?;
        let signatures = signature::read(&signed, what)?;
        let key = signature::verify(&signatures, keyring, arch, &file[signed.range.end..], what)?;
        let content = gzip::unpack(file, signed.range.end, limits::INDEX, &format!("the content of {what}"))?;
        gzip::end(file, &content, what)?;
        let (description, index) = files(&content.data, what)?;
        let (packages, skipped) = packages(index, arch, what)?;
        let newest_build = packages.iter().filter_map(|package| package.build_time).max().unwrap_or(0);
        let freshness = Freshness { description: description.trim().to_owned(), newest_build };
        Ok(Self { packages, skipped, arch: arch.to_owned(), key: key.name().to_owned(), freshness })
    }
}

/// The packages of an index for `arch`, and what is none. An index of another architecture is none at all.
fn packages(text: &str, arch: &str, what: &str) -> Result<(Vec<Record>, Vec<Skipped>)> {
    let (mut packages, mut skipped, mut other) = (Vec::new(), Vec::new(), None);
    for record in Records::new(text) {
        match record {
            Ok(record) if record.arch == arch || record.arch == NOARCH => packages.push(record),
            Ok(Record { name, arch, .. }) => {
                let why = format!("it is for {}", arch.escape_debug());
                skipped.push(Skipped { name: Some(name), why });
                other.get_or_insert(arch);
            }
            Err(unread) => {
                skipped.push(Skipped { name: unread.name, why: format!("{:#}", unread.error) });
            }
        }
    }
    match other {
        Some(other) if packages.is_empty() => {
            Err(Fault::mismatch(format!("the architecture of {what}"), arch, other.escape_debug())
                .help("ask another mirror: this one serves another architecture at that place")
                .into())
        }
        _ => Ok((packages, skipped)),
    }
}

/// `DESCRIPTION` and `APKINDEX`: nothing else, nothing twice.
fn files<'a>(archive: &'a [u8], what: &str) -> Result<(&'a str, &'a str)> {
    let invalid = |why: String| Fault::new(Kind::Mismatch, format!("{what} {why}"));
    let (mut description, mut index) = (None, None);
    for entry in tarball::entries(archive, what)? {
        let slot = match entry.path.as_str() {
            "DESCRIPTION" => &mut description,
            "APKINDEX" => &mut index,
            other => {
                return Err(invalid(format!("holds `{}`, which no index does", other.escape_debug())).into());
            }
        };
        let EntryKind::File(range) = entry.kind else {
            return Err(invalid(format!("holds a `{}` that is not a file", entry.path)).into());
        };
        let text = std::str::from_utf8(&archive[range])
            .map_err(|_| invalid(format!("has a `{}` that is not UTF-8", entry.path)))?;
        if slot.replace(text).is_some() {
            return Err(invalid(format!("holds `{}` twice", entry.path)).into());
        }
    }
    let index = index.ok_or_else(|| invalid("holds no `APKINDEX`".into()))?;
    Ok((description.unwrap_or_default(), index))
}

/// Reads records with an empty line after each; the first that is none is the error. Two of one name and version are one,
/// as are two with one checksum: neither would say which is meant.
pub fn parse(text: &str) -> Result<Vec<Record>> {
    Records::new(text).map(|record| record.map_err(|unread| unread.error)).collect()
}

/// The records of an index's text, one by one.
struct Records<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    ids: HashSet<String>,
    checksums: HashSet<Checksum>,
}

/// A record that is none.
struct Unread {
    name: Option<String>,
    error: anyhow::Error,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        Self { lines: text.lines().enumerate(), ids: HashSet::new(), checksums: HashSet::new() }
    }

    fn finish(&mut self, draft: Draft) -> Result<Record> {
        let record = draft.finish()?;
        if !self.ids.insert(record.id()) || !self.checksums.insert(record.checksum) {
            return Err(Fault::new(Kind::Mismatch, format!("{} is there twice", record.id())).into());
        }
        Ok(record)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut draft = Draft::default();
        let (mut failed, mut any) = (None, false);
        for (number, line) in self.lines.by_ref() {
            if line.is_empty() && any {
                break;
            }
            if line.is_empty() {
                continue;
            }
            any = true;
            let taken = split(line).and_then(|(field, value)| draft.take(field, value));
            if let Err(error) = taken.with_context(|| format!("line {}", number + 1)) {
                failed.get_or_insert(error);
            }
        }
        if !any {
            return None;
        }
        let name = draft.name().map(str::to_owned);
        let read = match failed {
            Some(error) => Err(error),
            None => self.finish(draft),
        };
        Some(read.map_err(|error| Unread { name, error }))
    }
}

/// A line's letter and value.
pub(crate) fn split(line: &str) -> Result<(char, &str)> {
    let mut chars = line.chars();
    match (chars.next(), chars.next()) {
        (Some(field), Some(':')) if !line.contains(['\0', '\r']) => Ok((field, chars.as_str())),
        _ => {
            let shown: String = line.chars().take(80).collect();
            Err(Fault::new(Kind::Mismatch, format!("`{}` is not a line of a record", shown.escape_debug()))
                .into())
        }
    }
}

impl Freshness {
    /// Fails if the index says that it is of another branch than `branch`, as `v3.15`: one key signs those of several.
    pub fn check_branch(&self, branch: &str, what: &str) -> Result<()> {
        let (Some(says), Some(wanted)) = (Describe::parse(&self.description), Describe::parse(branch)) else {
            return Ok(());
        };
        if says.branch() == wanted.branch() {
            return Ok(());
        }
        Err(Fault::mismatch(format!("the branch of {what}"), branch, self.description.escape_debug())
            .help("ask another mirror: this one serves another branch at that place")
            .into())
    }

    /// Fails if an index is older than one already seen: by the commits its description counts, if both
    /// describe the same branch, else by its newest package.
    pub fn check_not_older_than(&self, seen: &Self, what: &str) -> Result<()> {
        let older = match (Describe::parse(&self.description), Describe::parse(&seen.description)) {
            (Some(now), Some(then)) if now.branch() == then.branch() => {
                now < then || now == then && self.newest_build < seen.newest_build
            }
            _ => self.newest_build < seen.newest_build,
        };
        if !older {
            return Ok(());
        }
        let show = |this: &Self| {
            format!("{} (newest package built at {})", this.description.escape_debug(), this.newest_build)
        };
        let message =
            format!("{what} was rolled back\n  seen before {}\n  now         {}", show(seen), show(self));
        Err(Fault::new(Kind::Mismatch, message)
            .help("ask another mirror, or look whether Alpine withdrew the newer one")
            .into())
    }
}

/// `v3.16.3-13-g4d933a1fa3`: thirteen commits after the tag.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Describe {
    tag: Vec<u64>,
    commits: u64,
}

impl Describe {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v')?;
        let (tag, commits) = match text.split_once('-') {
            None => (text, 0),
            Some((tag, rest)) => (tag, rest.split_once("-g")?.0.parse().ok()?),
        };
        let tag: Vec<u64> = tag.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        Some(Self { tag, commits })
    }

    fn branch(&self) -> &[u64] {
        &self.tag[..self.tag.len().min(2)]
    }
}

#[cfg(test)]
mod tests;
