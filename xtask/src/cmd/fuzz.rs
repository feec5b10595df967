//! `fuzz`: parsers of what others made, against inputs that libFuzzer makes up.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use libfuzzer::{Fuzzer, Outcome, replay};
use rayon::prelude::*;
use serde::Serialize;

use crate::context::{Context, write_out};

/// Fuzz the parsers of files that others made: each target for some seconds, from seeds and what earlier runs found.
///
/// Inputs worth keeping are in target/fuzz/corpus, those that failed in target/fuzz/artifacts.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz                                  every target, a few seconds each
  cargo xtask fuzz oci-layer --seconds 600
  cargo xtask fuzz oci-layer --input target/fuzz/artifacts/oci-layer/crash-0123abcd
  cargo xtask fuzz --list")]
pub(crate) struct Fuzz {
    /// Targets [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Where libFuzzer's random numbers begin [default: elsewhere each time].
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Run the one target with this input only, to see again what it does.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "seed", "list"])]
    input: Option<PathBuf>,
    /// List the targets.
    #[arg(long)]
    list: bool,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    targets: Vec<Outcome>,
}

#[derive(Serialize)]
struct Listing<'a> {
    version: u32,
    targets: &'a [String],
}

impl Fuzz {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let fuzzer = Fuzzer::new(&context.checkout.root);
        let known = fuzzer.targets()?;
        if self.list {
            return if context.json {
                context.print_json(&Listing { version: 1, targets: &known })
            } else {
                write_out(&known.join("\n"))
            };
        }
        let programs = fuzzer.build(&self.chosen(&known)?)?;
        if let Some(input) = &self.input {
            let (target, program) = programs.first_key_value().context("no target")?;
            replay(target, program, input)?;
            return write_out(&format!("{target} takes {}", input.display()));
        }
        let done = Mutex::new(Vec::new());
        programs.par_iter().try_for_each(|(target, program)| {
            exec::interrupt::check()?;
            let outcome = fuzzer.run(target, program, self.seconds, self.seed)?;
            let Outcome { inputs, coverage, .. } = &outcome;
            context.note(&format!("{target}: {inputs} inputs, coverage {coverage}"));
            done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
            anyhow::Ok(())
        })?;
        if !context.json {
            return Ok(());
        }
        let mut targets = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        targets.sort_by(|a, b| a.target.cmp(&b.target));
        context.print_json(&Report { version: 1, targets })
    }

    fn chosen(&self, known: &[String]) -> Result<Vec<String>> {
        if let Some(unknown) = self.targets.iter().find(|target| !known.contains(target)) {
            return Err(Fault::new(Kind::NotFound, format!("there is no fuzz target `{unknown}`"))
                .help(format!("there are {}", known.join(", ")))
                .into());
        }
        if self.input.is_some() && self.targets.len() != 1 {
            return Err(Fault::new(Kind::Usage, "--input wants exactly one target").into());
        }
        Ok(if self.targets.is_empty() { known.to_vec() } else { self.targets.clone() })
    }
}
