//! Ctrl-C and SIGTERM at random moments: what runs ends within a second, whatever it waits for, and leaves nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use testregistry::{Act, Rows, Server};
use tests::xtask::Xtask;
use tests::{made, scratch, skip};

/// How often each verb is interrupted.
const MOMENTS: u64 = 50;

/// Random numbers; `SEED` repeats them.
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        let seed = match std::env::var("SEED") {
            Ok(seed) => seed.parse().context("SEED is no number")?,
            Err(_) => u64::from(SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos()),
        };
        println!("SEED={seed}");
        Ok(Self(seed))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

/// How long a program takes here and now that does nothing: what a busy machine adds to each second.
fn start() -> Result<Duration> {
    let since = Instant::now();
    Xtask::new()?.ok(&["--version"])?;
    Ok(since.elapsed())
}

/// Runs it, interrupts it after a while, and demands that it ends; was it still running by then?
fn interrupt(xtask: &Xtask, args: &[&str], after: Duration, signal: Signal, dir: &Path) -> Result<bool> {
    let temporary = dir.join("tmp");
    fs::create_dir_all(&temporary)?;
    let mut command: Command = xtask.command(args)?;
    command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    let mut child = command.spawn()?;
    std::thread::sleep(after);
    if child.try_wait()?.is_some() {
        return Ok(false);
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no such process")?;
    kill_process(pid, signal)?;
    let since = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if since.elapsed() > Duration::from_secs(30) => {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("{args:?}: {signal:?} after {after:?} does not end it");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let took = since.elapsed();
    let limit = Duration::from_secs(1) + 10 * start()?;
    ensure!(took < limit, "{args:?}: {signal:?} after {after:?} ends it after {took:?}");
    // Before signals are caught they end it as they do by themselves; what was done by then was done.
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&status).is_some();
    ensure!(by_signal || matches!(status.code(), Some(130 | 0)), "{args:?}: {status} after {after:?}");
    let left: Vec<_> =
        fs::read_dir(&temporary)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
    ensure!(left.is_empty(), "{args:?}: {signal:?} after {after:?} leaves {left:?}");
    Ok(true)
}

fn at_random_moments(
    xtask: &Xtask,
    args: &[&str],
    within: Duration,
    dir: &Path,
    random: &mut Random,
    mut after_each: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut running = 0;
    for number in 0..MOMENTS {
        let moment = Duration::from_micros(random.below(u64::try_from(within.as_micros())?));
        let signal = if number % 2 == 0 { Signal::INT } else { Signal::TERM };
        running += u64::from(interrupt(xtask, args, moment, signal, dir)?);
        after_each()?;
    }
    println!("{args:?}: {running} of {MOMENTS} were interrupted");
    ensure!(running > MOMENTS / 2, "{args:?}: most had ended before");
    Ok(())
}

/// A registry that is slow, stalls in all the ways there are, or is quick, by turns.
fn slow() -> Server {
    let never = Duration::from_mins(1);
    Server::with(Rows::default(), move |_, number| match number % 11 {
        2 => Act::Late(Duration::from_millis(150)),
        5 => Act::Drip,
        7 => Act::Stall(never),
        8 => Act::Deaf(never),
        _ => Act::Usual,
    })
}

#[test]
fn a_push_ends_and_sets_no_tag_too_early() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let layers = [made::layer(1, 20_000_000)?, made::layer(2, 300_000)?];
    let layout = made::index(dir.path(), "v1", &layers)?;
    let server = slow();
    let to = format!("{}/kubelet", server.address);
    let args = ["push", layout.to_str().context("not UTF-8")?, "--to", &to, "--quiet"];
    at_random_moments(&xtask, &args, Duration::from_millis(1500), dir.path(), &mut random, || {
        let mut state = server.state();
        ensure!(state.tags_are_whole() && state.early.is_empty(), "a tag was set too early");
        // All over again.
        (state.blobs, state.manifests, state.tags) = Default::default();
        Ok(())
    })
}

#[test]
fn a_pull_ends_and_leaves_no_layout() -> Result<()> {
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let layers = [made::layer(1, 20_000_000)?, made::layer(2, 300_000)?];
    let layout = made::image(dir.path(), "v1", &layers, 2)?;
    let layout = layout.to_str().context("not UTF-8")?;
    let full = Server::start(|_, _| Act::Usual);
    xtask.ok(&["push", layout, "--to", &format!("{}/kubelet", full.address)])?;
    let server = slow();
    {
        let (mut to, from) = (server.state(), full.state());
        to.blobs.clone_from(&from.blobs);
        to.manifests.clone_from(&from.manifests);
        to.tags.clone_from(&from.tags);
    }
    let image = format!("{}/kubelet:v1", server.address);
    for args in [&["verify", &image, "--no-rebuild", "--quiet"][..], &["size", "diff", &image, layout]] {
        at_random_moments(&xtask, args, Duration::from_millis(1500), dir.path(), &mut random, || Ok(()))?;
    }
    Ok(())
}

#[test]
fn a_build_ends_and_leaves_nothing_half_made() -> Result<()> {
    if skip::unless_full("fifty builds from an empty store, which are interrupted") {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let (store, out) = (dir.path().join("store"), dir.path().join("out"));
    let xtask = Xtask::new()?.store(&store);
    let args = ["build", "kubelet-v1_26_0-amd64", "--out", out.to_str().context("not UTF-8")?];
    at_random_moments(&xtask, &args, Duration::from_secs(12), dir.path(), &mut random, || {
        tests::xtask::nothing_half_made(&store, &out)
    })
}
