//! `images/locks/alpine-BRANCH.json`: every file of a base, by size and SHA-256.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use apk::record::Record;
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};
use store::{Digest, Expected};

/// The version of the format.
const VERSION: u32 = 1;

/// Where a branch's lock is in the repository: `images/locks/alpine-3.15.json`.
pub fn path(branch: &str) -> String {
    format!("images/locks/alpine-{}.json", branch.trim_start_matches('v'))
}

/// What to say where a branch has no lock; nix/alpine.nix has the same words.
pub fn missing(branch: &str) -> Fault {
    let path = path(branch);
    let message = format!(
        "{path} is missing: `cargo xtask lock alpine` makes it from Alpine's servers, or a mirror of them, in about a minute"
    );
    Fault::new(Kind::Stale, message)
}

/// All that is locked of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// `v3.15`
    pub branch: String,
    /// By the catalog's names of architectures.
    pub arches: BTreeMap<String, ArchLock>,
}

/// What is locked for one architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchLock {
    /// Alpine's name for it.
    pub arch: String,
    /// The root filesystem that packages are added to.
    pub rootfs: File,
    /// The indexes that the packages were chosen from, the preferred one first.
    pub indexes: Vec<LockedIndex>,
    /// What is installed, by product.
    pub worlds: BTreeMap<String, World>,
    /// Every package that is added, by name and version.
    pub packages: Vec<LockedPackage>,
}

/// A file below Alpine's URL, and below each mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
}

impl File {
    /// What its bytes have to be.
    pub fn expected(&self) -> Expected {
        Expected { sha256: self.sha256, size: Some(self.size) }
    }
}

/// An index, with what tells whether another is older.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedIndex {
    /// Its path.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
    /// The key that signed it.
    pub key: String,
    /// `DESCRIPTION`, as `git describe` gave it for Alpine's packages.
    pub description: String,
    /// When its newest package was built, in seconds since 1970.
    pub newest_build: u64,
}

/// The packages of one product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// What the catalog asks for.
    pub world: Vec<String>,
    /// What is added to the root filesystem for it, `NAME-VERSION`, in the order of installing.
    pub install: Vec<String>,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its path.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of its file. Without it the package is pinned by Alpine's index: by its size and the checksum of its control
    /// segment, which holds the SHA-256 of the data segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Of its control segment, as the index has it.
    pub checksum: String,
    /// As the index has it.
    pub license: String,
    /// The package it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// All that the signed index said of it, line by line: what apk's database in the image will say.
    pub record: Vec<String>,
}

/// Read first, so that a lock of another version is not told to have unknown fields.
#[derive(Deserialize)]
struct Format {
    version: u32,
}

impl Lock {
    pub(crate) fn new(branch: &str, arches: BTreeMap<String, ArchLock>) -> Self {
        Self { version: VERSION, branch: branch.to_owned(), arches }
    }

    /// Reads the lock; none if there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Parses it, and refuses what contradicts itself; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let invalid = |why: String| {
            Fault::new(Kind::InvalidData, format!("{file}: {why}"))
                .help("`cargo xtask lock alpine` makes this file; restore it or make it again")
        };
        let at = |error: serde_json::Error| invalid(error.to_string());
        let found: Format = serde_json::from_str(text).map_err(at)?;
        if found.version != VERSION {
            let message = format!("lock version {}, this program reads {VERSION}", found.version);
            return Err(invalid(message).into());
        }
        let lock: Self = serde_json::from_str(text).map_err(at)?;
        for (arch, locked) in &lock.arches {
            locked.check().map_err(|error| invalid(format!("{arch}: {error:#}")))?;
        }
        Ok(lock)
    }

    /// The lock as it is written: the same text for the same content.
    pub fn to_text(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("the lock cannot be written as JSON")?;
        text.push('\n');
        Ok(text)
    }

    /// Writes it whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::write(path, self.to_text()?.as_bytes())
    }
}

impl ArchLock {
    /// The packages of a product that are pinned by Alpine's index alone.
    pub fn pinned_by_index<'a>(&'a self, product: &str) -> impl Iterator<Item = &'a LockedPackage> {
        let install = self.worlds.get(product).into_iter().flat_map(|world| &world.install);
        install.filter_map(|id| self.package(id)).filter(|package| package.sha256.is_none())
    }

    /// The package of this name and version.
    pub fn package(&self, id: &str) -> Option<&LockedPackage> {
        self.packages.iter().find(|package| package.id() == id)
    }

    fn check(&self) -> Result<()> {
        let paths = self.packages.iter().map(|package| &package.path);
        for path in paths.chain([&self.rootfs.path]).chain(self.indexes.iter().map(|index| &index.path)) {
            if fstree::path::check(path).is_err() {
                return Err(wrong(format!("`{path}` is not a plain path")));
            }
        }
        for package in &self.packages {
            package.record()?;
        }
        for id in self.worlds.values().flat_map(|world| &world.install) {
            if self.package(id).is_none() {
                return Err(wrong(format!("`{id}` is installed, but not among the packages")));
            }
        }
        Ok(())
    }
}

impl LockedPackage {
    pub(crate) fn new(path: String, sha256: Option<Digest>, record: &Record) -> Self {
        Self {
            name: record.name.clone(),
            version: record.version.to_string(),
            path,
            size: record.size,
            sha256,
            checksum: record.checksum.to_string(),
            license: record.license.clone(),
            origin: record.origin.clone(),
            record: record.to_lines().lines().map(str::to_owned).collect(),
        }
    }

    /// Name and version: `musl-1.2.2-r9`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Its file, if that is what is pinned.
    pub fn file(&self) -> Option<File> {
        self.sha256.map(|sha256| File { path: self.path.clone(), size: self.size, sha256 })
    }

    /// What the index said of it; it must agree with all else here.
    pub fn record(&self) -> Result<Record> {
        let parsed = apk::index::parse(&(self.record.join("\n") + "\n"));
        let mut records = parsed.with_context(|| format!("the record of {}", self.id()))?;
        let one = records.pop().filter(|_| records.is_empty());
        let record = one.ok_or_else(|| wrong(format!("{} has not exactly one record", self.id())))?;
        if Self::new(self.path.clone(), self.sha256, &record) != *self {
            return Err(wrong(format!("the record of {} says something else than the lock", self.id())));
        }
        Ok(record)
    }
}

fn wrong(why: String) -> anyhow::Error {
    Fault::new(Kind::InvalidData, why).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let lines =
            "C:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\nP:app\nV:1.0-r0\nA:x86_64\nS:7\nI:1\nT:t\nU:u\nL:MIT\no:app\n";
        let record = apk::index::parse(lines).unwrap().remove(0);
        let sha256 = Digest::of("x");
        let package = LockedPackage::new("v3.15/main/x86_64/app-1.0-r0.apk".into(), Some(sha256), &record);
        let world = World { world: vec!["app".into()], install: vec!["app-1.0-r0".into()] };
        let arch = ArchLock {
            arch: "x86_64".into(),
            rootfs: File { path: "v3.15/rootfs.tar.gz".into(), size: 1, sha256 },
            indexes: Vec::new(),
            worlds: BTreeMap::from([("kubelet".into(), world)]),
            packages: vec![package],
        };
        Lock::new("v3.15", BTreeMap::from([("amd64".into(), arch)]))
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lock.json");
        assert_eq!(Lock::read(&file).unwrap(), None);
        lock().write(&file).unwrap();
        assert_eq!(Lock::read(&file).unwrap(), Some(lock()));
        assert_eq!(path("v3.15"), "images/locks/alpine-3.15.json");
    }

    #[test]
    fn contradictions_are_refused() {
        let text = lock().to_text().unwrap();
        let fails = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            let error = Lock::parse(&text.replace(from, to), "lock.json").unwrap_err();
            assert_eq!(fault::exit_code(&error), 3);
            error.to_string()
        };
        insta::assert_snapshot!(fails("\"version\": 1,", "\"version\": 2,"), @"lock.json: lock version 2, this program reads 1");
        insta::assert_snapshot!(fails("\"size\": 7", "\"size\": 8"), @"lock.json: amd64: the record of app-1.0-r0 says something else than the lock");
        insta::assert_snapshot!(fails("P:app", "P:apq"), @"lock.json: amd64: the record of app-1.0-r0 says something else than the lock");
        insta::assert_snapshot!(fails("v3.15/main", "../main"), @"lock.json: amd64: `../main/x86_64/app-1.0-r0.apk` is not a plain path");
        assert!(
            fails("\"app-1.0-r0\"", "\"app-1.0-r1\"").contains("is installed, but not among the packages")
        );
        assert!(fails("\"rootfs\"", "\"rotfs\"").contains("unknown field `rotfs`"));
    }
}
