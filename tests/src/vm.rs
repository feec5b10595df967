//! Virtual machines that the tests of a program share: booted once, each test a script in it.
//!
//! A boot and an import cost a minute of emulation, so a test takes what an earlier one left, cleaned: see [`Session::fresh`].

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use progress::Silent;
use store::Store;
use vm::accel::Accel;
use vm::{Arch, Card, Console, Flavour, Init, Machine, Options, Runtime, System, archive};

use crate::{skip, xtask};

/// The programs that a machine needs, and those that make its system.
pub const PROGRAMS: [&str; 3] = ["mmdebstrap", "qemu-img", "mkfs.ext4"];
/// What the scripts of tests begin with.
const PRELUDE: &str = include_str!("vm/prelude.sh");
const PRELUDE_AT: &str = "/usr/lib/vm/prelude.sh";
/// Ends what an earlier test left.
const RESET: &str = include_str!("vm/reset.sh");
/// A part of a script: serves NFS to the machine itself, from /srv/export. It needs the package `nfs-kernel-server`.
pub const NFS_SERVER: &str = include_str!("vm/nfs.sh");
/// How long a script may take, on a machine that emulates others for other tests as well.
pub const LIMIT: Duration = Duration::from_mins(25);

/// Which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Without systemd, with containerd alone: what CI runs.
    Plain,
    /// Without systemd, with docker and podman as well.
    Runtimes,
    /// With systemd, docker and podman.
    Systemd,
    /// 64-bit ARM, otherwise as the first.
    Arm64,
    /// 32-bit ARM, otherwise as the first.
    Arm32,
}

impl Kind {
    fn flavour(self) -> Flavour {
        let arch = match self {
            Self::Arm64 => Arch::Arm64,
            Self::Arm32 => Arch::Arm32v7,
            _ => Arch::Amd64,
        };
        let init = if self == Self::Systemd { Init::Systemd } else { Init::Busybox };
        let (runtime, packages): (_, &[&str]) = match self {
            Self::Runtimes | Self::Systemd => (Runtime::Docker, &["podman", "crun"]),
            Self::Plain | Self::Arm64 | Self::Arm32 => (Runtime::Containerd, &[]),
        };
        Flavour { arch, init, runtime, packages: packages.iter().map(|name| (*name).to_owned()).collect() }
    }
}

/// A machine that is up, with the images that were asked for so far, by attribute.
pub struct Session {
    machine: Machine,
    images: BTreeMap<(String, &'static str), String>,
    arch: Arch,
}

/// Machines are ended when this process is: each has a watchdog.
static PLAIN: Mutex<Option<Session>> = Mutex::new(None);
static RUNTIMES: Mutex<Option<Session>> = Mutex::new(None);
static SYSTEMD: Mutex<Option<Session>> = Mutex::new(None);
static ARM64: Mutex<Option<Session>> = Mutex::new(None);
static ARM32: Mutex<Option<Session>> = Mutex::new(None);

/// Does this in a machine of this kind, cleaned; boots it if it is not there. Tests in it run one after another. Where
/// that cannot be done here, says so and does nothing; an error in CI.
pub fn with(kind: Kind, test: impl FnOnce(&mut Session) -> Result<()>) -> Result<()> {
    let flavour = kind.flavour();
    if skip::without(&PROGRAMS)? || skip::without(&[flavour.arch.qemu()])? {
        return Ok(());
    }
    let place = match kind {
        Kind::Plain => &PLAIN,
        Kind::Runtimes => &RUNTIMES,
        Kind::Systemd => &SYSTEMD,
        Kind::Arm64 => &ARM64,
        Kind::Arm32 => &ARM32,
    };
    // Taken out, so that a machine whose test went wrong is not there for the next one.
    let mut guard = place.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut session = match guard.take() {
        Some(session) => session,
        None => Session::boot(kind)?,
    };
    if session.fresh().is_err() {
        drop(session);
        session = Session::boot(kind)?;
    }
    test(&mut session)?;
    *guard = Some(session);
    Ok(())
}

/// Boots a machine of this kind that nobody shares, with this place in a network.
pub fn boot(kind: Kind, network: Option<Card>) -> Result<Machine> {
    let flavour = kind.flavour();
    let store = Store::open(xtask::default_store()?)?;
    let system = System::of(&flavour, &store, &Silent)?;
    for entry in &system.left_out {
        skip::say(&format!("what is new in `{entry}`: the system of {kind:?} was made without it"));
    }
    let accel = Accel::find(&system, &store, &Silent)?;
    let name =
        network.as_ref().map_or_else(|| format!("{kind:?}"), |card| format!("{kind:?}-{}", card.name()));
    let log = crate::root().join(format!("target/vm/tests-{name}.log"));
    let options = Options { memory: 3072, network, ..Options::new(accel, Console::Log(log)) };
    let mut machine = Machine::boot(&system, &options)?;
    machine.wait_runtime(flavour.runtime)?;
    Ok(machine)
}

impl Session {
    fn boot(kind: Kind) -> Result<Self> {
        let mut machine = boot(kind, None)?;
        machine.put(PRELUDE.as_bytes(), 0o644, PRELUDE_AT)?;
        Ok(Self { machine, images: BTreeMap::new(), arch: kind.flavour().arch })
    }

    /// Ends all containers, and empties what a kubelet leaves.
    pub fn fresh(&mut self) -> Result<()> {
        self.machine.ok(RESET, LIMIT).map(drop)
    }

    /// Imports an image, built if it is not, by `ctr`, `docker` or `podman`; returns its name there.
    pub fn image(&mut self, attr: &str, client: &'static str) -> Result<String> {
        let key = (attr.to_owned(), client);
        if let Some(name) = self.images.get(&key) {
            return Ok(name.clone());
        }
        let layout = xtask::layout(attr)?;
        let name = self.import(&layout, client)?;
        self.images.insert(key, name.clone());
        Ok(name)
    }

    /// Imports a layout.
    pub fn import(&mut self, layout: &Path, client: &str) -> Result<String> {
        let mut file = tempfile::tempfile()?;
        let names = archive::pack(layout, self.arch, &file)?;
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes)?;
        self.machine.put(&bytes, 0o644, "/var/tmp/image.tar")?;
        let import = match client {
            "docker" => "docker load --quiet --input /var/tmp/image.tar",
            "podman" => "podman load --quiet --input /var/tmp/image.tar",
            _ => "ctr images import /var/tmp/image.tar",
        };
        self.machine.ok(&format!("set -e; {import}; rm /var/tmp/image.tar"), LIMIT)?;
        names.into_iter().next().context("a layout without a name")
    }

    /// Runs a script, which begins with the functions of `vm/prelude.sh`; returns what it wrote. One that fails is an error
    /// with all that it wrote.
    pub fn run(&mut self, script: &str) -> Result<String> {
        self.machine.ok(&format!(". {PRELUDE_AT}\n{script}"), LIMIT)
    }

    /// Puts a file of ours into the machine.
    pub fn put(&mut self, file: &Path, path: &str) -> Result<()> {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.machine.put(&bytes, 0o755, path)
    }

    /// Restarts it from within.
    pub fn reboot(&mut self, runtime: Runtime) -> Result<()> {
        self.machine.reboot()?;
        self.machine.wait_runtime(runtime)
    }

    /// Takes its power away and gives it back.
    pub fn cut_power(&mut self) -> Result<()> {
        self.machine.cut_power()
    }
}

/// A command of the README that has these words, as it is but for the backslashes.
pub fn readme(words: &str) -> Result<String> {
    let readme = fs::read_to_string(crate::root().join("README.md"))?;
    let block = readme.split("```").skip(1).step_by(2).find(|block| block.contains(words));
    Ok(block.with_context(|| format!("the README has no `{words}`"))?.trim().to_owned())
}

/// What the README says to do first on a host.
pub fn readme_first() -> Result<String> {
    let readme = fs::read_to_string(crate::root().join("README.md"))?;
    let line = readme.lines().find_map(|line| line.strip_prefix("First, on the host: `")?.split('`').next());
    let line = line.context("the README does not say what to do first")?;
    ensure!(line.starts_with("mkdir -p "), "{line}");
    Ok(line.to_owned())
}
