//! `bench growth`: how time and memory grow with the size of what is built.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::{growth, hot, instructions};
use exec::Run;
use fault::{Fault, Kind};

use crate::context::{Context, write_out};

/// Measure how time and memory grow with images, files, bytes, packages and tags.
///
/// Each hot path is run on inputs of growing size, each in a process of its own. What is fitted are the exponents of CPU time
/// and of the peak of memory: 1 is linear.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench growth                      every path: about ten minutes, 4 GiB of memory, 1 GiB in TMPDIR
  cargo xtask bench growth --quick --check      without the two largest sizes of each
  cargo xtask bench growth plan --instructions  whether there is a loop too many
  cargo xtask bench growth resolver --index APKINDEX.tar.gz

What the paths are and how to read it: docs/bench.md.")]
pub(super) struct Growth {
    /// What to measure [default: all].
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Leave out the two largest sizes of each.
    #[arg(long)]
    quick: bool,
    /// Also count instructions, fifty times as slow as running them: caches have no part in those.
    #[arg(long)]
    instructions: bool,
    /// Make indexes of this one of Alpine's, for `x86_64`, in place of packages that only look like it.
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// The greatest exponent that is meant: that of n log n.
    #[arg(long, value_name = "EXPONENT", default_value_t = 1.15)]
    limit: f64,
    /// Fail if anything grows faster.
    #[arg(long)]
    check: bool,
}

impl Growth {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        let paths = hot::named(&self.paths)?;
        if let Some(index) = self.index.as_deref().filter(|index| !index.is_file()) {
            let message = format!("{} is not a file", index.display());
            return Err(Fault::new(Kind::NotFound, message).into());
        }
        let program = std::env::current_exe().context("cannot find this program")?;
        if self.instructions {
            instructions::check_machine()?;
        }
        // Of what is measured, which may be ended at once.
        let scratch = tempfile::tempdir().context("no temporary directory")?;
        let index = self.index.as_ref().map(|index| index.to_string_lossy());
        let measure = |path: &hot::HotPath, size: u64| {
            let size = size.to_string();
            let mut args = vec!["bench", "path", path.name, &size];
            args.extend(index.iter().flat_map(|index| ["--index", index]));
            let run = Run::new(&program).inherit("PATH").inherit("HOME").env("TMPDIR", scratch.path());
            let done = run.args(&args).grace(Duration::ZERO).run()?;
            let mut measured: hot::Measured =
                serde_json::from_slice(&done.stdout).context("a measurement is not JSON")?;
            if self.instructions {
                args.push("--once");
                measured.instructions = Some(instructions::count(path, &program, &args)?);
            }
            Ok(measured)
        };
        let report = growth::measure(&paths, self.limit, self.quick, &*context.checkout.progress, measure)?;
        if context.json {
            context.print_json(&report)?;
        } else {
            write_out(&report.table())?;
        }
        let over = report.over();
        if self.check && !over.is_empty() {
            let message = format!("faster than n^{}: {}", self.limit, over.join(", "));
            let help =
                "time is of caches too: --instructions says of what grows so whether it has a loop too many";
            return Err(Fault::new(Kind::ToolFailed, message).help(help).into());
        }
        Ok(())
    }
}
