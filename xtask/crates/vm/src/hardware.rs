//! A machine's hardware, and QEMU's words for it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::accel::Accel;
use crate::channel::PORTS;
use crate::{Card, Init, System, disk, initramfs, qemu};

/// The file of a machine's own root disk, in its directory: what differs from the system's.
const ROOT: &str = "root.qcow2";

/// Where the first serial port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// To this file.
    Log(PathBuf),
    /// To our terminal, and to this file.
    Terminal(PathBuf),
}

impl Console {
    pub(crate) fn log(&self) -> &Path {
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

/// Makes the disks of a machine in its directory.
pub(crate) fn make_disks(system: &System, options: &Options, dir: &Path) -> Result<()> {
    disk::overlay(&system.root, system.qcow2, &dir.join(ROOT))?;
    for (index, size) in options.disks.iter().enumerate() {
        disk::empty(&dir.join(format!("disk{index}")), *size)?;
    }
    Ok(())
}

/// QEMU's words for a machine whose disks are in a directory.
pub(crate) fn arguments(system: &System, options: &Options, dir: &Path) -> Result<Vec<OsString>> {
    let mut words = qemu::base(system.arch, options.accel, options.cpus, options.memory);
    let mut log = OsString::from(match options.console {
        Console::Log(_) => "file,id=console,append=on,path=",
        Console::Terminal(_) => "stdio,id=console,signal=off,mux=on,logappend=on,logfile=",
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
    // Not even QEMU's end loses what a machine was told is on its disk; only that of the machine below might.
    words.extend(qemu::disk("root", &dir.join(ROOT), "format=qcow2,cache=unsafe"));
    for index in 0..options.disks.len() {
        let name = format!("disk{index}");
        words.extend(qemu::disk(&name, &dir.join(&name), "format=raw,cache=unsafe"));
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
