//! Makes a lock: from the catalog and Alpine's signed indexes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use apk::index::{Freshness, Index, Skipped};
use apk::key::Keyring;
use apk::package::Package;
use apk::record::Record;
use apk::resolve::{self, resolve};
use catalog::{Alpine, Arch};
use fault::{Fault, Kind};
use store::Digest;

use crate::fetch::Fetcher;
use crate::lock::{ArchLock, Lock, LockedIndex, LockedPackage, World};
use crate::rootfs::{self, Base};

/// The most that an index has, in bytes: Alpine's largest have 2 MiB.
const INDEX_SIZE: u64 = 64 << 20;
/// How many records that were left out are named.
const LISTED: usize = 10;

/// What a lock is made of.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The base, as the catalog has it.
    pub alpine: &'a Alpine,
    /// For these architectures.
    pub arches: &'a [Arch],
    /// The trusted keys.
    pub keyring: &'a Keyring,
    /// The lock so far: no index may be older than its, and no package another under the same version.
    pub previous: Option<&'a Lock>,
    /// Fetch no package: those that the lock so far has no SHA-256 of are pinned by the index, and whether they can be
    /// installed together shows when it is completed.
    pub index_only: bool,
}

/// Makes the lock of all architectures: resolves each product's packages, fetches and verifies every one, and installs
/// them, so that what is locked is known to give a root filesystem.
///
/// # Errors
/// [`Kind::Mismatch`] for an index that is older than the locked one or of another branch, a package that is not what the
/// index says, or that was rebuilt under the same version; [`Kind::Unavailable`] for a file that nobody has.
pub fn make(request: &Request<'_>, fetcher: &Fetcher<'_>) -> Result<Lock> {
    let arches = request.arches.iter().map(|arch| {
        let locked =
            one(request, fetcher, arch).with_context(|| format!("locking Alpine for {}", arch.name))?;
        Ok((arch.name.to_string(), locked))
    });
    Ok(Lock::new(request.alpine.branch.as_str(), arches.collect::<Result<_>>()?))
}

/// An index and where its packages are.
struct Repository {
    directory: String,
    index: Index,
}

fn one(request: &Request<'_>, fetcher: &Fetcher<'_>, arch: &Arch) -> Result<ArchLock> {
    let Request { alpine, keyring, .. } = *request;
    let file = rootfs::catalog_rootfs(alpine, arch)?;
    let base = Base::open(fetcher, &file, &arch.alpine)?;
    let previous = request.previous.and_then(|lock| lock.arches.get(arch.name.as_str()));
    let (mut repositories, mut indexes) = (Vec::new(), Vec::new());
    for repository in &alpine.repositories {
        let directory = format!("{}/{repository}/{}", alpine.branch, arch.alpine);
        let path = format!("{directory}/APKINDEX.tar.gz");
        let seen = previous.and_then(|lock| lock.indexes.iter().find(|seen| seen.path == path));
        let open = |bytes: &[u8]| {
            let index = Index::open(bytes, None, keyring, &arch.alpine, &path)?;
            index.freshness.check_branch(alpine.branch.as_str(), &path)?;
            if let Some(LockedIndex { description, newest_build, .. }) = seen {
                let seen = Freshness { description: description.clone(), newest_build: *newest_build };
                index.freshness.check_not_older_than(&seen, &path)?;
            }
            Ok(index)
        };
        let (index, bytes) = fetcher.unlocked(&path, INDEX_SIZE, open).map_err(|error| {
            let what = format!("the index of {repository} for {}", arch.alpine);
            if fault::is(&error, Kind::Unavailable) {
                error.context(format!("{what}: architectures are locked together, or not at all"))
            } else {
                error
            }
        })?;
        for skipped in listed(index.skipped.iter()) {
            fetcher.progress.note(&format!("{path}: left out {skipped}"));
        }
        indexes.push(LockedIndex {
            path,
            size: bytes.len() as u64,
            sha256: Digest::of(&bytes),
            key: index.key.clone(),
            description: index.freshness.description.clone(),
            newest_build: index.freshness.newest_build,
        });
        repositories.push(Repository { directory, index });
    }
    let mut packages = BTreeMap::new();
    let mut worlds = BTreeMap::new();
    for product in alpine.worlds.keys() {
        let world = rootfs::catalog_world(alpine, product);
        let install = install(request, fetcher, &base, &repositories, &world, previous, &mut packages)
            .with_context(|| format!("the packages of {product}"))?;
        worlds.insert(product.clone(), World { world, install });
    }
    let packages = packages.into_values().collect();
    Ok(ArchLock { arch: arch.alpine.clone(), rootfs: file, indexes, worlds, packages })
}

/// Records that were left out of indexes, a phrase each; of many the first.
fn listed<'a>(skipped: impl Iterator<Item = &'a Skipped>) -> Vec<String> {
    let mut all: Vec<String> = skipped
        .map(|skipped| {
            let name = skipped.name.as_deref().unwrap_or("a record without a name");
            format!("{}: {}", name.escape_debug(), skipped.why)
        })
        .collect();
    let more = all.len().saturating_sub(LISTED);
    all.truncate(LISTED);
    all.extend((more > 0).then(|| format!("{more} others")));
    all
}

/// The reason may be what was left out of the indexes.
fn with_skipped(error: anyhow::Error, repositories: &[Repository]) -> anyhow::Error {
    let skipped = listed(repositories.iter().flat_map(|repository| &repository.index.skipped));
    if skipped.is_empty() { error } else { error.context(format!("without {}", skipped.join("; "))) }
}

/// Resolves a world and installs it; returns what was added, in order.
fn install(
    request: &Request<'_>,
    fetcher: &Fetcher<'_>,
    base: &Base,
    repositories: &[Repository],
    world: &[String],
    previous: Option<&ArchLock>,
    packages: &mut BTreeMap<String, LockedPackage>,
) -> Result<Vec<String>> {
    let mut wanted = base.world.clone();
    wanted.extend(rootfs::parse_world(world)?);
    let installed: Vec<&Record> = base.rootfs.database().packages.iter().map(|there| &there.record).collect();
    let records: Vec<&[Record]> =
        repositories.iter().map(|repository| repository.index.packages.as_slice()).collect();
    let chosen = resolve(&resolve::Request { world: &wanted, repositories: &records, installed: &installed })
        .map_err(|error| with_skipped(error, repositories))?;
    let mut rootfs = base.rootfs.clone();
    let mut added = Vec::new();
    for record in chosen {
        if installed.iter().any(|there| there.checksum == record.checksum) {
            continue;
        }
        exec::interrupt::check()?;
        let of = |repository: &&Repository| {
            repository.index.packages.iter().any(|listed| listed.checksum == record.checksum)
        };
        let Repository { directory, index } =
            repositories.iter().find(of).context("a package of no repository was chosen")?;
        let path = format!("{directory}/{}", record.file_name());
        let before = previous.and_then(|locked| locked.package(&record.id()));
        check_not_rebuilt(before, record, &path)?;
        let sha256 = if request.index_only {
            before.and_then(|locked| locked.sha256)
        } else {
            let open = |bytes: &[u8]| Package::open(bytes, None, record, request.keyring, &index.arch);
            // What an earlier world of this lock had is in the store by now.
            let (package, bytes) = match packages.get(&record.id()).and_then(LockedPackage::file) {
                Some(file) => {
                    let bytes = fetcher.locked_bytes(&file)?;
                    (open(&bytes)?, bytes)
                }
                None => fetcher.unlocked(&path, record.size, open)?,
            };
            rootfs = rootfs.install(&package)?;
            Some(fetcher.keep(&path, &bytes)?)
        };
        packages.insert(record.id(), LockedPackage::new(path, sha256, record));
        added.push(record.id());
    }
    if !request.index_only {
        rootfs::check_scripts(&rootfs, &request.alpine.scripts)?;
    }
    Ok(added)
}

/// Whoever builds a package again gives it another revision: one that is another under the same version is not Alpine's.
fn check_not_rebuilt(before: Option<&LockedPackage>, record: &Record, path: &str) -> Result<()> {
    let Some(locked) = before.filter(|locked| locked.checksum != record.checksum.to_string()) else {
        return Ok(());
    };
    let what = "the checksum of its control segment";
    let (expected, found) =
        (format!("{} (locked)", locked.checksum), format!("{} (the index)", record.checksum));
    Err(anyhow::Error::from(
        Fault::mismatch(what, expected, found)
            .help("ask another mirror; if Alpine did build it again, remove the lock and lock again"),
    )
    .context(format!("{path} was rebuilt under the same version")))
}
