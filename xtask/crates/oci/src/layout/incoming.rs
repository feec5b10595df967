//! A layout that comes from elsewhere, piece by piece.

use std::fs;
use std::io::Write;
use std::path::Path;

use ::digest::Hashing;
use anyhow::{Context, Result};
use fault::Fault;
use serde_json::{Value, json};

use super::{MARK, MARK_FILE, blobs};
use crate::digest::{self, Digest};

/// A directory that becomes a layout when all is in it: only then it has an index.
#[derive(Debug)]
pub struct Incoming<'a> {
    dir: &'a Path,
}

impl<'a> Incoming<'a> {
    /// Makes the directory.
    ///
    /// # Errors
    /// What the file system gives.
    pub fn new(dir: &'a Path) -> Result<Self> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
        Ok(Self { dir })
    }

    /// Writes a manifest or index.
    ///
    /// # Errors
    /// What the file system gives.
    pub fn document(&self, bytes: &[u8]) -> Result<()> {
        files::write(&blobs::path(self.dir, &Digest::of(bytes)), bytes)
    }

    /// Writes a blob, which is kept only if it has this size and digest.
    ///
    /// # Errors
    /// [`fault::Kind::Mismatch`] for another, those of `fill`, and what the file system gives.
    pub fn blob(
        &self,
        digest: Digest,
        size: u64,
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        files::write_with(&blobs::path(self.dir, &digest), 0o644, |out| {
            let mut out = Hashing::new(out);
            fill(&mut out)?;
            let found = digest::finish(out.hasher);
            if found != (digest, size) {
                let say = |(digest, size)| format!("{digest}, {size} bytes");
                return Err(Fault::mismatch("a blob that came", say((digest, size)), say(found)).into());
            }
            Ok(())
        })
    }

    /// Writes the index, over these descriptors.
    ///
    /// # Errors
    /// What the file system gives.
    pub fn finish(self, manifests: &[Value]) -> Result<()> {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        files::write(&self.dir.join(MARK_FILE), MARK)?;
        files::write(&self.dir.join("index.json"), &serde_json::to_vec(&index)?)
    }
}
