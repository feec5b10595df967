//! Directories that get their name once they are complete, and lose it in one step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// How often an exchange is tried when other writers come and go in between.
const TRIES: usize = 100;

/// Renames a file or directory so that it lasts: after a power cut it has either name, whole.
///
/// # Errors
/// What the file system gives.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Moves out of sight what is to be removed; says where it is then. That is still `from` on file systems that cannot
/// move a directory (overlayfs, one of a lower layer).
///
/// # Errors
/// What else the file system gives.
pub fn set_aside(from: &Path, to: &Path) -> io::Result<PathBuf> {
    match fs::rename(from, to) {
        Ok(()) => Ok(to.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(from.to_owned()),
        Err(error) => Err(error),
    }
}

/// Puts `new` where `to` is, in one step. What was there ends where `new` was, which its owner removes.
///
/// # Errors
/// What the file system gives, and [`Kind::Storage`] if other writers never leave it alone.
pub fn exchange(new: &Path, to: &Path) -> Result<()> {
    for _ in 0..TRIES {
        match renameat_with(CWD, new, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            Err(Errno::INVAL | Errno::NOSYS) => return Ok(replace_in_steps(new, to)?),
            done => return Ok(done?),
        }
        match renameat_with(CWD, new, CWD, to, RenameFlags::EXCHANGE) {
            // Another writer has just removed it.
            Err(Errno::NOENT) => {}
            done => return Ok(done?),
        }
    }
    Err(Fault::new(Kind::Storage, "other processes keep replacing it").into())
}

/// For file systems without those renames (some network ones): for a moment nothing is at `to`.
fn replace_in_steps(new: &Path, to: &Path) -> io::Result<()> {
    let mut old = new.as_os_str().to_owned();
    old.push(".old");
    let old = PathBuf::from(old);
    match fs::rename(to, &old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return fs::rename(new, to),
        moved => moved?,
    }
    fs::rename(new, to).inspect_err(|_| drop(fs::rename(&old, to)))?;
    fs::remove_dir_all(&old)
}
