//! `cargo xtask`: parse, dispatch, say what failed.

mod cmd;
mod context;
mod local;
mod runtime;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use crate::cmd::Command;
use crate::context::{Context, Global};

/// Builds, checks and publishes container images of the Kubernetes kubelet.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: docs/exit-codes.md. Start with `cargo xtask build`, or `cargo xtask doctor`."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let color = cli.global.color;
    let run = || {
        exec::interrupt::install()?;
        cli.command.run(&Context::new(&cli.global)?)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error, color);
            ExitCode::from(fault::exit_code(&error))
        }
    }
}
