//! Running programs, with all they wrote in the failure message.

use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

/// How a program ended and what it wrote.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code, if it was not a signal that ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// Runs to the end without standard input, however it ends.
pub fn output(command: &mut Command) -> Result<Output> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    Ok(Output {
        status: out.status,
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

/// Runs to the end and returns standard output; an exit code other than 0 is an error with all it wrote.
pub fn ok(command: &mut Command) -> Result<String> {
    let out = output(command)?;
    if !out.status.success() {
        let message = format!("{command:?}: {}\n{}{}", out.status, out.stdout, out.stderr);
        return Err(Fault::new(Kind::Failed, message).into());
    }
    Ok(out.stdout)
}
