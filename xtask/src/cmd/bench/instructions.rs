//! `bench instructions`: how many instructions the hot paths take, and whether that is more than recorded.

use anyhow::{Context as _, Result};
use bench::hot;
use bench::instructions::{self, Count, Report};

use crate::context::{Context, write_out};

/// Count the instructions of hot paths, and compare them with those recorded.
///
/// Callgrind counts, so a busy machine counts the same. The record is tests/instructions.toml.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench instructions               every path that is counted
  cargo xtask bench instructions --check       fail where a path takes 10 % more than recorded
  cargo xtask bench instructions --record      after a change that is meant to take more, or takes less

What the paths are: docs/bench.md.")]
pub(super) struct Instructions {
    /// What to count [default: all that are counted].
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Record what was counted.
    #[arg(long, conflicts_with = "check")]
    record: bool,
    /// Fail if a path takes 10 % more than recorded.
    #[arg(long)]
    check: bool,
}

impl Instructions {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        instructions::check_profile()?;
        instructions::check_machine()?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut counts = Vec::new();
        for path in hot::named(&self.paths)? {
            let Some(size) = path.counted else { continue };
            let task = context.checkout.progress.task(path.name, None);
            task.detail(&format!("{size} {}", path.unit));
            let args = ["bench", "path", path.name, &size.to_string(), "--once"];
            let found = instructions::count(path, &program, &args)?;
            counts.push(Count::new(&context.checkout.root, path, found)?);
        }
        let report = Report::new(counts);
        if self.record {
            report.record(&context.checkout.root)?;
        }
        if context.json {
            context.print_json(&report)?;
        } else {
            write_out(&report.table())?;
        }
        if self.check { report.check() } else { Ok(()) }
    }
}
