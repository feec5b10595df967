//! The repository's files that decide bytes, read once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use catalog::Release;
use digest::{Digest, hash_file};
use fault::{Fault, Kind};
use gobuild::{Edits, JoinSource};
use serde::Serialize;
use toolchain::Lock;

/// What a plan is made from, beside the catalog.
pub struct Sources {
    root: PathBuf,
    /// `images/locks/toolchains.json`.
    pub lock: Lock,
    /// `images/go/edits.toml`.
    pub edits: Edits,
    /// `images/go/join`.
    pub join: JoinSource,
}

/// A file that goes in as it is.
#[derive(Clone, Debug, Serialize)]
pub struct RootfsFile {
    /// Its path in the image.
    pub path: String,
    /// Its permissions: 0755 if its owner may execute it, else 0644.
    pub mode: u32,
    /// The SHA-256 of its content.
    pub sha256: Digest,
    /// Where it is.
    #[serde(skip)]
    pub from: PathBuf,
}

impl Sources {
    /// Reads them below the top of the repository.
    pub fn read(root: &Path) -> Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            lock: Lock::read(&root.join("images/locks/toolchains.json"))?,
            edits: Edits::read(&root.join("images/go"))?,
            join: JoinSource::read(&root.join("images/go/join"))?,
        })
    }

    /// Where the Go closures are.
    pub fn go(&self) -> PathBuf {
        self.root.join("images/go")
    }

    /// The locked Go, if it is the one this release is compiled with.
    pub(crate) fn go_for(&self, release: &Release) -> Result<&str> {
        let locked = self.lock.go.version.as_str();
        if release.go == *locked {
            return Ok(locked);
        }
        let what = format!("the Go of {} in images/locks/toolchains.json", release.version);
        Err(Fault::new(
            Kind::Stale,
            format!("{what} is not the catalog's\n  expected {}\n  found    {locked}", release.go),
        )
        .help(format!("`cargo xtask lock toolchains --go {}`", release.go))
        .into())
    }

    /// Refuses a lock of other tools than the entrypoint's route is made for.
    pub(crate) fn same_tools(&self, inputs: &rustbuild::Inputs) -> Result<()> {
        let lock = &self.lock;
        let rust = format!("{} ({})", lock.rust.version, lock.rust.commit);
        for (tool, made_for, locked) in [
            ("Rust", &inputs.rust, &rust),
            ("zig", &inputs.zig, &lock.zig.version),
            ("cargo-zigbuild", &inputs.zigbuild, &lock.cargo_zigbuild.version),
        ] {
            if made_for != locked {
                let message = format!(
                    "the entrypoint is built with another {tool} than images/locks/toolchains.json has\n  \
                     expected {made_for}\n  found    {locked}"
                );
                return Err(Fault::new(Kind::Stale, message)
                    .help(
                        "change the version in xtask/crates/rustbuild/src/route.rs and in the lock together",
                    )
                    .into());
            }
        }
        Ok(())
    }

    /// Where a branch of Alpine is locked.
    pub fn alpine_lock_path(&self, branch: &str) -> PathBuf {
        self.root.join(alpine::lock::path(branch))
    }

    /// The lock of a branch of Alpine.
    pub fn alpine_lock(&self, branch: &str) -> Result<alpine::lock::Lock> {
        let lock = alpine::lock::Lock::read(&self.alpine_lock_path(branch))?;
        lock.ok_or_else(|| alpine::lock::missing(branch).into())
    }

    /// The keys that Alpine's indexes and packages are trusted by.
    pub fn alpine_keys(&self) -> Result<apk::key::Keyring> {
        apk::key::Keyring::load(&self.root.join("images/keys/alpine"))
    }

    /// Where the entrypoint's crate is.
    pub fn entrypoint(&self) -> PathBuf {
        self.root.join("images/entrypoint")
    }

    /// The files below a directory of `images/rootfs`, sorted by path.
    pub fn rootfs(&self, source: &str) -> Result<Vec<RootfsFile>> {
        use std::os::unix::fs::PermissionsExt;
        let top = self.root.join("images/rootfs").join(source);
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(&top).sort_by_file_name() {
            let entry = entry.with_context(|| format!("reading {}", top.display()))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let from = entry.path().to_owned();
            let path =
                from.strip_prefix(&top)?.to_str().context("a name in images/rootfs is not UTF-8")?.to_owned();
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            let (sha256, _) = hash_file(&from)?;
            files.push(RootfsFile { path, mode, sha256, from });
        }
        Ok(files)
    }
}
