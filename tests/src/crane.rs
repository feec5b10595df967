//! `crane`, an independent reader of images and client of registries.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::{cmd, skip, xtask};

/// Pinned by version; Go's checksum database vouches for the rest.
const CRANE: &str = "github.com/google/go-containerregistry/cmd/crane@v0.20.6";

/// The program, from PATH or built once.
pub fn program() -> Result<PathBuf> {
    // One test at a time makes it.
    static MADE: Mutex<()> = Mutex::new(());
    let _made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = skip::which("crane") {
        return Ok(found);
    }
    let bin = xtask::program()?.parent().context("xtask is in no directory")?.join("test-tools");
    let program = bin.join("crane");
    if !program.is_file() {
        cmd::ok(Command::new("go").args(["install", CRANE]).env("GOBIN", &bin).env("CGO_ENABLED", "0"))?;
    }
    Ok(program)
}
