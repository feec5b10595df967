//! Processor time: unlike a clock's, it is the same on a machine that does other work too.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::scratch;

/// What /proc counts in, whatever the kernel does (proc(5), `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Runs a program to its good end; what it took, with all that it waited for.
pub fn used(command: &mut Command) -> Result<Duration> {
    let dir = scratch::dir()?;
    let said = dir.path().join("said");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said)?);
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    // Ended, but not waited for yet: it is still in /proc.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let status = child.wait()?;
    ensure!(status.success(), "{command:?}: {status}\n{}", fs::read_to_string(&said)?);
    // Behind the name, which may have spaces in it: from the state, the 3rd field, to `utime`, the 14th, and three more.
    let fields = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().skip(11).take(4);
    let ticks = fields.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}
