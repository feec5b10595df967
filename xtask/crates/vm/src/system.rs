//! What a machine boots: a kernel, its initramfs and the disk of a root filesystem, from the store or of the user's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use progress::Progress;
use serde_json::json;
use store::{Key, Store};

use crate::packages::{self, Sources, TOOLS};
use crate::{Arch, Flavour, Init, Runtime, disk, initramfs, pods};

/// A change of what this file or its neighbours put together, that no key would notice.
const FORMAT: u32 = 1;
/// Where the agent and its like are.
const OURS: &str = "usr/lib/vm";
/// Ours, by name.
const GUEST: [(&str, &str); 7] = [
    ("agent", include_str!("../guest/agent")),
    ("boot", include_str!("../guest/boot")),
    ("console", include_str!("../guest/console")),
    ("import", include_str!("../guest/import")),
    ("network", include_str!("../guest/network")),
    ("service", include_str!("../guest/service")),
    ("up", include_str!("../guest/up")),
];
const INITTAB: &str = include_str!("../guest/inittab");
/// systemd's unit of the agent.
const UNIT: &str = include_str!("../guest/vm-agent.service");
/// systemd's unit of a network that is there before runtimes are.
const NETWORK_UNIT: &str = include_str!("../guest/vm-network.service");
const INITRAMFS: &str = include_str!("../guest/initramfs");

/// A system to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The processor that it is for.
    pub arch: Arch,
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs; none where the kernel itself has what it needs.
    pub initrd: Option<PathBuf>,
    /// The disk of its root filesystem.
    pub root: PathBuf,
    /// Is that a qcow2 image, not a bare disk?
    pub qcow2: bool,
    /// The program that is process 1.
    pub init: &'static str,
}

impl System {
    /// The flavour's, made of packages if the store does not have it.
    ///
    /// # Errors
    /// [`Kind::Tool`](fault::Kind::Tool) for a program that is missing, [`Kind::Unavailable`](fault::Kind::Unavailable) where there are no packages, and
    /// what making it gives.
    pub fn of(flavour: &Flavour, store: &Store, progress: &dyn Progress) -> Result<Self> {
        let sources = Sources::find()?;
        let key = key(flavour, &sources.codename)?;
        let name = format!("a system of packages, {}", flavour.name());
        let object = store.object(&key, &name, progress, |dir| {
            packages::check_tools(&TOOLS)?;
            let task = progress.task(&format!("make {name} (minutes, once)"), None);
            let scratch = store.scratch_dir()?;
            let root = scratch.path().join("root");
            packages::install(flavour, &sources, &root, scratch.path(), &*task)?;
            task.detail("disk");
            let (kernel, modules) = packages::kernel(&root)?;
            fs::copy(&kernel, dir.join("kernel")).with_context(|| format!("copying {}", kernel.display()))?;
            fs::write(dir.join("initrd"), initramfs::make(&root, &modules)?)?;
            fs::remove_dir_all(root.join("boot"))?;
            fs::create_dir(root.join("boot"))?;
            pods::make(flavour.arch, &root.join("bin/busybox"), &root.join(OURS).join("busybox.tar"))?;
            configure(flavour, &root)?;
            disk::make_root(&root, scratch.path(), &dir.join("root.qcow2"))
        })?;
        Ok(Self {
            arch: flavour.arch,
            kernel: object.file("kernel")?,
            initrd: Some(object.file("initrd")?),
            root: object.file("root.qcow2")?,
            qcow2: true,
            init: "/sbin/init",
        })
    }
}

/// Hashes all that goes in but the packages' versions, which are those of the day.
fn key(flavour: &Flavour, codename: &str) -> Result<Key> {
    let packages = flavour.packages();
    let kernel = flavour.arch.kernel_package();
    let guest = json!([GUEST, INITTAB, UNIT, NETWORK_UNIT, INITRAMFS]);
    let inputs = json!({"format": FORMAT, "arch": flavour.arch, "codename": codename, "packages": packages,
        "kernel": kernel, "init": flavour.init, "runtime": flavour.runtime, "guest": guest});
    Key::of("vm", &inputs)
}

/// Makes of unpacked packages a system that boots.
fn configure(flavour: &Flavour, root: &Path) -> Result<()> {
    let ours = root.join(OURS);
    fs::create_dir_all(&ours)?;
    for (name, text) in GUEST {
        fs::write(ours.join(name), text)?;
        fs::set_permissions(ours.join(name), Permissions::from_mode(0o755))?;
    }
    fs::write(root.join("etc/hostname"), "node\n")?;
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n192.0.2.10 node\n")?;
    fs::write(root.join("etc/resolv.conf"), "nameserver 192.0.2.1\n")?;
    fs::write(root.join("etc/fstab"), "")?;
    // Empty: each boot from a new disk is a new machine.
    fs::write(root.join("etc/machine-id"), "")?;
    match flavour.init {
        Init::Busybox => {
            let mut inittab = INITTAB.to_owned();
            for command in services(flavour.runtime) {
                inittab.push_str(&format!("::respawn:/usr/lib/vm/service {command}\n"));
            }
            fs::write(root.join("etc/inittab"), inittab)?;
            let init = root.join("sbin/init");
            if init.symlink_metadata().is_ok() {
                fs::remove_file(&init)?;
            }
            symlink("/bin/busybox", &init).context("making /sbin/init")
        }
        Init::Systemd => {
            let units = root.join("etc/systemd/system");
            let wants = units.join("multi-user.target.wants");
            fs::create_dir_all(&wants)?;
            for (name, text) in [("vm-agent.service", UNIT), ("vm-network.service", NETWORK_UNIT)] {
                fs::write(units.join(name), text)?;
                symlink(format!("../{name}"), wants.join(name))?;
            }
            Ok(())
        }
    }
}

/// The daemons of a runtime.
fn services(runtime: Runtime) -> &'static [&'static str] {
    match runtime {
        Runtime::Containerd | Runtime::Podman => &["containerd"],
        Runtime::Docker => &["containerd", "dockerd --containerd=/run/containerd/containerd.sock"],
    }
}
