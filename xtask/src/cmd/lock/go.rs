//! `lock go`: the Go closures in images/go.

use anyhow::Result;
use fault::{Fault, Kind};
use project::{Session, relock};

use super::Report;
use crate::context::Context;
use crate::flags::BuildFlags;

/// Make the Go closures (go.mod, go.sum) of releases and of the CNI plugins, or check them.
///
/// A closure with modules that are not available is left unchanged, and they are listed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask lock go                     all releases
  cargo xtask lock go v1.26.0
  cargo xtask lock go --check --offline   only what needs no network, in a moment")]
pub(crate) struct LockGo {
    /// Releases, as vX.Y.Z [default: all].
    #[arg(value_name = "RELEASE")]
    releases: Vec<String>,
    /// Change nothing; fail if a closure is not what its modules give.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    how: BuildFlags,
}

impl LockGo {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let (mut failed, mut report) = (Vec::new(), Report::new());
        for (name, spec) in relock::closures(&session, &self.releases)? {
            exec::interrupt::check()?;
            let one = if self.check { relock::check_closure } else { relock::closure };
            match one(&session, &spec) {
                Ok(done) => report.add(context, &name, done),
                Err(error) if fault::is(&error, Kind::Unavailable) => {
                    let why = format!("{error:#}").replace('\n', "\n  ");
                    report.add(context, &name, &format!("left as it is\n  {why}"));
                    failed.push(name);
                }
                Err(error) => return Err(error.context(name)),
            }
        }
        report.print(context)?;
        if failed.is_empty() || self.check {
            return Ok(());
        }
        Err(Fault::new(Kind::Unavailable, format!("not locked, modules are missing: {}", failed.join(", ")))
            .help("run it again where they are available; all other closures are done")
            .into())
    }
}
