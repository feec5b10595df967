//! How children end when the user interrupts.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, wait, waitpid,
};

use crate::interrupt;

/// How long a child may take to end by itself after SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(3);
/// How often it is looked whether one has ended, at the least.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs a program that shows what it says, to its end. When the user interrupts, all ends that it has started, in its own process
/// group or in others': what a build or a test starts may outlive it. What it leaves behind is ours, and is waited for as PID 1
/// would: a program may ask whether what it ended is gone. No other thread may have children at the time.
///
/// # Errors
/// [`fault::Kind::Interrupted`], and where it cannot be started.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    interrupt::check()?;
    // Children whose parents end are ours then.
    set_child_subreaper(Some(getpid())).context("cannot become the parent of what is left")?;
    let mut child = spawn(command).with_context(|| format!("starting {command:?}"))?;
    let status = wait_for(&mut child, GRACE, reap_adopted)?;
    if interrupt::pending() {
        end_all(Instant::now() + GRACE);
    }
    interrupt::check()?;
    Ok(status)
}

/// Starts a child with a process group of its own: a terminal's Ctrl-C is ours to answer.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    command.process_group(0).spawn()
}

/// Waits for the child; when the user interrupts, ends its whole process group first. `meanwhile` is done again and again.
pub(crate) fn wait_for(child: &mut Child, grace: Duration, meanwhile: impl Fn(&Child)) -> Result<ExitStatus> {
    let mut asked: Option<Instant> = None;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().context("waiting for a child process")? {
            return Ok(status);
        }
        match asked {
            None if interrupt::pending() => {
                signal_group(child, Signal::TERM);
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > grace => signal_group(child, Signal::KILL),
            _ => {}
        }
        meanwhile(child);
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE);
    }
}

fn signal_group(child: &Child, signal: Signal) {
    // The group may be gone already; there is nothing to do about it then.
    let _ = kill_process_group(Pid::from_child(child), signal);
}

/// Waits for the children that have ended, but for the one that is waited for already.
fn reap_adopted(child: &Child) {
    let own = Pid::from_child(child);
    for adopted in children().into_iter().filter(|id| *id != own) {
        // One that is still running is asked again the next time.
        let _ = waitpid(Some(adopted), WaitOptions::NOHANG);
    }
}

/// Ends all children: they are asked once each, and killed after the deadline. Those that they had are ours then.
fn end_all(deadline: Instant) {
    let mut asked = Vec::new();
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            if Instant::now() > deadline {
                let _ = kill_process(child, Signal::KILL);
            } else if !asked.contains(&child) {
                let _ = kill_process(child, Signal::TERM);
                asked.push(child);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Our children, whichever thread has them.
fn children() -> Vec<Pid> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let of = |list: String| list.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<i32>>();
    lists.flat_map(of).filter_map(Pid::from_raw).collect()
}
