//! Images as archives that runtimes import without decompressing a layer, which takes minutes where processors are
//! emulated.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use oci::digest::Digest;
use oci::layout::{self, Layout, LayoutImage};
use oci::platform::Platform;
use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::Arch;

/// Writes the image that a layout has for this architecture, its layers decompressed and verified, as an OCI layout that
/// is `docker save`'s archive, too: each runtime finds what it knows. Returns the names that the layout gives.
///
/// # Errors
/// [`Kind::InvalidData`] for a layout that gives no name, or has nothing for the architecture; and what reading it gives.
pub fn pack(dir: &Path, arch: Arch, out: &File) -> Result<Vec<String>> {
    let layout = layout::open(dir, &layout::Limits::default())?;
    let shown = dir.display();
    let names: Vec<String> = layout.names().into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Fault::new(Kind::InvalidData, format!("{shown} gives no image a name"))
            .help("take a layout that `cargo xtask build` or Nix made")
            .into());
    }
    // Not every image names the variant.
    let platform: Platform = arch.platform().parse()?;
    let image = layout.images.iter().find(|image| image.config.architecture() == platform.architecture());
    let image = image.ok_or_else(|| {
        Fault::new(Kind::InvalidData, format!("{shown} has no image for {}", arch.name()))
            .help("give the machine the image's architecture by --arch")
    })?;
    write(&layout, image, &names, out).with_context(|| format!("packing {shown}"))?;
    Ok(names)
}

fn write(layout: &Layout, image: &LayoutImage, names: &[String], out: &File) -> Result<()> {
    let mut tar = Builder::new(out);
    let mut seen = BTreeSet::new();
    let mut add = |path: &str, bytes: &[u8]| add_bytes(&mut tar, path, bytes);
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let config = layout.bytes(image.manifest.config())?;
    let config_path = blob(image.manifest.config().digest().as_ref());
    add(&config_path, &config)?;
    let mut layers = Vec::new();
    let mut paths = Vec::new();
    for (index, diff_id) in image.config.rootfs().diff_ids().iter().enumerate() {
        let path = blob(diff_id);
        let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
        let size = layout.decompress(image, index, &mut file)?;
        layers.push(
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": diff_id, "size": size}),
        );
        if seen.insert(path.clone()) {
            file.seek(SeekFrom::Start(0))?;
            let mut header = header(size);
            tar.append_data(&mut header, &path, &mut file)?;
        }
        paths.push(path);
    }
    let mut manifest: Value = serde_json::to_value(&image.manifest)?;
    manifest["layers"] = Value::Array(layers);
    let manifest = serde_json::to_vec(&manifest)?;
    let digest = Digest::of(&manifest).to_string();
    add_bytes(&mut tar, &blob(&digest), &manifest)?;
    let descriptors: Vec<Value> = names.iter().map(|name| {
        let tag = name.rsplit(':').next().unwrap_or(name);
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": manifest.len(),
            "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}})
    }).collect();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": descriptors});
    add_bytes(&mut tar, "index.json", &serde_json::to_vec(&index)?)?;
    let docker = json!([{"Config": config_path, "RepoTags": names, "Layers": paths}]);
    add_bytes(&mut tar, "manifest.json", &serde_json::to_vec(&docker)?)?;
    tar.finish()?;
    Ok(())
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn header(size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn add_bytes(tar: &mut Builder<&File>, path: &str, bytes: &[u8]) -> Result<()> {
    Ok(tar.append_data(&mut header(bytes.len() as u64), path, bytes)?)
}
