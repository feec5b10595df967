//! Programs that no image of ours has, compiled by the pinned Go alone: what tests run beside our images.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use progress::Progress;

use crate::closure::Closure;
use crate::modules::problem;
use crate::recipe::{Stamps, Target};
use crate::tools::{Tools, Work};

/// What there is to build. Unlike a [`crate::Recipe`], it does not promise equal bytes: modules are verified as the go
/// command does, when they are fetched.
#[derive(Clone, Debug)]
pub struct Plain<'a> {
    /// For messages.
    pub name: &'a str,
    /// What its modules are pinned by.
    pub closure: &'a Closure,
    /// The architecture, as in attributes.
    pub arch: &'a str,
    /// The `main` packages, by import path.
    pub packages: &'a [String],
    /// A `main` package of our own, called `own`, that the closure has all modules of.
    pub own: Option<&'a str>,
    /// Build tags.
    pub tags: &'a [&'a str],
    /// What the linker writes into package variables.
    pub stamps: &'a Stamps,
}

impl Plain<'_> {
    /// Compiles them, without C and stripped, into the directory `out`: each a file of its package's last element (or the
    /// one before a major version, as the go command has it). Modules that are missing are fetched, unless that is
    /// forbidden. `work` is a directory for temporary files.
    pub fn build(
        &self,
        tools: &Tools,
        jobs: usize,
        work: &Path,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<()> {
        let task = progress.task(&format!("{} for {}", self.name, self.arch), None);
        let work = Work::new(work, &self.closure.go_mod, &self.closure.go_sum)?;
        let mut packages = self.packages.to_vec();
        if let Some(text) = self.own {
            let dir = work.module().join("own");
            fs::create_dir(&dir).context("making a package")?;
            fs::write(dir.join("main.go"), text).context("writing main.go")?;
            packages.push("./own".to_owned());
        }
        let mut errors = String::new();
        let finished = tools
            .go_fetching(&Target::by_name(self.arch)?, &work)?
            .env("CGO_ENABLED", "0")
            .arg("build")
            .arg(format!("-p={}", jobs.max(1)))
            .args(["-v", "-trimpath", "-mod=readonly", "-buildvcs=false"])
            .arg(format!("-tags={}", self.tags.join(",")))
            // Modules of old take names from the standard library that it no longer gives by itself.
            .arg(format!("-ldflags=-s -w -buildid= -checklinkname=0{}", self.stamps.flags()?))
            .arg("-o")
            .arg(format!("{}/", out.display()))
            .args(packages)
            .on_line(|line| {
                // `-v` names each package as its turn comes; errors, and what is fetched, have spaces.
                let fetched = line.strip_prefix("go: downloading ");
                if let Some(detail) = fetched.or((!line.contains(' ')).then_some(line)) {
                    task.detail(detail);
                } else {
                    errors.push_str("\n  | ");
                    errors.push_str(line);
                }
            })
            .finish()?;
        if finished.status.success() {
            return Ok(());
        }
        let message =
            format!("{} for {} does not compile ({}){errors}", self.name, self.arch, finished.status);
        Err(problem(message, &[&errors], tools.offline))
    }
}
