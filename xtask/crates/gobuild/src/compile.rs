//! From a recipe to a binary.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use elf::NotStatic;
use fault::{Fault, Kind};
use progress::{Progress, Task};

use crate::modules::{Listing, list, verify};
use crate::prune::Watch;
use crate::recipe::Recipe;
use crate::tools::{Tools, Work};
use crate::{edit, join, templates};

/// How many lines of compiler errors are repeated.
const ERRORS: usize = 40;

/// Compiles `recipe`'s programs into the one binary `out`, with at most `jobs` compilers at a time. Nothing is
/// fetched: all modules must be in the module cache, and each is compared with go.sum first. `work` is a directory
/// for temporary files; `out` is replaced whole, or not at all.
pub fn compile(
    recipe: &Recipe,
    tools: &Tools,
    jobs: usize,
    work: &Path,
    out: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let task = progress.task(&format!("{} for {}", recipe.name(), recipe.target.goarch), None);
    let (work, listing) = prepare(recipe, tools, work, false, &*task)?;
    let mut left_out = edit::apply(&recipe.edits, &recipe.go_mod, &listing, &work.module())?;
    let overlay = templates::overlay(recipe, tools, &work, &listing, &mut left_out)?;
    let package = if let Some(source) = &recipe.join {
        join::write(&work.module(), source, &recipe.programs, &listing)?;
        "."
    } else {
        let [program] = recipe.programs.as_slice() else {
            return Err(Fault::new(Kind::InvalidData, "several programs, and nothing that joins them").into());
        };
        program.package.as_str()
    };
    build(recipe, tools, jobs, &work, &overlay, package, &*task)?.check(&recipe.name(), &left_out)?;
    let bytes = fs::read(work.output()).context("reading the compiled program")?;
    elf::check_static(&bytes, recipe.target.elf_machine).map_err(|why| {
        let why = match why {
            NotStatic::OtherMachine(_) => format!("it is for another machine than {}", recipe.target.goarch),
            other => other.to_string(),
        };
        Fault::new(Kind::ToolFailed, format!("{} was compiled, but {why}", recipe.name()))
    })?;
    install(&work.output(), out).with_context(|| format!("writing {}", out.display()))
}

/// A module of our own that has the recipe's, verified, and not edited yet; what is missing is fetched if it may be.
pub(crate) fn prepare(
    recipe: &Recipe,
    tools: &Tools,
    work: &Path,
    fetching: bool,
    task: &dyn Task,
) -> Result<(Work, Listing)> {
    tools.check_versions(recipe)?;
    let work = Work::new(work, &recipe.go_mod, &recipe.go_sum)?;
    let listing = list(recipe, tools, &work, fetching, &|_| {})?;
    task.detail("comparing modules with go.sum");
    verify(recipe, &listing)?;
    Ok((work, listing))
}

/// What packages are compiled with, whatever is linked of them: flags of `go build` and `go test`.
pub(crate) fn flags(recipe: &Recipe) -> Vec<String> {
    let tags = format!("-tags={}", recipe.flags.tags.join(","));
    let gcflags = recipe.flags.gcflags.iter().map(|flags| format!("-gcflags={flags}"));
    std::iter::once(tags).chain(gcflags).collect()
}

/// Compiles and links; returns what the linker wrote.
fn build(
    recipe: &Recipe,
    tools: &Tools,
    jobs: usize,
    work: &Work,
    overlay: &[String],
    package: &str,
    task: &dyn Task,
) -> Result<Watch> {
    let mut errors: Vec<String> = Vec::new();
    let mut watch = Watch::default();
    let dump = if recipe.flags.prune { "-dumpdep" } else { "" };
    // The linker's own `-s` spares Go's symbols; the C linker's, 10 MB of musl's.
    let external = if recipe.flags.pure { "" } else { "-linkmode external -extldflags '-static -s'" };
    let run = tools
        .go(&recipe.target, work)?
        .env("CGO_ENABLED", recipe.flags.cgo())
        .arg("build")
        .arg(format!("-p={}", jobs.max(1)))
        .args(["-v", "-trimpath", "-mod=readonly", "-buildvcs=false"])
        .args(flags(recipe))
        .args(overlay)
        .arg(format!(
            "-ldflags=-s -w -buildid= {dump} {} {external}{}",
            recipe.flags.ldflags.join(" "),
            recipe.stamps.flags()?
        ))
        .arg("-o")
        .arg(work.output())
        .arg(package);
    let finished = run
        .on_line(|line| {
            // `-v` names each package as its turn comes; errors have spaces.
            if watch.take(line) {
                return;
            }
            if line.contains(' ') {
                if errors.len() < ERRORS {
                    errors.push(line.to_owned());
                }
            } else {
                task.detail(line);
            }
        })
        .finish()?;
    if finished.status.success() {
        return Ok(watch);
    }
    let text = if errors.is_empty() { finished.stderr_tail } else { errors.join("\n") };
    let full = text.contains("no space left on device") || text.contains("disk quota exceeded");
    let kind = if full { Kind::Storage } else { Kind::ToolFailed };
    let mut message =
        format!("{} for {} does not compile ({})", recipe.name(), recipe.target.goarch, finished.status);
    for line in text.lines() {
        message.push_str("\n  | ");
        message.push_str(line);
    }
    Err(Fault::new(kind, message).into())
}

/// Puts `from` in the place of `to`, whole and with fixed permissions.
fn install(from: &Path, to: &Path) -> Result<()> {
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut source = fs::File::open(from)?;
    files::write_with(to, 0o755, |mut out| {
        std::io::copy(&mut source, &mut out)?;
        Ok(())
    })
}
