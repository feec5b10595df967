//! The verbs for who works on this repository, at random moments: what they started ends with them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tests::interrupt::{each, moments_of, seconds};
use tests::random::Random;
use tests::xtask::Xtask;
use tests::{cmd, image, left, scratch, skip};

/// What measures: itself in other processes, and other people's programs.
#[test]
fn what_measures_ends_and_leaves_nothing() -> Result<()> {
    if skip::without(&["umoci", "valgrind"])? {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let xtask = Xtask::new()?;
    for (args, few) in [
        (&["bench", "growth", "layer-bytes", "layer-files", "read-bytes", "--quiet"][..], 3),
        (&["bench", "growth", "plan", "hash", "--instructions", "--quiet"], 3),
        (&["bench", "instructions", "--quiet"], 3),
        (&["bench", "assemble", "--files", "3000", "--repeat", "4", "--quiet"], 6),
    ] {
        let within = (moments_of(2), seconds(few, 8));
        each(&xtask, args, within, dir.path(), &mut random, || Ok(()))?;
    }
    Ok(())
}

/// A stand-in for cargo that takes its time, and starts what does not end by itself: in its process group, and outside of it.
const CARGO: &str = r#"#!/bin/sh
mktemp -d >/dev/null
sleep 600 &
case "$1" in
  test)
    setsid sleep 600 &
    wait ;;
  build)
    sleep 0.2
    [ -e "$PROGRAM" ] || wait
    mkdir -p "$CARGO_TARGET_DIR/$7/release"
    cp "$PROGRAM" "$CARGO_TARGET_DIR/$7/release/catalog" ;;
esac
kill $!
exit 0
"#;

/// A stand-in for a fuzz target. What it starts says where it is from.
const TARGET: &str = r#"#!/bin/sh
mktemp -d >>"$0.dirs"
MARK=$0 sleep 600 &
wait
"#;

/// Nothing of it runs, and none of the directories that it made is left.
fn gone(dir: &Path, program: &Path) -> Result<()> {
    let running = left::running(dir)?;
    ensure!(running.is_empty(), "these run: {running:?}");
    let dirs = fs::read_to_string(format!("{}.dirs", program.display())).unwrap_or_default();
    let left: Vec<&str> = dirs.lines().filter(|dir| Path::new(dir).exists()).collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

#[test]
fn fuzzing_ends_and_so_does_all_that_it_started() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let (program, target) = (dir.path().join("program"), dir.path().join("target"));
    scratch::path_with(&dir.path().join("bin"), "cargo", CARGO)?;
    let xtask = Xtask::new()?.env("CARGO", dir.path().join("bin/cargo")).env("CARGO_TARGET_DIR", &target);
    let xtask = xtask.env("PROGRAM", &program);
    let args = ["fuzz", "catalog", "--quiet"];
    let within = (moments_of(3), seconds(2, 2));
    // While it compiles, and while targets run.
    each(&xtask, &args, within, dir.path(), &mut random, || gone(dir.path(), &program))?;
    scratch::path_with(dir.path(), "program", TARGET)?;
    let input = program.to_string_lossy();
    for args in [&args[..], &["fuzz", "catalog", "--input", &input, "--quiet"]] {
        each(&xtask, args, within, dir.path(), &mut random, || {
            let ran = target.join("fuzz").join(host()?).join("release/catalog");
            gone(dir.path(), &ran)
        })?;
    }
    Ok(())
}

/// As rustc calls this machine.
fn host() -> Result<String> {
    let said = cmd::ok(Command::new("rustc").arg("-vV"))?;
    said.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).context("no host")
}

/// As it is, with all that libFuzzer does when it is told to end.
#[test]
fn real_fuzzing_ends_and_leaves_nothing() -> Result<()> {
    if skip::unless_full("interrupts of fuzz targets, which are compiled") {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let xtask = Xtask::new()?;
    let before = shared()?;
    let args = ["fuzz", "catalog", "oci-layer", "apk-index", "--seconds", "20", "--quiet"];
    let within = (moments_of(5), seconds(20, 20));
    each(&xtask, &args, within, dir.path(), &mut random, || {
        ensure!(shared()? == before, "left in memory: {:?}", shared()?);
        Ok(())
    })
}

fn shared() -> Result<Vec<String>> {
    let names = image::names(Path::new("/dev/shm"))?;
    Ok(names.into_iter().filter(|name| name.starts_with("xtask-fuzz-")).collect())
}

#[test]
fn a_run_of_all_tests_ends_and_so_does_all_that_it_started() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    scratch::path_with(&dir.path().join("bin"), "cargo", CARGO)?;
    let xtask = Xtask::new()?.env("CARGO", dir.path().join("bin/cargo"));
    let within = (moments_of(4), seconds(4, 6));
    each(&xtask, &["test", "--quiet"], within, dir.path(), &mut random, || gone(dir.path(), dir.path()))
}
