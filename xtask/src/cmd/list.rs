//! `list`: every attribute the catalog spans.

use anyhow::Result;
use catalog::{Attribute, Attributes, Scope};
use serde::Serialize;

use crate::context::{Context, write_out};

/// List everything that can be built.
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
}

impl Row {
    fn of(attribute: &Attribute<'_>) -> Self {
        let arch = match attribute.scope {
            Scope::Image(arch) => Some(arch),
            Scope::Index => None,
        };
        Self {
            name: attribute.name.clone(),
            kind: if arch.is_some() { "image" } else { "index" },
            product: attribute.product.name.to_string(),
            release: attribute.release.version.to_string(),
            variant: attribute.variant.name.to_string(),
            base: attribute.base.name.to_string(),
            arch: arch.map(|arch| arch.name.to_string()),
            platform: arch.map(catalog::Arch::platform),
            repository: attribute.product.repository.clone(),
            tag: attribute.tag(),
        }
    }
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.catalog()?;
        let rows: Vec<Row> = Attributes::of(&catalog).iter().map(Row::of).collect();
        if context.json {
            return context.print_json(&Listing { version: 1, attributes: rows });
        }
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let platform = row.platform.as_deref().unwrap_or("index");
                format!("{:width$}  {:13} {}:{}", row.name, platform, row.repository, row.tag)
            })
            .collect();
        write_out(&lines.join("\n"))
    }
}
