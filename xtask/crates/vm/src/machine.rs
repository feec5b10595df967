//! A machine that runs.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use tempfile::TempDir;

use crate::channel::{Channel, Event, Splitter};
use crate::hardware::{Options, make_disks};
use crate::process::Process;
use crate::{Runtime, System, guest, packages};

/// How many of the console's last lines an error repeats.
const TAIL: usize = 40;
/// What a kernel says when it can go on no more.
const PANIC: &str = "Kernel panic - not syncing";
/// How long the agent may take to come, and a runtime to answer or to import an image: with systemd, docker and a busy host
/// it was eight minutes.
const BOOT_LIMIT: Duration = Duration::from_mins(20);

/// How a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; 124 if it was ended after its time, 128 and a signal's number if that ended it.
    pub code: i32,
}

/// Where what a script writes goes.
pub struct Sink<'a> {
    /// Standard output.
    pub stdout: &'a mut dyn Write,
    /// Standard error.
    pub stderr: &'a mut dyn Write,
}

/// A machine. It ends when it is dropped, and nothing of it is left.
pub struct Machine {
    process: Process,
    channel: Channel,
    system: System,
    options: Options,
    boot: String,
    /// When it was switched on.
    pub since: Instant,
    // After the process, which uses it.
    dir: TempDir,
}

impl Machine {
    /// Switches one on, and returns once its agent answers.
    ///
    /// # Errors
    /// As [`Machine::switch_on`], and [`Kind::ToolFailed`] if the system does not come up, with the console's last lines.
    pub fn boot(system: &System, options: &Options) -> Result<Self> {
        let mut machine = Self::switch_on(system, options)?;
        machine.wait_hello(BOOT_LIMIT)?;
        Ok(machine)
    }

    /// Switches one on: there may be no agent in it ever.
    ///
    /// # Errors
    /// [`Kind::Tool`] without QEMU, [`Kind::ToolFailed`] if it does not start.
    pub fn switch_on(system: &System, options: &Options) -> Result<Self> {
        packages::check_tools(&packages::qemu(system.arch))?;
        let dir =
            tempfile::Builder::new().prefix("vm-").tempdir().context("cannot make a temporary directory")?;
        let log = options.console.log();
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        // What a machine says after its power was cut follows what it said before.
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        make_disks(system, options, dir.path())?;
        let since = Instant::now();
        let mut process = Process::start(system, options, dir.path())?;
        let channel = Channel::connect(dir.path(), || process.check())?;
        let (system, options) = (system.clone(), options.clone());
        Ok(Self { process, channel, system, options, boot: String::new(), since, dir })
    }

    /// Waits for the agent on a kernel that was not seen before.
    fn wait_hello(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let soon = deadline.min(Instant::now() + Duration::from_secs(2));
            match self.event(soon)? {
                Some(Event::Hello(boot)) if boot != self.boot => {
                    self.boot = boot;
                    return Ok(());
                }
                None if self.tail().contains(PANIC) => {
                    return Err(self.failed("the machine's kernel panicked"));
                }
                None if Instant::now() > deadline => {
                    let limit = limit.as_secs();
                    return Err(self.failed(&format!("the machine did not come up within {limit} s")));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Restarts it from within; what is on its disks stays.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if it does not come up again.
    pub fn reboot(&mut self) -> Result<()> {
        let script = b"(sleep 1; reboot) >/dev/null 2>&1 </dev/null &\n";
        self.channel.send(&format!("run reboot {} 60", script.len()), script)?;
        self.wait_hello(BOOT_LIMIT)
    }

    /// Takes its power away and gives it back: what it had not written to its disks is lost. Returns once its agent answers.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if it does not come up again.
    pub fn cut_power(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = Process::start(&self.system, &self.options, self.dir.path())?;
        let process = &mut self.process;
        self.channel = Channel::connect(self.dir.path(), || process.check())?;
        self.wait_hello(BOOT_LIMIT)
    }

    /// Runs a script as root, by the shell or by what its first line names, for at most `limit`.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if the machine ends or restarts in the meantime; a script that fails is not an error.
    pub fn run(&mut self, script: &str, limit: Duration, sink: &mut Sink<'_>) -> Result<Ended> {
        let mark = mark()?;
        let seconds = limit.as_secs().max(1);
        self.channel.send(&format!("run {mark} {} {seconds}", script.len()), script.as_bytes())?;
        // The script is ended in the machine; if nothing comes of that, the machine hangs.
        let deadline = Instant::now() + limit + Duration::from_mins(1);
        let (mut stdout, mut stderr) = (Splitter::new(&mark), Splitter::new(&mark));
        loop {
            match self.event(deadline)? {
                Some(Event::Wrote(1, bytes)) => stdout.feed(&bytes, sink.stdout)?,
                Some(Event::Wrote(_, bytes)) => stderr.feed(&bytes, sink.stderr)?,
                Some(Event::Hello(_)) => return Err(self.failed("the machine restarted under a script")),
                Some(Event::Done { .. }) => {}
                None => return Err(self.failed("the machine does not answer any more")),
            }
            if let (Some(code), Some(_)) = (stdout.code, stderr.code) {
                return Ok(Ended { code });
            }
        }
    }

    /// Runs a script and returns what it wrote to standard output.
    ///
    /// # Errors
    /// As [`Machine::run`], and [`Kind::ToolFailed`] with all it wrote if it fails.
    pub fn ok(&mut self, script: &str, limit: Duration) -> Result<String> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = self.run(script, limit, &mut Sink { stdout: &mut stdout, stderr: &mut stderr })?;
        guest::answer(script, ended.code, &stdout, &stderr)
    }

    /// Puts a file into it, with directories as needed.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if it cannot be written there.
    pub fn put(&mut self, bytes: &[u8], mode: u32, path: &str) -> Result<()> {
        let mark = mark()?;
        self.channel.send(&format!("put {mark} {} {mode:o} {path}", bytes.len()), bytes)?;
        let deadline = Instant::now() + Duration::from_secs(60 + (bytes.len() as u64 >> 20));
        loop {
            match self.event(deadline)? {
                Some(Event::Done { mark: done, code: 0 }) if done == mark => return Ok(()),
                Some(Event::Done { mark: done, .. }) if done == mark => {
                    return Err(self.failed(&format!("`{path}` cannot be written in the machine")));
                }
                Some(_) => {}
                None => return Err(self.failed(&format!("`{path}` was not written in the machine"))),
            }
        }
    }

    /// Waits until its runtimes answer, and pods' image is there.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if they do not.
    pub fn wait_runtime(&mut self, runtime: Runtime) -> Result<()> {
        self.ok(&guest::up(runtime), BOOT_LIMIT)
            .map(drop)
            .context("waiting for the machine's container runtime")
    }

    /// Imports what [`Options::images`] has at this place.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if the runtime does not take it.
    pub fn import(&mut self, runtime: Runtime, index: usize) -> Result<()> {
        self.ok(&guest::import(runtime, index), BOOT_LIMIT)
            .map(drop)
            .context("importing an image in the machine")
    }

    /// Waits until it ends by itself: its user sits at the console.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn wait_end(&mut self) -> Result<()> {
        self.process.wait()
    }

    fn event(&mut self, deadline: Instant) -> Result<Option<Event>> {
        let process = &mut self.process;
        let next = self.channel.next(deadline, &mut || process.check());
        next.map_err(|error| match fault::of(&error).map(Fault::kind) {
            Some(Kind::Interrupted) => error,
            _ => error.context(format!("the console's last lines:\n{}", self.tail())),
        })
    }

    fn tail(&self) -> String {
        let text = fs::read(self.options.console.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn failed(&self, message: &str) -> anyhow::Error {
        let message = format!("{message}; the console's last lines:\n{}", self.tail());
        Fault::new(Kind::ToolFailed, message)
            .help(format!("all of it: {}", self.options.console.log().display()))
            .into()
    }
}

/// 128 random bits: nothing that a script writes is taken for the end of it.
fn mark() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").context("no random numbers")?;
    Ok(id.trim().to_owned())
}
