//! Image manifests.

use std::collections::HashMap;

use anyhow::Result;
use oci_spec::image::{Descriptor, ImageManifest, ImageManifestBuilder, MediaType};

use crate::digest::Digest;
use crate::image::{LayerBlob, Spec};

/// The manifest of an image: its config and its layers, lowest first, with the annotations of `spec`.
///
/// # Errors
/// Only what `oci-spec` refuses to build, which would be a bug here.
pub fn build(spec: &Spec, config: &[u8], layers: &[LayerBlob]) -> Result<ImageManifest> {
    let layers = layers
        .iter()
        .map(|blob| {
            Ok(Descriptor::new(
                blob.layer.media_type.as_str().into(),
                blob.layer.size,
                blob.layer.digest.spec()?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(Descriptor::new(MediaType::ImageConfig, config.len() as u64, Digest::of(config).spec()?))
        .layers(layers);
    if !spec.annotations.is_empty() {
        manifest = manifest.annotations(spec.annotations.clone().into_iter().collect::<HashMap<_, _>>());
    }
    Ok(manifest.build()?)
}
