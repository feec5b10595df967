//! `gc`: cleans the store.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use store::{Cleaning, Store};

use crate::context::{Context, write_out};
use crate::ui::mib;

/// Days that something unused stays unless told otherwise.
const DAYS: u16 = 30;

/// Clean the store: remove what no build used for some time, and what dead builds left.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask gc                 what was not used for 30 days
  cargo xtask gc --corrupt       hash everything, and remove what is damaged
  cargo xtask gc --all           everything: the next build starts from nothing")]
pub(crate) struct Gc {
    /// Remove what was not used for this many days [default: 30].
    #[arg(long, value_name = "N")]
    days: Option<u16>,
    /// Hash everything, and remove what is not as it was sealed; without --days, nothing else.
    #[arg(long)]
    corrupt: bool,
    /// Remove everything.
    #[arg(long, conflicts_with_all = ["days", "corrupt"])]
    all: bool,
}

#[derive(Serialize)]
struct Answer {
    version: u32,
    freed: u64,
    #[serde(flatten)]
    report: store::Report,
}

impl Gc {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let days = self.days.or((!self.corrupt).then_some(DAYS));
        let unused_for = days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
        let mut store = Store::open(Store::default_root()?)?;
        let report = store
            .gc(Cleaning { corrupt: self.corrupt, unused_for, all: self.all }, &*context.checkout.progress)?;
        if context.json {
            return context.print_json(&Answer { version: 1, freed: report.freed(), report });
        }
        for removed in &report.removed {
            context.note(&format!("removed {} {}", removed.path.display(), removed.what));
        }
        let (count, freed) = (report.removed.len(), mib(report.freed()));
        let (kept, bytes) = (report.kept, mib(report.kept_bytes));
        write_out(&format!("removed {count}, {freed:.1} MiB; kept {kept}, {bytes:.1} MiB"))
    }
}
