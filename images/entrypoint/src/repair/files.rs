//! Files that say what the host is: the container gets a copy of the host's in the place of the image's own.
//!
//! A copy on a filesystem in memory, mounted read-only over the image's file in this container alone: nothing of the
//! host's is kept in use or can be changed through it, a read-only root will do, and so will any kernel.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags};

use super::failed;
use crate::mountinfo;

/// A file of the host, and where else hosts have it.
#[derive(Debug)]
pub(crate) struct HostFile {
    pub(crate) path: &'static str,
    pub(crate) or: &'static str,
}

/// Where cadvisor, in the kubelet, looks for the operating system's name: `machine/operatingsystem_unix.go`.
pub(crate) const OS_RELEASE: HostFile = HostFile { path: "/etc/os-release", or: "/usr/lib/os-release" };
/// And for the machine's id: `machine/info.go`.
pub(crate) const MACHINE_ID: HostFile = HostFile { path: "/etc/machine-id", or: "/var/lib/dbus/machine-id" };

/// Directories of the images that can be mounted over for a moment.
const STAGES: [&str; 4] = ["/tmp", "/var/tmp", "/mnt", "/srv"];

/// Puts a file with this text over the container's own at `path`.
pub(crate) fn put_over(path: &Path, text: &str) -> Result<(), String> {
    let table = mountinfo::read().map_err(|failure| failure.message)?;
    let hosts = mountinfo::of_process(1).unwrap_or_default();
    let target = path.canonicalize().map_err(|error| format!("the image has no such file: {error}"))?;
    let root = mountinfo::of_path(&table, &target).ok_or("the mount that it is on is not known")?;
    if root.target == target.as_os_str() {
        return Err("something is mounted there already".to_owned());
    }
    if let Some(group) = root.shared
        && hosts.iter().any(|host| host.shared == Some(group))
    {
        return Err("the container's root is shared with the host, which would see the mount".to_owned());
    }
    let same =
        |stage: &&&str| mountinfo::of_path(&table, Path::new(stage)).map(|entry| entry.id) == Some(root.id);
    let stage = STAGES.iter().find(same).ok_or("the image has no directory to make a copy in")?;
    // The stage hides what is below it only until the copy is in its place.
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("containerized-kubelet", *stage, "tmpfs", flags, c"size=64k")
        .map_err(|error| failed("mount tmpfs", error))?;
    let done = fill(Path::new(stage), &target, text, flags);
    rustix::mount::unmount(*stage, UnmountFlags::DETACH).map_err(|error| failed("umount", error))?;
    done
}

fn fill(stage: &Path, target: &Path, text: &str, flags: MountFlags) -> Result<(), String> {
    let copy = stage.join("copy");
    let write = || -> std::io::Result<()> {
        let mut file = File::options().write(true).create_new(true).mode(0o444).open(&copy)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(0o444))
    };
    write().map_err(|error| format!("cannot write a copy: {error}"))?;
    rustix::mount::mount_bind(&copy, target).map_err(|error| failed("mount --bind", error))?;
    rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY | flags, c"")
        .map_err(|error| failed("remount read-only", error))
}
