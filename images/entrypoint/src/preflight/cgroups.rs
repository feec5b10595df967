//! Checks of cgroups: their version, the controllers that the kubelet needs, and who makes them.

use std::path::Path;

use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::settings::Settings;
use super::table::{CGROUP, Part};
use crate::mountinfo::{self, Entry};

/// Without one of them the kubelet ends; pids and hugetlb it can do without.
const V1_CONTROLLERS: [&str; 4] = ["cpu", "cpuacct", "cpuset", "memory"];
const V2_CONTROLLERS: [&str; 3] = ["cpu", "cpuset", "memory"];

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
    if ours == "systemd" && systemd == Some(false) {
        let found = "systemd, and this host does not run systemd";
        let text = "leave out --cgroup-driver, or --cgroup-driver=cgroupfs; and the same for the runtime";
        return Finding::bad(Status::Error, name, why, found, Repair::Text(text.to_owned()));
    }
    let Some((theirs, file)) = parts.iter().find_map(|part| runtime_driver(facts, *part)) else {
        return Finding {
            status: Status::Unknown,
            ..Finding::ok(name, why, format!("{ours}; the runtime's cannot be known from here"))
        };
    };
    if theirs == "systemd" && systemd == Some(false) {
        let found = format!("systemd by {file} on the host, which does not run systemd: no pod could start");
        let text = format!("{} in {file}, and restart the runtime", cgroupfs_in(file));
        return Finding::bad(Status::Error, name, why, found, Repair::Text(text));
    }
    if ours == theirs {
        return Finding::ok(name, why, format!("{ours}, as {file} on the host has it"));
    }
    Finding::bad(
        Status::Error,
        name,
        why,
        format!("{ours}, but {theirs} by {file} on the host"),
        Repair::Text(format!(
            "`cgroupDriver: {theirs}` in the kubelet's configuration, or --cgroup-driver={theirs}, or change {file}"
        )),
    )
}

/// The driver that the runtime's configuration on the host states, and that file. What it leaves to a default is not
/// known here: defaults differ by version and may come from other files.
fn runtime_driver(facts: &Facts, part: Part) -> Option<(&'static str, &'static str)> {
    let (file, read): (_, fn(&str) -> Option<&'static str>) = match part {
        Part::Containerd => ("/etc/containerd/config.toml", containerd_driver),
        Part::Crio => ("/etc/crio/crio.conf", crio_driver),
        Part::Docker => ("/etc/docker/daemon.json", docker_driver),
        _ => return None,
    };
    Some((read(&facts.read_on_host(file)?)?, file))
}

/// What a runtime's file has to say for cgroupfs.
fn cgroupfs_in(file: &str) -> &'static str {
    match file.rsplit('/').next() {
        Some("config.toml") => "`SystemdCgroup = false`",
        Some("daemon.json") => "`\"exec-opts\": [\"native.cgroupdriver=cgroupfs\"]`",
        _ => "`cgroup_manager = \"cgroupfs\"` and `conmon_cgroup = \"pod\"`",
    }
}

/// `SystemdCgroup` of the runc runtime in containerd's TOML.
fn containerd_driver(text: &str) -> Option<&'static str> {
    match setting(text, "SystemdCgroup")
        .or_else(|| setting(text, "systemd_cgroup").filter(|value| *value == "true"))?
    {
        "true" => Some("systemd"),
        "false" => Some("cgroupfs"),
        _ => None,
    }
}

fn crio_driver(text: &str) -> Option<&'static str> {
    match setting(text, "cgroup_manager")?.trim_matches('"') {
        "systemd" => Some("systemd"),
        "cgroupfs" => Some("cgroupfs"),
        _ => None,
    }
}

fn docker_driver(text: &str) -> Option<&'static str> {
    ["systemd", "cgroupfs"]
        .into_iter()
        .find(|driver| text.contains(&format!("\"native.cgroupdriver={driver}\"")))
}

/// The value of the first line `name = value` that is no comment.
fn setting<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.split('#').next().unwrap_or_default().trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_runtimes_state() {
        for (text, driver) in [
            ("version = 2\n  # SystemdCgroup = true\n", None),
            ("  SystemdCgroup = true # so\n", Some("systemd")),
            ("systemd_cgroup = false\n[x]\nSystemdCgroup=false\n", Some("cgroupfs")),
            ("systemd_cgroup = false\n", None),
            ("systemd_cgroup = true\n", Some("systemd")),
        ] {
            assert_eq!(containerd_driver(text), driver, "{text}");
        }
        assert_eq!(crio_driver("cgroup_manager = \"cgroupfs\"\n"), Some("cgroupfs"));
        assert_eq!(crio_driver("#cgroup_manager = \"systemd\"\n"), None);
        assert_eq!(docker_driver(r#"{"exec-opts": ["native.cgroupdriver=systemd"]}"#), Some("systemd"));
        assert_eq!(docker_driver("{}"), None);
    }
}
