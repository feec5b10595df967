//! `lock alpine`: images/locks/alpine-BRANCH.json.

use anyhow::Result;
use catalog::Alpine;
use fault::{Fault, Kind};
use project::{Session, relock};

use super::Report;
use crate::context::Context;
use crate::flags::BuildFlags;

/// Lock the packages of Alpine bases, or check the lock: resolves them on Alpine's signed indexes, for all architectures.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask lock alpine
  cargo xtask lock alpine --mirror /srv/alpine       files below it as on Alpine's servers: v3.15/main/x86_64/...
  cargo xtask lock alpine --branch v3.15 --check
  cargo xtask lock alpine --index-only               packages pinned by what Alpine's signed indexes say of them,
  cargo xtask lock alpine --complete                 and by their SHA-256, once somebody has them")]
pub(crate) struct LockAlpine {
    /// The bases on this branch only [default: all].
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Change nothing; fail if the lock is not what the indexes give now.
    #[arg(long)]
    check: bool,
    /// Fetch no package: those whose SHA-256 is not locked yet are pinned by the index, until --complete.
    #[arg(long)]
    index_only: bool,
    /// Resolve nothing: fetch and verify the packages that are pinned by the index, and lock their SHA-256.
    #[arg(long, conflicts_with_all = ["check", "index_only"])]
    complete: bool,
    #[command(flatten)]
    how: BuildFlags,
}

impl LockAlpine {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let all: Vec<&Alpine> =
            session.catalog.bases.iter().filter_map(|base| base.alpine.as_ref()).collect();
        let meant = |alpine: &&Alpine| self.branch.as_ref().is_none_or(|branch| alpine.branch == **branch);
        let chosen: Vec<&Alpine> = all.iter().copied().filter(meant).collect();
        if let (Some(branch), []) = (&self.branch, chosen.as_slice()) {
            let known: Vec<&str> = all.iter().map(|alpine| alpine.branch.as_str()).collect();
            return Err(Fault::new(
                Kind::NotFound,
                format!("no base in the catalog is on Alpine `{branch}`"),
            )
            .help(format!("there are bases on {}", known.join(", ")))
            .into());
        }
        let mut report = Report::new();
        for alpine in chosen {
            let done = if self.complete {
                relock::complete_alpine(&session, alpine)?
            } else {
                relock::alpine(&session, alpine, self.check, self.index_only)?
            };
            report.add(context, &done.name, &done.state);
            report.changed(context, done.changed);
            if done.pinned > 0 {
                context.note(&format!(
                    "{} packages are pinned by Alpine's index: `cargo xtask lock alpine --complete` adds their SHA-256",
                    done.pinned
                ));
            }
            if let Some(error) = done.missing {
                return Err(error);
            }
        }
        report.print(context)
    }
}
