//! `lock`: makes or checks pins.

mod alpine;
mod go;
mod toolchains;

use anyhow::Result;

use crate::context::Context;

pub(crate) use alpine::ensure_alpine;
pub(crate) use go::ensure_closures;

/// Make the pins of what images are built from, or check them.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Lock {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Alpine(alpine::LockAlpine),
    Go(go::LockGo),
    Toolchains(toolchains::LockToolchains),
}

impl Lock {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        match &self.what {
            What::Alpine(alpine) => alpine.run(context),
            What::Go(go) => go.run(context),
            What::Toolchains(toolchains) => toolchains.run(context),
        }
    }
}
