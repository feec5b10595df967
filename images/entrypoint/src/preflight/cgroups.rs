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

/// From this release on the kubelet does not start with cgroups v1 unless it is told that it may. Source: `FailCgroupV1` in
/// `pkg/kubelet/apis/config/v1beta1/defaults.go` of Kubernetes, and `validation_linux.go`.
const REFUSES_V1: Release = Release::one(35);

/// All checks.
pub(crate) fn check(facts: &Facts, settings: &Settings, parts: &[Part]) -> Vec<Finding> {
    let v2 =
        mountinfo::of_path(&facts.mounts, Path::new(CGROUP)).is_some_and(|entry| entry.fstype == "cgroup2");
    let version = version(v2, settings, Image::here().release);
    let others = [controllers(facts, v2), driver(facts, settings, parts)];
    version.into_iter().chain(others).collect()
}

/// Does the kubelet start with that version? Nothing is said of a release that starts with either.
fn version(v2: bool, settings: &Settings, release: Option<Release>) -> Option<Finding> {
    let release = release.filter(|release| *release >= REFUSES_V1)?;
    let (name, why) = ("cgroup version", "Kubernetes leaves v1");
    if v2 {
        return Some(Finding::ok(name, why, "v2"));
    }
    if settings.is_unknown("fail-cgroupv1", "failCgroupV1") {
        let found = "v1, and what the configuration says of that is not understood here";
        return Some(Finding { status: Status::Unknown, ..Finding::ok(name, why, found) });
    }
    if settings.value("fail-cgroupv1", "failCgroupV1").is_some_and(is_false) {
        return Some(Finding::ok(name, why, "v1, which the kubelet is configured to accept"));
    }
    let text = "start the host with cgroups v2 (systemd.unified_cgroup_hierarchy=1 on its kernel command line, where it runs \
                systemd), or, as long as Kubernetes has it, `failCgroupV1: false` in the kubelet's configuration or \
                --fail-cgroupv1=false";
    let found = format!("v1, with which a kubelet of Kubernetes {release} does not start");
    Some(Finding::bad(Status::Error, name, why, found, Repair::Text(text.to_owned())))
}

/// As flags have it, and as YAML has it.
fn is_false(value: &str) -> bool {
    matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0")
}

fn controllers(facts: &Facts, v2: bool) -> Finding {
    let (name, why) = ("cgroup controllers", "limits of pods");
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
    let help = "mount the host's /sys/fs/cgroup with all below it; if the host does not have them, enable them on its kernel command line (cgroup_enable=memory)";
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_is_refused_from_1_35_on_unless_it_may_be_used() {
        let said = |v2, flags: &[&str], release: &str| {
            let args: Vec<_> = flags.iter().map(Into::into).collect();
            let finding = version(v2, &Settings::of(&args), Release::parse(release));
            finding.map(|finding| (finding.status, finding.found))
        };
        for release in ["v1.34.4", ""] {
            assert_eq!((said(false, &[], release), said(true, &[], release)), (None, None), "{release}");
        }
        for (flags, status) in [
            (&[][..], Status::Error),
            (&["--fail-cgroupv1"], Status::Error),
            (&["--fail-cgroupv1=true"], Status::Error),
            (&["--fail-cgroupv1=false"], Status::Ok),
            (&["--fail-cgroupv1=false", "--fail-cgroupv1=true"], Status::Error),
        ] {
            assert_eq!(said(false, flags, "v1.35.0").unwrap().0, status, "{flags:?}");
            assert_eq!(said(true, flags, "v1.35.0"), Some((Status::Ok, "v2".to_owned())), "{flags:?}");
        }
        let dir = std::env::temp_dir().join(format!("cgroups-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (text, status) in [
            ("failCgroupV1: false\n", Status::Ok),
            ("failCgroupV1: true\n", Status::Error),
            ("address: 0.0.0.0\n", Status::Error),
        ] {
            let file = dir.join("config.yaml");
            std::fs::write(&file, text).unwrap();
            let flag = format!("--config={}", file.display());
            assert_eq!(said(false, &[&flag], "v1.37.2").unwrap().0, status, "{text}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
