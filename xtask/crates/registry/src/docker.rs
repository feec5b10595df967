//! Images in Docker's format, which has OCI's structure and other media types.

use std::fs;
use std::path::Path;

use anyhow::Result;
use oci::digest::Digest;
use serde_json::{Value, json};

use crate::layout::{DEPTH, bad, file, limited, parse};

/// Docker's media types and OCI's. Source: OCI image-spec, media-types.md, "Compatibility Matrix".
const TYPES: [(&str, &str); 5] = [
    ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json"),
    ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"),
    ("application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
];

/// Makes OCI's of the images in a layout that are in Docker's format: their manifests get other digests, layers and
/// configs stay.
///
/// # Errors
/// [`fault::Kind::Data`] for what is no layout, and what the file system gives.
pub fn to_oci(layout: &Path) -> Result<()> {
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&limited(&path)?).map_err(|_| bad(&path, "is not JSON"))?;
    for root in index["manifests"].as_array_mut().into_iter().flatten() {
        rewrite(layout, root, DEPTH)?;
    }
    fs::write(path, index.to_string())?;
    Ok(())
}

/// Gives a descriptor, and what it names, OCI's media types.
fn rewrite(layout: &Path, descriptor: &mut Value, depth: u32) -> Result<()> {
    let Some((_, kind)) = TYPES.iter().find(|(docker, _)| descriptor["mediaType"] == *docker) else {
        return Ok(());
    };
    descriptor["mediaType"] = json!(kind);
    if !kind.ends_with("manifest.v1+json") && !kind.ends_with("index.v1+json") {
        return Ok(());
    }
    let Some(below) = depth.checked_sub(1) else { return Err(bad(layout, "indexes lie too deep")) };
    let (digest, _) = parse(layout, descriptor)?;
    let path = file(layout, digest);
    let mut value: Value = serde_json::from_slice(&limited(&path)?).map_err(|_| bad(&path, "is not JSON"))?;
    let object = value.as_object_mut().ok_or_else(|| bad(&path, "is no manifest"))?;
    object.insert("mediaType".to_owned(), json!(kind));
    for (key, part) in object {
        match (key.as_str(), part) {
            ("config", config) => rewrite(layout, config, below)?,
            ("layers" | "manifests", Value::Array(all)) => {
                all.iter_mut().try_for_each(|it| rewrite(layout, it, below))?;
            }
            _ => {}
        }
    }
    let bytes = value.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    fs::write(file(layout, digest), &bytes)?;
    descriptor["digest"] = json!(digest.to_string());
    descriptor["size"] = json!(bytes.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_dockers_becomes_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path();
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        let put = |kind: usize, bytes: &[u8]| {
            let digest = Digest::of(bytes);
            fs::write(file(layout, digest), bytes).unwrap();
            json!({"mediaType": TYPES[kind].0, "digest": digest.to_string(), "size": bytes.len()})
        };
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
        let manifest = json!({"schemaVersion": 2, "mediaType": TYPES[1].0, "config": put(2, config), "layers": [put(3, b"layer")]});
        let list = json!({"schemaVersion": 2, "mediaType": TYPES[0].0, "manifests": [put(1, manifest.to_string().as_bytes())]});
        let root = put(0, list.to_string().as_bytes());
        fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string())
            .unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let limits = oci::layout::Limits::default();
        assert!(oci::layout::open(layout, &limits).is_err());
        to_oci(layout).unwrap();
        let opened = oci::layout::open(layout, &limits).unwrap();
        assert_eq!(opened.images.len(), 1);
        let layer = &opened.images[0].manifest.layers()[0];
        assert_eq!(layer.digest().to_string(), Digest::of(b"layer").to_string());
    }
}
