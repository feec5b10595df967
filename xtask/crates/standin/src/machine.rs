//! A machine of namespaces: mount, pid, network, UTS, IPC and cgroup namespaces of its own, a root filesystem of its own on a
//! disk that forgets, and busybox's init, which starts containerd. Its kernel is this machine's.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fault::{Fault, Kind};
use tempfile::TempDir;

use crate::cgroups;
use crate::switch::Switch;
use crate::wait_for;

/// The programs that it needs here.
pub const PROGRAMS: [&str; 7] = ["unshare", "nsenter", "flock", "ip", "mount", "depmod", "find"];

const OWNER: &str = include_str!("../guest/owner");
const MACHINE: &[u8] = include_bytes!("../guest/machine");
/// What process 1 is called once the machine is one.
const INIT: &str = "init";
/// How long that takes at most.
const START_LIMIT: Duration = Duration::from_mins(2);
/// How often it is looked whether a script has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A machine lives until this is closed.
type Life = Mutex<Option<ChildStdin>>;
/// Those of all machines of this process.
static LIVES: Mutex<Vec<Weak<Life>>> = Mutex::new(Vec::new());

/// What a machine is made of.
pub struct Parts<'a> {
    /// Its number in its network, from 0 on.
    pub number: u8,
    /// Its name.
    pub name: &'a str,
    /// Its address.
    pub address: &'a str,
    /// Writes its root filesystem, an ext4 disk.
    pub root: &'a dyn Fn(&Path) -> Result<()>,
    /// Writes the programs of `/usr/lib/vm` into a directory.
    pub guest: &'a dyn Fn(&Path) -> Result<()>,
    /// Files that it finds in `/run/images`, as `image0`, `image1` ...
    pub images: &'a [PathBuf],
    /// What runs the kubelet's container: `containerd`, `docker`, `podman`.
    pub runtime: &'a str,
}

/// A machine. It ends when it is dropped, at the latest with this process, and nothing of it is left.
pub struct Machine {
    owner: Child,
    life: Arc<Life>,
    /// Its process 1, as it is called here.
    init: i32,
    said: File,
}

impl Machine {
    /// Starts one, plugged into a network. Returns once its init runs.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if it does not come up, with what was said.
    pub fn start(parts: &Parts<'_>, switch: &Switch) -> Result<Self> {
        let dir = TempDir::with_prefix("machine-").context("cannot make a temporary directory")?;
        let own = dir.path();
        for name in ["root", "guest", "images"] {
            fs::create_dir(own.join(name))?;
        }
        (parts.guest)(&own.join("guest"))?;
        fs::write(own.join("guest/machine"), MACHINE)?;
        (parts.root)(&own.join("root.raw"))?;
        for (index, image) in parts.images.iter().enumerate() {
            let to = own.join(format!("images/image{index}"));
            fs::hard_link(image, &to).or_else(|_| fs::copy(image, &to).map(drop))?;
        }
        let cgroup = format!("kubelet-images-machine-{}-{}", std::process::id(), parts.number);
        let cgroups = cgroups::make(&cgroup)?;
        let said = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut owner = Command::new("sh")
            .args(["-c", OWNER])
            .env("OWN", own)
            .env("ROOT", own.join("root.raw"))
            .env("NAME", parts.name)
            .env("ADDRESS", parts.address)
            .env("RUNTIME", parts.runtime)
            .env("CGROUPS", words(&cgroups))
            // A terminal's Ctrl-C is ours to answer.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said.try_clone()?)
            .spawn()
            .context("cannot start a machine")?;
        // The owner takes it away.
        let _ = dir.keep();
        let mut id = String::new();
        BufReader::new(owner.stdout.take().context("no pipe")?).read_line(&mut id)?;
        let life = Arc::new(Mutex::new(owner.stdin.take()));
        lock(&LIVES).push(Arc::downgrade(&life));
        let mut machine = Self { owner, life, init: id.trim().parse().unwrap_or_default(), said };
        if machine.init == 0 {
            return Err(machine.failed("the machine did not start"));
        }
        switch.plug_in(parts.number, machine.init)?;
        let up = || if machine.ended() { bail!("it ended") } else { Ok(machine.runs().then_some(())) };
        match wait_for("init of a machine", START_LIMIT, up) {
            Err(error) if !fault::is(&error, Kind::Interrupted) => {
                Err(machine.failed("the machine did not come up"))
            }
            done => done.map(|()| machine),
        }
    }

    /// Runs a script as root, by the shell or by what its first line names, for at most `limit`; returns its exit code, 124 if it
    /// was ended after its time.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if the machine is gone, [`Kind::Interrupted`]; a script that fails is not an error.
    pub fn run(
        &mut self,
        script: &str,
        limit: Duration,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> Result<i32> {
        let place = self.process().join("root/run/vm");
        if fs::create_dir_all(&place).is_err() {
            return Err(self.failed("the machine ended"));
        }
        let file = place.join("script");
        fs::write(&file, script).context("writing a script into the machine")?;
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        // Not pipes: what a script leaves running may keep them.
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        let mut child = self
            .command("timeout")
            .args(["-k", "5", &limit.as_secs().max(1).to_string(), "/run/vm/script"])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(err.try_clone()?)
            .process_group(0)
            .spawn()
            .context("cannot start nsenter")?;
        let deadline = Instant::now() + limit + Duration::from_mins(1);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            let stopped = exec::interrupt::check();
            if stopped.is_err() || Instant::now() > deadline {
                let _ = child.kill();
                child.wait()?;
                stopped?;
                return Err(self.failed("the machine does not answer any more"));
            }
            std::thread::sleep(PAUSE);
        };
        out.rewind()?;
        io::copy(&mut out, stdout)?;
        err.rewind()?;
        io::copy(&mut err, stderr)?;
        match status.code() {
            Some(code) if self.runs() => Ok(code),
            _ => Err(self.failed("the machine ended under a script")),
        }
    }

    /// Is its init process 1?
    fn runs(&self) -> bool {
        fs::read_to_string(self.process().join("comm")).is_ok_and(|name| name.trim_end() == INIT)
    }

    fn ended(&self) -> bool {
        !self.process().exists()
    }

    /// What the kernel shows of its init.
    fn process(&self) -> PathBuf {
        Path::new("/proc").join(self.init.to_string())
    }

    /// A program to run on it, with the environment of a login.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string()]);
        command.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--", program]);
        command.env_clear().envs([
            ("HOME", "/root"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
        ]);
        command
    }

    fn failed(&mut self, message: &str) -> anyhow::Error {
        let mut said = String::new();
        let _ = self.said.rewind();
        let _ = io::Read::read_to_string(&mut self.said, &mut said);
        Fault::new(Kind::ToolFailed, format!("{message}\n{said}")).into()
    }
}

impl Machine {
    /// Ends it, and does not wait for that: dropping does.
    pub fn give_up(&mut self) {
        drop(lock(&self.life).take());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.give_up();
        // Once the user has interrupted all others end meanwhile, whoever has them.
        if exec::interrupt::pending() {
            lock(&LIVES).iter().filter_map(Weak::upgrade).for_each(|life| drop(lock(&life).take()));
        }
        let _ = self.owner.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn words(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}
