//! Running programs, with all they wrote in the failure message.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use exec::interrupt;
use fault::{Fault, Kind};

/// How often it is looked whether the user has interrupted.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether a program has ended that said its last.
const MOMENT: Duration = Duration::from_millis(1);

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

/// Runs to the end without standard input, however it ends; it is killed when the user interrupts.
pub fn output(command: &mut Command) -> Result<Output> {
    interrupt::check()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let (sender, read) = channel();
    let pipes: [(usize, Option<Box<dyn Read + Send>>); 2] = [
        (0, child.stdout.take().map(|pipe| Box::new(pipe) as _)),
        (1, child.stderr.take().map(|pipe| Box::new(pipe) as _)),
    ];
    for (number, pipe) in pipes {
        let (sender, mut pipe) = (sender.clone(), pipe.context("no pipe")?);
        // Not waited for where the user interrupts: what the program has started may keep the pipe.
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let done = pipe.read_to_end(&mut bytes).map(|_| bytes);
            let _ = sender.send((number, done));
        });
    }
    let mut said = [String::new(), String::new()];
    let mut open = said.len();
    let status = loop {
        // One that ends closes both a moment before.
        match read.recv_timeout(if open == 0 { MOMENT } else { PAUSE }) {
            Ok((number, bytes)) => {
                said[number] = String::from_utf8_lossy(&bytes?).into_owned();
                open -= 1;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        if open == 0
            && let Some(status) = child.try_wait()?
        {
            break status;
        }
        if let Err(stopped) = interrupt::check() {
            child.kill()?;
            child.wait()?;
            return Err(stopped);
        }
    };
    let [stdout, stderr] = said;
    Ok(Output { status, stdout, stderr })
}

/// Runs to the end and returns standard output; an exit code other than 0 is an error with all it wrote.
pub fn ok(command: &mut Command) -> Result<String> {
    let out = output(command)?;
    if !out.status.success() {
        let message = format!("{command:?}: {}\n{}{}", out.status, out.stdout, out.stderr);
        return Err(Fault::new(Kind::ToolFailed, message).into());
    }
    Ok(out.stdout)
}
