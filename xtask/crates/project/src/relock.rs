//! Pins that are made again: Alpine's locks and Go's closures; and the plan as Nix reads it.

use std::collections::{BTreeMap, BTreeSet};

use alpine::lock::{self, Lock};
use alpine::relock::Request;
use anyhow::Result;
use catalog::{Alpine, Release};
use fault::{Fault, Kind};
use gobuild::{Closure, Spec};

use crate::checkout::CATALOG;
use crate::generated::GeneratedFile;
use crate::{Checkout, Session, pins};

/// What became of a lock of Alpine's.
#[derive(Debug)]
pub struct Relocked {
    /// The lock, from the top of the repository.
    pub name: String,
    /// In words.
    pub state: String,
    /// Packages that came or went, `+ PATH` and `- PATH`.
    pub changed: Vec<String>,
    /// How many packages have no SHA-256 yet.
    pub pinned: usize,
    /// Why it is not complete, where it was to be.
    pub missing: Option<anyhow::Error>,
}

/// What Nix reads of the plan.
const PLAN: GeneratedFile = GeneratedFile {
    path: plan::nix::PATH,
    of: "images/catalog.toml gives",
    command: "cargo xtask lock plan",
};

/// Makes what Nix reads of the plan, by the catalog; with `check` only compares. Returns what became of it.
pub fn plan(checkout: &Checkout, check: bool) -> Result<&'static str> {
    let done = PLAN.write(checkout, &plan::nix::text(&checkout.catalog_text()?, CATALOG)?, check)?;
    Ok(if done.is_unchanged() { "unchanged" } else { "updated" })
}

/// Makes the lock of an Alpine base by what the indexes give now; with `check` only compares.
pub fn alpine(session: &Session<'_>, alpine: &Alpine, check: bool, index_only: bool) -> Result<Relocked> {
    let path = session.sources.alpine_lock_path(alpine.branch.as_str());
    let name = lock::path(alpine.branch.as_str());
    let there = Lock::read(&path)?;
    if check && there.is_none() {
        return Err(lock::missing(alpine.branch.as_str()).into());
    }
    let made = pins::make_alpine(session, alpine, there.as_ref(), index_only)?;
    let relocked = |name, state: &str, changed| Relocked {
        name,
        state: state.to_owned(),
        changed,
        pinned: pinned_by_index(&made),
        missing: None,
    };
    if there.as_ref() == Some(&made) {
        return Ok(relocked(name, "unchanged", Vec::new()));
    }
    if check {
        let changed = there.map(|there| differences(&there, &made)).unwrap_or_default();
        let message = format!("{name} is not what the catalog and the indexes give now{}", changed.concat());
        return Err(Fault::new(Kind::Stale, message).help("`cargo xtask lock alpine`").into());
    }
    made.write(&path)?;
    Ok(relocked(name, "updated", changed_packages(there.as_ref(), &made)))
}

/// Adds the SHA-256 of packages that are pinned by the index, and writes what there is, even if that is not all.
pub fn complete_alpine(session: &Session<'_>, alpine: &Alpine) -> Result<Relocked> {
    let path = session.sources.alpine_lock_path(alpine.branch.as_str());
    let there = Lock::read(&path)?.ok_or_else(|| lock::missing(alpine.branch.as_str()))?;
    let name = lock::path(alpine.branch.as_str());
    let keyring = &session.sources.alpine_keys()?;
    let fetcher = session.fetcher(alpine.url.as_str());
    let arches = &session.catalog.arches;
    let request = Request { alpine, arches, keyring, previous: Some(&there), index_only: false };
    let done = ::alpine::complete::complete(&there, &request, &fetcher)?;
    let state = if done.added == 0 {
        "unchanged".to_owned()
    } else {
        done.lock.write(&path)?;
        format!("completed by {} packages", done.added)
    };
    let missing = done.missing.into_iter().next();
    Ok(Relocked {
        missing: missing.map(|error| error.context(format!("{name} is not complete"))),
        pinned: pinned_by_index(&done.lock),
        changed: Vec::new(),
        state,
        name,
    })
}

/// How many packages have no SHA-256 yet.
fn pinned_by_index(lock: &Lock) -> usize {
    let packages = lock.arches.values().flat_map(|locked| &locked.packages);
    packages.filter(|package| package.sha256.is_none()).count()
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

/// The closures of these releases, or of all, by directory. Those that `build --unedited` alone reads are among them if
/// one was ever built.
pub fn closures(session: &Session<'_>, releases: &[String]) -> Result<BTreeMap<String, Spec>> {
    let catalog = &session.catalog;
    let chosen: Vec<&Release> = if releases.is_empty() {
        catalog.releases.iter().collect()
    } else {
        let find = |version: &String| {
            catalog.release(version).ok_or_else(|| {
                let known: Vec<_> = catalog.releases.iter().map(|release| release.version.as_str()).collect();
                Fault::new(Kind::NotFound, format!("the catalog has no release `{version}`"))
                    .help(format!("it has {}", known.join(", ")))
            })
        };
        releases.iter().map(find).collect::<Result<_, _>>()?
    };
    let mut specs = Vec::new();
    for release in chosen {
        for closure in [catalog::Closure::Kube, catalog::Closure::Kubeadm, catalog::Closure::CniPlugins] {
            specs.push(plan::spec(catalog, release, closure)?);
        }
        // Components that carry programs on have closures of their own.
        for component in &catalog.components {
            if matches!(component.content(), catalog::Content::Go(go) if !go.carry.is_empty()) {
                let options = plan::Options::default();
                specs.push(session.planner(&options).go_closure(component.name.as_str(), release)?);
            }
        }
        let unedited = plan::unedited(catalog, release)?;
        specs.extend(unedited.into_iter().filter(|spec| Closure::is_there(&session.sources.go(), spec)));
    }
    Ok(specs.into_iter().map(|spec| (spec.dir().display().to_string(), spec)).collect())
}

/// Compares a closure with what its modules give, or where nothing may be asked for, with itself. Returns what it is.
pub fn check_closure(session: &Session<'_>, spec: &Spec) -> Result<&'static str> {
    let root = session.sources.go();
    if session.offline() {
        // A closure that is not there is not wrong; building from it is the error.
        if !root.join(spec.dir()).is_dir() {
            return Ok("not made yet");
        }
        Closure::read(&root, spec)?.check(spec)?;
        return Ok("its versions and sums are complete; its modules were not asked for");
    }
    let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
    let (edits, progress) = (&session.sources.edits, &*session.checkout.progress);
    gobuild::check(&root, spec, edits, tools.go()?, work.path(), progress)?;
    Ok("as its modules give")
}

/// Makes a closure again. Returns what became of it.
pub fn closure(session: &Session<'_>, spec: &Spec) -> Result<&'static str> {
    let root = session.sources.go();
    let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
    let (edits, progress) = (&session.sources.edits, &*session.checkout.progress);
    let known = Closure::read(&root, spec).ok();
    let made = gobuild::generate(spec, known.as_ref(), edits, tools.go()?, work.path(), progress)?;
    if known.is_some_and(|known| known == made) {
        return Ok("unchanged");
    }
    made.write(&root, spec)?;
    Ok("updated")
}
