//! Pushes that break off: finished by the next, or by the same one; never a tag on an incomplete image.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::meter::Meter;
use tests::random::Random;
use tests::registry::Registry;
use tests::xtask::Xtask;
use tests::{cmd, image, made, scratch, skip, wait_for};

fn push(xtask: &Xtask, layout: &Path, to: &str) -> Result<Command> {
    let mut command =
        xtask.command(&["push", layout.to_str().context("not UTF-8")?, "--to", to, "--quiet"])?;
    command.stdout(Stdio::null());
    Ok(command)
}

/// Copies an image from the registry, every byte of it.
fn copy(from: &str, to: &Path) -> Result<cmd::Output> {
    let mut skopeo = Command::new("skopeo");
    skopeo.args([
        "--insecure-policy",
        "copy",
        "--all",
        "--src-tls-verify=false",
        &format!("docker://{from}"),
    ]);
    cmd::output(skopeo.arg(format!("dir:{}", to.display())))
}

#[test]
fn a_killed_push_is_finished_by_the_next_and_never_tags_too_early() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let to = format!("{}/killed", registry.address());
    let make = |number: u64| {
        let layers = [made::layer(number * 2 + 1000, 12_000_000)?, made::layer(number * 2 + 1001, 500_000)?];
        made::index(dir.path(), &format!("k{number}"), &layers)
    };
    let start = Instant::now();
    cmd::ok(&mut push(&xtask, &make(99)?, &to)?)?;
    let whole = u64::try_from(start.elapsed().as_micros())?;
    let (mut random, mut early) = (Random::new()?, 0);
    for number in 0..20 {
        let layout = make(number)?;
        let moment = Duration::from_micros(random.below(whole));
        let mut child = push(&xtask, &layout, &to)?.spawn()?;
        std::thread::sleep(moment);
        child.kill()?;
        child.wait()?;
        let name = format!("{to}:k{number}");
        let mut inspect = Command::new("skopeo");
        inspect.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
        if cmd::output(&mut inspect)?.status.success() {
            let whole = copy(&name, &dir.path().join(format!("early-{number}")))?;
            ensure!(whole.status.success(), "{name}, killed after {moment:?}: incomplete\n{}", whole.stderr);
        } else {
            early += 1;
        }
        cmd::ok(&mut push(&xtask, &layout, &to)?)?;
        let whole = copy(&name, &dir.path().join(format!("late-{number}")))?;
        ensure!(whole.status.success(), "{name}, killed after {moment:?}: not finished\n{}", whole.stderr);
    }
    ensure!(early > 0, "no push was killed before its end");
    Ok(())
}

#[test]
fn a_push_outlives_its_registry() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let mut registry = Registry::start(dir.path())?;
    let meter = Meter::start(registry.address())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let layers: Vec<_> = (0..4).map(|seed| made::layer(seed, 40_000_000)).collect::<Result<_>>()?;
    let layout = made::image(dir.path(), "v1", &layers, 2)?;
    let to = format!("{}/kubelet", meter.address());
    // It stands still in the midst of its blobs, however fast it is.
    let limits = [30 << 20, 100 << 20, u64::MAX];
    meter.limit(limits[0]);
    let mut child = push(&xtask, &layout, &to)?.spawn()?;
    for pair in limits.windows(2) {
        wait_for("upload under way", Duration::from_mins(1), || {
            ensure!(child.try_wait()?.is_none(), "the push ended before the registry did");
            Ok((meter.sent("PUT").1 >= pair[0]).then_some(()))
        })?;
        registry.restart()?;
        meter.limit(pair[1]);
    }
    ensure!(child.wait()?.success(), "the push failed");
    let name = format!("{to}:v1");
    let whole = copy(&name, &dir.path().join("copy"))?;
    ensure!(whole.status.success(), "{}", whole.stderr);
    let mut inspect = Command::new("skopeo");
    inspect.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}")]);
    ensure!(cmd::ok(&mut inspect)?.trim() == image::digest(&layout)?, "another digest");
    Ok(())
}
