//! `lock plan`: images/plan.json.

use anyhow::Result;
use project::relock;

use super::Report;
use crate::context::Context;

/// Make images/plan.json of the catalog, or check it: attributes, parts and closures, as Nix reads them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask lock plan           after each change of images/catalog.toml
  cargo xtask lock plan --check")]
pub(crate) struct LockPlan {
    /// Change nothing; fail if the file is not what the catalog gives.
    #[arg(long)]
    check: bool,
}

impl LockPlan {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let mut report = Report::new();
        report.add(context, plan::nix::PATH, relock::plan(&context.checkout, self.check)?);
        report.print(context)
    }
}
