//! Images in Docker's format, which has OCI's structure and other media types.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::blobs;
use super::closure::{bad, parse};
use crate::digest::Digest;

/// Docker's media types and OCI's. Source: OCI image-spec, media-types.md, "Compatibility Matrix".
const TYPES: [(&str, &str); 5] = [
    ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json"),
    ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"),
    ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
];

/// The largest manifest or list, in bytes.
const DOCUMENT: u64 = 4 << 20;
/// How many manifests and lists are rewritten.
const DOCUMENTS: usize = 1_000;
/// How deep lists may lie in lists.
const DEPTH: u32 = 4;

/// Makes OCI's of the images in a layout that are in Docker's format: their manifests get other digests, layers and
/// configs stay.
///
/// # Errors
/// [`fault::Kind::Data`] for what is not a layout, or over a limit, and what the file system gives.
pub fn to_oci(layout: &Path) -> Result<()> {
    let bytes = blobs::top(layout, "index.json", DOCUMENT)?;
    let mut index: Value =
        serde_json::from_slice(&bytes).map_err(|_| bad(layout, "index.json is not JSON"))?;
    let mut rewriter = Rewriter { layout, done: BTreeMap::new() };
    for root in index["manifests"].as_array_mut().into_iter().flatten() {
        rewriter.descriptor(root, DEPTH)?;
    }
    files::write(&layout.join("index.json"), index.to_string().as_bytes())
}

struct Rewriter<'a> {
    layout: &'a Path,
    /// Old digest to new digest and size.
    done: BTreeMap<Digest, (Digest, usize)>,
}

impl Rewriter<'_> {
    /// Gives a descriptor, and what it names, OCI's media types.
    fn descriptor(&mut self, descriptor: &mut Value, depth: u32) -> Result<()> {
        let Some((_, kind)) = TYPES.iter().find(|(docker, _)| descriptor["mediaType"] == *docker) else {
            return Ok(());
        };
        descriptor["mediaType"] = json!(kind);
        if kind.ends_with("manifest.v1+json") || kind.ends_with("index.v1+json") {
            let (digest, size) = self.document(descriptor, kind, depth)?;
            descriptor["digest"] = json!(digest.to_string());
            descriptor["size"] = json!(size);
        }
        Ok(())
    }

    /// Each document once, however often it is named.
    fn document(&mut self, descriptor: &Value, kind: &str, depth: u32) -> Result<(Digest, usize)> {
        exec::interrupt::check()?;
        let (old, size) = parse(self.layout, descriptor)?;
        if let Some(done) = self.done.get(&old) {
            return Ok(*done);
        }
        let Some(below) = depth.checked_sub(1) else { return Err(bad(self.layout, "lists lie too deep")) };
        if self.done.len() >= DOCUMENTS {
            return Err(bad(self.layout, &format!("more than {DOCUMENTS} manifests")));
        }
        let of = |why: &str| bad(self.layout, &format!("blob {old} {why}"));
        let bytes = blobs::bytes(self.layout, &old, size, DOCUMENT)?;
        let mut value: Value = serde_json::from_slice(&bytes).map_err(|_| of("is not JSON"))?;
        let object = value.as_object_mut().ok_or_else(|| of("is not a manifest"))?;
        object.insert("mediaType".to_owned(), json!(kind));
        for (key, part) in object {
            match (key.as_str(), part) {
                ("config", config) => self.descriptor(config, below)?,
                ("layers" | "manifests", Value::Array(all)) => {
                    all.iter_mut().try_for_each(|it| self.descriptor(it, below))?;
                }
                _ => {}
            }
        }
        let bytes = value.to_string().into_bytes();
        let new = (Digest::of(&bytes), bytes.len());
        files::write(&blobs::path(self.layout, &new.0), &bytes)?;
        self.done.insert(old, new);
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_list_of_dockers_becomes_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path();
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        let put = |kind: usize, bytes: &[u8]| {
            let digest = Digest::of(bytes);
            fs::write(blobs::path(layout, &digest), bytes).unwrap();
            json!({"mediaType": TYPES[kind].0, "digest": digest.to_string(), "size": bytes.len()})
        };
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
        let manifest = json!({"schemaVersion": 2, "mediaType": TYPES[1].0, "config": put(2, config), "layers": [put(3, b"layer")]});
        let list = json!({"schemaVersion": 2, "mediaType": TYPES[0].0, "manifests": [put(1, manifest.to_string().as_bytes())]});
        let root = put(0, list.to_string().as_bytes());
        fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string())
            .unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let limits = crate::layout::Limits::default();
        assert!(crate::layout::open(layout, &limits).is_err());
        to_oci(layout).unwrap();
        let opened = crate::layout::open(layout, &limits).unwrap();
        assert_eq!(opened.images.len(), 1);
        let layer = &opened.images[0].manifest.layers()[0];
        assert_eq!(layer.digest().to_string(), Digest::of(b"layer").to_string());
    }
}
