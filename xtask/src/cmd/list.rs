//! `list`: every attribute the catalog spans.

use anyhow::Result;
use project::list::{self, Row};
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

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let rows = list::rows(&context.checkout)?;
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
