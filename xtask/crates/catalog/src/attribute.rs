//! Attributes: the names by which images and indexes are asked for.

use anyhow::Result;
use fault::{Fault, Kind};

use crate::base::Base;
use crate::model::{Arch, Catalog, Product, Release, Variant};

/// How many near names an error suggests at the most.
const SUGGESTIONS: usize = 3;

/// An image, or an index over the images of all architectures.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// One architecture's image.
    Image(&'a Arch),
    /// The multi-arch index.
    Index,
}

/// Something that can be built, and its place in the catalog.
#[derive(Clone)]
pub struct Attribute<'a> {
    /// `kubelet-v1_26_0-cni-arm64`, or with the base unless it is the variant's default one:
    /// `kubelet-v1_26_0-cni-alpine3_15-arm64`.
    pub name: String,
    /// What else it may be asked for by: with its base, as attributes and as tags spell it.
    pub aliases: Vec<String>,
    /// The product.
    pub product: &'a Product,
    /// The release.
    pub release: &'a Release,
    /// The variant.
    pub variant: &'a Variant,
    /// The base.
    pub base: &'a Base,
    /// An image, or an index.
    pub scope: Scope<'a>,
}

impl Attribute<'_> {
    /// Is it called this, or is that another name of it?
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The tag: `vX.Y.Z[-VARIANT]-BASE`.
    pub fn tag(&self) -> String {
        [self.release.version.as_str(), self.variant.suffix(), self.base.name.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("-")
    }

    /// Repository and tag.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.product.repository, self.tag())
    }
}

/// Everything the catalog spans, in a stable order: releases as the catalog has them, images before their index.
pub struct Attributes<'a> {
    all: Vec<Attribute<'a>>,
}

impl<'a> Attributes<'a> {
    /// All attributes of a catalog.
    pub fn of(catalog: &'a Catalog) -> Self {
        let mut all = Vec::new();
        for variant in &catalog.variants {
            let Some(product) =
                catalog.products.iter().find(|product| product.name == *variant.product.as_str())
            else {
                continue; // validation has refused it
            };
            let default = catalog.default_base(variant).map(|base| base.name.as_str());
            for release in &catalog.releases {
                for base in &catalog.bases {
                    let on = variant.bases.as_ref();
                    if on.is_some_and(|on| on.iter().all(|name| *name != *base.name.as_str())) {
                        continue;
                    }
                    let scopes = catalog.arches.iter().map(Scope::Image).chain([Scope::Index]);
                    all.extend(scopes.map(|scope| {
                        let on = |base: &str| name(product, release, variant, base, scope);
                        let full = on(&base.attribute());
                        let short = default.is_some_and(|default| base.name == *default);
                        let name = if short { on("") } else { full.clone() };
                        let mut aliases = vec![full, on(base.name.as_str())];
                        aliases.dedup();
                        aliases.retain(|alias| *alias != name);
                        Attribute { name, aliases, product, release, variant, base, scope }
                    }));
                }
            }
        }
        Self { all }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.all.iter()
    }

    /// The attribute that is called this, if there is one.
    pub fn find(&self, name: &str) -> Option<&Attribute<'a>> {
        self.all.iter().find(|attribute| attribute.is_called(name))
    }

    /// The attribute that is called this.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none; it suggests the nearest names.
    pub fn get(&self, name: &str) -> Result<&Attribute<'a>> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        let mut near: Vec<(f64, &str)> = self
            .all
            .iter()
            .map(|attribute| (strsim::jaro_winkler(name, &attribute.name), attribute.name.as_str()))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let near: Vec<_> = near.iter().take(SUGGESTIONS).map(|(_, name)| format!("`{name}`")).collect();
        Err(Fault::new(Kind::NotFound, format!("there is no attribute `{name}`"))
            .help(format!("nearest: {}; `cargo xtask list` prints them all", near.join(", ")))
            .into())
    }

    /// What `build` builds when nothing is named: the newest release's plain image for this host, on the default base.
    pub fn default_for(&self, architecture: &str) -> Option<&Attribute<'a>> {
        self.all.iter().find(|attribute| {
            attribute.variant.suffix().is_empty()
                && attribute.base.default
                && matches!(attribute.scope, Scope::Image(arch) if arch.architecture == architecture)
        })
    }
}

impl Catalog {
    /// The base of a variant's attributes that name none: the default one, else the first that the variant comes on.
    pub fn default_base(&self, variant: &Variant) -> Option<&Base> {
        let comes_on = |base: &&Base| {
            variant.bases.as_ref().is_none_or(|on| on.iter().any(|name| *name == *base.name.as_str()))
        };
        self.bases
            .iter()
            .find(|base| base.default && comes_on(base))
            .or_else(|| self.bases.iter().find(comes_on))
    }
}

fn name(product: &Product, release: &Release, variant: &Variant, base: &str, scope: Scope<'_>) -> String {
    let arch = match scope {
        Scope::Image(arch) => arch.name.as_str(),
        Scope::Index => "",
    };
    [product.name.as_str(), &release.attribute(), variant.suffix(), base, arch]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}
