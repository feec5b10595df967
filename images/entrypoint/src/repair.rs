//! Makes a mount of this container a peer of the host's again, from inside.
//!
//! A bind mount that a runtime made private keeps the kubelet's mounts from the host, and so from the runtime. What the
//! host has at the path is cloned in the host's mount namespace, where the clone joins its peer group, and takes the
//! place of the private mount here. It needs the host's process 1, `CAP_SYS_ADMIN`, and Linux 5.2 (5.6 for the look at
//! the host's mounts before); and a process of one thread, as only such a one may change its mount namespace.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::host;
use crate::mount::describe;
use crate::mountinfo::{self, Entry};

/// Puts the host's mount at `path` in the place of ours. The error says why that cannot be.
pub(crate) fn propagation(path: &Path) -> Result<(), String> {
    let tree = clone_on_host(path)?;
    let ours = path.metadata().map_err(|error| format!("cannot be looked at: {error}"))?;
    let hosts = rustix::fs::statat(&tree, "", AtFlags::EMPTY_PATH).map_err(|error| failed("stat", error))?;
    if (ours.dev(), ours.ino()) != (hosts.st_dev, hosts.st_ino) {
        return Err("the host has another directory at this path".to_owned());
    }

    let table = mountinfo::read().map_err(|failure| failure.message)?;
    if let Some(below) = only_here(&table, path) {
        return Err(format!("{below} is mounted below it in this container only, and would be hidden"));
    }
    let before = mountinfo::of_path(&table, path);
    let read_only = before.is_some_and(Entry::is_read_only);
    if before.is_some_and(|entry| entry.target == path.as_os_str()) {
        // Left below, it would keep the host's volumes in use after the kubelet has unmounted them.
        rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(|error| failed("umount", error))?;
    }
    rustix::mount::move_mount(&tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| failed("move_mount", error))?;
    if read_only {
        rustix::mount::mount_remount(path, MountFlags::BIND | MountFlags::RDONLY, c"")
            .map_err(|error| failed("remount read-only", error))?;
    }
    let table = mountinfo::read().map_err(|failure| failure.message)?;
    match mountinfo::of_path(&table, path).map(|entry| entry.shared) {
        Some(Some(_)) => Ok(()),
        _ => Err("the host does not share this mount".to_owned()),
    }
}

/// A mount below `path` that the host has not there. To mount it anew would be to mount it on the host.
fn only_here(table: &[Entry], path: &Path) -> Option<String> {
    let hosts = mountinfo::of_process(1).unwrap_or_default();
    let alike = |entry: &Entry, host: &Entry| {
        (&entry.target, &entry.device, &entry.root) == (&host.target, &host.device, &host.root)
    };
    let below =
        |entry: &&Entry| entry.target != path.as_os_str() && Path::new(&entry.target).starts_with(path);
    let found = table.iter().filter(below).find(|entry| !hosts.iter().any(|host| alike(entry, host)))?;
    Some(found.target.to_string_lossy().into_owned())
}

/// A clone of all that is mounted at `path` on the host, attached nowhere.
fn clone_on_host(path: &Path) -> Result<OwnedFd, String> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree =
        host::visit(|| rustix::mount::open_tree(CWD, path, flags)).map_err(|closed| closed.to_string())?;
    tree.map_err(|error| match error {
        Errno::NOSYS => "that needs Linux 5.2 or newer".to_owned(),
        Errno::NOENT => "the host has nothing at this path".to_owned(),
        error => failed("open_tree", error),
    })
}

fn failed(call: &str, error: Errno) -> String {
    format!("{call}: {}", describe(error))
}
