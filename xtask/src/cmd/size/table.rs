//! `size table`: README's table of sizes.

use anyhow::Result;

use crate::context::Context;

const PAGE: &str = "README.md";

/// Make README's table of images/sizes.json and images/published-sizes.toml.
#[derive(clap::Args, Default)]
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
        let catalog = context.catalog()?;
        let record = super::record(context)?;
        let published = super::published(context, &catalog)?;
        let path = context.root.join(PAGE);
        let page = files::read_text(&path, files::DOCUMENT)?;
        let new =
            sizes::table::replaced(&page, PAGE, &sizes::table::markdown(&catalog, &record, &published))?;
        super::generated(context, PAGE, &new, self.check, "cargo xtask size table")
    }
}
