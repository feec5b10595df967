//! `size`: how large images are, and against what.

mod chart;
mod report;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};

use crate::context::Context;

/// Show the images' sizes, against what was published and over time.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Size {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Report(report::Report),
    Chart(chart::Chart),
}

impl Size {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        match &self.what {
            What::Report(report) => report.run(context),
            What::Chart(chart) => chart.run(context),
        }
    }
}

/// Where the figures of pictures come from.
#[derive(clap::Args)]
struct From {
    /// Figures in the form that `size report --json` writes.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
}

/// The figures of pictures.
fn input(_context: &Context, from: &From) -> Result<::report::Input> {
    let file = &from.input;
    let json = std::fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            anyhow::Error::from(Fault::new(Kind::Unknown, format!("no file {}", file.display())))
        }
        _ => anyhow::Error::from(error).context(format!("{} cannot be read", file.display())),
    });
    ::report::Input::parse(&json?, &file.display().to_string()).context("reading saved sizes")
}
