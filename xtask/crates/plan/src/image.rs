//! Images: the config and the annotations around the layers.

use std::collections::BTreeMap;

use anyhow::Result;
use catalog::label::{OMITTED, OWN, UNEDITED};
use catalog::{Arch, Attribute};
use oci::config::Healthcheck;
use oci::platform::Platform;
use serde::Serialize;
use store::Key;

use crate::{Options, Planner, Upx};

/// An image to be assembled.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The attribute.
    pub attribute: String,
    /// The repository and tag.
    pub reference: String,
    /// What it runs on.
    pub platform: Platform,
    /// Its time, in seconds since 1970: the release's date.
    pub created: u64,
    /// Environment, complete.
    pub env: BTreeMap<String, String>,
    /// Entrypoint.
    pub entrypoint: Vec<String>,
    /// Its health check, if it has one.
    pub healthcheck: Option<Healthcheck>,
    /// The config's labels: the same, whatever compresses the layers.
    pub labels: BTreeMap<String, String>,
    /// The manifest's annotations: the labels, and what compressed the layers.
    pub annotations: BTreeMap<String, String>,
    /// Keys of its layers, lowest first.
    pub layers: Vec<Key>,
}

impl Planner<'_> {
    pub(crate) fn image(
        self,
        attribute: &Attribute<'_>,
        arch: &Arch,
        layers: Vec<Key>,
        upx: Option<&Upx>,
    ) -> Result<Image> {
        let Self { sources, options, .. } = self;
        let mut labels = annotations(attribute, options);
        // What built it, so that anyone can build it again.
        let tools = [
            ("go", attribute.release.go.as_str()),
            ("zig", &sources.lock.zig.version),
            ("rust", &sources.lock.rust.version),
        ];
        labels.extend(tools.map(|(tool, version)| (format!("{OWN}{tool}"), version.to_owned())));
        labels.extend(upx.map(|upx| (format!("{OWN}upx"), upx.to_string())));
        let mut annotations = labels.clone();
        annotations.insert(format!("{OWN}encoder"), options.compression.encoder());
        Ok(Image {
            attribute: attribute.name.clone(),
            reference: attribute.reference() + &options.suffix(),
            platform: arch.platform().parse()?,
            created: oci::date::parse(attribute.release.date.as_str())?,
            env: environment(attribute),
            entrypoint: attribute.product.entrypoint.clone(),
            healthcheck: attribute.product.healthcheck.as_ref().map(healthcheck),
            labels,
            annotations,
            layers,
        })
    }
}

/// What the catalog says of the product's, with this image's properties in place of their placeholders.
fn environment(attribute: &Attribute<'_>) -> BTreeMap<String, String> {
    let properties = [attribute.release.version.as_str(), attribute.variant.name.as_str()];
    let fill = |value: &str| {
        let pairs = catalog::PLACEHOLDERS.into_iter().zip(properties);
        pairs.fold(value.to_owned(), |value, (placeholder, property)| value.replace(placeholder, property))
    };
    attribute.product.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect()
}

fn healthcheck(check: &catalog::Healthcheck) -> Healthcheck {
    let seconds = |seconds: u32| std::time::Duration::from_secs(seconds.into());
    Healthcheck {
        command: check.command.clone(),
        interval: seconds(check.interval),
        timeout: seconds(check.timeout),
        start_period: seconds(check.start_period),
        retries: check.retries,
    }
}

/// The annotations that images and their index share.
/// Source: OCI image-spec, annotations.md, pre-defined annotation keys.
pub(crate) fn annotations(attribute: &Attribute<'_>, options: &Options) -> BTreeMap<String, String> {
    let (product, release) = (attribute.product, attribute.release);
    let standard = [
        ("title", product.title.as_str()),
        ("description", &product.description),
        ("source", &product.source),
        ("licenses", &product.licenses),
        ("version", release.version.as_str()),
        ("created", release.date.as_str()),
    ];
    let mut annotations: BTreeMap<String, String> = standard
        .into_iter()
        .chain(release.commit.as_ref().map(|commit| ("revision", commit.as_str())))
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
        .collect();
    annotations.insert(format!("{OWN}variant"), attribute.variant.name.to_string());
    annotations.insert(format!("{OWN}base"), attribute.base.name.to_string());
    if options.unedited {
        annotations.insert(format!("{OWN}{UNEDITED}"), "true".to_owned());
    }
    if !options.omit.is_empty() {
        let mut omitted = options.omit.clone();
        omitted.sort();
        omitted.dedup();
        annotations.insert(format!("{OWN}{OMITTED}"), omitted.join(","));
    }
    annotations
}
