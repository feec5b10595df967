//! `size table`: README's table of sizes.

use anyhow::Result;
use project::record;

use crate::context::Context;

/// Make README's table of images/sizes.json and images/published-sizes.toml.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size table           write it
  cargo xtask size table --check   change nothing; fail if it is not what the sizes give")]
pub(crate) struct Table {
    /// Change nothing; fail if the table is out of date.
    #[arg(long)]
    check: bool,
}

impl Table {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        context.tell(&record::write_table(&context.checkout, self.check)?)
    }
}
