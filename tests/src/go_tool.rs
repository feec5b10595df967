//! Programs of others, written in Go, that images are tried on: independent readers, clients and verifiers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::{cmd, skip, xtask};

/// Reads images and speaks to registries.
pub const CRANE: Tool =
    Tool { name: "crane", package: "github.com/google/go-containerregistry/cmd/crane@v0.20.6" };
/// Verifies signatures. Compiling it takes minutes.
pub const COSIGN: Tool = Tool { name: "cosign", package: "github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5" };

/// A program of a Go module.
#[derive(Debug)]
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// Its package, with a version.
    package: &'static str,
}

impl Tool {
    /// The program, if it is in PATH or was built before.
    pub fn found(&self) -> Result<Option<PathBuf>> {
        let built = self.built()?;
        Ok(skip::which(self.name).or_else(|| built.is_file().then_some(built)))
    }

    /// The program, from PATH or built once.
    pub fn program(&self) -> Result<PathBuf> {
        // One test at a time makes it.
        static MADE: Mutex<()> = Mutex::new(());
        let _made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.found()? {
            return Ok(found);
        }
        let built = self.built()?;
        let bin = built.parent().context("it is in no directory")?;
        let mut go = Command::new("go");
        cmd::ok(go.args(["install", self.package]).env("GOBIN", bin).env("CGO_ENABLED", "0"))?;
        Ok(built)
    }

    fn built(&self) -> Result<PathBuf> {
        let dir = xtask::program()?.parent().context("xtask is in no directory")?;
        Ok(dir.join("test-tools").join(self.name))
    }
}
