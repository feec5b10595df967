//! `size`: what images weigh, and why.

mod chart;
mod check;
mod diff;
mod explain;
mod pictures;
mod record;
mod report;
mod table;
mod weigh;

use std::path::PathBuf;

pub(crate) use check::check_layouts;

use anyhow::Result;
use catalog::Catalog;
use fault::{Fault, Kind};
use sizes::published::Published;
use sizes::record::Record;

use crate::cmd::session::How;
use crate::context::Context;

/// What images weighed at the last release.
const RECORD: &str = "images/sizes.json";
/// The images to beat.
const PUBLISHED: &str = "images/published-sizes.toml";

/// Say what images weigh, hold them to their budget, and show what changed.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask size check                           is every image within its budget?
  cargo xtask size diff main HEAD --markdown       what changed, for a pull request
  cargo xtask size report --html                   everything, as a page")]
pub(crate) struct Size {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Check(check::Check),
    Diff(diff::DiffSizes),
    Record(record::RecordSizes),
    Table(table::Table),
    Report(report::Report),
    Chart(chart::Chart),
    Explain(explain::Explain),
}

impl Size {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        match &self.what {
            What::Explain(explain) => explain.run(context),
            What::Check(check) => check.run(context),
            What::Diff(diff) => diff.run(context),
            What::Record(record) => record.run(context),
            What::Table(table) => table.run(context),
            What::Report(report) => report.run(context),
            What::Chart(chart) => chart.run(context),
        }
    }
}

/// The record of the last release.
fn record(context: &Context) -> Result<Record> {
    let path = context.root.join(RECORD);
    if !path.exists() {
        let fault = Fault::new(Kind::Unknown, format!("there is no {RECORD}"));
        return Err(fault.help("`cargo xtask size record ATTR...` makes it").into());
    }
    Record::parse(&files::read_text(&path, files::DOCUMENT)?, RECORD)
}

/// What was published.
fn published(context: &Context, catalog: &Catalog) -> Result<Published> {
    let path = context.root.join(PUBLISHED);
    Published::parse(&files::read_text(&path, files::DOCUMENT)?, PUBLISHED, catalog)
}

/// Which images to weigh.
#[derive(clap::Args)]
struct Which {
    /// Images and indexes; they are built if needed [default: those of images/sizes.json that are built already].
    #[arg(value_name = "ATTR")]
    attributes: Vec<String>,
    /// Weigh layouts that are here, in directories named like their attributes, and build nothing.
    #[arg(long, value_name = "DIR")]
    layouts: Option<PathBuf>,
    /// Build without this program or component [default: what the recorded image lacks].
    #[arg(long, value_name = "COMPONENT", conflicts_with = "layouts")]
    omit: Vec<String>,
}

/// Makes sure that a generated file of the repository is `new`: writes it, whole or not at all, or with `check` fails
/// and names the command that makes it.
fn generated(context: &Context, file: &str, new: &str, check: bool, command: &str) -> Result<()> {
    let path = context.root.join(file);
    let found = files::read_named(&path, files::DOCUMENT)?;
    let told = |words: &str, state: &str| {
        if context.json {
            return context.print_json(&serde_json::json!({"version": 1, "file": file, "state": state}));
        }
        context.progress.note(&format!("{file} {words}"));
        Ok(())
    };
    if found.as_deref() == Some(new.as_bytes()) {
        return told("is up to date", "unchanged");
    }
    if check {
        let state = if found.is_some() { "is not what the sizes give" } else { "is missing" };
        let fault = Fault::new(Kind::Stale, format!("{file} {state}"));
        return Err(fault.help(format!("`{command}` makes it")).into());
    }
    files::write(&path, new.as_bytes())?;
    told("was written", "written")
}

/// Builds an image, and writes down what it weighs.
pub(crate) fn record_image(context: &Context, attribute: &str, how: &How) -> Result<()> {
    let which = Which { attributes: vec![attribute.to_owned()], layouts: None, omit: Vec::new() };
    record::write(context, &which, how).map(drop)
}

/// Makes README's table of what is recorded.
pub(crate) fn write_table(context: &Context) -> Result<()> {
    table::Table::default().run(context)
}
