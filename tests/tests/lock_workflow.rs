//! What `.github/workflows/lock.yml` does, by its own scripts: with the real xtask, and a `gh` that writes down what it is asked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tests::alpine::{Place, real};
use tests::{cmd, root, scratch, skip, xtask};

/// The script of a job's step: the first one that has this word.
fn script(word: &str) -> Result<String> {
    let workflow = fs::read_to_string(root().join(".github/workflows/lock.yml"))?;
    let mut scripts = Vec::new();
    let mut lines = workflow.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with("run: |") {
            continue;
        }
        let mut text = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("          ") || line.is_empty()) {
            text.extend([line.trim_start_matches("          "), "\n"]);
        }
        scripts.push(text);
    }
    scripts.into_iter().find(|text| text.contains(word)).with_context(|| format!("no script has `{word}`"))
}

/// Runs a script as GitHub does.
fn run(script: &str, dir: &Path, path: &str, variables: &[(&str, &str)]) -> Result<String> {
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).current_dir(dir).env("PATH", path);
    cmd::ok(bash.envs(variables.iter().copied()))
}

#[test]
fn packages_that_changed_are_news_and_newer_indexes_are_not() -> Result<()> {
    if skip::without(&["bash", "jq"])? {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let checkout = place.dir.path().join("checkout");
    let cargo = format!("#!/bin/sh\nshift\nexec '{}' \"$@\"\n", xtask::program()?.display());
    let path = scratch::path_with(&place.dir.path().join("bin"), "cargo", &cargo)?;
    let output = place.dir.path().join("output");
    let mirror = place.dir.path().join("mirror").display().to_string();
    let script = script("xtask lock alpine")?;
    let outputs = || -> Result<String> {
        let _ = fs::remove_dir_all(checkout.join("locks"));
        fs::write(&output, "")?;
        let variables =
            [("GITHUB_OUTPUT", output.to_str().context("not UTF-8")?), ("KUBELET_IMAGES_MIRROR", &mirror)];
        run(&script, &checkout, &path, &variables)?;
        Ok(fs::read_to_string(&output)?)
    };
    let changed = || fs::read_to_string(checkout.join("locks/changed.txt"));
    let first = outputs()?;
    ensure!(first.starts_with("changed=true\nreleases=[\"v"), "{first}");
    ensure!(changed()?.contains("\n    + v3.15/main/aarch64/test-tool-1.0-r0.apk\n"), "{}", changed()?);
    let lock = fs::read(place.lock())?;
    ensure!(fs::read(checkout.join("locks/alpine-3.15.json"))? == lock, "the lock is another");

    place.publish("v3.15.11-2-gtest", &["test-tool", "test-libs"])?;
    ensure!(outputs()?.starts_with("changed=false\n"), "a newer index is news");
    ensure!(fs::read(place.lock())? != lock && changed()?.is_empty(), "{}", changed()?);
    place.publish("v3.15.11-3-gtest", &["test-tool"])?;
    ensure!(outputs().is_err(), "a world that cannot be resolved is locked");
    Ok(())
}

/// A `gh` that knows which branch, file and pull request there are by files named like them, and keeps what it is given.
const GH: &str = r#"#!/bin/bash
echo "$*" >>calls
case "$*" in
  "api --method PATCH "*) [ -e branch ] ;;
  "api --method POST "*) touch branch ;;
  "api --method PUT "*) cat >"put-$(basename "$4")" ;;
  "api "*) [ -e file ] && echo 0123abc || { echo '{"message":"Not Found"}'; exit 1; } ;;
  "pr list "*) [ -e pull ] && echo 7 || true ;;
  "pr edit "* | "pr create "*) cp body.md "body" ;;
  *) exit 1 ;;
esac
"#;

#[test]
fn a_lock_becomes_a_pull_request_or_brings_the_open_one_up_to_date() -> Result<()> {
    if skip::without(&["bash", "jq"])? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let dir = scratch.path();
    let path = scratch::path_with(&dir.join("bin"), "gh", GH)?;
    fs::create_dir(dir.join("locks"))?;
    // More than an argument of a program may have.
    let lock = "{\"a lock\"}".repeat(30_000);
    fs::write(dir.join("locks/alpine-3.15.json"), &lock)?;
    fs::write(dir.join("locks/changed.txt"), "    + v3.15/main/x86_64/app-1.0-r1.apk\n")?;
    let script = script("gh pr create")?;
    let variables = [
        ("BRANCH", "lock-alpine"),
        ("GH_REPO", "owner/images"),
        ("GITHUB_SHA", "deadbeef"),
        ("GITHUB_REF_NAME", "main"),
    ];
    let run = || -> Result<(String, Value)> {
        let _ = fs::remove_file(dir.join("calls"));
        run(&script, dir, &path, &variables)?;
        let put: Value = serde_json::from_slice(&fs::read(dir.join("put-alpine-3.15.json"))?)?;
        let content = STANDARD.decode(put["content"].as_str().context("no content")?)?;
        ensure!(content == lock.as_bytes() && put["branch"] == "lock-alpine", "another lock");
        ensure!(
            fs::read_to_string(dir.join("body"))?.contains("app-1.0-r1.apk"),
            "the body does not say what changed"
        );
        Ok((fs::read_to_string(dir.join("calls"))?, put))
    };
    let (calls, put) = run()?;
    let refs = "api --method POST repos/owner/images/git/refs --raw-field ref=refs/heads/lock-alpine --raw-field sha=deadbeef";
    for call in [refs, "pr create --head lock-alpine --base main"] {
        ensure!(calls.contains(call), "no `{call}` in\n{calls}");
    }
    ensure!(put.get("sha").is_none(), "a new file replaces one: {}", put["sha"]);

    ["file", "pull"].iter().try_for_each(|name| fs::write(dir.join(name), ""))?;
    let (calls, put) = run()?;
    ensure!(!calls.contains("--method POST") && !calls.contains("pr create"), "made again:\n{calls}");
    ensure!(calls.contains("pr edit 7 --body-file body.md") && put["sha"] == "0123abc", "{calls}");
    Ok(())
}
