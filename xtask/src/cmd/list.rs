//! `list`: every attribute the catalog spans.

use anyhow::Result;
use catalog::{Attribute, Attributes, Scope};
use jiff::civil::Date;
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::support::{self, Support};

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
    /// When Kubernetes' support of the release ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    support_ended: Option<Date>,
}

impl Row {
    fn of(attribute: &Attribute<'_>, support: &Support, today: Date) -> Self {
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
            support_ended: support.ended(attribute.release, today),
        }
    }
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.catalog()?;
        let (support, today) = (Support::read(&context.root)?, support::today());
        let attributes = Attributes::of(&catalog);
        let rows: Vec<Row> = attributes.iter().map(|attribute| Row::of(attribute, &support, today)).collect();
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
                format!("{:width$}  {:13} {}:{}{ended}", row.name, platform, row.repository, row.tag)
            })
            .collect();
        write_out(&lines.join("\n"))
    }
}
