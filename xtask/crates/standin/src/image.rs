//! OCI layouts as other people's tools see them, and the image of the tests' pods.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cmd;

/// The applets that pods use.
const APPLETS: [&str; 5] = ["sh", "cat", "grep", "mount", "sleep"];

/// Makes the pods' image in this directory: a static busybox that sleeps.
pub fn pod(scratch: &Path) -> Result<PathBuf> {
    let bin = scratch.join("pod/bin");
    fs::create_dir_all(&bin)?;
    fs::copy(exec::which("busybox").context("no busybox")?, bin.join("busybox"))?;
    for applet in APPLETS {
        symlink("busybox", bin.join(applet))?;
    }
    let layout = scratch.join("pod.oci");
    let image = format!("{}:latest", layout.display());
    let umoci = || Command::new("umoci");
    cmd::ok(umoci().args(["init", "--layout"]).arg(&layout))?;
    cmd::ok(umoci().args(["new", "--image", &image]))?;
    cmd::ok(umoci().args(["insert", "--image", &image]).arg(scratch.join("pod")).arg("/"))?;
    let config =
        ["--config.env", "PATH=/bin", "--config.entrypoint", "/bin/sleep", "--config.cmd", "1000000"];
    cmd::ok(umoci().args(["config", "--image", &image]).args(config))?;
    Ok(layout)
}

/// The name that a layout's only image has in it.
pub fn tag(layout: &Path) -> Result<String> {
    let index = json(&layout.join("index.json"))?;
    let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
    name.as_str().map(str::to_owned).with_context(|| format!("{}: no name in its index", layout.display()))
}

/// The digest of a layout's only image.
pub fn digest(layout: &Path) -> Result<String> {
    let index = json(&layout.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().map(str::to_owned);
    digest.with_context(|| format!("{}: no digest in its index", layout.display()))
}

/// A blob of a layout, by digest.
pub fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// The manifest of a layout's only image.
pub fn manifest(layout: &Path) -> Result<Value> {
    json(&blob(layout, &digest(layout)?))
}

/// The configuration of a layout's only image.
pub fn config(layout: &Path) -> Result<Value> {
    let manifest = manifest(layout)?;
    let digest = manifest["config"]["digest"].as_str().context("no configuration")?;
    json(&blob(layout, digest))
}

/// What its configuration says a container starts with.
pub fn entrypoint(layout: &Path) -> Result<Vec<String>> {
    let config = config(layout)?;
    let words = config["config"]["Entrypoint"].as_array().context("no entrypoint")?;
    Ok(words.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Its layers: digest and compressed size in bytes, lowest first.
pub fn layers(layout: &Path) -> Result<Vec<(String, u64)>> {
    let manifest = manifest(layout)?;
    let layers = manifest["layers"].as_array().context("no layers")?;
    let row = |layer: &Value| Some((layer["digest"].as_str()?.to_owned(), layer["size"].as_u64()?));
    layers.iter().map(|layer| row(layer).context("a layer without digest or size")).collect()
}

/// Its layers' compressed size, in bytes.
pub fn compressed(layout: &Path) -> Result<u64> {
    Ok(layers(layout)?.iter().map(|(_, size)| size).sum())
}

/// Unpacks a layout with umoci; returns the root file system.
pub fn unpack(layout: &Path, bundle: &Path) -> Result<PathBuf> {
    let image = format!("{}:{}", layout.display(), tag(layout)?);
    cmd::ok(Command::new("umoci").args(["unpack", "--image", &image]).arg(bundle))?;
    Ok(bundle.join("rootfs"))
}

/// The names in a directory.
pub fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn json(file: &Path) -> Result<Value> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))
}
