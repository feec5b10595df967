//! `lock alpine`: images/locks/alpine-BRANCH.json.

use std::collections::BTreeSet;

use ::alpine::lock::{self, Lock};
use ::alpine::relock::Request;
use anyhow::Result;
use catalog::Alpine;
use fault::{Fault, Kind};
use project::{Session, pins};

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
            return Err(Fault::new(Kind::Unknown, format!("no base in the catalog is on Alpine `{branch}`"))
                .help(format!("there are bases on {}", known.join(", ")))
                .into());
        }
        let mut report = Report::new();
        for alpine in chosen {
            self.one(context, &session, alpine, &mut report)?;
        }
        report.print(context)
    }

    fn one(
        &self,
        context: &Context,
        session: &Session<'_>,
        alpine: &Alpine,
        report: &mut Report,
    ) -> Result<()> {
        let path = session.sources.alpine_lock_path(alpine.branch.as_str());
        let name = lock::path(alpine.branch.as_str());
        let there = Lock::read(&path)?;
        if self.check && there.is_none() {
            return Err(lock::missing(alpine.branch.as_str()).into());
        }
        if self.complete {
            let there = there.ok_or_else(|| lock::missing(alpine.branch.as_str()))?;
            return complete(context, session, alpine, &there, report);
        }
        let made = pins::make_alpine(session, alpine, there.as_ref(), self.index_only)?;
        let tell_pinned = || tell_pinned(session, &made);
        if there.as_ref() == Some(&made) {
            report.add(context, &name, "unchanged");
            tell_pinned();
            return Ok(());
        }
        if self.check {
            let changed = there.map(|there| differences(&there, &made)).unwrap_or_default();
            let message =
                format!("{name} is not what the catalog and the indexes give now{}", changed.concat());
            return Err(Fault::new(Kind::Stale, message).help("`cargo xtask lock alpine`").into());
        }
        made.write(&path)?;
        report.add(context, &name, "updated");
        report.changed(context, changed_packages(there.as_ref(), &made));
        tell_pinned();
        Ok(())
    }
}

/// Completes a lock and writes what it has got, even if that is not all.
fn complete(
    context: &Context,
    session: &Session<'_>,
    alpine: &Alpine,
    there: &Lock,
    report: &mut Report,
) -> Result<()> {
    let name = lock::path(alpine.branch.as_str());
    let keyring = &session.sources.alpine_keys()?;
    let fetcher = session.fetcher(alpine.url.as_str());
    let arches = &session.catalog.arches;
    let request = Request { alpine, arches, keyring, previous: Some(there), index_only: false };
    let done = ::alpine::complete::complete(there, &request, &fetcher)?;
    if done.added == 0 {
        report.add(context, &name, "unchanged");
    } else {
        done.lock.write(&session.sources.alpine_lock_path(alpine.branch.as_str()))?;
        report.add(context, &name, &format!("completed by {} packages", done.added));
    }
    tell_pinned(session, &done.lock);
    match done.missing.into_iter().next() {
        Some(error) => Err(error.context(format!("{name} is not complete"))),
        None => Ok(()),
    }
}

/// Says how many packages have no SHA-256 yet.
fn tell_pinned(session: &Session<'_>, lock: &Lock) {
    let packages = lock.arches.values().flat_map(|locked| &locked.packages);
    let count = packages.filter(|package| package.sha256.is_none()).count();
    if count > 0 {
        session.checkout.progress.note(&format!(
            "{count} packages are pinned by Alpine's index: `cargo xtask lock alpine --complete` adds their SHA-256"
        ));
    }
}

/// The packages that one lock has and the other has not: none if only the indexes are newer.
fn changed_packages(there: Option<&Lock>, made: &Lock) -> Vec<String> {
    let paths = |lock: Option<&Lock>| {
        let arches = lock.into_iter().flat_map(|lock| lock.arches.values());
        arches
            .flat_map(|locked| locked.packages.iter().map(|package| package.path.clone()))
            .collect::<BTreeSet<_>>()
    };
    let (there, made) = (paths(there), paths(Some(made)));
    let gone = there.difference(&made).map(|path| format!("- {path}"));
    gone.chain(made.difference(&there).map(|path| format!("+ {path}"))).collect()
}

/// What is in one lock and not in the other, a line each.
fn differences(there: &Lock, made: &Lock) -> Vec<String> {
    let lines = |lock: &Lock| {
        let of = |(arch, locked): (&String, &::alpine::lock::ArchLock)| {
            let pin = |package: &::alpine::lock::LockedPackage| match package.sha256 {
                Some(sha256) => format!("{} {sha256}", package.path),
                None => format!("{} {}", package.path, package.checksum),
            };
            let rootfs = format!("{} {}", locked.rootfs.path, locked.rootfs.sha256);
            let files = locked.packages.iter().map(pin).chain([rootfs]);
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
