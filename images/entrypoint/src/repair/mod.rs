//! Puts right from inside what this container was not given of its host.
//!
//! A bind mount that a runtime made private keeps the kubelet's mounts from the host, and so from the runtime. What the
//! host has at the path is cloned in the host's mount namespace, where the clone joins its peer group, and takes the
//! place of the private mount here. It needs the host's process 1, `CAP_SYS_ADMIN`, and Linux 5.2.

pub(crate) mod files;

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::host;
use crate::mount::describe;
use crate::mountinfo::{self, Entry};

/// Why a mount is not repaired.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// What to do about it, where that is not to give the container a mount that needs no repair.
    pub(crate) remedy: Option<String>,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, remedy: None }
    }
}

/// Puts the host's mount at `path` in the place of ours. The error says why that is not possible.
///
/// With `on_host`, a path that the host itself shares with nobody is mounted on itself there, and shared.
pub(crate) fn propagation(path: &Path, on_host: bool) -> Result<(), Refusal> {
    let tree = host::visit(|| {
        if on_host {
            share(path)?;
        }
        clone(path)
    })
    .map_err(|closed| closed.to_string())??;
    let ours = path.metadata().map_err(|error| format!("cannot be looked at: {error}"))?;
    let hosts = rustix::fs::statat(&tree, "", AtFlags::EMPTY_PATH).map_err(|error| failed("stat", error))?;
    if (ours.dev(), ours.ino()) != (hosts.st_dev, hosts.st_ino) {
        return Err("the host has another directory at this path".to_owned().into());
    }

    // As the table of mounts has it.
    let real = path.canonicalize().map_err(|error| format!("cannot be resolved: {error}"))?;
    let table = mountinfo::read().map_err(|failure| failure.message)?;
    let hosts = mountinfo::of_process(1).unwrap_or_default();
    if let Some(below) = only_here(&table, &hosts, &real) {
        let reason = format!("{below} is mounted below it in this container only, and would be hidden");
        // Below a shared mount it would be mounted on the host, too.
        let remedy = format!("mount it at a path that is not below {}, and name that one", path.display());
        return Err(Refusal { reason, remedy: Some(remedy) });
    }
    let before = mountinfo::of_path(&table, &real);
    let read_only = before.is_some_and(Entry::is_read_only);
    if before.is_some_and(|entry| entry.target == real.as_os_str()) {
        // Left below, it would keep the host's volumes in use after the kubelet has unmounted them.
        rustix::mount::unmount(&real, UnmountFlags::DETACH).map_err(|error| failed("umount", error))?;
    }
    rustix::mount::move_mount(&tree, "", CWD, &real, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| failed("move_mount", error))?;
    if read_only {
        rustix::mount::mount_remount(&real, MountFlags::BIND | MountFlags::RDONLY, c"")
            .map_err(|error| failed("remount read-only", error))?;
    }
    let table = mountinfo::read().map_err(|failure| failure.message)?;
    match mountinfo::of_path(&table, &real).map(|entry| entry.shared) {
        Some(Some(_)) => Ok(()),
        _ => Err("the host does not share this mount".to_owned().into()),
    }
}

/// A mount below `path` that the host does not have there. To mount it again would be to mount it on the host.
///
/// The host may have the directory by another name, behind a symbolic link or a bind mount, so what is compared is not
/// names but what is mounted on which directory of which filesystem.
fn only_here(table: &[Entry], hosts: &[Entry], path: &Path) -> Option<String> {
    let below =
        |entry: &&Entry| entry.target != path.as_os_str() && Path::new(&entry.target).starts_with(path);
    let on_host = |entry: &Entry| {
        let same = |host: &&Entry| (&host.device, &host.root) == (&entry.device, &entry.root);
        let place = mountinfo::place(table, entry);
        hosts.iter().filter(same).any(|host| mountinfo::place(hosts, host) == place)
    };
    let found = table.iter().filter(below).find(|entry| !on_host(entry))?;
    Some(found.target.to_string_lossy().into_owned())
}

/// On the host: makes what is mounted at `path` shared, unless it is. A directory is mounted on itself for that, with
/// all that is mounted below it.
fn share(path: &Path) -> Result<(), String> {
    let real = path.canonicalize().map_err(|error| format!("cannot be resolved on the host: {error}"))?;
    let table = mountinfo::read().map_err(|failure| failure.message)?;
    let there = mountinfo::of_path(&table, &real).ok_or("the host's mount of it is not known")?;
    if there.shared.is_some() {
        return Ok(());
    }
    if there.target != real.as_os_str() {
        rustix::mount::mount_bind_recursive(&real, &real)
            .map_err(|error| format!("on the host: mount --rbind: {}", describe(error)))?;
    }
    rustix::mount::mount_change(&real, MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .map_err(|error| format!("on the host: mount --make-rshared: {}", describe(error)))
}

/// On the host: a clone of all that is mounted at `path`, attached nowhere.
fn clone(path: &Path) -> Result<OwnedFd, String> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags).map_err(|error| match error {
        Errno::NOSYS => "that needs Linux 5.2 or newer".to_owned(),
        Errno::NOENT => "the host has nothing at this path".to_owned(),
        error => failed("open_tree", error),
    })
}

fn failed(call: &str, error: Errno) -> String {
    format!("{call}: {}", describe(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_container_has_is_found_whatever_the_host_calls_the_directory() {
        let hosts = mountinfo::parse(
            b"1 0 254:0 / / rw shared:1 - ext4 a rw\n2 1 0:50 / /data/kubelet/pods/x rw - tmpfs t rw\n",
        );
        let table = |below: &str| {
            let own =
                "9 8 0:40 / / rw - overlay o rw\n5 9 254:0 /data/kubelet /var/lib/kubelet rw - ext4 a rw\n";
            mountinfo::parse(format!("{own}{below}").as_bytes())
        };
        let only = |below: &str| only_here(&table(below), &hosts, Path::new("/var/lib/kubelet"));
        assert_eq!(only(""), None);
        assert_eq!(only("6 5 0:50 / /var/lib/kubelet/pods/x rw - tmpfs t rw\n"), None);
        // The same filesystem elsewhere, another one there, a file of the container's own.
        for below in [
            "6 5 0:50 / /var/lib/kubelet/pods/z rw - tmpfs t rw\n",
            "6 5 0:51 / /var/lib/kubelet/pods/x rw - tmpfs t rw\n",
            "6 5 254:0 /etc/hosts /var/lib/kubelet/config.yaml rw - ext4 a rw\n",
        ] {
            let target = below.split(' ').nth(4).map(str::to_owned);
            assert_eq!(only(below), target, "{below}");
        }
        // Beside it, not below.
        assert_eq!(only("6 9 0:51 / /var/lib/kubelet2 rw - tmpfs t rw\n"), None);
    }
}
