//! `bench layout`: an image of one layer, of all that is in a directory. For `bench assemble`, which starts it.

use std::path::PathBuf;

use anyhow::Result;

/// Make an OCI layout of one layer of what is in a directory.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask bench layout rootfs image --fast")]
pub(super) struct Layout {
    /// The directory.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where the layout goes.
    #[arg(value_name = "LAYOUT")]
    out: PathBuf,
    /// Compress as `build --fast` does.
    #[arg(long)]
    fast: bool,
}

impl Layout {
    pub(super) fn run(&self) -> Result<()> {
        bench::assemble::assemble(&self.dir, &self.out, self.fast)
    }
}
