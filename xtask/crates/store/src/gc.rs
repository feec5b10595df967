//! Cleaning: what died half-made, what is corrupt, what nobody used for long, or everything.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use digest::{Digest, hash_file};
use fault::Kind;
use progress::Progress;
use serde::Serialize;
use walkdir::WalkDir;

use crate::disk::{self, OnDisk};
use crate::lock::Mode;
use crate::manifest::{self, Manifest, SEAL};
use crate::{Store, TOOL_CACHES};

/// What to remove besides what died half-made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cleaning {
    /// Hash everything, and remove what is not what it was.
    pub corrupt: bool,
    /// Remove what no build used for this long.
    pub unused_for: Option<Duration>,
    /// Remove everything.
    pub all: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What was removed, in order of path.
    pub removed: Vec<Removed>,
    /// How many inputs, trees and objects stay.
    pub kept: usize,
    /// The size of what stays, in bytes.
    pub kept_bytes: u64,
}

/// One thing removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    /// Relative to the store.
    pub path: PathBuf,
    /// What it was, for people; empty if nobody can tell any more.
    pub what: String,
    /// In bytes.
    pub bytes: u64,
    /// Why it went.
    pub why: Why,
}

/// Why something is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It is not what it was, as this message says.
    Corrupt(String),
    /// No build used it for long.
    Unused,
    /// Everything was to be removed.
    All,
}

impl Report {
    /// How much room was made, in bytes.
    pub fn freed(&self) -> u64 {
        self.removed.iter().map(|removed| removed.bytes).sum()
    }
}

struct Candidate {
    path: PathBuf,
    what: String,
    bytes: u64,
    used: SystemTime,
    kind: CandidateKind,
}

enum CandidateKind {
    Input(Option<Digest>),
    Tree,
    Object,
    /// Something where only directories are.
    Stray,
    ToolCache,
}

impl Store {
    /// Cleans. Waits, saying so, until no other build uses the store; those that come wait in turn.
    pub fn gc(&mut self, cleaning: Cleaning, progress: &dyn Progress) -> Result<Report> {
        let lock = self.root().join("lock");
        self.used.change(&lock, Mode::Exclusive, || {
            progress.note("waiting for the builds that use the store to end");
        })?;
        let report = self.clean(cleaning);
        self.used.change(&lock, Mode::Shared, || ())?;
        report
    }

    fn clean(&self, cleaning: Cleaning) -> Result<Report> {
        // Nobody else has the store open now, so every other owner's temporary files are a dead one's: opening
        // it again in here removes them.
        drop(crate::temp::TempRoot::open(&self.root().join("tmp"))?);
        let mut report = Report::default();
        for candidate in self.candidates(cleaning.all)? {
            exec::interrupt::check()?;
            let Some(why) = candidate.removal_reason(cleaning)? else {
                if !matches!(candidate.kind, CandidateKind::ToolCache) {
                    report.kept += 1;
                    report.kept_bytes += candidate.bytes;
                }
                continue;
            };
            let path = candidate.path.strip_prefix(self.root()).unwrap_or(&candidate.path).to_owned();
            self.remove(&candidate.path)?;
            report.removed.push(Removed { path, what: candidate.what, bytes: candidate.bytes, why });
        }
        for name in disk::names(&self.root().join("locks"))? {
            disk::remove(&self.root().join("locks").join(name))?;
        }
        report.removed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(report)
    }

    /// Removes so that a half-removed directory is never taken for a whole one: out of sight first, or without its seal
    /// first where the file system cannot move it.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        let aside = self.temp().fresh();
        let at = disk::set_aside(path, aside.path())?;
        if at == path {
            disk::remove(&path.join(SEAL))?;
        }
        disk::remove(&at)
    }

    fn candidates(&self, all: bool) -> Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        let inputs = self.root().join("inputs/sha256");
        for name in disk::names(&inputs)? {
            let path = inputs.join(&name);
            let meta = path.symlink_metadata().on("read", &path)?;
            let (bytes, used) = (meta.len(), meta.modified().on("read", &path)?);
            candidates.push(Candidate {
                what: "input".to_owned(),
                path,
                bytes,
                used,
                kind: CandidateKind::Input(name.parse().ok()),
            });
        }
        let (trees, objects) = (self.root().join("trees"), self.root().join("objects"));
        for name in disk::names(&trees)? {
            candidates.push(sealed(trees.join(name), CandidateKind::Tree)?);
        }
        for kind in disk::names(&objects)?.into_iter().map(|kind| objects.join(kind)) {
            if !is_dir(&kind) {
                candidates.push(sealed(kind, CandidateKind::Stray)?);
                continue;
            }
            for name in disk::names(&kind)? {
                candidates.push(sealed(kind.join(name), CandidateKind::Object)?);
            }
        }
        if all {
            for path in TOOL_CACHES.map(|name| self.root().join(name)) {
                if path.is_dir() {
                    let what = "a tool's own cache".to_owned();
                    let (bytes, used) = (bytes_below(&path), SystemTime::UNIX_EPOCH);
                    candidates.push(Candidate { what, bytes, used, kind: CandidateKind::ToolCache, path });
                }
            }
        }
        Ok(candidates)
    }
}

/// Links are followed nowhere in the store.
fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

fn sealed(path: PathBuf, kind: CandidateKind) -> Result<Candidate> {
    let kind = if is_dir(&path) { kind } else { CandidateKind::Stray };
    let seal = path.join(SEAL);
    let dated = if is_dir(&path) && seal.exists() { &seal } else { &path };
    let used = dated.symlink_metadata().and_then(|meta| meta.modified()).on("read", dated)?;
    let (what, bytes) = match Manifest::read(&path) {
        Ok(Some(manifest)) => (manifest.what.clone(), manifest.size()),
        _ => (String::new(), bytes_below(&path)),
    };
    Ok(Candidate { path, what, bytes, used, kind })
}

impl Candidate {
    fn removal_reason(&self, cleaning: Cleaning) -> Result<Option<Why>> {
        if cleaning.all {
            return Ok(Some(Why::All));
        }
        // A clock that was set back makes things look as if used in the future: they stay.
        let age = SystemTime::now().duration_since(self.used).unwrap_or_default();
        if cleaning.unused_for.is_some_and(|limit| age >= limit) {
            return Ok(Some(Why::Unused));
        }
        if !cleaning.corrupt {
            return Ok(None);
        }
        match self.verify() {
            Ok(()) => Ok(None),
            Err(error) if fault::is(&error, Kind::Mismatch) => Ok(Some(Why::Corrupt(format!("{error:#}")))),
            // What cannot be read now may be whole: no reason to remove it.
            Err(error) => Err(error),
        }
    }

    fn verify(&self) -> Result<()> {
        match &self.kind {
            CandidateKind::ToolCache => Ok(()),
            CandidateKind::Input(None) => {
                Err(manifest::corrupt(&self.path, "a SHA-256 as its name", "another"))
            }
            CandidateKind::Input(Some(_))
                if !self.path.symlink_metadata().is_ok_and(|meta| meta.is_file()) =>
            {
                Err(manifest::corrupt(&self.path, "a regular file", "something else"))
            }
            CandidateKind::Input(Some(expected)) => {
                let (found, _) = hash_file(&self.path)?;
                if found == *expected { Ok(()) } else { Err(manifest::corrupt(&self.path, expected, found)) }
            }
            CandidateKind::Stray => Err(manifest::corrupt(&self.path, "a directory", "something else")),
            CandidateKind::Tree | CandidateKind::Object => match Manifest::read(&self.path)? {
                Some(manifest) => manifest.verify(&self.path),
                // From before seals: checked, and sealed or replaced, when it is next wanted.
                None if matches!(self.kind, CandidateKind::Tree) => Ok(()),
                None => Err(manifest::corrupt(&self.path, "a sealed object", "no manifest")),
            },
        }
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let walk = WalkDir::new(dir).into_iter().filter_map(Result::ok);
    walk.filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|meta| meta.len())
        .sum()
}
