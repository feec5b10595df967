//! Checks of namespaces, privileges and what else the kubelet wants of the kernel and the host.

use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::facts::{Answer, Facts};
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::settings::Settings;
use crate::{host, mountinfo};

/// Capabilities that the kubelet uses: number, name.
const CAPABILITIES: [(u32, &str); 11] = [
    (0, "CHOWN"),
    (1, "DAC_OVERRIDE"),
    (3, "FOWNER"),
    (5, "KILL"),
    (12, "NET_ADMIN"),
    (18, "SYS_CHROOT"),
    (19, "SYS_PTRACE"),
    (21, "SYS_ADMIN"),
    (24, "SYS_RESOURCE"),
    (27, "MKNOD"),
    (34, "SYSLOG"),
];
/// The kubelet cannot do without them.
const REQUIRED: [u32; 2] = [12, 21];
/// A namespace by its file in /proc/PID/ns.
const CGROUP_NAMESPACE: &str = "cgroup";

/// All of these checks.
pub(crate) fn check(facts: &Facts, settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![
        pid_namespace(facts),
        namespace(
            facts,
            ("network namespace", "net"),
            Status::Error,
            "the node's address, ports and pods on the host's network are the host's",
            Repair::HostNetwork,
        ),
        namespace(
            facts,
            ("UTS namespace", "uts"),
            if settings.flag("hostname-override").is_some() { Status::Ok } else { Status::Warning },
            "the node is named by the host's name",
            Repair::HostUts,
        ),
        privileges(facts),
        user_namespace(),
        kernel_settings(facts),
        kernel_log(),
        swap(settings),
    ];
    findings.extend(cgroup_namespace(facts));
    findings
}

/// Docker and podman give a container one of its own where the host has cgroups of version 2. A newer kubelet then does not
/// find its own cgroup below /sys/fs/cgroup, takes it that swap cannot be limited, and leaves all of it to every pod. Source:
/// `checkSwapControllerAvailability` in `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go` of Kubernetes 1.34 to 1.37. None where the
/// kernel has no such namespaces.
pub(crate) fn cgroup_namespace(facts: &Facts) -> Option<Finding> {
    let _own = host::namespace("self", CGROUP_NAMESPACE)?;
    Some(namespace(
        facts,
        ("cgroup namespace", CGROUP_NAMESPACE),
        Status::Repairable,
        "the kubelet finds its own cgroup by the host's name, or does not limit pods' swap",
        Repair::HostCgroup,
    ))
}

fn pid_namespace(facts: &Facts) -> Finding {
    let (name, why) = ("pid namespace", "pods' processes are those of the host");
    match facts.host_pid {
        Answer::Yes => Finding::ok(name, why, "the host's"),
        Answer::No => {
            Finding::bad(Status::Error, name, why, "this container has one of its own", Repair::HostPid)
        }
        Answer::Unknown => Finding::bad(
            Status::Unknown,
            name,
            why,
            "process 1 may not be looked at, so whose it is cannot be known",
            Repair::Privileged,
        ),
    }
}

fn namespace(
    facts: &Facts,
    (name, file): (&str, &str),
    wrong: Status,
    why: &'static str,
    repair: Repair,
) -> Finding {
    match facts.is_hosts_namespace(file) {
        Answer::Yes => Finding::ok(name, why, "the host's"),
        Answer::No if wrong == Status::Ok => {
            Finding::ok(name, why, "this container's own, and the node has a name by flag")
        }
        Answer::No => Finding::bad(wrong, name, why, "this container has one of its own", repair),
        Answer::Unknown if facts.host_pid == Answer::Yes => Finding::bad(
            Status::Unknown,
            name,
            why,
            "process 1 may not be looked at, so whose it is cannot be known",
            repair,
        ),
        Answer::Unknown => Finding::bad(
            Status::Unknown,
            name,
            why,
            "without the host's pid namespace it cannot be compared with the host's",
            repair,
        ),
    }
}

fn privileges(facts: &Facts) -> Finding {
    let (name, why) = ("privileges", "it mounts volumes, sets up networks and limits processes");
    let lacks: Vec<_> = CAPABILITIES.iter().filter(|(number, _)| !facts.has(*number)).collect();
    // What the host's init lacks no container can be given.
    let here: Vec<_> =
        lacks.iter().filter(|(number, _)| facts.host_capabilities >> number & 1 == 1).collect();
    let names = |list: &[&(u32, &str)]| {
        list.iter().map(|(_, name)| format!("CAP_{name}")).collect::<Vec<_>>().join(", ")
    };
    if here.is_empty() {
        let found = if lacks.is_empty() {
            "all".to_owned()
        } else {
            format!("all that the host has, which is without {}", names(&lacks))
        };
        return Finding::ok(name, why, found);
    }
    let required = here.iter().any(|(number, _)| REQUIRED.contains(number));
    let status = if required { Status::Error } else { Status::Warning };
    let here: Vec<&(u32, &str)> = here.into_iter().copied().collect();
    Finding::bad(status, name, why, format!("without {}", names(&here)), Repair::Privileged)
}

fn user_namespace() -> Finding {
    let (name, why) = ("user namespace", "root in the container is root of the host");
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let fields: Vec<&str> = map.split_whitespace().collect();
    match fields[..] {
        [] => Finding::ok(name, why, "this kernel has none"),
        ["0", "0", "4294967295"] => Finding::ok(name, why, "the host's"),
        _ => Finding::bad(
            Status::Warning,
            name,
            why,
            "this container has one of its own",
            Repair::Text(
                "run it as root without a user namespace, or give the kubelet --feature-gates=KubeletInUserNamespace=true"
                    .to_owned(),
            ),
        ),
    }
}

fn kernel_settings(facts: &Facts) -> Finding {
    let (name, why) = ("/proc/sys", "it sets vm.overcommit_memory, kernel.panic and others");
    let read_only = mountinfo::of_path(&facts.mounts, Path::new("/proc/sys/vm"))
        .is_some_and(mountinfo::Entry::is_read_only);
    if read_only {
        return Finding::bad(Status::Error, name, why, "read-only", Repair::Privileged);
    }
    Finding::ok(name, why, "writable")
}

fn kernel_log() -> Finding {
    let (name, why) = ("/dev/kmsg", "it learns there of processes that ran out of memory");
    // Not waiting, should it be a pipe.
    let open =
        rustix::fs::open("/dev/kmsg", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    match open.map_err(std::io::Error::from) {
        Ok(_) => Finding::ok(name, why, "readable"),
        Err(error) => Finding::bad(
            Status::Error,
            name,
            why,
            format!("cannot be opened: {}", super::describe(&error)),
            Repair::Privileged,
        ),
    }
}

fn swap(settings: &Settings) -> Finding {
    let (name, why) = ("swap", "with swap on the kubelet refuses to start");
    let areas = std::fs::read_to_string("/proc/swaps").unwrap_or_default().lines().skip(1).count();
    if areas == 0 {
        return Finding::ok(name, why, "off");
    }
    if settings.value("fail-swap-on", "failSwapOn") == Some("false") {
        return Finding::ok(name, why, "on, and allowed by failSwapOn: false");
    }
    Finding::bad(
        Status::Error,
        name,
        why,
        "on",
        Repair::Text(
            "on the host: `swapoff -a`; or `failSwapOn: false` in the kubelet's configuration".to_owned(),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(capabilities: u64, host_capabilities: u64) -> Facts {
        Facts { mounts: vec![], host_pid: Answer::No, host_mounts: None, capabilities, host_capabilities }
    }

    #[test]
    fn privileges_are_those_that_the_host_can_give() {
        let all = u64::MAX;
        assert_eq!(privileges(&facts(all, all)).status, Status::Ok);
        let found = privileges(&facts(all & !(1 << 24), all));
        assert_eq!((found.status, found.found.as_str()), (Status::Warning, "without CAP_SYS_RESOURCE"));
        let found = privileges(&facts(all & !(1 << 24), all & !(1 << 24)));
        assert_eq!(found.status, Status::Ok);
        assert!(found.found.contains("CAP_SYS_RESOURCE"));
        // What docker gives without --privileged.
        let found = privileges(&facts(0xa804_25fb, all));
        assert_eq!(found.status, Status::Error);
        assert_eq!(
            found.found,
            "without CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, CAP_SYSLOG"
        );
    }

    #[test]
    fn namespaces_that_cannot_be_compared_are_unknown() {
        let found =
            namespace(&facts(0, 0), ("network namespace", "net"), Status::Error, "", Repair::HostNetwork);
        assert_eq!(found.status, Status::Unknown);
        assert_eq!(pid_namespace(&facts(0, 0)).status, Status::Error);
    }
}
