//! QEMU's command line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::accel::Accel;
use crate::{Arch, System};

/// The machine without anything in it: no network, no display, no configuration of the user's.
pub(crate) fn base(arch: Arch, accel: Accel, cpus: u16, memory: u32) -> Vec<OsString> {
    let (accel, cpu) = match accel {
        Accel::Kvm => ("kvm", "host"),
        Accel::Tcg => ("tcg,thread=multi", "max"),
    };
    let words = [
        "-no-user-config",
        "-nodefaults",
        "-display",
        "none",
        "-net",
        "none",
        "-machine",
        arch.board(),
        "-accel",
        accel,
    ];
    let words = words.map(OsString::from).into_iter();
    let sizes = [("-cpu", cpu.to_owned()), ("-smp", cpus.to_string()), ("-m", memory.to_string())];
    words.chain(sizes.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()])).collect()
}

/// What boots. `append` is added to the kernel's parameters.
pub(crate) fn boot(system: &System, initrd: &Path, append: &str) -> Vec<OsString> {
    // Where a busy machine emulates another one, the kernel's test of its timer fails by chance, and ends it.
    let timer = if system.arch == Arch::Amd64 { "no_timer_check " } else { "" };
    let parameters = format!("console={} quiet loglevel=4 {timer}{append}", system.arch.console());
    let words = [OsStr::new("-kernel"), system.kernel.as_os_str(), OsStr::new("-initrd"), initrd.as_os_str()];
    words.into_iter().map(OsStr::to_owned).chain(["-append".into(), parameters.into()]).collect()
}

/// A disk: `options` are of its image.
pub(crate) fn disk(id: &str, file: &Path, options: &str) -> Vec<OsString> {
    let mut drive = OsString::from(format!("if=none,id={id},{options},file="));
    drive.push(escaped(file));
    vec!["-drive".into(), drive, "-device".into(), format!("virtio-blk-pci,drive={id},serial={id}").into()]
}

/// A serial port of virtio's, by which the agent is spoken to.
pub(crate) fn port(name: &str, socket: &Path) -> Vec<OsString> {
    let mut chardev = OsString::from(format!("socket,id={name},server=on,wait=off,path="));
    chardev.push(escaped(socket));
    let device = format!("virtserialport,chardev={name},name={name}");
    vec!["-chardev".into(), chardev, "-device".into(), device.into()]
}

/// In a list of options, a comma in a value is two.
pub(crate) fn escaped(path: &Path) -> OsString {
    path.to_string_lossy().replace(',', ",,").into()
}
