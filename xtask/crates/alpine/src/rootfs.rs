//! The root filesystem of one image's base: a recipe in the plan, a layer's tree when it is made.

use anyhow::{Context, Result};
use apk::depend::Dependency;
use apk::install::{PendingScript, Rootfs, WORLD};
use apk::key::Keyring;
use catalog::{Alpine, Arch, Script};
use fault::{Fault, Kind};
use fstree::tree::Tree;
use serde::Serialize;

use crate::fetch::Fetcher;
use crate::lock::{self, File, Lock, LockedPackage};

/// Raised when the same inputs would give another tree.
const VERSION: u32 = 1;

/// All that decides a root filesystem.
#[derive(Clone, Debug, Serialize)]
pub struct Recipe {
    version: u32,
    /// Alpine's name of the architecture.
    arch: String,
    rootfs: File,
    /// What is asked for beside what the root filesystem asks for.
    world: Vec<String>,
    /// In the order of installing.
    packages: Vec<LockedPackage>,
    scripts: Vec<Script>,
    /// The trusted keys, name and SHA-256.
    keys: Vec<(String, String)>,
    /// Where its files are when no mirror has them.
    #[serde(skip)]
    pub url: String,
}

impl Recipe {
    /// What the lock says of a product's base. It must have been made for what the catalog says now.
    pub fn of(lock: &Lock, alpine: &Alpine, arch: &Arch, product: &str, keyring: &Keyring) -> Result<Self> {
        let stale = |what: &str, expected: &str, found: &str| {
            let place = lock::path(&lock.branch);
            let message = format!(
                "{what} for {} in {place} is not the catalog's\n  expected {expected}\n  found    {found}",
                arch.name
            );
            Fault::new(Kind::Stale, message).help("`cargo xtask lock alpine`")
        };
        let locked = lock.arches.get(arch.name.as_str());
        let locked = locked.ok_or_else(|| stale("what is locked", &arch.alpine, "nothing"))?;
        if locked.arch != arch.alpine {
            return Err(stale("the architecture", &arch.alpine, &locked.arch).into());
        }
        let rootfs = catalog_rootfs(alpine, arch)?;
        if locked.rootfs != rootfs {
            return Err(stale("the root filesystem", &rootfs.path, &locked.rootfs.path).into());
        }
        let wanted = catalog_world(alpine, product);
        let none = lock::World { world: Vec::new(), install: Vec::new() };
        let world = locked.worlds.get(product).unwrap_or(&none);
        if world.world != wanted {
            let what = format!("what {product} has");
            return Err(stale(&what, &wanted.join(" "), &world.world.join(" ")).into());
        }
        let packages = world.install.iter().filter_map(|id| locked.package(id).cloned()).collect();
        let keys = keyring.keys(&arch.alpine).map(|key| (key.name().to_owned(), key.sha256().to_owned()));
        Ok(Self {
            version: VERSION,
            arch: arch.alpine.clone(),
            rootfs,
            world: wanted,
            packages,
            scripts: alpine.scripts.clone(),
            keys: keys.collect(),
            url: alpine.url.to_string(),
        })
    }

    /// The root filesystem that packages are added to.
    pub fn rootfs(&self) -> &File {
        &self.rootfs
    }

    /// The packages that are added, in the order of installing.
    pub fn packages(&self) -> &[LockedPackage] {
        &self.packages
    }

    /// Fetches all it is made of that is not in the store, and verifies it.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] for a file that nobody has, [`Kind::Mismatch`] for one that is not what is locked.
    pub fn fetch(&self, fetcher: &Fetcher<'_>, keyring: &Keyring) -> Result<()> {
        fetcher.locked(&self.rootfs)?;
        for package in &self.packages {
            exec::interrupt::check()?;
            match package.file() {
                Some(file) => drop(fetcher.locked(&file)?),
                None => drop(fetcher.package(package, keyring, &self.arch)?),
            }
        }
        Ok(())
    }

    /// Makes the root filesystem: every file verified by what is locked of it, every package by its signature too. `time`
    /// is what apk's own archive of scripts has, in seconds since 1970.
    pub fn make(&self, fetcher: &Fetcher<'_>, keyring: &Keyring, time: u64) -> Result<Tree> {
        let Base { mut rootfs, mut world } = Base::open(fetcher, &self.rootfs, &self.arch)?;
        for package in &self.packages {
            exec::interrupt::check()?;
            rootfs = rootfs.install(&fetcher.package(package, keyring, &self.arch)?.0)?;
        }
        check_scripts(&rootfs, &self.scripts)?;
        world.extend(parse_world(&self.world)?);
        rootfs.finish(&world, time)?.into_archived()
    }
}

/// A root filesystem as Alpine publishes it, and what it asks for itself.
pub(crate) struct Base {
    pub(crate) rootfs: Rootfs,
    pub(crate) world: Vec<Dependency>,
}

impl Base {
    pub(crate) fn open(fetcher: &Fetcher<'_>, file: &File, arch: &str) -> Result<Self> {
        let bytes = fetcher.locked_bytes(file)?;
        let tree = apk::tree::Tree::from_tar_gz(&bytes, Some(&file.expected()), &file.path)?;
        let text = tree.read(WORLD).map(String::from_utf8_lossy).unwrap_or_default();
        let world = Dependency::parse_all(&text.split_whitespace().collect::<Vec<_>>().join(" "))?;
        let rootfs = Rootfs::from_base(tree, arch).with_context(|| file.path.clone())?;
        Ok(Self { rootfs, world })
    }
}

/// The catalog's root filesystem for an architecture.
pub(crate) fn catalog_rootfs(alpine: &Alpine, arch: &Arch) -> Result<File> {
    let found = alpine
        .rootfs
        .get(arch.name.as_str())
        .with_context(|| format!("no root filesystem for {}", arch.name))?;
    let sha256 = found.sha256.as_str().parse().context("a SHA-256 in the catalog")?;
    Ok(File { path: found.path.to_string(), size: found.size, sha256 })
}

/// The catalog's packages for a product.
pub(crate) fn catalog_world(alpine: &Alpine, product: &str) -> Vec<String> {
    alpine.worlds.get(product).into_iter().flatten().map(ToString::to_string).collect()
}

/// Reads packages as `apk add` takes them.
pub(crate) fn parse_world(world: &[String]) -> Result<Vec<Dependency>> {
    let parsed = Dependency::parse_all(&world.join(" "));
    parsed.with_context(|| format!("images/catalog.toml: packages `{}`", world.join(" ")))
}

/// Fails if apk would have run a script that the catalog has no entry for.
pub(crate) fn check_scripts(rootfs: &Rootfs, known: &[Script]) -> Result<()> {
    rootfs.check_scripts(|script: &PendingScript| {
        known.iter().any(|known| {
            known.package == script.package
                && known.kind == script.kind.to_string()
                && known.sha256.as_ref().is_none_or(|sha256| *sha256 == script.sha256)
        })
    })
}
