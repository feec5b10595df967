//! A layout as a tar archive: what its images are made of, and nothing else that lies in its directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use anyhow::Result;
use fault::{Fault, Kind};
use oci::layout::Layout;
use serde_json::json;

/// Packs what the runtime is given: the images and indexes, without what is attached to them, each blob verified. An
/// archive as containerd takes it; with the `manifest.json` by which older dockers find their way (Docker image
/// specification v1.2, combined image JSON).
pub(super) fn pack(layout: &Layout, names: &[String], out: &File) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    let mut add = |path: &str, size: u64, from: &mut dyn Read| -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        // One byte less or more would move all that comes after it.
        let mut counted = from.take(size);
        tar.append_data(&mut header, path, &mut counted)?;
        if counted.limit() > 0 {
            return Err(Fault::new(Kind::Mismatch, format!("{path} became shorter")).into());
        }
        Ok(())
    };
    let blob = |digest: &str| format!("blobs/{}", digest.replacen(':', "/", 1));
    if let [image] = &layout.images[..] {
        let layers = image.manifest.layers().iter().map(|layer| blob(layer.digest().as_ref()));
        let (layers, config) = (layers.collect::<Vec<_>>(), blob(image.manifest.config().digest().as_ref()));
        let manifest = json!([{ "Config": config, "RepoTags": names, "Layers": layers }]);
        let bytes = serde_json::to_vec(&manifest)?;
        add("manifest.json", bytes.len() as u64, &mut &bytes[..])?;
    }
    for (name, bytes) in layout.top()? {
        add(name, bytes.len() as u64, &mut &bytes[..])?;
    }
    let mut packed = BTreeSet::new();
    for descriptor in layout.reached() {
        exec::interrupt::check()?;
        let path = blob(descriptor.digest().as_ref());
        if packed.insert(path.clone()) {
            add(&path, descriptor.size(), &mut layout.blob(descriptor)?)?;
        }
    }
    tar.finish()?;
    Ok(())
}
