//! QEMU as a process: it ends with its owner, however that ends.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use rustix::process::{Pid, Signal, kill_process};

use crate::System;
use crate::hardware::{Console, Options, arguments};

/// Ends QEMU and removes the machine's directory once its owner is gone, however it went.
const WATCHDOG: &str = "read -r _; kill -TERM \"$1\" 2>/dev/null; rm -r \"$2\"";
/// How long QEMU may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// A QEMU that runs, and who watches over it.
pub(crate) struct Process {
    qemu: Child,
    watchdog: Child,
    /// What QEMU itself says.
    said: PathBuf,
}

impl Process {
    /// Starts it on the disks in a directory.
    pub(crate) fn start(system: &System, options: &Options, dir: &Path) -> Result<Self> {
        let mut command = Command::new(system.arch.qemu());
        command.args(arguments(system, options, dir)?).env("TMPDIR", dir);
        let said = dir.join("qemu.log");
        command.stderr(File::create(&said)?);
        if let Console::Log(_) = options.console {
            // A terminal's Ctrl-C is ours to answer.
            command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        }
        let mut qemu = command.spawn().with_context(|| format!("cannot start {}", system.arch.qemu()))?;
        match watch(qemu.id(), dir) {
            Ok(watchdog) => Ok(Self { qemu, watchdog, said }),
            Err(error) => {
                let _ = stop(&mut qemu);
                Err(error)
            }
        }
    }

    /// Does it run still?
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] with what it said if it does not, [`Kind::Interrupted`].
    pub(crate) fn check(&mut self) -> Result<()> {
        exec::interrupt::check()?;
        match self.qemu.try_wait().context("waiting for QEMU")? {
            None => Ok(()),
            Some(status) => {
                let said = fs::read_to_string(&self.said).unwrap_or_default();
                Err(Fault::new(Kind::ToolFailed, format!("the machine ended, QEMU by {status}\n{said}"))
                    .into())
            }
        }
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> Result<()> {
        while self.qemu.try_wait()?.is_none() {
            exec::interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Ends it at once: it is told nothing, as a machine that loses its power.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.unwatch();
        self.qemu.kill().context("ending QEMU")?;
        self.qemu.wait().map(drop).context("waiting for QEMU")
    }

    fn unwatch(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.unwatch();
        let _ = stop(&mut self.qemu);
    }
}

fn watch(pid: u32, dir: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "sh", &pid.to_string()]).arg(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().context("cannot start a watchdog")
}

fn stop(qemu: &mut Child) -> Result<()> {
    let since = Instant::now();
    let mut asked = false;
    while qemu.try_wait()?.is_none() {
        if !asked && let Some(pid) = i32::try_from(qemu.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
            asked = true;
        }
        if since.elapsed() > GRACE {
            qemu.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
