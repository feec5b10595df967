//! The files of a layout: opened without following a link, of the size and digest that are expected.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::digest::{Digest, hash_reader};

/// The names of the directory that blobs are in.
const BLOBS: [&str; 2] = ["blobs", "sha256"];

/// Where a blob is, or has to be written.
pub(super) fn path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join(BLOBS[0]).join(BLOBS[1]).join(digest.hex())
}

/// Opens a blob of this size. Its bytes are not verified.
pub(super) fn open(layout: &Path, digest: &Digest, size: u64) -> Result<File> {
    let opened = files::open_below(layout, &[BLOBS[0], BLOBS[1], &digest.hex()]);
    let (file, found) =
        opened.with_context(|| format!("blob {digest}")).map_err(|error| missing(digest, error))?;
    if found != size {
        return Err(wrong_size(digest, size, found));
    }
    Ok(file)
}

/// Opens a blob whose size and digest are these. What is read of it afterwards comes from the very file that was
/// verified, whatever has its name by then.
///
/// # Errors
/// [`Kind::Mismatch`] if it is missing or another, [`Kind::InvalidData`] for a link or what is not a file,
/// [`Kind::Interrupted`].
pub(super) fn verified(layout: &Path, digest: &Digest, size: u64) -> Result<File> {
    let mut file = open(layout, digest, size)?;
    let (found, _) = hash_reader(&mut file, size)?;
    if found != *digest {
        return Err(Fault::mismatch(format!("blob {digest}"), digest, found).into());
    }
    file.seek(SeekFrom::Start(0)).with_context(|| format!("blob {digest}"))?;
    Ok(file)
}

/// The bytes of a small blob.
///
/// # Errors
/// As [`verified`]; [`Kind::InvalidData`] if it has more than `limit` bytes.
pub(super) fn bytes(layout: &Path, digest: &Digest, size: u64, limit: u64) -> Result<Vec<u8>> {
    if size > limit {
        return Err(too_large(&format!("blob {digest}"), limit));
    }
    let file = open(layout, digest, size)?;
    let bytes = read(file, &format!("blob {digest}"), limit)?;
    if bytes.len() as u64 != size {
        return Err(wrong_size(digest, size, bytes.len() as u64));
    }
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(Fault::mismatch(format!("blob {digest}"), digest, found).into());
    }
    Ok(bytes)
}

/// The bytes of `oci-layout` or `index.json`, which nothing says the digest of.
pub(super) fn top(layout: &Path, name: &str, limit: u64) -> Result<Vec<u8>> {
    let (file, _) = files::open_below(layout, &[name]).with_context(|| format!("{name} of the layout"))?;
    read(file, name, limit)
}

fn read(file: File, name: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).with_context(|| format!("reading {name}"))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(name, limit));
    }
    Ok(bytes)
}

fn too_large(name: &str, limit: u64) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("{name}: more than {limit} bytes")).into()
}

/// A blob that is not there is the layout's fault, and not the disk's.
fn missing(digest: &Digest, error: anyhow::Error) -> anyhow::Error {
    let cause = error.downcast_ref::<std::io::Error>();
    if cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound) {
        return Fault::new(Kind::Mismatch, format!("the layout has no blob {digest}"))
            .help("copy it again: it is incomplete")
            .into();
    }
    error
}

fn wrong_size(digest: &Digest, expected: u64, found: u64) -> anyhow::Error {
    Fault::mismatch(format!("blob {digest}"), format!("{expected} bytes"), format!("{found} bytes")).into()
}
