//! `size`: what images weigh, and why.

mod chart;
mod check;
mod diff;
mod explain;
mod record;
mod report;
mod table;

use anyhow::Result;

use crate::context::Context;

/// Say what images weigh, hold them to their budget, and show what changed.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask size check                           is every image within its budget?
  cargo xtask size diff main HEAD --markdown       what changed, for a pull request
  cargo xtask size report --html                   everything, as a page")]
pub(crate) struct Size {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
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
        match &self.action {
            Action::Explain(explain) => explain.run(context),
            Action::Check(check) => check.run(context),
            Action::Diff(diff) => diff.run(context),
            Action::Record(record) => record.run(context),
            Action::Table(table) => table.run(context),
            Action::Report(report) => report.run(context),
            Action::Chart(chart) => chart.run(context),
        }
    }
}
