//! The plan: which components, layers, images and indexes there will be, before anything is fetched or compiled.
//!
//! A [`Planner`] makes it. A [`Plan`] is a pure function of the repository's files (catalog, locks, closures,
//! entrypoint's sources, rootfs files) and the [`Options`]. Every part is keyed by the hash of all that goes into it, so
//! that whoever carries the plan out, the local executor or Nix, can tell what is there already, and gives the same bytes.

mod component;
mod image;
mod layer;
pub mod nix;
mod part;
mod planner;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use oci::compress::Compression;
use serde::Serialize;
use store::Key;

pub use component::{Component, Made, Packing, Upx, spec, unedited};
pub use image::Image;
pub use layer::{Content, Entry, From, Layer};
pub use part::Place;
pub use planner::{Planner, alpine_bases, go_content};
pub use sources::Sources;

/// What tags and layouts of [`Options::unedited`] images have more than their attribute's, before the compression's.
pub const UNEDITED: &str = "-unedited";

/// The attribute in the name of an image or layout, and what follows it: [`UNEDITED`], if it is that, then the compression's.
pub fn split_name(name: &str) -> (&str, &str) {
    let rest = name.strip_suffix(Compression::Zstd.suffix()).unwrap_or(name);
    name.split_at(rest.strip_suffix(UNEDITED).unwrap_or(rest).len())
}

/// What a user may choose about all images of a build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Programs and components to leave out; recorded in the image.
    pub omit: Vec<String>,
    /// The architectures that indexes are over, by name; all, if none is named.
    pub arches: Vec<String>,
    /// Every Go program by itself, as those who release it make it: no edits of its modules, no raised pins, upstream's
    /// flags ([`catalog::Upstream`]); recorded in the image, which has a tag of its own.
    pub unedited: bool,
    /// How layers are compressed: other digests, same content.
    pub compression: Compression,
    /// A UPX that is not the locked one, accepted by its user; recorded in images with packed programs.
    pub other_upx: Option<Upx>,
}

impl Options {
    fn omits(&self, name: &str) -> bool {
        self.omit.iter().any(|omit| omit == name)
    }

    /// What tags, and the names of layouts, have more than their attribute's.
    pub fn suffix(&self) -> String {
        let edition = if self.unedited { UNEDITED } else { "" };
        format!("{edition}{}", self.compression.suffix())
    }

    /// Is an image for this architecture in an index?
    fn indexes(&self, arch: &catalog::Arch) -> bool {
        self.arches.is_empty() || self.arches.iter().any(|name| arch.name == **name)
    }
}

/// A multi-arch index.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// The attribute.
    pub attribute: String,
    /// The repository and tag.
    pub reference: String,
    /// The attributes of its images, in order.
    pub images: Vec<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub enum Target {
    /// One image, by its attribute.
    Image(String),
    /// An index over several.
    Index(Index),
}

impl Target {
    /// The attribute.
    pub fn attribute(&self) -> &str {
        match self {
            Target::Image(attribute) => attribute,
            Target::Index(index) => &index.attribute,
        }
    }
}

/// All there is to do for some targets.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What was asked for, in that order.
    pub targets: Vec<Target>,
    /// What is added to a target's attribute for the name of its layout.
    pub suffix: String,
    /// Every image needed, by attribute.
    pub images: BTreeMap<String, Image>,
    /// Every layer needed, by key.
    pub layers: BTreeMap<Key, Layer>,
    /// Every component needed, by key.
    pub components: BTreeMap<Key, Component>,
}

impl Plan {
    /// The versions of modules that `images/go/edits.toml` edits and that no person has read yet, as `module version`.
    pub fn unread(&self) -> Result<BTreeSet<String>> {
        let mut unread = BTreeSet::new();
        for component in self.components.values() {
            if let Made::Go { recipe, .. } = &component.made {
                unread.extend(recipe.unread()?);
            }
        }
        Ok(unread)
    }

    /// The UPX that packs a program of these layers, if one is packed.
    fn upx(&self, layers: &[Key]) -> Option<&Upx> {
        let layers = layers.iter().filter_map(|key| self.layers.get(key));
        let mut components = layers.flat_map(Layer::components).filter_map(|key| self.components.get(key));
        components.find_map(Component::upx)
    }
}
