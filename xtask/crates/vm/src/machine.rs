//! A machine that runs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::accel::Accel;
use crate::channel::{Channel, Event, PORTS, Splitter};
use crate::{Card, Init, Runtime, System, disk, initramfs, packages, qemu};

/// Ends QEMU and removes the machine's directory once its owner is gone, however it went.
const WATCHDOG: &str = "read -r _; kill -TERM \"$1\" 2>/dev/null; rm -r \"$2\"";
/// How long QEMU may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// How many of the console's last lines an error repeats.
const TAIL: usize = 40;
/// What a kernel says when it can go on no more.
const PANIC: &str = "Kernel panic - not syncing";
/// How long the agent may take to come, and a runtime to answer or to import an image: with systemd, docker and a busy host
/// it was eight minutes.
const BOOT_LIMIT: Duration = Duration::from_mins(20);

/// Where the first serial port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// To this file.
    Log(PathBuf),
    /// To our terminal, and to this file.
    Terminal(PathBuf),
}

impl Console {
    fn log(&self) -> &Path {
        match self {
            Self::Log(path) | Self::Terminal(path) => path,
        }
    }
}

/// A machine's hardware, and what the kernel is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What runs its instructions.
    pub accel: Accel,
    /// Processors.
    pub cpus: u16,
    /// Memory, in MiB.
    pub memory: u32,
    /// Are cgroups of version 1?
    pub cgroup_v1: bool,
    /// Empty disks of these sizes in bytes, by the serial numbers `disk0`, `disk1` ...
    pub disks: Vec<u64>,
    /// Files that are read-only disks, by the serial numbers `image0`, `image1` ...
    pub images: Vec<PathBuf>,
    /// Its place in a network; none for a machine without one.
    pub network: Option<Card>,
    /// The first serial port.
    pub console: Console,
}

impl Options {
    /// Two processors, 2 GiB of memory, and nothing else.
    pub fn new(accel: Accel, console: Console) -> Self {
        Self {
            accel,
            cpus: 2,
            memory: 2048,
            cgroup_v1: false,
            disks: Vec::new(),
            images: Vec::new(),
            network: None,
            console,
        }
    }
}

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
    qemu: Child,
    watchdog: Child,
    channel: Channel,
    console: PathBuf,
    boot: String,
    /// When it was switched on.
    pub since: Instant,
    // After the processes: they use it.
    dir: TempDir,
}

impl Machine {
    /// Switches one on, and returns once its agent answers.
    ///
    /// # Errors
    /// As [`Machine::switch_on`], and [`Kind::Failed`] if the system does not come up, with the console's last lines.
    pub fn boot(system: &System, options: &Options) -> Result<Self> {
        let mut machine = Self::switch_on(system, options)?;
        machine.wait_hello(BOOT_LIMIT)?;
        Ok(machine)
    }

    /// Switches one on: there may be no agent in it ever.
    ///
    /// # Errors
    /// [`Kind::Tool`] without QEMU, [`Kind::Failed`] if it does not start.
    pub fn switch_on(system: &System, options: &Options) -> Result<Self> {
        packages::check_tools(&packages::qemu(system.arch))?;
        let dir =
            tempfile::Builder::new().prefix("vm-").tempdir().context("cannot make a temporary directory")?;
        let log = options.console.log();
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let mut command = Command::new(system.arch.qemu());
        command.args(arguments(system, options, dir.path())?).env("TMPDIR", dir.path());
        let said = dir.path().join("qemu.log");
        command.stderr(File::create(&said)?);
        if let Console::Log(_) = options.console {
            // A terminal's Ctrl-C is ours to answer.
            command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        }
        let since = Instant::now();
        let mut qemu = command.spawn().with_context(|| format!("cannot start {}", system.arch.qemu()))?;
        let watchdog = watch(qemu.id(), dir.path())?;
        let connected = Channel::connect(dir.path(), || check_alive(&mut qemu, &said));
        match connected {
            Ok(channel) => {
                let console = log.to_owned();
                Ok(Self { qemu, watchdog, channel, console, boot: String::new(), since, dir })
            }
            Err(error) => {
                end(&mut qemu, watchdog);
                Err(error)
            }
        }
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
    /// [`Kind::Failed`] if it does not come up again.
    pub fn reboot(&mut self) -> Result<()> {
        let script = b"(sleep 1; reboot) >/dev/null 2>&1 </dev/null &\n";
        self.channel.send(&format!("run reboot {} 60", script.len()), script)?;
        self.wait_hello(BOOT_LIMIT)
    }

    /// Runs a script as root, by the shell or by what its first line names, for at most `limit`.
    ///
    /// # Errors
    /// [`Kind::Failed`] if the machine ends or restarts in the meantime; a script that fails is not an error.
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
    /// As [`Machine::run`], and [`Kind::Failed`] with all it wrote if it fails.
    pub fn ok(&mut self, script: &str, limit: Duration) -> Result<String> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = self.run(script, limit, &mut Sink { stdout: &mut stdout, stderr: &mut stderr })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if ended.code == 0 {
            return Ok(text(&stdout));
        }
        let message = format!(
            "a script in the machine failed with {}:\n{}\n{}{}",
            ended.code,
            script.trim_end(),
            text(&stdout),
            text(&stderr)
        );
        Err(Fault::new(Kind::Failed, message).into())
    }

    /// Puts a file into it, with directories as needed.
    ///
    /// # Errors
    /// [`Kind::Failed`] if it cannot be written there.
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
    /// [`Kind::Failed`] if they do not.
    pub fn wait_runtime(&mut self, runtime: Runtime) -> Result<()> {
        let script = format!("exec /usr/lib/vm/up {}", runtime.name());
        self.ok(&script, BOOT_LIMIT).map(drop).context("waiting for the machine's container runtime")
    }

    /// Imports what [`Options::images`] has at this place.
    ///
    /// # Errors
    /// [`Kind::Failed`] if the runtime does not take it.
    pub fn import(&mut self, runtime: Runtime, index: usize) -> Result<()> {
        let script = format!("exec /usr/lib/vm/import {} image{index}", runtime.name());
        self.ok(&script, BOOT_LIMIT).map(drop).context("importing an image in the machine")
    }

    /// Waits until it ends by itself: its user sits at the console.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn wait_end(&mut self) -> Result<()> {
        while self.qemu.try_wait()?.is_none() {
            exec::interrupt::check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn event(&mut self, deadline: Instant) -> Result<Option<Event>> {
        let (qemu, said) = (&mut self.qemu, self.dir.path().join("qemu.log"));
        let next = self.channel.next(deadline, &mut || check_alive(qemu, &said));
        next.map_err(|error| match fault::of(&error).map(Fault::kind) {
            Some(Kind::Interrupted) => error,
            _ => error.context(format!("the console's last lines:\n{}", self.tail())),
        })
    }

    fn tail(&self) -> String {
        let text = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn failed(&self, message: &str) -> anyhow::Error {
        let message = format!("{message}; the console's last lines:\n{}", self.tail());
        Fault::new(Kind::Failed, message).help(format!("all of it: {}", self.console.display())).into()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = stop(&mut self.qemu);
    }
}

fn arguments(system: &System, options: &Options, dir: &Path) -> Result<Vec<OsString>> {
    let mut words = qemu::base(system.arch, options.accel, options.cpus, options.memory);
    let mut log = OsString::from(match options.console {
        Console::Log(_) => "file,id=console,path=",
        Console::Terminal(_) => "stdio,id=console,signal=off,mux=on,logfile=",
    });
    log.push(qemu::escaped(options.console.log()));
    words.extend(["-chardev".into(), log]);
    let init = match system.init {
        Some(Init::Busybox) => "busybox",
        Some(Init::Systemd) => "systemd",
        None => "own",
    };
    let mut append = format!("vm.init={init} vm.runtime={}", system.runtime.name());
    if options.cgroup_v1 {
        append.push_str(" vm.cgroup=1 systemd.unified_cgroup_hierarchy=0");
    }
    if let Some(card) = &options.network {
        append = format!("{append} {}", card.parameters());
        words.extend(card.arguments()?.map(OsString::from));
    }
    words.extend(qemu::boot(system, &initrd(system, dir)?, &append));
    words.extend(["-serial".into(), "chardev:console".into()]);
    let format = if system.qcow2 { "qcow2" } else { "raw" };
    words.extend(qemu::disk("root", &system.root, &format!("format={format},snapshot=on")));
    for (index, size) in options.disks.iter().enumerate() {
        let file = dir.join(format!("disk{index}"));
        disk::empty(&file, *size)?;
        words.extend(qemu::disk(&format!("disk{index}"), &file, "format=raw,cache=unsafe"));
    }
    for (index, file) in options.images.iter().enumerate() {
        words.extend(qemu::disk(&format!("image{index}"), file, "format=raw,readonly=on"));
    }
    words.extend(["-device".into(), "virtio-rng-pci".into(), "-device".into(), "virtio-serial-pci".into()]);
    for name in PORTS {
        words.extend(qemu::port(name, &dir.join(name)));
    }
    Ok(words)
}

/// Makes the initramfs of its two halves.
pub(crate) fn initrd(system: &System, dir: &Path) -> Result<PathBuf> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let mut bytes = read(&system.initrd)?;
    // The kernel looks for an archive after another one at a multiple of four.
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(initramfs::ours(&read(&system.pods)?)?);
    let path = dir.join("initrd");
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// 128 random bits: nothing that a script writes is taken for the end of it.
fn mark() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").context("no random numbers")?;
    Ok(id.trim().to_owned())
}

fn check_alive(qemu: &mut Child, said: &Path) -> Result<()> {
    exec::interrupt::check()?;
    match qemu.try_wait().context("waiting for QEMU")? {
        None => Ok(()),
        Some(status) => {
            let said = fs::read_to_string(said).unwrap_or_default();
            Err(Fault::new(Kind::Failed, format!("the machine ended, QEMU by {status}\n{said}")).into())
        }
    }
}

fn watch(pid: u32, dir: &Path) -> Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "sh", &pid.to_string()]).arg(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().context("cannot start a watchdog")
}

fn end(qemu: &mut Child, mut watchdog: Child) {
    let _ = watchdog.kill();
    let _ = watchdog.wait();
    let _ = stop(qemu);
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
