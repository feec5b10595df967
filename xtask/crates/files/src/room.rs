//! A temporary directory for programs that remove nothing of theirs when they are ended.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Removed when dropped, with all that is in it.
pub struct Room(TempDir);

impl Room {
    /// Makes it.
    pub fn new() -> Result<Self> {
        // Sockets' names may be a hundred bytes long.
        Ok(Self(TempDir::with_prefix("xtask-").context("cannot make a temporary directory")?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Room {
    /// What is mounted in it may be anybody's files: then all stays.
    fn drop(&mut self) {
        let table = fs::read_to_string("/proc/self/mountinfo");
        if table.map_or(true, |table| is_mounted(&table, self.path())) {
            self.0.disable_cleanup(true);
        }
    }
}

/// Is something mounted in this directory, by this table?
fn is_mounted(table: &str, dir: &Path) -> bool {
    table.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| Path::new(point).starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_removed_with_what_is_in_it() {
        let room = Room::new().unwrap();
        let path = room.path().to_owned();
        fs::create_dir_all(path.join("a/b")).unwrap();
        drop(room);
        assert!(!path.exists());
    }

    #[test]
    fn a_mount_is_seen_wherever_it_is_in_it() {
        let table = "22 1 0:3 / / rw - ext4 /dev/a rw\n36 35 98:0 /x /tmp/xtask-a/b/c rw - ext4 /dev/b rw\n";
        assert!(is_mounted(table, Path::new("/tmp/xtask-a")));
        assert!(
            !is_mounted(table, Path::new("/tmp/xtask-ab")) && !is_mounted(table, Path::new("/tmp/xtask-a/d"))
        );
    }
}
