//! What CI runs: files that GitHub reads, checked by what others wrote for that, and by rules of our own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::go_tool::ACTIONLINT;
use tests::{cmd, root, skip, xtask};

/// Every workflow: its name and text.
fn workflows() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(".github/workflows"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push((name, fs::read_to_string(path)?));
    }
    found.sort();
    ensure!(found.len() >= 2, "workflows are missing: {found:?}");
    Ok(found)
}

/// actionlint. `None`, with a line, where its module is not available.
fn actionlint() -> Result<Option<PathBuf>> {
    match ACTIONLINT.pinned() {
        Ok(program) => Ok(Some(program)),
        Err(error) => {
            skip::for_want_of(&format!("{} is not available: {error:#}", ACTIONLINT.package))?;
            Ok(None)
        }
    }
}

#[test]
fn actionlint_finds_nothing() -> Result<()> {
    let Some(program) = actionlint()? else { return Ok(()) };
    let files: Vec<PathBuf> =
        workflows()?.iter().map(|(name, _)| root().join(".github/workflows").join(name)).collect();
    cmd::ok(Command::new(&program).arg("-no-color").args(&files).current_dir(root()))?;
    // It does find mistakes: here a variable that does not exist.
    let dir = tests::scratch::dir()?;
    let bad = dir.path().join("bad.yml");
    let workflows = workflows()?;
    let (_, text) = workflows.iter().find(|(_, text)| text.contains("github.token")).context("no token")?;
    fs::write(&bad, text.replace("github.token", "github.tokem"))?;
    let out = cmd::output(Command::new(&program).arg("-no-color").arg(&bad).current_dir(dir.path()))?;
    ensure!(!out.status.success() && out.stdout.contains("tokem"), "{}{}", out.stdout, out.stderr);
    Ok(())
}

/// The program that looks for security faults in workflows, by its package of `PyPI`.
const ZIZMOR: &str = "zizmor==1.32.0";

/// Installs zizmor beside our own program, once. `None`, with a line, where it is not available.
fn zizmor() -> Result<Option<PathBuf>> {
    let target =
        xtask::program()?.parent().and_then(std::path::Path::parent).context("no target directory")?;
    let dir = target.join("tools").join(ZIZMOR.replace("==", "-"));
    let program = dir.join("bin/zizmor");
    if !program.is_file() {
        let mut pip = Command::new("pip");
        pip.args(["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"])
            .arg(&dir)
            .arg(ZIZMOR);
        let out = cmd::output(&mut pip)?;
        if !out.status.success() {
            skip::for_want_of(&format!("`{ZIZMOR}` is not available: {}", out.stderr.trim()))?;
            return Ok(None);
        }
    }
    Ok(Some(program))
}

#[test]
fn zizmor_finds_nothing() -> Result<()> {
    let Some(program) = zizmor()? else { return Ok(()) };
    let audit = |workflows: &std::path::Path| {
        cmd::output(Command::new(&program).args(["--offline", "--no-progress"]).arg(workflows))
    };
    let out = audit(&root().join(".github/workflows"))?;
    ensure!(out.status.success(), "{}{}", out.stdout, out.stderr);
    // It does find faults: here a branch's name in a script.
    let dir = tests::scratch::dir()?;
    let bad = dir.path().join("bad.yml");
    let release = fs::read_to_string(root().join(".github/workflows/release.yml"))?;
    fs::write(&bad, release.replace("\"$REGISTRY\"", "\"${{ github.head_ref }}\""))?;
    let out = audit(&bad)?;
    ensure!(
        !out.status.success() && out.stdout.contains("template-injection"),
        "{}{}",
        out.stdout,
        out.stderr
    );
    Ok(())
}

/// A release is built from nothing that another workflow could have written.
#[test]
fn a_release_reads_no_cache() -> Result<()> {
    let publishes = |text: &str| text.contains("cargo xtask release") || text.contains("packages: write");
    let found: Vec<_> = workflows()?.into_iter().filter(|(_, text)| publishes(text)).collect();
    ensure!(!found.is_empty(), "no workflow publishes");
    for (name, text) in found {
        ensure!(!text.contains("uses: actions/cache"), "{name}: reads a cache");
    }
    Ok(())
}

/// The event's base commit is of when it was sent; the base branch may have gone on since, and is what is merged into.
#[test]
fn sizes_are_compared_with_the_base_branch_as_it_is() -> Result<()> {
    for (name, text) in workflows()? {
        ensure!(!text.contains("pull_request.base.sha"), "{name}: compares with a commit that may be stale");
    }
    Ok(())
}

/// A tag can be moved to other code; a commit cannot.
#[test]
fn actions_are_pinned_by_commit() -> Result<()> {
    let mut seen = 0;
    for (name, text) in workflows()? {
        for line in
            text.lines().filter(|line| line.trim_start().trim_start_matches("- ").starts_with("uses:"))
        {
            let (_, pin) = line.split_once('@').with_context(|| format!("{name}: no version: {line}"))?;
            let (commit, version) = pin
                .split_once(" # v")
                .with_context(|| format!("{name}: no version beside the commit: {line}"))?;
            let hexadecimal = commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            ensure!(commit.len() == 40 && hexadecimal && !version.is_empty(), "{name}: no commit: {line}");
            seen += 1;
        }
    }
    ensure!(seen >= 8, "only {seen} actions found");
    Ok(())
}

/// The jobs of a workflow: their names and texts.
fn jobs(workflow: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in workflow.lines().skip_while(|line| *line != "jobs:").skip(1) {
        let name = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'));
        match (name.filter(|name| !name.starts_with([' ', '#'])), found.last_mut()) {
            (Some(name), _) => found.push((name, String::new())),
            (None, Some((_, text))) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    found
}

/// A job that may write runs nothing of the checkout, but the publishing one, which may write to no repository: what it has is
/// a file that another job made.
#[test]
fn a_job_that_may_write_runs_nothing_of_the_checkout() -> Result<()> {
    let mut writers = Vec::new();
    for (name, workflow) in workflows()? {
        for (job, text) in jobs(&workflow) {
            let rights = text.lines().map(str::trim).filter(|line| line.ends_with(": write"));
            let rights = rights.collect::<Vec<_>>().join(", ");
            if rights.is_empty() {
                continue;
            }
            writers.push(format!("{name} {job}: {rights}"));
            if rights == "packages: write" {
                continue;
            }
            let uses = text.lines().filter(|line| line.contains("uses:"));
            ensure!(
                uses.clone().all(|line| line.contains("uses: actions/download-artifact@")),
                "{name}: {job} may write and uses {:?}",
                uses.collect::<Vec<_>>()
            );
            for word in ["cargo", "git clone", "git checkout", "git fetch", "./", "bash ", "source "] {
                ensure!(!text.contains(word), "{name}: {job} may write and has `{word}`");
            }
        }
    }
    assert_eq!(
        writers,
        [
            "lock.yml pull-request: contents: write, pull-requests: write",
            "nightly.yml propose: contents: write, pull-requests: write",
            "nightly.yml issue: issues: write",
            "pull-request.yml comment: pull-requests: write",
            "release.yml publish: packages: write",
        ]
    );
    Ok(())
}

/// What a workflow may is little by default.
#[test]
fn permissions_are_the_least() -> Result<()> {
    for (name, text) in workflows()? {
        ensure!(text.contains("\npermissions:\n  contents: read\n"), "{name}: no permissions for all jobs");
        ensure!(!text.contains("write-all") && !text.contains("pull_request_target"), "{name}");
        let kept = text.matches("persist-credentials: false").count();
        ensure!(text.matches("actions/checkout@").count() == kept, "{name}: a checkout keeps its token");
    }
    Ok(())
}
