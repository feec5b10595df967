//! Where an image to look at comes from: an attribute's layout, a layout, or a registry.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use oci::layout::Layout;
use registry::{Options, PullScope};
use tempfile::TempDir;

use crate::Checkout;

/// Is this a path, there or not, and nothing in a registry? Names of those begin with a host, which has a dot or a port.
pub fn is_path(name: &str) -> bool {
    let first = name.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| {
        matches!(first, "" | "." | "..") || first != "localhost" && !first.contains(['.', ':'])
    })
}

/// A layout, and the directory it was fetched into, if it was.
pub struct Source {
    /// What it was asked for by.
    name: String,
    /// Where it lies.
    pub layout: PathBuf,
    /// The digest that the registry's name stands for, if it is from one.
    digest: Option<String>,
    _fetched: Option<TempDir>,
}

impl Source {
    /// A directory with a layout, else the attribute's below target/images.
    pub fn local(checkout: &Checkout, name: &str) -> Result<Self> {
        let is_layout = |dir: &PathBuf| oci::layout::is_there(dir);
        let found = match Some(PathBuf::from(name)).filter(is_layout) {
            Some(dir) => Some(dir),
            None => Some(checkout.built(name)?).filter(is_layout),
        };
        let layout = found.ok_or_else(|| {
            if is_path(name) && !Path::new(name).exists() {
                return Fault::new(Kind::NotFound, format!("there is no file or directory {name}"));
            }
            Fault::new(Kind::NotFound, format!("`{name}` is not a layout, and none is built of that name"))
                .help("`cargo xtask list` names images; `cargo xtask build ATTR` builds one")
        })?;
        let name = format!("layout {}", layout.display());
        Ok(Self { name, layout, digest: None, _fetched: None })
    }

    /// The same, else an image in a registry (`HOST/REPOSITORY:TAG` or `...@DIGEST`) with what is attached to it.
    pub fn any(checkout: &Checkout, name: &str, options: &Options<'_>) -> Result<Self> {
        match Self::local(checkout, name) {
            Err(_) if name.contains('/') && !is_path(name) && !Path::new(name).exists() => {
                Self::registry(name, PullScope::Attached, options)
            }
            found => found,
        }
    }

    /// An image in a registry.
    pub fn registry(name: &str, scope: PullScope, options: &Options<'_>) -> Result<Self> {
        let from = name.parse()?;
        let dir = tempfile::Builder::new()
            .prefix("kubelet-images-pull-")
            .tempdir()
            .context("no temporary directory")?;
        let layout = dir.path().join("layout");
        let pulled = registry::pull(&from, scope, options, &layout)?;
        let digest = Some(pulled.digest.to_string());
        Ok(Self { name: name.to_owned(), layout, digest, _fetched: Some(dir) })
    }

    /// Demands that a layout presents something, and what came from a registry just what its name stands for.
    pub fn check_root(&self, roots: &[String]) -> Result<()> {
        match (&self.digest, roots) {
            (None, [_, ..]) => Ok(()),
            (Some(asked), [root]) if root == asked => Ok(()),
            (asked, _) => {
                let asked = asked.as_deref().unwrap_or("an image or index");
                let found = if roots.is_empty() { "nothing".to_owned() } else { roots.join(", ") };
                Err(Fault::mismatch(&self.name, asked, found).into())
            }
        }
    }

    /// Opens it.
    pub fn open(&self) -> Result<Layout> {
        sizes::measure::open_named(&self.layout, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_names_in_registries() {
        for path in ["/no/such", "./x", "../x", "target/images/x", "a/b.c:d", "/a.b/c"] {
            assert!(is_path(path), "{path}");
        }
        for name in
            ["a.b/c", "localhost/x", "localhost:5000/x:v1", "[::1]:5000/x", "127.0.0.1/x", "HEAD", "x.json"]
        {
            assert!(!is_path(name), "{name}");
        }
    }
}
