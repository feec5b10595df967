//! Where an image to look at comes from: an attribute's layout, a layout, or a registry.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use oci::digest::Digest;
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

    /// The same, else an image in a registry (`HOST/REPOSITORY:TAG` or `...@DIGEST`) with what is attached to it.
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

/// How many documents about one image are fetched.
const MAX_REFERRERS: usize = 50;

/// Copies an image, and what is found by tags made of its digest, with skopeo and its settings for registries.
fn fetch(context: &Context, name: &str) -> Result<Source> {
    let dir = TempDir::new()?;
    let layout = dir.path().join("layout");
    let task = context.progress.task(&format!("fetch {name}"), None);
    if exec::which("skopeo").is_none() {
        return Err(Fault::new(Kind::Tool, "`skopeo` is not installed, or not in PATH").into());
    }
    let copied = copy(name, &layout, "image")?;
    if !copied.status.success() {
        let message = format!("{name} cannot be had\n  {}", copied.stderr_tail.trim_end());
        return Err(Fault::new(Kind::Unavailable, message).into());
    }
    let (path, _) = name.split_once('@').unwrap_or((name, ""));
    let tag = path.rfind(':').filter(|colon| *colon > path.rfind('/').unwrap_or_default());
    let repository = &path[..tag.unwrap_or(path.len())];
    // What is not there is missed later, by whatever needs it.
    let signature = |digest: &str| {
        let tag = format!("{}.sig", digest.replace(':', "-"));
        task.detail(&tag);
        copy(&format!("{repository}:{tag}"), &layout, &tag).map(drop)
    };
    let opened = sizes::measure::open(&layout)?;
    for descriptor in opened.images.iter().map(|image| &image.descriptor).chain(opened.index.manifests()) {
        let digest: &str = descriptor.digest().as_ref();
        signature(digest)?;
        for referrer in referrers(repository, digest)? {
            let referrer = referrer.to_string();
            task.detail(&referrer);
            copy(&format!("{repository}@{referrer}"), &layout, &referrer.replace(':', "-"))?;
            signature(&referrer)?;
        }
    }
    Ok(Source { layout, _fetched: Some(dir) })
}

/// What is listed under the name that clients give a list of referrers where a registry keeps none.
/// Source: OCI distribution-spec, "Referrers Tag Schema".
fn referrers(repository: &str, digest: &str) -> Result<Vec<Digest>> {
    let from = format!("{repository}:{}", digest.replace(':', "-"));
    let tls = format!("--tls-verify={}", !is_here(&from));
    let found = skopeo().args(["inspect", "--raw", &tls, &format!("docker://{from}")]).finish()?;
    if !found.status.success() {
        return Ok(Vec::new());
    }
    let index: serde_json::Value = serde_json::from_slice(&found.stdout)
        .map_err(|error| Fault::new(Kind::Data, format!("{from} is no list of referrers: {error}")))?;
    let listed = index["manifests"].as_array().into_iter().flatten().take(MAX_REFERRERS);
    listed.map(|manifest| manifest["digest"].as_str().unwrap_or_default().parse()).collect()
}

/// Copies one image or document into a layout.
fn copy(from: &str, layout: &Path, tag: &str) -> Result<exec::Finished> {
    let tls = format!("--src-tls-verify={}", !is_here(from));
    let to = format!("oci:{}:{tag}", layout.display());
    // No policy of skopeo's is asked: what is fetched is verified here.
    let run = skopeo().args(["--insecure-policy", "copy", "--all", "--preserve-digests", &tls]);
    run.arg(format!("docker://{from}")).arg(to).finish()
}

/// Plain HTTP is for this machine only.
fn is_here(reference: &str) -> bool {
    matches!(reference.split(['/', ':']).next(), Some("localhost" | "127.0.0.1"))
}

fn skopeo() -> exec::Run<'static> {
    let settings = ["PATH", "HOME", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE"];
    settings.into_iter().fold(exec::Run::new("skopeo"), exec::Run::inherit)
}
