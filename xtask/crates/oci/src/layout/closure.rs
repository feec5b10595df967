//! All that a layout reaches, of whatever types: what a copy of it has to have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use serde_json::Value;

use super::{REF_NAME, blobs};
use crate::digest::Digest;

/// The largest manifest or index, in bytes.
const DOCUMENT: u64 = 4 << 20;
/// All manifests and indexes of a layout together: their number, and their bytes, which are held in memory.
const DOCUMENTS: usize = 4_000;
const DOCUMENTS_SIZE: u64 = 128 << 20;
/// How deep indexes may lie in indexes.
const DEPTH: u32 = 4;

/// A manifest or index, verified.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its digest.
    pub digest: Digest,
    /// Its media type: its own word, else its descriptor's.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it refers to.
    pub subject: Option<Digest>,
    /// What the bytes say.
    pub value: Value,
}

/// A blob that is neither manifest nor index. It is verified when it is opened.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    layout: PathBuf,
}

impl Blob {
    /// Opens it: a regular file that no link led to, of this size and digest.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it is missing or another, [`Kind::InvalidData`] for what is not a file, [`Kind::Interrupted`].
    pub fn open(&self) -> Result<File> {
        blobs::verified(&self.layout, &self.digest, self.size)
    }
}

/// What the indexes of some layouts reach: each blob and document once.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// Configs, layers and the like.
    pub blobs: BTreeMap<Digest, Blob>,
    /// Manifests and indexes, those before these that name them.
    pub documents: Vec<Document>,
    /// Name and digest of each document that an `index.json` gives a name.
    pub tags: Vec<(String, Digest)>,
    known: BTreeSet<Digest>,
    size: u64,
}

impl Closure {
    /// Adds a layout. Documents are verified now, blobs when they are opened; that these are files of the right size is
    /// looked at already.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for what is not a layout, or over a limit; [`Kind::Mismatch`] for what is missing or not what its
    /// descriptor says; [`Kind::Interrupted`].
    pub fn add(&mut self, layout: &Path) -> Result<()> {
        let index: Value = serde_json::from_slice(&blobs::top(layout, "index.json", DOCUMENT)?)
            .map_err(|_| bad(layout, "index.json is not JSON"))?;
        let roots = index["manifests"].as_array().filter(|all| !all.is_empty());
        for root in roots.ok_or_else(|| bad(layout, "index.json names no manifest"))? {
            let digest = self.document(layout, root, DEPTH)?;
            if let Some(tag) = root["annotations"][REF_NAME].as_str() {
                self.tags.push((tag.to_owned(), digest));
            }
        }
        Ok(())
    }

    fn document(&mut self, layout: &Path, descriptor: &Value, depth: u32) -> Result<Digest> {
        exec::interrupt::check()?;
        let (digest, size) = parse(layout, descriptor)?;
        if self.known.contains(&digest) {
            return Ok(digest);
        }
        let Some(below) = depth.checked_sub(1) else { return Err(bad(layout, "indexes lie too deep")) };
        self.size = self.size.saturating_add(size);
        if self.known.len() >= DOCUMENTS || self.size > DOCUMENTS_SIZE {
            let message = format!("more than {DOCUMENTS} manifests, or {DOCUMENTS_SIZE} bytes of them");
            return Err(bad(layout, &message));
        }
        let bytes = blobs::bytes(layout, &digest, size, DOCUMENT)?;
        let of = |why: &str| bad(layout, &format!("blob {digest} {why}"));
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| of("is not JSON"))?;
        for child in value["manifests"].as_array().into_iter().flatten() {
            self.document(layout, child, below)?;
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for blob in value.get("config").into_iter().chain(layers) {
            self.blob(layout, blob)?;
        }
        let subject = value.get("subject").map(|it| parse(layout, it)).transpose()?.map(|(digest, _)| digest);
        let media_type = value["mediaType"].as_str().or_else(|| descriptor["mediaType"].as_str());
        let media_type = media_type.ok_or_else(|| of("has no media type"))?.to_owned();
        if media_type.is_empty() || !media_type.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err(of(&format!("has the media type {media_type:?}, which is not one")));
        }
        self.known.insert(digest);
        self.documents.push(Document { digest, media_type, bytes, subject, value });
        Ok(digest)
    }

    fn blob(&mut self, layout: &Path, descriptor: &Value) -> Result<()> {
        let (digest, size) = parse(layout, descriptor)?;
        blobs::open(layout, &digest, size)?;
        self.blobs.entry(digest).or_insert_with(|| Blob { digest, size, layout: layout.to_owned() });
        Ok(())
    }
}

/// A descriptor's digest and size.
pub(super) fn parse(of: &Path, descriptor: &Value) -> Result<(Digest, u64)> {
    let digest =
        descriptor["digest"].as_str().ok_or_else(|| bad(of, "a descriptor has no digest"))?.parse()?;
    let size = descriptor["size"].as_u64().ok_or_else(|| bad(of, "a descriptor has no size"))?;
    Ok((digest, size))
}

pub(super) fn bad(what: &Path, why: &str) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("{}: {why}", what.display())).into()
}
