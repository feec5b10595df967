//! Programs of others, written in Go, that our own work is tried on: independent readers, clients and verifiers.

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
/// Reads GitHub's workflows.
pub const ACTIONLINT: Tool =
    Tool { name: "actionlint", package: "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12" };
/// The distribution specification's own test of registries.
pub const CONFORMANCE: Tool = Tool {
    name: "conformance",
    package: "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111",
};

/// A program of a Go module.
#[derive(Debug)]
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// Its package, with a version.
    pub package: &'static str,
}

impl Tool {
    /// The program, if it is in PATH or was built before.
    pub fn found(&self) -> Result<Option<PathBuf>> {
        let built = self.built()?;
        Ok(skip::which(self.name).or_else(|| built.is_file().then_some(built)))
    }

    /// The program, from PATH or built once.
    pub fn program(&self) -> Result<PathBuf> {
        skip::which(self.name).map_or_else(|| self.pinned(), Ok)
    }

    /// The program of this very version, built once.
    pub fn pinned(&self) -> Result<PathBuf> {
        // One test at a time makes it.
        static MADE: Mutex<()> = Mutex::new(());
        let _made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let built = self.built()?;
        if !built.is_file() {
            let bin = built.parent().context("it is in no directory")?;
            let mut go = Command::new("go");
            go.args(["install", self.package]).env("GOBIN", bin).env("GOFLAGS", "").env("CGO_ENABLED", "0");
            cmd::ok(&mut go)?;
        }
        Ok(built)
    }

    fn built(&self) -> Result<PathBuf> {
        let dir = xtask::program()?.parent().context("xtask is in no directory")?;
        let version = self.package.rsplit('@').next().unwrap_or_default();
        Ok(dir.join(format!("test-tools/{}-{version}", self.name)).join(self.name))
    }
}
