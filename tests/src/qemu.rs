//! Other architectures' programs, under qemu's user mode.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use catalog::Catalog;

use crate::cmd;

/// The emulator for an architecture, as Debian calls the one that needs no libraries.
pub fn program(arch: &str) -> Result<String> {
    let arches = Catalog::read(&crate::root().join("images/catalog.toml"))?.arches;
    let known = arches.into_iter().find(|known| known.name == *arch);
    Ok(format!("{}-static", known.with_context(|| format!("the catalog has no `{arch}`"))?.qemu))
}

/// Runs a static program to its end, however that is.
pub fn output(arch: &str, file: &Path, args: &[&str]) -> Result<cmd::Output> {
    cmd::output(Command::new(program(arch)?).arg(file).args(args))
}
