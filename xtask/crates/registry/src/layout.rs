//! What a layout has to be pushed: read with limits, and verified.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use oci::digest::Digest;
use serde_json::Value;

use crate::MANIFEST_LIMIT;
use crate::upload::Blob;

/// How deep indexes may lie in indexes.
pub(crate) const DEPTH: u32 = 4;

/// A manifest or index, to be pushed after what it names.
pub(crate) struct Document {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) subject: Option<Digest>,
    pub(crate) value: Value,
}

/// All of some layouts: each blob and manifest once, manifests before what names them.
#[derive(Default)]
pub(crate) struct All {
    pub(crate) blobs: BTreeMap<Digest, Blob>,
    pub(crate) documents: Vec<Document>,
    /// Tag and manifest.
    pub(crate) tags: Vec<(String, Digest)>,
}

impl All {
    /// Adds a layout.
    pub(crate) fn add(&mut self, layout: &Path) -> Result<()> {
        let bytes = limited(&layout.join("index.json"))?;
        let index: Value =
            serde_json::from_slice(&bytes).map_err(|_| bad(layout, "index.json is not JSON"))?;
        let roots = index["manifests"].as_array().filter(|all| !all.is_empty());
        for root in roots.ok_or_else(|| bad(layout, "index.json names no manifest"))? {
            let digest = self.document(layout, root, DEPTH)?;
            if let Some(tag) = root["annotations"]["org.opencontainers.image.ref.name"].as_str() {
                self.tags.push((tag.to_owned(), digest));
            }
        }
        Ok(())
    }

    fn document(&mut self, layout: &Path, descriptor: &Value, depth: u32) -> Result<Digest> {
        let (digest, size) = parse(layout, descriptor)?;
        if self.documents.iter().any(|known| known.digest == digest) {
            return Ok(digest);
        }
        let path = file(layout, digest);
        let bytes = limited(&path)?;
        let found = Digest::of(&bytes);
        if found != digest || bytes.len() as u64 != size {
            let say = |digest: Digest, size: u64| format!("{digest}, {size} bytes");
            return Err(
                Fault::mismatch(path.display(), say(digest, size), say(found, bytes.len() as u64)).into()
            );
        }
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad(&path, "is not JSON"))?;
        let Some(below) = depth.checked_sub(1) else { return Err(bad(layout, "indexes lie too deep")) };
        for child in value["manifests"].as_array().into_iter().flatten() {
            self.document(layout, child, below)?;
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for blob in value.get("config").into_iter().chain(layers) {
            self.blob(layout, blob)?;
        }
        let subject = value.get("subject").map(|it| parse(layout, it)).transpose()?.map(|(digest, _)| digest);
        let media_type = value["mediaType"].as_str().or_else(|| descriptor["mediaType"].as_str());
        let media_type = media_type.ok_or_else(|| bad(&path, "has no media type"))?.to_owned();
        self.documents.push(Document { digest, media_type, bytes, subject, value });
        Ok(digest)
    }

    fn blob(&mut self, layout: &Path, descriptor: &Value) -> Result<()> {
        let (digest, size) = parse(layout, descriptor)?;
        let path = file(layout, digest);
        let meta = path.metadata().with_context(|| format!("{} cannot be read", path.display()))?;
        if meta.len() != size {
            let bytes = |size: u64| format!("{size} bytes");
            return Err(Fault::mismatch(path.display(), bytes(size), bytes(meta.len())).into());
        }
        self.blobs.entry(digest).or_insert(Blob { digest, size, path });
        Ok(())
    }
}

pub(crate) fn file(layout: &Path, digest: Digest) -> std::path::PathBuf {
    layout.join("blobs/sha256").join(digest.hex())
}

/// A descriptor's digest and size.
pub(crate) fn parse(of: &Path, descriptor: &Value) -> Result<(Digest, u64)> {
    let digest =
        descriptor["digest"].as_str().ok_or_else(|| bad(of, "a descriptor has no digest"))?.parse()?;
    let size = descriptor["size"].as_u64().ok_or_else(|| bad(of, "a descriptor has no size"))?;
    Ok((digest, size))
}

pub(crate) fn bad(what: &Path, why: &str) -> anyhow::Error {
    Fault::new(Kind::Data, format!("{}: {why}", what.display())).into()
}

/// A document, which may have as much as a manifest may.
pub(crate) fn limited(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    file.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MANIFEST_LIMIT {
        return Err(bad(path, "is larger than a manifest may be"));
    }
    Ok(bytes)
}
