//! `list`: every attribute the catalog spans.

use std::collections::BTreeMap;
use std::path::Path;

use alpine::lock::{self, Lock};
use anyhow::Result;
use catalog::{Attribute, Attributes, Catalog, Scope};
use jiff::civil::Date;
use project::support::{self, Support};
use serde::Serialize;

use crate::context::{Context, write_out};

/// List everything that can be built, and what of it Kubernetes no longer supports.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask list
  cargo xtask list --json | jq -r '.attributes[] | select(.base == \"micro\").name'")]
pub(crate) struct List {}

#[derive(Serialize)]
struct Listing {
    version: u32,
    attributes: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// What else it may be asked for by.
    aliases: Vec<String>,
    kind: &'static str,
    product: String,
    release: String,
    variant: String,
    base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    repository: String,
    tag: String,
    /// How many of Alpine's packages are pinned by its index alone, if any are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_by_index: Option<usize>,
    /// When Kubernetes' support of the release ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    support_ended: Option<Date>,
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

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.checkout.catalog()?;
        let locks = Locks::read(&context.checkout.root, &catalog)?;
        let (support, today) = (Support::read(&context.checkout.root)?, support::today());
        let attributes = Attributes::of(&catalog);
        let rows: Vec<Row> =
            attributes.iter().map(|attribute| Row::of(attribute, &locks, &support, today)).collect();
        if context.json {
            return context.print_json(&Listing { version: 1, attributes: rows });
        }
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let platform = row.platform.as_deref().unwrap_or("index");
                let ended = row.support_ended.map(|day| format!("  (support ended on {day})"));
                let ended = ended.unwrap_or_default();
                let pinned =
                    row.pinned_by_index.map(|count| format!("  ({count} packages pinned by Alpine's index)"));
                let pinned = pinned.unwrap_or_default();
                format!("{:width$}  {:13} {}:{}{ended}{pinned}", row.name, platform, row.repository, row.tag)
            })
            .collect();
        write_out(&lines.join("\n"))
    }
}
