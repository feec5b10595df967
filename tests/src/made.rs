//! Images made in a moment, with layers that are real archives, for what is about registries and not about contents.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{image, scratch};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layer.
#[derive(Clone, Debug)]
pub struct Layer {
    diff_id: String,
    gzip: Vec<u8>,
}

/// A layer of one file of this size, with bytes that look random, different for each seed.
pub fn layer(seed: u64, size: usize) -> Result<Layer> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut tar = header(&format!("file-{seed}"), '0', size).to_vec();
    tar.extend(std::iter::repeat_with(next).flatten().take(size));
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(&tar)?;
    Ok(Layer { diff_id: digest(&tar), gzip: gzip.finish()? })
}

/// A layer of so many empty files, each with an extended header of this size: small once it is compressed.
pub fn headers(count: usize, size: usize) -> Result<Layer> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut hash = Sha256::new();
    let mut record = format!("{size} SCHILY.xattr.user.x=").into_bytes();
    record.resize(size - 1, b'x');
    record.push(b'\n');
    record.resize(size.next_multiple_of(512), 0);
    let mut put = |bytes: &[u8]| {
        hash.update(bytes);
        gzip.write_all(bytes)
    };
    for number in 0..count {
        put(&header("header", 'x', size))?;
        put(&record)?;
        put(&header(&format!("file-{number}"), '0', 0))?;
    }
    put(&[0; 1024])?;
    Ok(Layer { diff_id: format!("sha256:{}", hex::encode(hash.finalize())), gzip: gzip.finish()? })
}

fn header(name: &str, kind: char, size: usize) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\x000000000\x000000000\0");
    put(124, &format!("{size:011o}\x0000000000000\0"));
    put(148, &format!("        {kind}"));
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    fs::write(image::blob(layout, &digest), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
}

fn manifest(layout: &Path, arch: &str, tag: &str, layers: &[Layer]) -> Result<Value> {
    let ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
    let config = json!({"architecture": arch, "os": "linux", "config": {"Labels": {"tag": tag}},
        "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = blob(layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let layer = |it: &Layer| blob(layout, "application/vnd.oci.image.layer.v1.tar+gzip", &it.gzip);
    let layers = layers.iter().map(layer).collect::<Result<Vec<_>>>()?;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    blob(layout, MANIFEST, manifest.to_string().as_bytes())
}

/// A layout with these under the tag, and what is attached.
fn layout(layout: PathBuf, tag: &str, mut root: Value, attached: Vec<Value>) -> Result<PathBuf> {
    root["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let manifests: Vec<_> = std::iter::once(root).chain(attached).collect();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    fs::write(layout.join("index.json"), index.to_string())?;
    Ok(layout)
}

/// A layout with an image of these layers, and so many documents that refer to it.
pub fn image(dir: &Path, tag: &str, layers: &[Layer], referrers: usize) -> Result<PathBuf> {
    let at = dir.join(tag);
    fs::create_dir_all(at.join("blobs/sha256"))?;
    let subject = manifest(&at, "amd64", tag, layers)?;
    let mut attached = Vec::new();
    for number in 0..referrers {
        let empty = blob(&at, "application/vnd.oci.empty.v1+json", b"{}")?;
        let sbom = blob(&at, "application/spdx+json", format!("{{\"n\":{number}}}").as_bytes())?;
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
            "config": empty, "layers": [sbom], "subject": subject});
        attached.push(blob(&at, MANIFEST, manifest.to_string().as_bytes())?);
    }
    layout(at, tag, subject, attached)
}

/// A layout with an index over two images of these layers, one for each of two architectures.
pub fn index(dir: &Path, tag: &str, layers: &[Layer]) -> Result<PathBuf> {
    let at = dir.join(tag);
    fs::create_dir_all(at.join("blobs/sha256"))?;
    let mut images = Vec::new();
    for arch in ["amd64", "arm64"] {
        let mut image = manifest(&at, arch, tag, layers)?;
        image["platform"] = json!({"os": "linux", "architecture": arch});
        images.push(image);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images});
    let root = blob(&at, INDEX, index.to_string().as_bytes())?;
    layout(at, tag, root, Vec::new())
}

/// The size of each distinct blob that is not a manifest, in all layouts.
pub fn blobs(layouts: &[PathBuf]) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for file in layouts.iter().flat_map(|layout| scratch::files(&layout.join("blobs"))) {
        let bytes = fs::read(&file)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if value.get("schemaVersion").is_none() {
            all.insert(scratch::sha256(&file)?, bytes.len() as u64);
        }
    }
    Ok(all)
}
