//! A mount of the cgroups, for kubeadm: its preflight looks for one in /proc/mounts from 1.34 on, and refuses a host
//! without (`cgroup_validator_linux.go` of k8s.io/system-validators v1.10 and newer). Docker gives each container one;
//! containerd's `ctr run --privileged` gives none.

use std::fs;

use rustix::mount::{MountFlags, mount};

use super::table::CGROUP;
use crate::failure::err;
use crate::mountinfo::Entry;

/// Mounts them in this container alone, unless it has such a mount. Writable: kubeadm makes a cgroup for a moment, to see
/// whether it can be frozen (`checkCgroupV2Freeze` there). Those of version 1 are many, and
/// kubeadm 1.35 refuses them anyway: it says so.
pub(super) fn provide(mounts: &[Entry]) {
    let cgroups = || fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if has_mount(mounts) || !is_unified(&cgroups()) {
        return;
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount("cgroup2", CGROUP, "cgroup2", flags, c"") {
        Ok(()) => err(&format!("entrypoint: {CGROUP}: mounted in this container, for kubeadm's preflight")),
        // kubeadm says what it does not find.
        Err(error) => err(&format!(
            "entrypoint: {CGROUP}: failed to mount it, for kubeadm's preflight: {error}; mount it: -v {CGROUP}:{CGROUP}"
        )),
    }
}

/// Is there a mount of cgroups in this table?
fn has_mount(mounts: &[Entry]) -> bool {
    mounts.iter().any(|entry| matches!(&*entry.fstype, "cgroup" | "cgroup2"))
}

/// Is the hierarchy of version 2 the only one that a process is in (cgroups(7), /proc/pid/cgroup)?
fn is_unified(cgroups: &str) -> bool {
    !cgroups.is_empty() && cgroups.lines().all(|line| line.starts_with("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mountinfo;

    #[test]
    fn mounts_of_cgroups_are_told_by_their_type() {
        let has = |more: &str| {
            let proc =
                "22 28 0:20 / /proc rw,nosuid - proc proc rw\n29 28 0:25 / /run/cgroup rw - tmpfs tmpfs rw\n";
            has_mount(&mountinfo::parse(format!("{proc}{more}").as_bytes()))
        };
        assert!(!has("") && !has_mount(&[]));
        assert!(has("30 28 0:26 / /sys/fs/cgroup ro shared:4 - cgroup2 cgroup2 rw\n"));
        assert!(has("31 28 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"));
    }

    #[test]
    fn a_process_of_one_hierarchy_is_of_version_2() {
        assert!(is_unified("0::/\n") && is_unified("0::/default/kubeadm\n"));
        // Hybrid, version 1, and a kernel without any.
        assert!(!is_unified("1:name=systemd:/\n0::/\n") && !is_unified("4:memory:/a\n") && !is_unified(""));
    }
}
