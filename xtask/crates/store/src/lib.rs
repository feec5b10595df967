//! The cache that all builds of a user share: inputs by SHA-256, trees unpacked from them, outputs by the hash
//! of everything that went in.
//!
//! ```text
//! inputs/sha256/HEX            files from outside, verified before they have this name
//! trees/NAME-VERSION-HEX12/    unpacked archives, sealed by a manifest of every file
//! objects/KIND/HEX/            outputs by key, sealed likewise
//! locks/  lock                 who makes what; who uses the store at all
//! tmp/                         what is being made; removed by the next to come if its maker died
//! ```
//!
//! Nothing has its name before it is complete, verified and synced, so a crash, `kill -9` or a full disk leaves
//! nothing that is ever used. What is read is hashed again. Locks are `flock`s, which the kernel frees.

pub mod disk;
mod gc;
mod input;
mod key;
mod lock;
mod manifest;
mod sealed;
mod temp;
pub mod unzip;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use fault::{Fault, Kind};

use crate::lock::{FileLock, Mode};
use crate::temp::TempRoot;

pub use crate::gc::{Cleaning, Removed, Report, Why};
pub use crate::key::Key;
pub use crate::manifest::{Entry, Manifest, SEAL};
pub use crate::sealed::{Object, Tree, TreeId};
pub use crate::temp::Scratch;
pub use digest::{Digest, Expected};

/// What a store's directory holds.
const OURS: [&str; 6] = ["inputs", "trees", "objects", "locks", "lock", "tmp"];
/// The tools whose own caches are kept in it.
const TOOL_CACHES: [&str; 2] = ["zig", "cargo"];

/// The cache, open. Threads share it by reference.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    // Before the lock: temporary files are removed while the store is still ours to write to.
    temp: TempRoot,
    used: FileLock,
}

impl Store {
    /// Opens the store in this directory, making it if needed, and removes what dead builds left half-made.
    /// Waits while another process cleans it.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = std::path::absolute(root.as_ref()).map_err(|error| {
            Fault::new(Kind::Storage, format!("no store at `{}`: {error}", root.as_ref().display()))
        })?;
        refuse_others_files(&root)?;
        for dir in ["inputs/sha256", "trees", "objects", "locks"] {
            disk::make_dir(&root.join(dir))?;
        }
        let used = FileLock::wait(&root.join("lock"), Mode::Shared, || ())?;
        let temp = TempRoot::open(&root.join("tmp"))?;
        Ok(Self { root, temp, used })
    }

    /// Where the store is unless told otherwise: `KUBELET_IMAGES_STORE`, else `containerized-kubelet` in
    /// `XDG_CACHE_HOME` or `~/.cache`.
    pub fn default_root() -> Result<PathBuf> {
        default_root(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    /// The directory that it is in: an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory for a tool's own cache (`zig`), which only makes it faster: neither verified nor cleaned,
    /// but removed with everything.
    pub fn tool_cache(&self, name: &str) -> Result<PathBuf> {
        ensure!(TOOL_CACHES.contains(&name), "`{name}` is not a tool whose cache is kept in the store");
        let dir = self.root.join(name);
        disk::make_dir(&dir)?;
        Ok(dir)
    }

    /// An empty directory for what is on its way into the store; removed when dropped.
    pub fn scratch_dir(&self) -> Result<Scratch> {
        self.temp.fresh_dir()
    }

    fn temp(&self) -> &TempRoot {
        &self.temp
    }
}

/// What is put into a directory that holds something else could not be distinguished from it by `gc`.
fn refuse_others_files(root: &Path) -> Result<()> {
    let names = disk::names(root)?;
    let ours = |name: &String| OURS.contains(&name.as_str()) || TOOL_CACHES.contains(&name.as_str());
    match names.iter().find(|name| !ours(name)) {
        Some(name) if !names.iter().any(|name| name == "lock") => {
            let message = format!("`{}` is not a store: there is `{name}` in it", root.display());
            let help = "set KUBELET_IMAGES_STORE to a directory of its own; it is made if it does not exist";
            Err(Fault::new(Kind::Storage, message).help(help).into())
        }
        _ => Ok(()),
    }
}

fn default_root(var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    if let Some(root) = var("KUBELET_IMAGES_STORE") {
        return Ok(root);
    }
    // The XDG specification: a relative path there is to be ignored.
    let cache = var("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
    match cache.or_else(|| var("HOME").map(|home| home.join(".cache"))) {
        Some(cache) => Ok(cache.join("containerized-kubelet")),
        None => Err(Fault::new(Kind::Storage, "no place for the store: HOME is not set")
            .help("set KUBELET_IMAGES_STORE to a directory")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_holds_something_else_is_no_store() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("trees")).unwrap();
        drop(Store::open(dir.path()).unwrap());
        std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        drop(Store::open(dir.path()).unwrap());
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert_eq!(fault::exit_code(&error), 10);
        assert!(error.to_string().ends_with("is not a store: there is `notes.txt` in it"), "{error}");
    }

    #[test]
    fn the_default_place() {
        let root = |vars: &[(&str, &str)]| {
            let vars: Vec<_> = vars.iter().map(|(n, v)| ((*n).to_owned(), PathBuf::from(v))).collect();
            default_root(|name| vars.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
        };
        let is = |path: &str| PathBuf::from(path);
        assert_eq!(root(&[("HOME", "/h")]).unwrap(), is("/h/.cache/containerized-kubelet"));
        assert_eq!(
            root(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).unwrap(),
            is("/x/containerized-kubelet")
        );
        assert_eq!(
            root(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")]).unwrap(),
            is("/h/.cache/containerized-kubelet")
        );
        assert_eq!(root(&[("HOME", "/h"), ("KUBELET_IMAGES_STORE", "/s")]).unwrap(), is("/s"));
        let error = root(&[]).unwrap_err();
        assert_eq!(fault::exit_code(&error), 10);
    }
}
