//! `size record`: writes down what images weigh.

use anyhow::Result;
use project::record;

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, WeighFlags};

/// Write what images weigh to images/sizes.json; what is recorded of others stays.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size record                                   all recorded images that are built here
  cargo xtask size record kubelet-v1_26_0-cni         the images of an index
  cargo xtask size record --layouts target/images")]
pub(crate) struct RecordSizes {
    #[command(flatten)]
    which: WeighFlags,
    #[command(flatten)]
    how: BuildFlags,
}

impl RecordSizes {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let (written, diff) = record::write(&context.checkout, &self.which.request(), &self.how.options())?;
        context.tell(&written)?;
        if context.json {
            return context.print_json(&super::diff::Answer { version: 1, diff: &diff });
        }
        write_out(&sizes::render::text(&diff))
    }
}
