//! `lock`: makes or checks pins.

mod alpine;
mod go;
mod plan;
mod toolchains;

use anyhow::Result;
use serde::Serialize;

use crate::context::Context;

/// Make the pins of what images are built from, or check them.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask lock go --check --offline
  cargo xtask lock alpine
  cargo xtask lock toolchains --check")]
pub(crate) struct Lock {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(clap::Subcommand)]
enum Subject {
    Alpine(alpine::LockAlpine),
    Go(go::LockGo),
    Plan(plan::LockPlan),
    Toolchains(toolchains::LockToolchains),
}

impl Lock {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        match &self.subject {
            Subject::Alpine(alpine) => alpine.run(context),
            Subject::Go(go) => go.run(context),
            Subject::Plan(plan) => plan.run(context),
            Subject::Toolchains(toolchains) => toolchains.run(context),
        }
    }
}

/// What became of the locks, for machines.
#[derive(Serialize)]
struct Report {
    version: u32,
    locks: Vec<Locked>,
}

#[derive(Serialize)]
struct Locked {
    name: String,
    state: String,
    /// Packages that came or went, `+ PATH` and `- PATH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
}

impl Report {
    fn new() -> Self {
        Self { version: 1, locks: Vec::new() }
    }

    /// Takes note of a lock's state, and tells it.
    fn add(&mut self, context: &Context, name: &str, state: &str) {
        context.note(&format!("{name}: {state}"));
        self.locks.push(Locked { name: name.to_owned(), state: state.to_owned(), changed: Vec::new() });
    }

    /// Takes note of what the last lock has now and had not before, or the other way, and tells it.
    fn changed(&mut self, context: &Context, lines: Vec<String>) {
        for line in &lines {
            context.note(&format!("  {line}"));
        }
        if let Some(lock) = self.locks.last_mut() {
            lock.changed = lines;
        }
    }

    /// For machines; people have heard it already.
    fn print(&self, context: &Context) -> Result<()> {
        let names = self.locks.iter().map(|lock| lock.name.as_str());
        context.checkout.tell_untracked(names.filter(|name| context.checkout.root.join(name).exists()))?;
        if context.json { context.print_json(self) } else { Ok(()) }
    }
}
