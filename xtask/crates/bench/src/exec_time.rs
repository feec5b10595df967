//! The cost of starting a program that ends at once: what each `exec` pays before it does anything.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::process::Process;

/// What one start took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExecTime {
    /// From the start to the end.
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
}

/// Runs a program with these arguments and this environment (`NAME=VALUE` each) to its end.
pub(crate) fn once(program: &Path, args: &[&str], env: &[String]) -> Result<ExecTime> {
    let variables = env.iter().filter_map(|variable| variable.split_once('='));
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(variables);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let since = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    // What it says is less than a pipe holds, so it is read once the program has ended.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    // Not reaped yet: its clock can be read until then.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let wall = since.elapsed();
    let cpu = Process(pid.as_raw_nonzero().get()).cpu()?;
    let status = child.wait()?;
    let mut said = String::new();
    child.stdout.take().context("no pipe")?.read_to_string(&mut said)?;
    if !status.success() || said.is_empty() {
        let message = format!("{} {}: {status}, and it said `{said}`", program.display(), args.join(" "));
        return Err(Fault::new(Kind::ToolFailed, message).into());
    }
    Ok(ExecTime { wall, cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_measured_and_failure_is_none() {
        let sh = |script: &str| once(Path::new("/bin/sh"), &["-c", script], &["A=1".to_owned()]);
        let idle = sh("/bin/sleep 0.1; echo $A").unwrap();
        assert!(idle.wall >= Duration::from_millis(100) && idle.cpu < idle.wall);
        let busy = sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done").unwrap();
        assert!(busy.cpu > Duration::from_millis(5), "{busy:?}");
        assert!(sh("echo x; exit 3").is_err() && sh("true").is_err());
    }
}
