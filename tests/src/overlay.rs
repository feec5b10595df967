//! A store to spoil, at the path of the real one: in a mount namespace of its own, so that the real one never sees it.
//!
//! The path has to be the same because the C compiler is in the store, and its path is part of the keys of Go's build
//! cache: at another path everything that touches cgo would be compiled again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::xtask::{Xtask, default_store};

/// The programs that it needs.
pub const PROGRAMS: [&str; 5] = ["unshare", "nsenter", "mount", "mknod", "sh"];

/// A copy on write of the real store: what it has is there, what is done to it stays here. But for its temporary files
/// (the device is a whiteout): locks do not reach through an overlay, so those of builds at work there would be taken
/// for dead ones'.
const COPY: &str = r#"
mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && mknod /mnt/upper/tmp c 0 0 &&
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay "$1" && echo ready && read -r _"#;
/// An empty one, on the disk.
const EMPTY: &str = r#"mount --bind "$2" "$1" && echo ready && read -r _"#;

/// Ends when dropped.
#[derive(Debug)]
pub struct Store {
    holder: Child,
    path: PathBuf,
}

impl Store {
    /// All that the real store has; changes are kept in memory.
    pub fn copy() -> Result<Self> {
        Self::start(COPY, Path::new(""))
    }

    /// Nothing, and what comes is kept in this directory.
    pub fn empty(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        Self::start(EMPTY, dir)
    }

    fn start(script: &str, dir: &Path) -> Result<Self> {
        let path = default_store()?;
        fs::create_dir_all(&path)?;
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&path)
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start unshare")?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().context("no pipe")?).read_line(&mut said)?;
        let store = Self { holder, path };
        ensure!(said.trim() == "ready", "nothing could be mounted over {}", store.path.display());
        Ok(store)
    }

    /// Where it is for the test's own file operations.
    pub fn path(&self) -> PathBuf {
        let below = self.path.strip_prefix("/").unwrap_or(&self.path);
        Path::new(&format!("/proc/{}/root", self.holder.id())).join(below)
    }

    /// An xtask that sees this store as the default one, in this directory.
    pub fn xtask(&self, cwd: &Path) -> Result<Xtask> {
        let holder = self.holder.id().to_string();
        // Entering a mount namespace leaves the directory, so it is entered again.
        let words =
            ["nsenter", "--target", &holder, "--mount", "sh", "-c", "cd \"$1\"; shift; exec \"$@\"", "sh"];
        let words = words.iter().map(std::ffi::OsStr::new).chain([cwd.as_os_str()]);
        Ok(Xtask::new()?.store(&self.path).under(words))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
