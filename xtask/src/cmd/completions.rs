//! `completions`: for the shell.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::context::write_out;

/// Print a completion script for a shell.
///
/// It completes a program called `xtask`: put `alias xtask='cargo xtask'` beside it, or run the built program.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask completions bash > ~/.local/share/bash-completion/completions/xtask")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Cli::command(), "xtask", &mut script);
        write_out(String::from_utf8_lossy(&script).trim_end())
    }
}
