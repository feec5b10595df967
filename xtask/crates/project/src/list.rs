//! Every attribute that the catalog spans.

use std::collections::BTreeMap;
use std::path::Path;

use alpine::lock::{self, Lock};
use anyhow::Result;
use catalog::{Attribute, Attributes, Catalog, Scope};
use jiff::civil::Date;
use serde::Serialize;

use crate::Checkout;
use crate::support::{self, Support};

/// What can be built, in the catalog's order.
pub fn rows(checkout: &Checkout) -> Result<Vec<Row>> {
    let catalog = checkout.catalog()?;
    let locks = Locks::read(&checkout.root, &catalog)?;
    let (support, today) = (Support::read(&checkout.root)?, support::today());
    let attributes = Attributes::of(&catalog);
    Ok(attributes.iter().map(|attribute| Row::of(attribute, &locks, &support, today)).collect())
}

/// An image or index.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its attribute.
    pub name: String,
    /// What else it may be asked for by.
    pub aliases: Vec<String>,
    /// `image` or `index`.
    pub kind: &'static str,
    /// The product.
    pub product: String,
    /// As vX.Y.Z.
    pub release: String,
    /// The variant.
    pub variant: String,
    /// The base.
    pub base: String,
    /// An image's architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// An image's platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What it is called, without its tag.
    pub repository: String,
    /// Its tag.
    pub tag: String,
    /// How many of Alpine's packages are pinned by its index alone, if any are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_by_index: Option<usize>,
    /// When Kubernetes' support of the release ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_ended: Option<Date>,
}

impl Row {
    fn of(attribute: &Attribute<'_>, locks: &Locks, support: &Support, today: Date) -> Self {
        let arch = match attribute.scope {
            Scope::Image(arch) => Some(arch),
            Scope::Index => None,
        };
        Self {
            name: attribute.name.clone(),
            aliases: attribute.aliases.clone(),
            kind: if arch.is_some() { "image" } else { "index" },
            product: attribute.product.name.to_string(),
            release: attribute.release.version.to_string(),
            variant: attribute.variant.name.to_string(),
            base: attribute.base.name.to_string(),
            arch: arch.map(|arch| arch.name.to_string()),
            platform: arch.map(catalog::Arch::platform),
            repository: attribute.product.repository.clone(),
            tag: attribute.tag(),
            pinned_by_index: locks.pinned_by_index(attribute),
            support_ended: support.ended(attribute.release, today),
        }
    }
}

/// The locks of Alpine that there are, by branch.
struct Locks(BTreeMap<String, Lock>);

impl Locks {
    fn read(root: &Path, catalog: &Catalog) -> Result<Self> {
        let mut locks = BTreeMap::new();
        for alpine in catalog.bases.iter().filter_map(|base| base.alpine.as_ref()) {
            let branch = alpine.branch.to_string();
            if let Some(lock) = Lock::read(&root.join(lock::path(&branch)))? {
                locks.insert(branch, lock);
            }
        }
        Ok(Self(locks))
    }

    /// How many packages of an image, or of an index's images together, have no SHA-256 yet; none if all have one.
    fn pinned_by_index(&self, attribute: &Attribute<'_>) -> Option<usize> {
        let lock = self.0.get(attribute.base.alpine.as_ref()?.branch.as_str())?;
        let is_meant = |name: &str| match attribute.scope {
            Scope::Image(arch) => arch.name == *name,
            Scope::Index => true,
        };
        let arches = lock.arches.iter().filter(|(name, _)| is_meant(name));
        let count =
            arches.map(|(_, arch)| arch.pinned_by_index(attribute.product.name.as_str()).count()).sum();
        Some(count).filter(|count| *count > 0)
    }
}
