//! Which parts of a node are in play: the container runtime by its socket, systemd, CNI plugins.

use std::path::Path;

use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::mounts::mounted_from_host;
use super::settings::Settings;
use super::table::{Access, Part, Propagation};

/// Sockets at their usual places, and the parts that come with them.
const SOCKETS: [(&str, &[Part]); 4] = [
    ("/run/containerd/containerd.sock", &[Part::Containerd]),
    ("/run/crio/crio.sock", &[Part::Crio]),
    ("/run/cri-dockerd.sock", &[Part::CriDockerd, Part::Docker]),
    ("/var/run/docker.sock", &[Part::Docker]),
];

/// The parts whose rows apply.
pub(crate) fn parts(settings: &Settings, cni: bool) -> Vec<Part> {
    let mut parts = match endpoint(settings) {
        Some(given) => SOCKETS.iter().find(|(path, _)| same(path, given)).map(|(_, parts)| parts.to_vec()),
        None => SOCKETS.iter().find(|(path, _)| exists(path)).map(|(_, parts)| parts.to_vec()),
    }
    .unwrap_or_default();
    if settings.value("cgroup-driver", "cgroupDriver") == Some("systemd") {
        parts.push(Part::Systemd);
    }
    if cni {
        parts.push(Part::Cni);
    }
    parts
}

/// Is the runtime's socket there?
pub(crate) fn check(facts: &Facts, settings: &Settings) -> Option<Finding> {
    let (name, why) = ("runtime endpoint", "the runtime runs the pods");
    let mount = |path: &str| Repair::Mount {
        path: path.to_owned(),
        propagation: Propagation::Default,
        access: Access::Read,
    };
    let Some(path) = endpoint(settings) else {
        if let Some((path, _)) = SOCKETS.iter().find(|(path, _)| exists(path)) {
            return Some(Finding::ok(name, why, format!("{path} is there")));
        }
        let found = "none of containerd, CRI-O, cri-dockerd and docker has its socket here";
        return Some(Finding::bad(Status::Error, name, why, found, mount("/run/containerd")));
    };
    if exists(path) {
        return Some(Finding::ok(name, why, path));
    }
    let directory = Path::new(path).parent()?;
    let found = format!("{path}: no such socket");
    if mounted_from_host(facts, directory).is_some() {
        let text = "start the runtime on the host, or name its endpoint by --container-runtime-endpoint";
        return Some(Finding::bad(Status::Error, name, why, found, Repair::Text(text.to_owned())));
    }
    // Of the usual places the table has a row that says it.
    if SOCKETS.iter().any(|(known, _)| same(known, path)) {
        return None;
    }
    Some(Finding::bad(Status::Error, name, why, found, mount(&directory.to_string_lossy())))
}

/// The path of the endpoint, where it is a socket of this machine.
fn endpoint(settings: &Settings) -> Option<&str> {
    let given = settings.value("container-runtime-endpoint", "containerRuntimeEndpoint")?;
    let path = given.strip_prefix("unix://").unwrap_or(given);
    path.starts_with('/').then_some(path)
}

/// /var/run is /run wherever there are both.
fn same(one: &str, other: &str) -> bool {
    let plain = |path: &str| path.strip_prefix("/var").unwrap_or(path).to_owned();
    plain(one) == plain(other)
}

/// The socket, by either name of /run.
fn exists(path: &str) -> bool {
    let plain = path.strip_prefix("/var").unwrap_or(path);
    Path::new(plain).exists() || Path::new("/var").join(plain.trim_start_matches('/')).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flag: &str) -> Settings {
        Settings::of(&[flag.into()])
    }

    #[test]
    fn the_endpoint_tells_the_runtime() {
        for (endpoint, expected) in [
            ("unix:///run/containerd/containerd.sock", &[Part::Containerd][..]),
            ("unix:///var/run/crio/crio.sock", &[Part::Crio]),
            ("/run/cri-dockerd.sock", &[Part::CriDockerd, Part::Docker]),
            ("unix:///run/k3s/containerd/containerd.sock", &[]),
        ] {
            let given = settings(&format!("--container-runtime-endpoint={endpoint}"));
            assert_eq!(parts(&given, false), expected, "{endpoint}");
        }
        assert!(parts(&settings("--cgroup-driver=systemd"), true).ends_with(&[Part::Systemd, Part::Cni]));
    }
}
