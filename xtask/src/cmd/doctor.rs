//! `doctor`: checks the machine.

use anyhow::Result;
use fault::{Fault, Kind};
use project::{BuildOptions, Session};
use serde::Serialize;
use toolchain::doctor::{Check, doctor};

use crate::context::{Context, write_out};

/// Check this machine, and print the command that fixes each problem.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask doctor
  cargo xtask doctor --json | jq -r '.checks[] | select(.ok | not).repair'

Ends with 7 if something is missing that a build cannot add by itself.")]
pub(crate) struct Doctor {}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    checks: &'a [Check],
}

impl Doctor {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, BuildOptions::default())?;
        let setup = session.setup()?;
        let foreign = session.catalog.arches.iter().filter(|arch| arch.architecture != setup.host.arch());
        let emulators: Vec<_> = foreign.map(|arch| (arch.qemu.as_str(), arch.name.as_str())).collect();
        let machines = vm::Arch::ALL.map(|arch| (arch.name(), arch.qemu(), arch.qemu_package()));
        let checks = doctor(&setup, &emulators, &machines)?;
        if context.json {
            context.print_json(&Report { version: 1, checks: &checks })?;
        } else {
            checks.iter().try_for_each(|check| write_out(&line(check)))?;
        }
        let missing: Vec<_> =
            checks.iter().filter(|check| check.required && !check.ok).map(|check| &*check.name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Fault::new(Kind::Tool, format!("missing: {}", missing.join(", ")))
            .help("run the commands named above")
            .into())
    }
}

fn line(check: &Check) -> String {
    let mark = match (check.ok, check.required) {
        (true, _) => "ok     ",
        (false, true) => "missing",
        (false, false) => "absent ",
    };
    let mut line = format!("{mark}  {:16} {}", check.name, check.found);
    if !check.ok {
        line.push_str(&format!("\n         needs {}", check.expected));
        if let Some(repair) = &check.repair {
            line.push_str(&format!("\n         run   {repair}"));
        }
    }
    line
}
