//! Alpine's security database: which version of which package repaired which vulnerability.
//!
//! <https://secdb.alpinelinux.org> has a JSON file for each branch and repository, `v3.22/main.json`, made of the `secfixes`
//! in Alpine's build recipes. It names packages by their origin, and says only what was repaired: of a vulnerability that a
//! branch never got a fix for, as all those found after its end of life, its files say nothing. Recipes keep their history,
//! so files of newer branches say it.

mod entry;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::Result;
use apk::version::Version;
use fault::{Fault, Kind};

pub use entry::Vulnerability;

/// A file, in bytes: the largest that Alpine has is below 2 MiB.
const MAX_FILE: u64 = 32 << 20;
/// Files in a directory: Alpine has two a branch.
const MAX_FILES: usize = 256;

/// What is known of packages, by branch, the oldest first, and by origin.
#[derive(Debug, Default)]
pub struct Database {
    branches: BTreeMap<Branch, BTreeMap<String, Vec<Fix>>>,
}

/// A branch: `v3.22`, or `edge`, which is newer than each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// Both numbers of a release.
    Stable(u32, u32),
    /// What the next release will be made of.
    Edge,
}

/// A package's vulnerabilities that one version repaired.
#[derive(Debug)]
struct Fix {
    fixed: Fixed,
    vulnerabilities: Vec<Vulnerability>,
}

/// Since when a package is not vulnerable.
#[derive(Debug)]
enum Fixed {
    /// `0`: it never was.
    Never,
    Since(Version),
    /// What no version of a package is.
    Unreadable(String),
}

/// A vulnerability of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which one.
    pub vulnerability: Vulnerability,
    /// The branch whose file says so.
    pub branch: Branch,
    /// The version that repaired it. If it is none that can be compared, so that nobody can tell, the text in the file is
    /// the error.
    pub fixed: Result<String, String>,
}

/// What is known of a package.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Do the files of its own branch name it? Where they do not, nothing found does not mean that there is nothing.
    pub named: bool,
    /// Its vulnerabilities, by branch and file.
    pub findings: Vec<Finding>,
}

impl Branch {
    /// Reads `v3.22` or `edge`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "edge" {
            return Some(Self::Edge);
        }
        let (major, minor) = text.strip_prefix('v')?.split_once('.')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
        Some(Self::Stable(number(major)??, number(minor)??))
    }

    /// The branch of a release, as `VERSION_ID` of `etc/os-release` has it: `3.15.11`, or `3.23_alpha20251016` on edge.
    pub fn of_release(version: &str) -> Option<Self> {
        if version.contains("_alpha") {
            return Some(Self::Edge);
        }
        let mut numbers = version.splitn(3, '.');
        Self::parse(&format!("v{}.{}", numbers.next()?, numbers.next()?))
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stable(major, minor) => write!(f, "v{major}.{minor}"),
            Self::Edge => f.write_str("edge"),
        }
    }
}

impl Database {
    /// Reads all files named `*.json` in a directory and the directories in it.
    ///
    /// # Errors
    /// [`Kind::Database`] if there is none, or one of them is not a file of such a database.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut database = Self::default();
        let mut seen = BTreeSet::new();
        for path in file::all(dir, MAX_FILES)? {
            let shown = path.display().to_string();
            let bytes =
                files::read_required(&path, MAX_FILE).map_err(|error| refused(&format!("{error:#}")))?;
            let place = database.add(&bytes, &shown)?;
            if !seen.insert(place.clone()) {
                let (branch, repository) = place;
                return Err(refused(&format!("{shown} is a second file of {branch} {repository}")));
            }
        }
        if seen.is_empty() {
            return Err(refused(&format!("{} has no file *.json", dir.display())));
        }
        Ok(database)
    }

    /// Adds what a file says, and tells whose it is: a branch and a repository. `shown` is what errors call it.
    ///
    /// # Errors
    /// [`Kind::Database`] for what is not such a file.
    pub fn add(&mut self, bytes: &[u8], shown: &str) -> Result<(Branch, String)> {
        let file = file::parse(bytes).map_err(|why| refused(&format!("{shown}: {why}")))?;
        let packages = self.branches.entry(file.branch).or_default();
        for package in file.packages {
            // Also a package that nothing was repaired in is one that the branch knows.
            packages.entry(package.name).or_default().extend(package.fixes);
        }
        Ok((file.branch, file.repository))
    }

    /// The branches it has files of, the oldest first.
    pub fn branches(&self) -> impl Iterator<Item = Branch> {
        self.branches.keys().copied()
    }

    /// What is known of a version of a package on a branch, by its origin. What a newer branch repaired in a later version
    /// counts, too, unless the own branch says otherwise: the own one may have had no fix. That may be a vulnerability which
    /// the older version does not have yet.
    pub fn look_up(&self, branch: Branch, origin: &str, version: &Version) -> Known {
        let mut known = Known::default();
        let mut settled: BTreeSet<&str> = BTreeSet::new();
        for (at, packages) in self.branches.range(branch..) {
            let Some(fixes) = packages.get(origin) else { continue };
            let own = *at == branch;
            known.named |= own;
            let Sorted { good, found } = sort(fixes, version, own);
            for (id, (vulnerability, fixed)) in found {
                if !settled.contains(id) {
                    let (vulnerability, fixed) = (vulnerability.clone(), fixed.text());
                    known.findings.push(Finding { vulnerability, branch: *at, fixed });
                    settled.insert(id);
                }
            }
            settled.extend(good);
        }
        known
    }
}

/// What a branch says of a version of a package, by identifiers.
#[derive(Default)]
struct Sorted<'a> {
    good: BTreeSet<&'a str>,
    found: BTreeMap<&'a str, (&'a Vulnerability, &'a Fixed)>,
}

fn sort<'a>(fixes: &'a [Fix], version: &Version, own: bool) -> Sorted<'a> {
    let mut sorted = Sorted::default();
    for Fix { fixed, vulnerabilities } in fixes {
        let affected = match fixed {
            // It has no entry for newer branches: they never had so old a version.
            Fixed::Never if !own => continue,
            Fixed::Never => false,
            Fixed::Since(since) => version < since,
            Fixed::Unreadable(_) => true,
        };
        for vulnerability in vulnerabilities {
            let id = vulnerability.id.as_str();
            if !affected {
                sorted.good.insert(id);
                continue;
            }
            // What was repaired twice is repaired by the later version.
            let there = sorted.found.entry(id).or_insert((vulnerability, fixed));
            if there.1.is_before(fixed) {
                *there = (vulnerability, fixed);
            }
        }
    }
    // What cannot be compared says nothing against what can.
    let Sorted { good, found } = &mut sorted;
    found.retain(|id, (_, fixed)| matches!(fixed, Fixed::Since(_)) || !good.contains(id));
    sorted
}

impl Fixed {
    fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Since(this), Self::Since(other)) => this < other,
            (Self::Unreadable(_), Self::Since(_)) => true,
            _ => false,
        }
    }

    fn text(&self) -> Result<String, String> {
        match self {
            Self::Never => Ok("0".to_owned()),
            Self::Since(version) => Ok(version.to_string()),
            Self::Unreadable(text) => Err(text.clone()),
        }
    }
}

fn refused(why: &str) -> anyhow::Error {
    Fault::new(Kind::Database, why)
        .help(
            "--alpine-secdb names a directory with files of https://secdb.alpinelinux.org, as there: \
             `v3.22/main.json`, or `main.json` of one branch",
        )
        .into()
}

#[cfg(test)]
mod tests;
