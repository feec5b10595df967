//! Where an image to look at comes from: an attribute's layout, a layout, or a registry.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use oci::layout::Layout;
use tempfile::TempDir;

use crate::context::Context;

/// A layout, and the directory it was fetched into, if it was.
pub(crate) struct Source {
    /// Where it lies.
    pub(crate) layout: PathBuf,
    _fetched: Option<TempDir>,
}

impl Source {
    /// A directory with a layout, else the attribute's below target/images.
    pub(crate) fn local(context: &Context, name: &str) -> Result<Self> {
        let built = context.root.join("target/images").join(name);
        let found = [PathBuf::from(name), built].into_iter().find(|dir| dir.join("oci-layout").exists());
        let layout = found.ok_or_else(|| {
            Fault::new(Kind::Unknown, format!("`{name}` is no layout, and none is built of that name"))
                .help("`cargo xtask list` names images; `cargo xtask build ATTR` builds one")
        })?;
        Ok(Self { layout, _fetched: None })
    }

    /// The same, else an image in a registry (`HOST/REPOSITORY:TAG` or `...@DIGEST`) with its signature.
    pub(crate) fn any(context: &Context, name: &str) -> Result<Self> {
        match Self::local(context, name) {
            Err(_) if name.contains('/') && !Path::new(name).exists() => fetch(context, name),
            found => found,
        }
    }

    /// Opens it.
    pub(crate) fn open(&self) -> Result<Layout> {
        sizes::measure::open(&self.layout)
    }
}

/// Copies an image, and what cosign's tag holds, with skopeo: as its own settings for registries say.
fn fetch(context: &Context, name: &str) -> Result<Source> {
    let dir = TempDir::new()?;
    let layout = dir.path().join("layout");
    let task = context.progress.task(&format!("fetch {name}"), None);
    let copy = |from: &str, tag: &str| {
        let to = format!("oci:{}:{tag}", layout.display());
        let run = ["PATH", "HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE"]
            .into_iter()
            .fold(exec::Run::new("skopeo"), exec::Run::inherit);
        // No policy of skopeo's is asked: what is fetched is verified here. Plain HTTP is for this machine only.
        let host = from.split(['/', ':']).next().unwrap_or_default();
        let tls = format!("--src-tls-verify={}", !matches!(host, "localhost" | "127.0.0.1"));
        let from = format!("docker://{from}");
        run.args(["--insecure-policy", "copy", "--all", "--preserve-digests", &tls, &from, &to]).finish()
    };
    if exec::which("skopeo").is_none() {
        return Err(Fault::new(Kind::Tool, "`skopeo` is not installed, or not in PATH").into());
    }
    let copied = copy(name, "image")?;
    if !copied.status.success() {
        let message = format!("{name} cannot be had\n  {}", copied.stderr_tail.trim_end());
        return Err(Fault::new(Kind::Unavailable, message).into());
    }
    let opened = sizes::measure::open(&layout)?;
    let (path, _) = name.split_once('@').unwrap_or((name, ""));
    let tag = path.rfind(':').filter(|colon| *colon > path.rfind('/').unwrap_or_default());
    let repository = &path[..tag.unwrap_or(path.len())];
    // A signature is optional: whoever gives a key is told that there is none.
    for image in &opened.images {
        let tag = format!("{}.sig", image.descriptor.digest().to_string().replace(':', "-"));
        copy(&format!("{repository}:{tag}"), &tag)?;
        task.detail(&tag);
    }
    Ok(Source { layout, _fetched: Some(dir) })
}
