//! Checks of cgroups: their version, the controllers that the kubelet needs, and who makes them.

use std::path::Path;

use super::drivers::{self, Stated};
use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::settings::Settings;
use super::table::{CGROUP, Part};
use crate::kubelet::{Image, Release};
use crate::mountinfo::{self, Entry};

/// Without one of them the kubelet ends; pids and hugetlb it can do without.
const V1_CONTROLLERS: [&str; 4] = ["cpu", "cpuacct", "cpuset", "memory"];
const V2_CONTROLLERS: [&str; 3] = ["cpu", "cpuset", "memory"];

/// From this release on the kubelet asks the runtime for its driver. Source: `getCgroupDriverFromCRI` in
/// `cmd/kubelet/app/server.go` of Kubernetes.
const ASKS_THE_RUNTIME: Release = Release::one(31);

/// Both checks.
pub(crate) fn check(facts: &Facts, settings: &Settings, parts: &[Part]) -> Vec<Finding> {
    vec![controllers(facts), driver(facts, settings, parts)]
}

fn controllers(facts: &Facts) -> Finding {
    let (name, why) = ("cgroup controllers", "limits of pods");
    let v2 =
        mountinfo::of_path(&facts.mounts, Path::new(CGROUP)).is_some_and(|entry| entry.fstype == "cgroup2");
    let (version, found, needed) = if v2 {
        let file = Path::new(CGROUP).join("cgroup.controllers");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        ("v2", text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), &V2_CONTROLLERS[..])
    } else {
        let below = |entry: &&Entry| Path::new(&entry.target).starts_with(CGROUP);
        let of = |fstype: &'static str| {
            facts.mounts.iter().filter(below).filter(move |entry| entry.fstype == fstype)
        };
        let all =
            of("cgroup").flat_map(|entry| entry.options().split(',').map(str::to_owned).collect::<Vec<_>>());
        let version = if of("cgroup2").next().is_some() { "v1, and v2 beside it (hybrid)" } else { "v1" };
        (version, all.collect(), &V1_CONTROLLERS[..])
    };
    let lacks: Vec<&str> =
        needed.iter().copied().filter(|name| !found.iter().any(|there| there == name)).collect();
    if lacks.is_empty() {
        return Finding::ok(name, why, version);
    }
    let help = "mount the host's /sys/fs/cgroup with all below it; if the host has them not, enable them on its kernel command line (cgroup_enable=memory)";
    Finding::bad(
        Status::Error,
        name,
        why,
        format!("{version}, without {}", lacks.join(", ")),
        Repair::Text(help.to_owned()),
    )
}

fn driver(facts: &Facts, settings: &Settings, parts: &[Part]) -> Finding {
    let (name, why) = ("cgroup driver", "the kubelet and the runtime must make cgroups the same way");
    let ours = settings.value("cgroup-driver", "cgroupDriver").unwrap_or("cgroupfs");
    let systemd = facts.runs_systemd();
    if settings.is_unknown("cgroup-driver", "cgroupDriver") {
        let found = "what the configuration says is not understood here";
        return Finding { status: Status::Unknown, ..Finding::ok(name, why, found) };
    }
    if ours == "systemd" && systemd == Some(false) {
        let found = "systemd, and this host does not run systemd";
        let text = "leave out --cgroup-driver, or --cgroup-driver=cgroupfs; and the same for the runtime";
        return Finding::bad(Status::Error, name, why, found, Repair::Text(text.to_owned()));
    }
    let Some(Stated { driver: theirs, file, told }) = drivers::stated(facts, parts) else {
        return Finding {
            status: Status::Unknown,
            ..Finding::ok(name, why, format!("{ours}; the runtime's cannot be known from here"))
        };
    };
    if theirs == "systemd" && systemd == Some(false) {
        let found = format!("systemd by {file} on the host, which does not run systemd: no pod could start");
        let text = format!("{} in {file}, and restart the runtime", drivers::cgroupfs_in(&file));
        return Finding::bad(Status::Error, name, why, found, Repair::Text(text));
    }
    if ours == theirs {
        return Finding::ok(name, why, format!("{ours}, as {file} on the host has it"));
    }
    let asks = Image::here().release.map(|release| release >= ASKS_THE_RUNTIME);
    if asks == Some(true) && told {
        return Finding::ok(
            name,
            why,
            format!("{theirs}, as the runtime tells the kubelet, by {file} on the host"),
        );
    }
    let found = format!("{ours}, but {theirs} by {file} on the host");
    let text = format!(
        "`cgroupDriver: {theirs}` in the kubelet's configuration, or --cgroup-driver={theirs}, or change {file}"
    );
    if asks == Some(false) {
        return Finding::bad(Status::Error, name, why, found, Repair::Text(text));
    }
    let found = format!(
        "{found}; from Kubernetes 1.31 on the runtime's is taken, unless it is containerd before 2.0"
    );
    Finding::bad(Status::Unknown, name, why, found, Repair::Text(text))
}
