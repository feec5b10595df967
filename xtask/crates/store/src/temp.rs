//! Temporary files of one open store: in a directory that is locked while its owner lives, and that whoever
//! comes next removes once it is not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::disk::{self, OnDisk};
use crate::lock::{FileLock, Mode};

/// `tmp/NAME/` with `tmp/NAME.lock` beside it. Removed when dropped.
#[derive(Debug)]
pub(crate) struct TempRoot {
    dir: PathBuf,
    lock_file: PathBuf,
    _lock: FileLock,
    next: AtomicU64,
}

/// A path of its own inside the [`TempRoot`]; whatever is there when this is dropped is removed.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl TempRoot {
    /// Makes one, and removes those whose owners are gone.
    pub(crate) fn open(tmp: &Path) -> Result<Self> {
        disk::make_dir(tmp)?;
        let (root, stale) = {
            // Between making a lock file and locking it, nobody may take it for a dead one's.
            let _all = FileLock::wait(&tmp.join("lock"), Mode::Exclusive, || ())?;
            let root = Self::make(tmp)?;
            let stale = root.take_stale(tmp)?;
            (root, stale)
        };
        for dir in stale {
            disk::remove(&dir)?;
        }
        Ok(root)
    }

    fn make(tmp: &Path) -> Result<Self> {
        let made = tempfile::Builder::new().prefix("").rand_bytes(12).tempdir_in(tmp);
        let dir = made.on("make a directory in", tmp)?;
        let lock_file = dir.path().with_extension("lock");
        let lock = FileLock::wait(&lock_file, Mode::Exclusive, || ())?;
        Ok(Self { dir: dir.keep(), lock_file, _lock: lock, next: AtomicU64::new(0) })
    }

    /// Moves the directories of dead owners in here.
    fn take_stale(&self, tmp: &Path) -> Result<Vec<PathBuf>> {
        let mut taken = Vec::new();
        let names = disk::names(tmp)?;
        let owners: BTreeSet<&str> = names.iter().map(|name| name.trim_end_matches(".lock")).collect();
        for path in owners.into_iter().map(|name| tmp.join(name)) {
            if path == self.dir || path == tmp.join("lock") {
                continue;
            }
            let lock_file = path.with_extension("lock");
            if FileLock::try_now(&lock_file)?.is_some() {
                if path.exists() {
                    taken.push(disk::set_aside(&path, &self.path())?);
                }
                disk::remove(&lock_file)?;
            }
        }
        Ok(taken)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// A new path where nothing is yet.
    pub(crate) fn fresh(&self) -> Scratch {
        Scratch { path: self.path() }
    }

    /// A new, empty directory.
    pub(crate) fn fresh_dir(&self) -> Result<Scratch> {
        let temp = self.fresh();
        disk::make_dir(&temp.path)?;
        disk::set_mode(&temp.path, 0o755)?;
        Ok(temp)
    }
}

impl Drop for TempRoot {
    fn drop(&mut self) {
        // What cannot be removed now, the next to open the store removes.
        let _ = disk::remove(&self.dir);
        let _ = disk::remove(&self.lock_file);
    }
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = disk::remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_living_keep_theirs_and_the_dead_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let living = TempRoot::open(dir.path()).unwrap();
        let kept = living.fresh_dir().unwrap();
        // As after kill -9: files, and a lock file that nobody holds.
        fs::create_dir(dir.path().join("dead")).unwrap();
        fs::write(dir.path().join("dead/half"), "x").unwrap();
        fs::write(dir.path().join("dead.lock"), "").unwrap();
        let other = TempRoot::open(dir.path()).unwrap();
        assert!(kept.path().is_dir());
        assert!(!dir.path().join("dead").exists() && !dir.path().join("dead.lock").exists());
        drop((kept, living, other));
        assert_eq!(disk::names(dir.path()).unwrap(), ["lock"]);
    }

    #[test]
    fn a_lock_file_alone_is_no_ones() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("dead.lock"), "").unwrap();
        TempRoot::open(dir.path()).unwrap();
        assert_eq!(disk::names(dir.path()).unwrap(), ["lock"]);
    }
}
