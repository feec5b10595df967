//! Pins that a build needs and that are missing are made first.

use alpine::lock::{self, Lock};
use alpine::relock::{self, Request};
use anyhow::Result;
use catalog::Alpine;
use fault::{Fault, Kind};
use gobuild::{Closure, Spec};

use crate::Session;

/// Makes the closures that a build of these attributes needs and that are missing, as cargo makes a missing lock file.
pub fn ensure_closures(session: &Session<'_>, needed: &[Spec], locked: bool) -> Result<()> {
    let root = session.sources.go();
    let progress = &*session.checkout.progress;
    for spec in needed.iter().filter(|spec| !Closure::is_there(&root, spec)) {
        let name = format!("images/go/{}", spec.dir().display());
        if locked {
            return Err(Fault::new(
                Kind::Stale,
                format!("{name} is missing, and cannot be made with `--locked`"),
            )
            .help("`cargo xtask lock go`")
            .into());
        }
        progress.note(&format!("{name} is missing: making it"));
        let work = session.store.scratch_dir()?;
        let made = gobuild::generate(
            spec,
            None,
            &session.sources.edits,
            session.tools()?.go()?,
            work.path(),
            progress,
        )?;
        made.write(&root, spec)?;
    }
    Ok(())
}

/// Makes the locks that a build needs and that are missing, as cargo makes a missing lock file.
pub fn ensure_alpine(session: &Session<'_>, needed: &[&Alpine], locked: bool) -> Result<()> {
    for alpine in needed {
        let path = session.sources.alpine_lock_path(alpine.branch.as_str());
        let name = lock::path(alpine.branch.as_str());
        if path.is_file() {
            continue;
        }
        if locked {
            let fault = lock::missing(alpine.branch.as_str());
            return Err(fault.help("without --locked a build makes it first").into());
        }
        session.checkout.progress.note(&format!("{}: making it", lock::missing(alpine.branch.as_str())));
        make_alpine(session, alpine, None, false)?.write(&path)?;
        session.checkout.tell_untracked([&name])?;
    }
    Ok(())
}

/// Makes the lock of an Alpine base by what the indexes give now.
pub fn make_alpine(
    session: &Session<'_>,
    alpine: &Alpine,
    previous: Option<&Lock>,
    index_only: bool,
) -> Result<Lock> {
    let keyring = &session.sources.alpine_keys()?;
    let fetcher = session.fetcher(alpine.url.as_str());
    relock::make(
        &Request { alpine, arches: &session.catalog.arches, keyring, previous, index_only },
        &fetcher,
    )
}
