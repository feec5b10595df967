//! `bench once`: what a program takes. For `bench assemble`, which starts it: a process that has no other child.

use anyhow::Result;
use bench::assemble;

use crate::context::Context;

/// Run a program to its end, and say what it took, as JSON.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask bench once -- gzip -9 -k file")]
pub(super) struct Once {
    /// The program and its arguments.
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

impl Once {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        context.print_json(&assemble::once(&self.command)?)
    }
}
