//! The kernel's first root filesystem: busybox, and the modules without which it cannot reach the root's disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cpio::Cpio;

/// Its first program.
const INIT: &[u8] = include_bytes!("../guest/initramfs");
/// What it puts into the root, by name.
const GUEST: [(&str, &[u8]); 11] = [
    ("agent", include_bytes!("../guest/agent")),
    ("boot", include_bytes!("../guest/boot")),
    ("console", include_bytes!("../guest/console")),
    ("image", include_bytes!("../guest/image")),
    ("import", include_bytes!("../guest/import")),
    ("inittab", include_bytes!("../guest/inittab")),
    ("network", include_bytes!("../guest/network")),
    ("service", include_bytes!("../guest/service")),
    ("up", include_bytes!("../guest/up")),
    ("vm-agent.service", include_bytes!("../guest/vm-agent.service")),
    ("vm-network.service", include_bytes!("../guest/vm-network.service")),
];
/// The archive of the image for pods, beside these.
const PODS: &str = "pods.tar";
/// What the root's disk needs; what the kernel has built in is not needed as a module.
pub(crate) const MODULES: [&str; 5] = ["virtio_pci", "virtio_mmio", "virtio_blk", "crc32c_generic", "ext4"];
const DIRECTORIES: [&str; 7] = ["bin", "dev", "modules", "new", "proc", "sys", "tmp"];

/// The half that comes of packages: for a root filesystem that has busybox and, in this directory, the kernel's modules.
pub(crate) fn of_packages(root: &Path, modules: &Path) -> Result<Vec<u8>> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let dependencies = String::from_utf8(read(&modules.join("modules.dep"))?)?;
    let order = order(&dependencies, &MODULES);
    let mut cpio = Cpio::new(Vec::new());
    DIRECTORIES.iter().try_for_each(|dir| cpio.directory(dir))?;
    cpio.file("bin/busybox", &read(&root.join("bin/busybox"))?)?;
    let mut list = String::new();
    for path in &order {
        let name = path.rsplit('/').next().unwrap_or(path);
        cpio.file(&format!("modules/{name}"), &read(&modules.join(path))?)?;
        list.push_str(name);
        list.push('\n');
    }
    cpio.file("modules/order", list.as_bytes())?;
    Ok(cpio.finish()?)
}

/// The half that is ours, which the kernel unpacks over the other one; `pods` is the archive of the image for pods.
pub(crate) fn ours(pods: &[u8]) -> Result<Vec<u8>> {
    let mut cpio = Cpio::new(Vec::new());
    cpio.file("init", INIT)?;
    cpio.directory("guest")?;
    for (name, bytes) in GUEST.into_iter().chain([(PODS, pods)]) {
        cpio.file(&format!("guest/{name}"), bytes)?;
    }
    Ok(cpio.finish()?)
}

/// Writes what the second half puts into the root into a directory, programs that may be run.
pub(crate) fn write_guest(pods: &Path, dir: &Path) -> Result<()> {
    for (name, bytes) in GUEST {
        let path = dir.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    fs::copy(pods, dir.join(PODS)).map(drop).with_context(|| format!("copying {}", pods.display()))
}

/// The files of these modules and of all they depend on, by the table that depmod writes, each after those it needs.
fn order<'a>(table: &'a str, names: &[&str]) -> Vec<&'a str> {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let needs: BTreeMap<&str, Vec<&str>> =
        lines.map(|(path, needed)| (path, needed.split_whitespace().collect())).collect();
    let stem = |path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        file.split(".ko").next().unwrap_or(file).replace('-', "_")
    };
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in names {
        for (path, needed) in needs.iter().filter(|(path, _)| stem(path) == *name) {
            // depmod lists what is needed most directly first, and all of it.
            for path in needed.iter().rev().chain([path]) {
                if seen.insert(*path) {
                    order.push(*path);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_after_what_it_needs() {
        let table = "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko
kernel/fs/jbd2/jbd2.ko: kernel/lib/crc32c.ko
kernel/drivers/virtio/virtio-mmio.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/lib/crc16.ko:\n";
        assert_eq!(
            order(table, &["virtio_mmio", "ext4", "built_in"]),
            [
                "kernel/drivers/virtio/virtio.ko",
                "kernel/drivers/virtio/virtio-mmio.ko",
                "kernel/fs/jbd2/jbd2.ko",
                "kernel/fs/mbcache.ko",
                "kernel/lib/crc16.ko",
                "kernel/fs/ext4/ext4.ko",
            ]
        );
    }
}
