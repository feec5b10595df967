//! What a machine boots: a kernel, an initramfs and the disk of a root filesystem, of packages or of the user's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;
use serde_json::json;
use store::{Key, Store};

use crate::packages::{self, Sources, TOOLS};
use crate::{Arch, Flavour, Init, Runtime, disk, initramfs, pods};

/// To be raised with a change that no key would notice of how a system is put together.
const FORMAT: u32 = 3;
/// Where an object says which of apt's entries it has nothing from; most have no such file.
const LEFT_OUT: &str = "left-out";
/// How the file of a disk of qcow2 begins.
const QCOW2: &[u8] = b"QFI\xfb";

/// A system to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// The processor that it is for.
    pub arch: Arch,
    /// The kernel.
    pub kernel: PathBuf,
    /// The half of the initramfs that comes of packages.
    pub(crate) initrd: PathBuf,
    /// The archive of the image for pods.
    pub(crate) pods: PathBuf,
    /// The disk of its root filesystem.
    pub root: PathBuf,
    /// Is that a qcow2 image, not a bare disk?
    pub(crate) qcow2: bool,
    /// Process 1; none where it is the user's own.
    pub(crate) init: Option<Init>,
    /// The daemons that process 1 starts.
    pub(crate) runtime: Runtime,
    /// Apt's entries that could not be read when it was made: it has nothing from there.
    pub left_out: Vec<String>,
}

impl System {
    /// The flavour's, made of packages if the store does not have it.
    ///
    /// # Errors
    /// [`Kind::Tool`] for a program that is missing, [`Kind::Unavailable`] where there are no packages, and what making it
    /// gives.
    pub fn of(flavour: &Flavour, store: &Store, progress: &dyn Progress) -> Result<Self> {
        let sources = Sources::find()?;
        let key = key(flavour, &sources.codename)?;
        let name = format!("a system of packages, {}", flavour.name());
        let object = store.object(&key, &name, progress, |dir| {
            packages::check_tools(&TOOLS)?;
            let task = progress.task(&format!("make {name} (minutes, once)"), None);
            let scratch = store.scratch_dir()?;
            let root = scratch.path().join("root");
            let left_out = packages::install(flavour, &sources, &root, scratch.path(), &*task)?;
            if !left_out.is_empty() {
                fs::write(dir.join(LEFT_OUT), left_out.join("\n"))?;
            }
            task.detail("disk");
            let (kernel, modules) = packages::kernel(&root)?;
            fs::copy(&kernel, dir.join("kernel")).with_context(|| format!("copying {}", kernel.display()))?;
            fs::write(dir.join("initrd"), initramfs::of_packages(&root, &modules)?)?;
            only_configuration(&root.join("boot"))?;
            pods::make(flavour.arch, &root.join("bin/busybox"), &dir.join("pods.tar"))?;
            configure(&root)?;
            disk::make_root(&root, scratch.path(), &dir.join("root.qcow2"))
        })?;
        let left_out: Vec<String> = if object.dir.join(LEFT_OUT).exists() {
            fs::read_to_string(object.file(LEFT_OUT)?)?.lines().map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        for entry in &left_out {
            progress.note(&format!("{name}: its mirror was out of step, so it has nothing from `{entry}`"));
        }
        Ok(Self {
            arch: flavour.arch,
            kernel: object.file("kernel")?,
            initrd: object.file("initrd")?,
            pods: object.file("pods.tar")?,
            root: object.file("root.qcow2")?,
            qcow2: true,
            init: Some(flavour.init),
            runtime: flavour.runtime,
            left_out,
        })
    }

    /// The same with the user's own kernel, root filesystem or both. A kernel of one's own needs virtio's disks and serial
    /// ports, PCI and the root's filesystem built in; a root filesystem has its own /sbin/init.
    ///
    /// # Errors
    /// [`Kind::NotFound`] for a file that cannot be read.
    pub fn with(mut self, kernel: Option<&Path>, root: Option<&Path>) -> Result<Self> {
        if let Some(kernel) = kernel {
            head(kernel)?;
            kernel.clone_into(&mut self.kernel);
        }
        if let Some(root) = root {
            self.qcow2 = head(root)?.starts_with(QCOW2);
            root.clone_into(&mut self.root);
            self.init = None;
        }
        Ok(self)
    }
}

/// What of a system a machine without hardware is made of.
impl System {
    /// Writes its root filesystem as a bare disk, on which what is empty takes no room.
    ///
    /// # Errors
    /// [`Kind::Tool`] without qemu-img, and what it says.
    pub fn write_root(&self, to: &Path) -> Result<()> {
        packages::check_tools(&TOOLS)?;
        disk::convert(&self.root, "raw", to).context("making the disk of the root filesystem")
    }

    /// Writes what a machine's agent, its init and its owner call in `/usr/lib/vm` into a directory.
    ///
    /// # Errors
    /// Where it cannot be written to.
    pub fn write_guest(&self, dir: &Path) -> Result<()> {
        initramfs::write_guest(&self.pods, dir)
    }
}

/// How a file begins.
fn head(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => {
            Err(Fault::new(Kind::NotFound, format!("cannot read {}: {error}", path.display())).into())
        }
    }
}

/// Leaves of the kernel's files its configuration, which kubeadm reads there.
fn only_configuration(boot: &Path) -> Result<()> {
    for entry in fs::read_dir(boot).with_context(|| format!("cannot read {}", boot.display()))? {
        let path = entry?.path();
        let configuration =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("config-"));
        if !configuration {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Hashes all that goes in but the packages' versions, which are those of the day.
fn key(flavour: &Flavour, codename: &str) -> Result<Key> {
    let mut inputs = json!({"format": FORMAT, "arch": flavour.arch, "codename": codename,
        "packages": flavour.packages(), "kernel": flavour.arch.kernel_package(), "modules": initramfs::MODULES});
    if !packages::runs_here(flavour.arch) {
        inputs["unpacked"] = json!(packages::FOREIGN);
    }
    Key::of("vm", &inputs)
}

/// Makes of unpacked packages a system that has a name and boots without questions.
fn configure(root: &Path) -> Result<()> {
    let files = [
        ("hostname", "node\n"),
        ("hosts", "127.0.0.1 localhost\n192.0.2.10 node\n"),
        ("resolv.conf", "nameserver 192.0.2.1\n"),
        ("fstab", ""),
        // Empty: each boot from a new disk is a new machine.
        ("machine-id", ""),
    ];
    for (name, text) in files {
        fs::write(root.join("etc").join(name), text)?;
    }
    Ok(())
}
