//! `lock alpine`: images/locks/alpine-BRANCH.json.

use ::alpine::lock::{self, Lock};
use ::alpine::relock::{self, Request};
use anyhow::Result;
use catalog::Alpine;
use fault::{Fault, Kind};

use super::Report;
use crate::cmd::session::{How, Session};
use crate::context::Context;

/// Lock the packages of Alpine bases, or check the lock: resolves them on Alpine's signed indexes, for all architectures.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask lock alpine
  cargo xtask lock alpine --mirror /srv/alpine       files below it as on Alpine's servers: v3.15/main/x86_64/...
  cargo xtask lock alpine --branch v3.15 --check")]
pub(crate) struct LockAlpine {
    /// The bases on this branch only [default: all].
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Change nothing; fail if the lock is not what the indexes give now.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    how: How,
}

impl LockAlpine {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(context, &self.how)?;
        let all: Vec<&Alpine> =
            session.catalog.bases.iter().filter_map(|base| base.alpine.as_ref()).collect();
        let meant = |alpine: &&Alpine| self.branch.as_ref().is_none_or(|branch| alpine.branch == **branch);
        let chosen: Vec<&Alpine> = all.iter().copied().filter(meant).collect();
        if let (Some(branch), []) = (&self.branch, chosen.as_slice()) {
            let known: Vec<&str> = all.iter().map(|alpine| alpine.branch.as_str()).collect();
            return Err(Fault::new(
                Kind::Unknown,
                format!("no base in the catalog stands on Alpine `{branch}`"),
            )
            .help(format!("there are bases on {}", known.join(", ")))
            .into());
        }
        let mut report = Report::new();
        for alpine in chosen {
            self.one(&session, alpine, &mut report)?;
        }
        report.print(context)
    }

    fn one(&self, session: &Session<'_>, alpine: &Alpine, report: &mut Report) -> Result<()> {
        let path = session.sources.alpine_lock_path(alpine.branch.as_str());
        let name = lock::path(alpine.branch.as_str());
        let there = Lock::read(&path)?;
        if self.check && there.is_none() {
            return Err(Fault::new(Kind::Stale, format!("{name} is missing"))
                .help("`cargo xtask lock alpine`")
                .into());
        }
        let made = make(session, alpine, there.as_ref())?;
        if there.as_ref() == Some(&made) {
            report.add(session.context, &name, "unchanged");
            return Ok(());
        }
        if self.check {
            let changed = there.map(|there| differences(&there, &made)).unwrap_or_default();
            let message =
                format!("{name} is not what the catalog and the indexes give now{}", changed.concat());
            return Err(Fault::new(Kind::Stale, message).help("`cargo xtask lock alpine`").into());
        }
        made.write(&path)?;
        report.add(session.context, &name, "made anew");
        Ok(())
    }
}

fn make(session: &Session<'_>, alpine: &Alpine, previous: Option<&Lock>) -> Result<Lock> {
    let keyring = &session.sources.alpine_keys()?;
    let mirrors = session.mirrors();
    let fetcher = session.fetcher(&mirrors, alpine.url.as_str());
    relock::make(&Request { alpine, arches: &session.catalog.arches, keyring, previous }, &fetcher)
}

/// What is in one lock and not in the other, a line each.
fn differences(there: &Lock, made: &Lock) -> Vec<String> {
    let lines = |lock: &Lock| {
        let of = |(arch, locked): (&String, &::alpine::lock::ArchLock)| {
            let files = locked.packages.iter().map(::alpine::lock::LockedPackage::file);
            let files =
                files.chain([locked.rootfs.clone()]).map(|file| format!("{} {}", file.path, file.sha256));
            let indexes = locked.indexes.iter().map(|index| format!("{} {}", index.path, index.sha256));
            let worlds = locked
                .worlds
                .iter()
                .map(|(product, world)| format!("{arch} {product}: {}", world.install.join(" ")));
            files.chain(indexes).chain(worlds).collect::<Vec<_>>()
        };
        lock.arches.iter().flat_map(of).collect::<Vec<_>>()
    };
    let (there, made) = (lines(there), lines(made));
    let gone = there.iter().filter(|line| !made.contains(line)).map(|line| format!("\n  - {line}"));
    gone.chain(made.iter().filter(|line| !there.contains(line)).map(|line| format!("\n  + {line}"))).collect()
}

/// Makes the locks that a build needs and that are missing, as cargo makes a missing lock file.
pub(crate) fn ensure_alpine(session: &Session<'_>, needed: &[&Alpine], locked: bool) -> Result<()> {
    for alpine in needed {
        let path = session.sources.alpine_lock_path(alpine.branch.as_str());
        let name = lock::path(alpine.branch.as_str());
        if path.is_file() {
            continue;
        }
        if locked {
            return Err(Fault::new(
                Kind::Stale,
                format!("{name} is missing, and --locked forbids to make it"),
            )
            .help("`cargo xtask lock alpine`")
            .into());
        }
        session.context.progress.note(&format!("{name} is missing: making it"));
        make(session, alpine, None)?.write(&path)?;
        session.context.tell_untracked([&name])?;
    }
    Ok(())
}
