//! The processor's own virtualization, where it works.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use progress::Progress;
use serde_json::json;
use store::{Key, Store};

use crate::{Arch, System, hardware, packages, qemu};

/// How long a probe may take. Where virtualization works it takes a second.
const LIMIT: Duration = Duration::from_secs(12);

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// This machine's processor.
    Kvm,
    /// An emulation of it.
    Tcg,
}

impl Accel {
    /// KVM if a machine boots with it, else emulation: there are hosts where /dev/kvm opens and guests hang. What a probe
    /// found is remembered until this machine is restarted.
    pub fn find(system: &System, store: &Store, progress: &dyn Progress) -> Result<Self> {
        let openable = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
        if Arch::host() != Some(system.arch) || !openable() {
            return Ok(Self::Tcg);
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let key = Key::of("vm-probe", &json!({"boot": boot.trim(), "kernel": system.kernel}))?;
        let found = store.object(&key, "a probe of KVM", progress, |dir| {
            let _task = progress.task("probe whether a machine boots with KVM", None);
            let works = probe(system)?;
            std::fs::write(dir.join("result"), if works { "works\n" } else { "hangs\n" })
                .context("a probe's result")
        })?;
        let works = std::fs::read_to_string(found.file("result")?)? == "works\n";
        Ok(if works { Self::Kvm } else { Self::Tcg })
    }
}

/// Does the kernel get as far as its first program with KVM?
fn probe(system: &System) -> Result<bool> {
    packages::check_tools(&packages::qemu(system.arch))?;
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let initrd = hardware::initrd(system, dir.path())?;
    let mut command = Command::new(system.arch.qemu());
    command.args(qemu::base(system.arch, Accel::Kvm, 1, 512)).arg("-no-reboot");
    command.args(qemu::boot(system, &initrd, "vm.probe panic=-1"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start QEMU")?;
    let since = Instant::now();
    let ended = loop {
        match child.try_wait()? {
            Some(status) => break status.success(),
            None if since.elapsed() > LIMIT || exec::interrupt::pending() => {
                child.kill().context("ending a probe")?;
                child.wait()?;
                break false;
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    exec::interrupt::check()?;
    Ok(ended)
}
