//! Programs that no image of ours has, compiled by the pinned Go alone: what tests run beside our images.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::{Progress, Task};
use serde::Serialize;

use crate::closure::Closure;
use crate::modules::{download, problem};
use crate::recipe::{LinkerVars, Target};
use crate::tools::{Tools, Work};

/// A program that is compiled from a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Own {
    /// Ours.
    Text(String),
    /// A module's own, without some of its lines: imports of what it can do without.
    Without {
        /// The module.
        module: String,
        /// The path of its file.
        file: String,
        /// The lines, each of which the file has once.
        lines: Vec<String>,
    },
}

impl Own {
    /// The file's text; `dir` finds the directory of a module.
    fn text(&self, dir: impl Fn(&str) -> Result<PathBuf>) -> Result<String> {
        let (module, file, lines) = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Without { module, file, lines } => (module, file, lines),
        };
        let path = dir(module)?.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {module}'s {file}"))?;
        for line in lines {
            let count = text.lines().filter(|found| *found == line).count();
            if count != 1 {
                let message = format!("{module}'s {file} has the line `{}` {count} times", line.trim());
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
        }
        Ok(text
            .lines()
            .filter(|line| !lines.iter().any(|left| left == line))
            .flat_map(|line| [line, "\n"])
            .collect())
    }
}

/// What there is to build. Unlike a [`crate::Recipe`], it does not promise equal bytes: modules are verified as the go
/// command does, when they are fetched.
#[derive(Clone, Debug)]
pub struct Plain<'a> {
    /// For messages.
    pub name: &'a str,
    /// What its modules are pinned by.
    pub closure: &'a Closure,
    /// The architecture, by Go's name.
    pub arch: &'a str,
    /// The `main` packages, by import path.
    pub packages: &'a [String],
    /// Packages whose tests become programs, as in `e2e.test` for one that ends with `e2e`.
    pub tests: &'a [String],
    /// Files of a module that are wanted beside the programs, at their paths in it.
    pub files: Option<(&'a str, &'a [&'a str])>,
    /// A `main` package called `own`, that the closure has all modules of.
    pub own: Option<&'a Own>,
    /// Build tags.
    pub tags: &'a [&'a str],
    /// What the linker writes into package variables.
    pub stamps: &'a LinkerVars,
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
        if let Some(own) = self.own {
            let text = own.text(|module| self.module_dir(tools, &work, module))?;
            let dir = work.module().join("own");
            fs::create_dir(&dir).context("making a package")?;
            fs::write(dir.join("main.go"), text).context("writing main.go")?;
            packages.push("./own".to_owned());
        }
        self.go(tools, &work, &["build"], jobs, &format!("{}/", out.display()), &packages, &*task)?;
        for package in self.tests {
            let name = format!("{}.test", package.rsplit('/').next().unwrap_or(package));
            let to = out.join(name).display().to_string();
            self.go(tools, &work, &["test", "-c"], jobs, &to, slice::from_ref(package), &*task)?;
        }
        self.copy_files(tools, &work, out)
    }

    /// Runs a command of Go's that compiles packages into `to`.
    #[expect(clippy::too_many_arguments, reason = "what a command is made of")]
    fn go(
        &self,
        tools: &Tools,
        work: &Work,
        command: &[&str],
        jobs: usize,
        to: &str,
        packages: &[String],
        task: &dyn Task,
    ) -> Result<()> {
        let mut errors = String::new();
        let finished = tools
            .go_fetching(&Target::plain(self.arch), work)?
            .env("CGO_ENABLED", "0")
            .args(command)
            .arg(format!("-p={}", jobs.max(1)))
            .args(["-v", "-trimpath", "-mod=readonly", "-buildvcs=false"])
            .arg(format!("-tags={}", self.tags.join(",")))
            // Modules of old take names from the standard library that it no longer gives by itself.
            .arg(format!("-ldflags=-s -w -buildid= -checklinkname=0{}", self.stamps.flags()?))
            .args(["-o", to])
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

    /// Where a module of the closure lies, fetched if it is missing.
    fn module_dir(&self, tools: &Tools, work: &Work, module: &str) -> Result<PathBuf> {
        let go = tools.go_fetching(&Target::plain(self.arch), work)?;
        let answers = download(go, &[module.to_owned()])?;
        let found = answers.into_iter().next().context("no answer for a module")?;
        if found.error.is_empty() {
            return Ok(found.dir);
        }
        Err(problem(format!("{module}: {}", found.error), &[&found.error], tools.offline))
    }

    fn copy_files(&self, tools: &Tools, work: &Work, out: &Path) -> Result<()> {
        let Some((module, files)) = self.files else { return Ok(()) };
        let dir = self.module_dir(tools, work, module)?;
        for name in files {
            let to = out.join(name);
            fs::create_dir_all(to.parent().context("a file without a directory")?)?;
            // Files of modules are read-only; their copies are the store's.
            let bytes = fs::read(dir.join(name)).with_context(|| format!("reading {module}'s {name}"))?;
            fs::write(&to, bytes).with_context(|| format!("writing {}", to.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_loses_just_the_lines_that_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main.go"), "import (\n\t_ \"a\"\n\t_ \"b\"\n)\n\n\n").unwrap();
        let own = |line: &str| {
            let own =
                Own::Without { module: "e.x/m".into(), file: "main.go".into(), lines: vec![line.into()] };
            own.text(|_| Ok(dir.path().to_owned())).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(own("\t_ \"a\"").unwrap(), "import (\n\t_ \"b\"\n)\n\n\n");
        insta::assert_snapshot!(own("\t_ \"c\"").unwrap_err(), @r#"e.x/m's main.go has the line `_ "c"` 0 times"#);
        insta::assert_snapshot!(own("").unwrap_err(), @"e.x/m's main.go has the line `` 2 times");
    }
}
