//! `fetch`: inputs ahead of time.

use anyhow::Result;

use super::session::{How, Session, What};
use crate::context::Context;

/// Fetch all that a later build needs, so that it runs without a network.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask fetch kubelet-v1_26_0-cni-micro-amd64
  unshare -n cargo xtask build kubelet-v1_26_0-cni-micro-amd64 --offline")]
pub(crate) struct Fetch {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    how: How,
}

impl Fetch {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(context, &self.how)?;
        session.executor()?.fetch(&session.plan(&self.what)?)
    }
}
