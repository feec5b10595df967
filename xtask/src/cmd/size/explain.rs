//! `size explain`: one component plain and packed, side by side.

use anyhow::Result;
use project::Session;
use project::explain::{Request, explain};

use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

/// Measure a component plain and packed with UPX: bytes, what compression makes of them, and the start of each command.
///
/// All is measured in one run, and the policy in images/catalog.toml is compared with what the figures recommend.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask size explain cni --arch amd64 --release v1.26.0")]
pub(crate) struct Explain {
    /// A component of Go programs, as in images/catalog.toml.
    component: String,
    /// For this architecture [default: this machine's].
    #[arg(long)]
    arch: Option<String>,
    /// Of this release [default: the newest].
    #[arg(long)]
    release: Option<String>,
    /// Leave out a program.
    #[arg(long, value_name = "PROGRAM")]
    omit: Vec<String>,
    /// How often each command is started.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(3..))]
    runs: u16,
    #[command(flatten)]
    how: BuildFlags,
}

impl Explain {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let request = Request {
            component: &self.component,
            arch: self.arch.as_deref(),
            release: self.release.as_deref(),
            omit: &self.omit,
            runs: self.runs,
        };
        let report = explain(&session, &request)?;
        if context.json { context.print_json(&report) } else { write_out(&report.table()) }
    }
}
