//! How much images may weigh.

use serde::Deserialize;

use crate::model::Name;

/// How much images may weigh: `cargo xtask size check` compares.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How many bytes an image, or one layer of it, may have more than at the last release.
    pub growth: Figures<u64>,
    /// What holds against the published images, base by base.
    #[serde(default, rename = "base")]
    pub bases: Vec<BaseBudget>,
}

/// The two figures of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures<T> {
    /// What is pulled.
    pub compressed: T,
    /// What is kept.
    pub extracted: T,
}

/// Limits for ours / published, of the images on one base.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseBudget {
    /// The base.
    pub base: Name,
    /// The releases that count: all, unless stated.
    pub releases: Option<Vec<Name>>,
    /// For each image.
    #[serde(default)]
    pub cell: Ratios,
    /// For their geometric mean, compressed with gzip.
    #[serde(default)]
    pub mean: Ratios,
    /// For their geometric mean, compressed with zstd.
    #[serde(default, rename = "zstd-mean")]
    pub zstd_mean: Ratios,
}

impl BaseBudget {
    /// Does it hold for images of this base and release?
    pub fn is_for(&self, base: &str, release: &str) -> bool {
        let counts = |releases: &Vec<Name>| releases.iter().any(|name| *name == *release);
        self.base == *base && self.releases.as_ref().is_none_or(counts)
    }
}

/// Limits of ratios; what is not stated has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratios {
    /// Of what is pulled.
    pub compressed: Option<f64>,
    /// Of what is kept.
    pub extracted: Option<f64>,
}
