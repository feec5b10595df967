//! What tests run beside our images: the control plane of a release, and what belongs to it, compiled from their
//! modules, as programs and as images by the names that kubeadm asks for.
//!
//! None of it is a product: the catalog has no attribute for it, and it is built for this machine alone. Closures are in
//! `tests/control-plane`; what is made is kept in the store that builds use.

mod debian;
mod flannel;
mod image;
mod programs;
mod suite;

use std::path::{Path, PathBuf};

use anyhow::Result;
use catalog::{Catalog, Release};
use fault::{Fault, Kind};
use progress::Progress;
use store::Store;
use toolchain::{Host, Lock, Setup, verify_tools};

pub use crate::debian::loaded;
pub use crate::image::Made;
pub use crate::programs::{CLOSURES, Set, committed};

/// Makes them, in a checkout.
pub struct Lab<'a> {
    root: PathBuf,
    catalog: Catalog,
    lock: Lock,
    store: Store,
    progress: &'a dyn Progress,
}

impl<'a> Lab<'a> {
    /// In the checkout at `root`.
    pub fn new(root: &Path, store: Store, progress: &'a dyn Progress) -> Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            catalog: Catalog::read(&root.join("images/catalog.toml"))?,
            lock: Lock::read(&root.join("images/locks/toolchains.json"))?,
            store,
            progress,
        })
    }

    /// Where closures are.
    fn closures(&self) -> PathBuf {
        self.root.join(CLOSURES)
    }

    /// What the catalog says of a release.
    fn release(&self, version: &str) -> Result<&Release> {
        self.catalog.release(version).ok_or_else(|| {
            Fault::new(Kind::NotFound, format!("the catalog has no release `{version}`"))
                .help(format!("`cargo xtask add-release {version}`"))
                .into()
        })
    }

    /// The pinned Go, every file of it hashed, with the caches of the user's own.
    fn go(&self) -> Result<gobuild::Tools> {
        let setup = Setup {
            store: &self.store,
            lock: &self.lock,
            host: Host::current()?,
            offline: false,
            mirrors: Vec::new(),
            progress: self.progress,
        };
        let (go, zig) = (setup.ensure_go()?, setup.ensure_zig()?);
        verify_tools(&[&go])?;
        let asked = exec::which("go").unwrap_or_else(|| go.program.clone());
        Ok(gobuild::Tools {
            go_root: go.tree.dir,
            zig: zig.program,
            zig_cache: self.store.tool_cache("zig")?,
            host: gobuild::HostGo::read(&asked)?,
            offline: false,
        })
    }
}
