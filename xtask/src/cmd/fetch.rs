//! `fetch`: inputs ahead of time.

use anyhow::Result;
use plan::Target;
use project::Session;
use serde::Serialize;

use crate::context::Context;
use crate::flags::{BuildFlags, SelectionFlags};

/// Fetch all that a later build needs, so that it runs without a network.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask fetch kubelet-v1_26_0-cni-amd64
  unshare -n cargo xtask build kubelet-v1_26_0-cni-amd64 --offline")]
pub(crate) struct Fetch {
    #[command(flatten)]
    what: SelectionFlags,
    #[command(flatten)]
    how: BuildFlags,
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    /// What can be built without a network now.
    fetched: Vec<&'a str>,
}

impl Fetch {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let plan = session.plan(&self.what.selection())?;
        session.executor()?.fetch(&plan)?;
        if context.json {
            let fetched = plan.targets.iter().map(Target::attribute).collect();
            context.print_json(&Report { version: 1, fetched })?;
        }
        Ok(())
    }
}
