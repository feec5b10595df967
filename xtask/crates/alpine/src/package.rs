//! Packages of a lock: by the SHA-256 of their files, or by what Alpine's signed index says of them.

use anyhow::{Context, Result};
use apk::key::Keyring;
use apk::package::Package;
use serde::Serialize;
use store::Key;

use crate::fetch::Fetcher;
use crate::lock::LockedPackage;

/// Objects of the store that are packages without a locked SHA-256.
pub const KIND: &str = "alpine-package";
/// The one file of such an object.
const FILE: &str = "package.apk";

/// What an index pins of a package.
#[derive(Serialize)]
struct Pinned<'a> {
    arch: &'a str,
    path: &'a str,
    size: u64,
    checksum: &'a str,
}

impl Fetcher<'_> {
    /// A package of the lock, all of it verified, and the bytes of its file.
    ///
    /// Its file has the locked SHA-256; where none is locked, its control segment has the checksum that the signed index
    /// gives, and its data segment the SHA-256 that the control segment gives. It is signed in either case.
    pub(crate) fn package(
        &self,
        locked: &LockedPackage,
        keyring: &Keyring,
        arch: &str,
    ) -> Result<(Package, Vec<u8>)> {
        let record = locked.record()?;
        if let Some(file) = locked.file() {
            let bytes = self.locked_bytes(&file)?;
            return Ok((Package::open(&bytes, Some(&file.expected()), &record, keyring, arch)?, bytes));
        }
        let LockedPackage { path, size, checksum, .. } = locked;
        let key = Key::of(KIND, &Pinned { arch, path, size: *size, checksum })?;
        let open = |bytes: &[u8]| Package::open(bytes, None, &record, keyring, arch);
        let object = self.store.object(&key, path, self.progress, |dir| {
            let (_, bytes) = self.unlocked(path, *size, open)?;
            std::fs::write(dir.join(FILE), bytes).with_context(|| format!("writing {path}"))
        })?;
        let bytes = std::fs::read(object.file(FILE)?).with_context(|| format!("reading {path}"))?;
        Ok((open(&bytes)?, bytes))
    }
}
