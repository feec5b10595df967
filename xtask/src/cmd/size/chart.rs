//! `size chart`: the README's picture.

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};

use super::pictures::{From, input};
use crate::context::{Context, replace};

/// The picture, from the top of the repository.
const FILE: &str = "docs/sizes.svg";

/// Draw the README's chart, docs/sizes.svg: the newest release's variants against what was published.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size chart           draw it
  cargo xtask size chart --check   change nothing; fail if it is not what the sizes give")]
pub(crate) struct Chart {
    /// Change nothing; fail if the file is not what the sizes give.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    from: From,
}

impl Chart {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let drawn = report::chart(&input(context, &self.from)?)?;
        let path = context.root.join(FILE);
        let found = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            read => Some(read.with_context(|| format!("{FILE} cannot be read"))?),
        };
        if found.as_deref() == Some(drawn.as_bytes()) {
            context.progress.note(&format!("{FILE} is up to date"));
            return Ok(());
        }
        if self.check {
            let state = if found.is_some() { "is not what the sizes give" } else { "is missing" };
            return Err(Fault::new(Kind::Stale, format!("{FILE} {state}"))
                .help("`cargo xtask size chart` draws it")
                .into());
        }
        replace(&path, drawn.as_bytes()).with_context(|| format!("writing {FILE}"))?;
        context.progress.note(&format!("{FILE}: drawn"));
        Ok(())
    }
}
