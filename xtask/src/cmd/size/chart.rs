//! `size chart`: the README's picture.

use std::path::PathBuf;

use anyhow::Result;
use project::generated::GeneratedFile;
use project::pictures;
use project::record::SIZES;

use crate::context::Context;

/// The picture.
const FILE: GeneratedFile =
    GeneratedFile { path: "docs/sizes.svg", of: SIZES, command: "cargo xtask size chart" };

/// Draw the README's chart, docs/sizes.svg: the variants of the newest release that was published against what was.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size chart           draw it
  cargo xtask size chart --check   change nothing; fail if it is not what the sizes give")]
pub(crate) struct Chart {
    /// Change nothing; fail if the file is not what the sizes give.
    #[arg(long)]
    check: bool,
    /// Figures that `size report --json` wrote before, instead of those of images/sizes.json.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

impl Chart {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let drawn = report::chart(&pictures::input(&context.checkout, self.input.as_deref())?)?;
        context.tell(&FILE.write(&context.checkout, &drawn, self.check)?)
    }
}
