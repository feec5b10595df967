//! Images from layers, and layouts from images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use oci::image::{Image, LayerBlob, Spec};
use oci::layout::{Contents, Names};
use plan::{Plan, Target};
use serde::Serialize;
use store::Key;

use super::Executor;

/// What a build left.
#[derive(Debug, Serialize)]
pub struct Built {
    /// What was asked for.
    pub attribute: String,
    /// Repository and tag.
    pub reference: String,
    /// What containerd and docker call it once it is loaded.
    pub name: String,
    /// The digest of the image's manifest, or of the index.
    pub digest: String,
    /// The OCI layout.
    pub layout: PathBuf,
    /// The image, or an index's images.
    pub images: Vec<BuiltImage>,
}

/// One image of what was built.
#[derive(Debug, Serialize)]
pub struct BuiltImage {
    /// What the catalog calls it.
    pub attribute: String,
    /// As in `linux/arm64/v8`.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of its config.
    pub config: String,
    /// Bytes of all layers and the config, as pulled.
    pub compressed: u64,
    /// Bytes of the unpacked files.
    pub extracted: u64,
    /// Lowest first.
    pub layers: Vec<BuiltLayer>,
}

/// One layer of an image.
#[derive(Debug, Serialize)]
pub struct BuiltLayer {
    /// The base's or component's.
    pub name: String,
    /// Of its blob.
    pub digest: String,
    /// Of what is decompressed.
    pub diff_id: String,
    /// Bytes of its blob.
    pub compressed: u64,
    /// Bytes of its files.
    pub extracted: u64,
    /// What compressed it.
    pub encoder: String,
}

impl Executor<'_> {
    /// Makes `layout` a target's layout, unless it is that already, to the byte.
    pub(super) fn layout(
        &self,
        plan: &Plan,
        target: &Target,
        blobs: &BTreeMap<&Key, LayerBlob>,
        layout: PathBuf,
    ) -> Result<Built> {
        let image = |attribute: &str| -> Result<Image> {
            let planned = plan.images.get(attribute).context("the plan has no such image")?;
            let layer = |key| blobs.get(key).cloned().context("a layer was not made");
            Image::new(&spec(planned), planned.layers.iter().map(layer).collect::<Result<_>>()?)
        };
        let (attributes, reference) = match target {
            Target::Image(attribute) => {
                let planned = plan.images.get(attribute).context("the plan has no such image")?;
                (std::slice::from_ref(attribute), &planned.reference)
            }
            Target::Index(index) => (index.images.as_slice(), &index.reference),
        };
        let images = attributes.iter().map(|attribute| image(attribute)).collect::<Result<Vec<_>>>()?;
        let summaries = attributes.iter().zip(&images).map(|(name, image)| summary(name, image)).collect();
        let tag = reference.rsplit(':').next().map(str::to_owned);
        let name = format!("localhost/{reference}");
        let names = Names { reference: tag, containerd: Some(name.clone()) };
        let (contents, digest) = match (target, <[Image; 1]>::try_from(images)) {
            (Target::Image(_), Ok([image])) => (Contents::image(&image, &names)?, image.digest()),
            (Target::Index(planned), images) => {
                let images = images.map_or_else(|images| images, Vec::from);
                let index = oci::index::Index::new(images, &planned.annotations)?;
                (Contents::index(&index, &names)?, index.digest())
            }
            (Target::Image(attribute), Err(_)) => anyhow::bail!("`{attribute}` is not one image"),
        };
        if !oci::layout::matches(&layout, &contents)? {
            let task = self.progress.task(&format!("layout {}", target.attribute()), Some(contents.size()));
            oci::layout::write(&layout, &contents, &*task).map_err(unwritable)?;
        }
        Ok(Built {
            attribute: target.attribute().to_owned(),
            reference: reference.clone(),
            name,
            digest: digest.to_string(),
            layout,
            images: summaries,
        })
    }
}

/// Says what helps where the directory of layouts is the trouble.
fn unwritable(error: anyhow::Error) -> anyhow::Error {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    match cause.map(std::io::Error::kind) {
        Some(StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied)
            if fault::of(&error).is_none() =>
        {
            Fault::new(Kind::Storage, format!("{error:#}"))
                .help("make room there, or name another directory for layouts with --out")
                .into()
        }
        _ => error,
    }
}

fn spec(image: &plan::Image) -> Spec {
    Spec {
        platform: image.platform.clone(),
        created: image.created,
        env: image.env.clone(),
        entrypoint: image.entrypoint.clone(),
        cmd: Vec::new(),
        healthcheck: image.healthcheck.clone(),
        labels: image.labels.clone(),
        annotations: image.annotations.clone(),
    }
}

fn summary(attribute: &str, image: &Image) -> BuiltImage {
    let sizes = image.sizes();
    BuiltImage {
        attribute: attribute.to_owned(),
        platform: image.platform.to_string(),
        digest: image.digest().to_string(),
        config: oci::digest::Digest::of(&image.config).to_string(),
        compressed: sizes.compressed,
        extracted: sizes.extracted,
        layers: image
            .layers
            .iter()
            .map(|blob| BuiltLayer {
                name: blob.created_by.clone(),
                digest: blob.layer.digest.to_string(),
                diff_id: blob.layer.diff_id.to_string(),
                compressed: blob.layer.size,
                extracted: blob.layer.unpacked_size,
                encoder: blob.layer.encoder.clone(),
            })
            .collect(),
    }
}
