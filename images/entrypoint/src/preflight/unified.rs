//! A mount of the cgroups, for kubeadm: its preflight looks for one in /proc/mounts from 1.34 on, and refuses a host
//! without (`cgroup_validator_linux.go` of k8s.io/system-validators v1.10 and newer). Docker gives each container one;
//! containerd's `ctr run --privileged` gives none.

use std::fs;

use rustix::mount::{MountFlags, mount};

use crate::failure::err;

/// Where everybody has them.
const PLACE: &str = "/sys/fs/cgroup";

/// Mounts them, read-only and in this container alone, unless it has such a mount. Those of version 1 are many, and
/// kubeadm 1.35 refuses them anyway: it says so.
pub(super) fn provide() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if has_mount(&read("/proc/self/mounts")) || !is_unified(&read("/proc/self/cgroup")) {
        return;
    }
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount("cgroup2", PLACE, "cgroup2", flags, c"") {
        Ok(()) => err(&format!("entrypoint: {PLACE}: mounted in this container, for kubeadm's preflight")),
        // kubeadm says what it does not find.
        Err(error) => err(&format!(
            "entrypoint: {PLACE}: failed to mount it, for kubeadm's preflight: {error}; mount it: -v {PLACE}:{PLACE}:ro"
        )),
    }
}

/// Is there a mount of cgroups in this table (proc(5), /proc/pid/mounts)?
fn has_mount(mounts: &str) -> bool {
    mounts.lines().any(|line| matches!(line.split(' ').nth(2), Some("cgroup" | "cgroup2")))
}

/// Is the hierarchy of version 2 the only one that a process is in (cgroups(7), /proc/pid/cgroup)?
fn is_unified(cgroups: &str) -> bool {
    !cgroups.is_empty() && cgroups.lines().all(|line| line.starts_with("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_cgroups_are_told_by_their_type() {
        let proc = "proc /proc proc rw,nosuid 0 0\ntmpfs /run/cgroup tmpfs rw 0 0\n";
        assert!(!has_mount(proc) && !has_mount(""));
        assert!(has_mount(&format!("{proc}cgroup2 /sys/fs/cgroup cgroup2 ro 0 0\n")));
        assert!(has_mount(&format!("{proc}cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n")));
    }

    #[test]
    fn a_process_of_one_hierarchy_is_of_version_2() {
        assert!(is_unified("0::/\n") && is_unified("0::/default/kubeadm\n"));
        // Hybrid, version 1, and a kernel without any.
        assert!(!is_unified("1:name=systemd:/\n0::/\n") && !is_unified("4:memory:/a\n") && !is_unified(""));
    }
}
