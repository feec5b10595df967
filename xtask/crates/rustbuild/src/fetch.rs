//! Gets what a build needs, so that it can do without a network.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use progress::Progress;

use crate::{Dirs, Tools, compile, rustup};

/// Gets the crates of the entrypoint in `source`, the standard library's sources and its crates. After it, [`crate::build`]
/// works with [`crate::Job::offline`].
pub fn fetch(tools: &Tools, dirs: &Dirs, source: &Path, progress: &dyn Progress) -> Result<()> {
    compile::check_versions(tools, dirs)?;
    rustup::ensure(tools, dirs, false, progress)?;
    let task = progress.task("crates of the entrypoint", None);
    cargo_fetch(tools, dirs, source)?;
    task.detail("crates of the standard library");
    cargo_fetch(tools, dirs, &tools.toolchain.join("lib/rustlib/src/rust/library"))
}

fn cargo_fetch(tools: &Tools, dirs: &Dirs, package: &Path) -> Result<()> {
    fs::create_dir_all(&dirs.work).with_context(|| format!("cannot make {}", dirs.work.display()))?;
    let run = Run::new(tools.toolchain.join("bin/cargo"))
        .args(["fetch", "--locked", "--quiet", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .cwd(&dirs.work)
        .env("RUSTC_BOOTSTRAP", "1");
    let finished = rustup::network(compile::environment(run, tools, dirs)).finish()?;
    if finished.status.success() {
        return Ok(());
    }
    let message =
        format!("the crates of {} could not be fetched:\n{}", package.display(), finished.stderr_tail);
    Err(Fault::new(Kind::Unavailable, message)
        .help("check the network, and the mirror in cargo's config")
        .into())
}
