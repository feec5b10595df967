//! `bench path`: one hot path at one size, in this process. For the other measurements, which start it.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bench::hot::{self, Setup};

use crate::context::Context;

/// Do what a hot path does on an input of one size, and say what it took, as JSON.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask bench path layer-files 1000")]
pub(super) struct HotPath {
    /// The path, as `bench growth` names them.
    #[arg(value_name = "PATH")]
    name: String,
    /// The size of its input.
    #[arg(value_name = "SIZE")]
    size: u64,
    /// Make indexes of this one.
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Do it once, and say nothing: for a program that counts.
    #[arg(long)]
    once: bool,
}

impl HotPath {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        let scratch = tempfile::tempdir().context("no temporary directory")?;
        let setup =
            Setup { root: &context.checkout.root, index: self.index.clone(), scratch: scratch.path() };
        let path = hot::find(&self.name)?;
        if self.once {
            return path.once(&setup, self.size);
        }
        context.print_json(&path.measure(&setup, self.size)?)
    }
}
