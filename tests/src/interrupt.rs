//! Ctrl-C and SIGTERM at random moments: what runs ends within a second, whatever it waits for, and leaves nothing.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::random::Random;
use crate::xtask::Xtask;
use crate::{left, skip};

/// How often each verb is interrupted.
pub const MOMENTS: u64 = 50;

/// How often where a moment is dear: a few times in CI, all of them when the long tests are asked for; `MOMENTS` says another
/// number.
pub fn moments_of(few: u64) -> u64 {
    let told = std::env::var("MOMENTS").ok().and_then(|number| number.parse().ok());
    told.unwrap_or(if skip::full() { MOMENTS } else { few })
}

/// [`moments_of`], where a moment is as long as a verb's own work.
pub fn moments() -> u64 {
    moments_of(8)
}

/// A window of so many seconds: in CI the first ones, and all of the work when the long tests are asked for.
pub fn seconds(few: u64, all: u64) -> Duration {
    Duration::from_secs(if skip::full() { all } else { few })
}

/// How long so many seconds take here and now of a program that has a fifth of each to compute: what a busy machine makes of it.
fn here(limit: Duration) -> Result<Duration> {
    // The first number of three: nanoseconds on a processor.
    let used = || -> Result<u64> {
        let text = fs::read_to_string("/proc/thread-self/schedstat")?;
        Ok(text.split(' ').next().unwrap_or_default().parse()?)
    };
    let (since, begin) = (Instant::now(), used()?);
    while used()? - begin < 200_000_000 {}
    Ok((since.elapsed() * 5).max(Duration::from_secs(1)).mul_f64(limit.as_secs_f64()))
}

/// Runs it, interrupts it after a while, and demands that it ends; how long that took, if it was still running by then.
fn interrupt(
    xtask: &Xtask,
    args: &[&str],
    (after, signal, limit): (Duration, Signal, Duration),
    dir: &Path,
) -> Result<Option<Duration>> {
    let temporary = dir.join("tmp");
    fs::create_dir_all(&temporary)?;
    let mut command = xtask.command(args)?;
    command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    let mut child = command.spawn()?;
    std::thread::sleep(after);
    if child.try_wait()?.is_some() {
        return Ok(None);
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
                bail!("{args:?}: {signal:?} after {after:?} does not end it");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let took = since.elapsed();
    let limit = if took < limit { limit } else { here(limit)? };
    ensure!(took <= limit, "{args:?}: {signal:?} after {after:?} ends it after {took:?}, limit {limit:?}");
    // Before signals are caught they end it as they do by themselves; what was done by then was done.
    ensure!(
        status.signal().is_some() || matches!(status.code(), Some(130 | 0)),
        "{args:?}: {status} after {after:?}"
    );
    let left = left::of(&temporary, Some(child.id()))?;
    ensure!(left.is_empty(), "{args:?}: {signal:?} after {after:?} leaves {left:#?}");
    Ok(Some(took))
}

/// A verb at work: how often it is interrupted, within what time, and what must hold then. It ends within a second.
pub fn each(
    xtask: &Xtask,
    args: &[&str],
    moments: (u64, Duration),
    dir: &Path,
    random: &mut Random,
    after_each: impl FnMut() -> Result<()>,
) -> Result<()> {
    each_ends_in(Duration::from_secs(1), xtask, args, moments, dir, random, after_each)
}

/// [`each`], with a limit of its own for what has much to take away.
pub fn each_ends_in(
    limit: Duration,
    xtask: &Xtask,
    args: &[&str],
    (moments, within): (u64, Duration),
    dir: &Path,
    random: &mut Random,
    mut after_each: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (mut running, mut longest) = (0, Duration::ZERO);
    for number in 0..moments {
        let moment = Duration::from_micros(random.below(u64::try_from(within.as_micros())?));
        let signal = if number % 2 == 0 { Signal::INT } else { Signal::TERM };
        if let Some(took) = interrupt(xtask, args, (moment, signal, limit), dir)? {
            (running, longest) = (running + 1, longest.max(took));
        }
        after_each().with_context(|| format!("{args:?}: {signal:?} after {moment:?}"))?;
    }
    println!(
        "{args:?}: {running} of {moments} were interrupted, within {within:?}; ended within {longest:?}"
    );
    ensure!(running > moments / 4, "{args:?}: most had ended before");
    Ok(())
}

/// How long a verb takes here and now if nobody interrupts it. The best of three: a first one finds nothing in the page
/// cache, and in the time that it took most others have ended.
pub fn whole(xtask: &Xtask, args: &[&str]) -> Result<(u64, Duration)> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let since = Instant::now();
        xtask.output(args)?;
        best = best.min(since.elapsed());
    }
    Ok((moments(), best))
}
