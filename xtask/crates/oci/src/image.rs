//! One image: its layers, config and manifest, as bytes with digests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use oci_spec::image::{Descriptor, MediaType};

use crate::config::Healthcheck;
use crate::digest::Digest;
use crate::layer::Layer;
use crate::platform::Platform;
use crate::sizes::Sizes;
use crate::{config, json, manifest};

/// What an image says of itself, beside its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, in seconds since 1970: the release's date.
    pub created: u64,
    /// The environment of the process.
    pub env: BTreeMap<String, String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The arguments that a user's own replace.
    pub cmd: Vec<String>,
    /// How to ask a container whether it is well.
    pub healthcheck: Option<Healthcheck>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest, such as `org.opencontainers.image.version`.
    pub annotations: BTreeMap<String, String>,
}

/// A layer and where its blob lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// What is known of it.
    pub layer: Layer,
    /// The compressed archive.
    pub path: PathBuf,
    /// What made it, for the image's history.
    pub created_by: String,
}

/// An image, complete but for the layers' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it runs on.
    pub platform: Platform,
    /// The config, as canonical JSON.
    pub config: Vec<u8>,
    /// The manifest, as canonical JSON.
    pub manifest: Vec<u8>,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
}

impl Image {
    /// Makes an image of layers, lowest first.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn new(spec: &Spec, layers: Vec<LayerBlob>) -> Result<Self> {
        let config = json::canonical(&config::document(spec, &layers)?)?;
        let manifest = json::canonical(&manifest::build(spec, &config, &layers)?)?;
        Ok(Self { platform: spec.platform.clone(), config, manifest, layers })
    }

    /// The digest of the manifest: the digest of the image.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The descriptor of the manifest, with its platform.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn descriptor(&self) -> Result<Descriptor> {
        let size = self.manifest.len() as u64;
        let mut descriptor = Descriptor::new(MediaType::ImageManifest, size, self.digest().spec()?);
        descriptor.set_platform(Some(self.platform.spec()?));
        Ok(descriptor)
    }

    /// What it costs to pull and to keep.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            compressed: self.layers.iter().map(|blob| blob.layer.size).sum::<u64>()
                + self.config.len() as u64,
            extracted: self.layers.iter().map(|blob| blob.layer.unpacked_size).sum(),
        }
    }
}

#[cfg(test)]
mod tests;
