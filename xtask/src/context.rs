//! What every verb has: the checkout, and the way to speak to the user.

use std::io::Write;

use anyhow::{Context as _, Result};
use project::Checkout;
use project::generated::Generated;
use serde::Serialize;

use crate::ui::{self, Color};

/// What help calls the flags of every verb, so that a verb's own are seen.
pub(crate) const GLOBAL_OPTIONS: &str = "Global options";

/// Flags of every verb.
#[derive(clap::Args)]
#[command(next_help_heading = GLOBAL_OPTIONS)]
pub(crate) struct Global {
    /// Write the result to standard output as JSON with a version field.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors and results.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: what each step is at, line by line.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Colours and bars: on a terminal, always, or never.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// What every verb has.
pub(crate) struct Context {
    /// The repository.
    pub(crate) checkout: Checkout,
    /// JSON on standard output?
    pub(crate) json: bool,
}

impl Context {
    /// `anywhere`: without a repository too.
    pub(crate) fn new(global: &Global, anywhere: bool) -> Result<Self> {
        let progress = ui::progress(global.quiet, global.verbose, global.color);
        Ok(Self { checkout: Checkout::find(progress, anywhere)?, json: global.json })
    }

    /// Says something on the way to the result.
    pub(crate) fn note(&self, line: &str) {
        self.checkout.progress.note(line);
    }

    /// Says what became of a generated file.
    pub(crate) fn tell(&self, generated: &Generated) -> Result<()> {
        if self.json {
            return self.print_json(generated);
        }
        self.note(&generated.to_string());
        Ok(())
    }

    /// Writes a result for a machine: one line of JSON on standard output.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).context("a result cannot be written as JSON")?;
        write_out(&ui::plain_json(&text))
    }
}

/// Writes lines to standard output, where nothing in them acts on a terminal; that a reader left early (`| head`) does
/// not matter.
pub(crate) fn write_out(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", ui::plain(line)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("standard output"))
        }
        _ => Ok(()),
    }
}
