//! Which parts of a node are in play: the container runtime by its socket, systemd, CNI plugins.

use std::path::Path;

use super::facts::Facts;
use super::finding::{Finding, Status};
use super::flags::Repair;
use super::mounts::mounted_from_host;
use super::settings::Settings;
use super::table::{Access, Part, Propagation};
use crate::kubelet::Image;
use crate::kubelet::runtime::{self, Kind, RUNTIMES, Runtime};

/// The parts that come with a runtime.
fn parts_of(kind: Kind) -> &'static [Part] {
    match kind {
        Kind::Containerd => &[Part::Containerd],
        Kind::Crio => &[Part::Crio],
        Kind::CriDockerd => &[Part::CriDockerd, Part::Docker],
        Kind::Docker => &[Part::Docker],
    }
}

/// The runtime that this endpoint usually is of.
fn known(path: &str) -> Option<&'static Runtime> {
    RUNTIMES.iter().find(|runtime| runtime.sockets.contains(&path))
}

/// What is used where no socket is named: what there is, or docker by dockershim where that is asked for.
fn found(settings: &Settings) -> Option<(&'static Runtime, &'static str)> {
    let docker =
        settings.flag("container-runtime") == Some("docker") || named(settings).is_some_and(is_dockershim);
    let mut usable = runtime::usable(Path::new("/"), Image::here().release).into_iter();
    usable.find(|(runtime, _)| !docker || runtime.kind == Kind::Docker)
}

/// The parts whose rows apply.
pub(crate) fn parts(settings: &Settings, cni: bool) -> Vec<Part> {
    let runtime = match endpoint(settings) {
        Some(given) => known(given),
        None => found(settings).map(|(runtime, _)| runtime),
    };
    let mut parts = runtime.map(|runtime| parts_of(runtime.kind).to_vec()).unwrap_or_default();
    if settings.value("cgroup-driver", "cgroupDriver") == Some("systemd") {
        parts.push(Part::Systemd);
    }
    // A duration that is not zero, as in `1m30s`.
    let grace = settings.value("", "shutdownGracePeriod");
    if grace.is_some_and(|grace| grace.bytes().any(|byte| matches!(byte, b'1'..=b'9'))) {
        parts.push(Part::Shutdown);
    }
    // One to bootstrap from is not looked at once there is a kubeconfig, wherever that is.
    let kubeconfig = settings.flag("kubeconfig").filter(|file| !file.is_empty());
    let bootstrap = settings.flag("bootstrap-kubeconfig");
    let bootstrap = bootstrap.filter(|_| !kubeconfig.is_some_and(|file| Path::new(file).exists()));
    if [kubeconfig, bootstrap]
        .into_iter()
        .flatten()
        .any(|file| Path::new(file).starts_with("/etc/kubernetes"))
    {
        parts.push(Part::Cluster);
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
        if let Some((_, path)) = found(settings) {
            return Some(Finding::ok(name, why, format!("{path} is there")));
        }
        let found = "no socket of a container runtime that this kubelet can use is here";
        return Some(Finding::bad(Status::Error, name, why, found, mount("/run/containerd")));
    };
    if runtime::is_socket(Path::new(path)) {
        return Some(Finding::ok(name, why, path));
    }
    let directory = Path::new(path).parent()?;
    let found = format!("{path}: no such socket");
    if mounted_from_host(facts, directory).is_some() {
        let text = "start the runtime on the host, or name its endpoint by --container-runtime-endpoint";
        return Some(Finding::bad(Status::Error, name, why, found, Repair::Text(text.to_owned())));
    }
    if let Some(runtime) = known(path) {
        // Of the usual places the table has a row that says it, unless it is there by the other name of /run.
        let there = runtime.sockets.into_iter().find(|path| runtime::is_socket(Path::new(path)))?;
        let text = format!("it is at {there}: --container-runtime-endpoint=unix://{there}");
        return Some(Finding::bad(Status::Error, name, why, found, Repair::Text(text)));
    }
    Some(Finding::bad(Status::Error, name, why, found, mount(&directory.to_string_lossy())))
}

/// The endpoint that is named.
fn named(settings: &Settings) -> Option<&str> {
    settings.value("container-runtime-endpoint", "containerRuntimeEndpoint")
}

/// Its path, where it is a socket of this machine that another than the kubelet makes.
fn endpoint(settings: &Settings) -> Option<&str> {
    let given = named(settings).filter(|given| !is_dockershim(given))?;
    let path = given.strip_prefix("unix://").unwrap_or(given);
    path.starts_with('/').then_some(path)
}

/// Is it the socket that the kubelet itself makes, before 1.24, to speak to docker?
fn is_dockershim(endpoint: &str) -> bool {
    endpoint.ends_with("dockershim.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flag: &str) -> Settings {
        Settings::of(&[flag.into()])
    }

    #[test]
    fn only_who_uses_etc_kubernetes_has_to_mount_it() {
        let bootstrap = "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf";
        // A file that exists everywhere.
        for (flags, expected) in [
            (&["--kubeconfig=/etc/kubernetes/kubelet.conf", bootstrap][..], true),
            (&["--kubeconfig=/nowhere/kubeconfig", bootstrap], true),
            (&["--kubeconfig=/proc/self/status", bootstrap], false),
            (&["--kubeconfig=/nowhere/kubeconfig", "--bootstrap-kubeconfig="], false),
            (&["--kubeconfig=/nowhere/kubeconfig", "--bootstrap-kubeconfig=/data/bootstrap"], false),
            (&["--kubeconfig=", "--v=2"], false),
            (&[], false),
        ] {
            let settings = Settings::of(&flags.iter().map(Into::into).collect::<Vec<_>>());
            assert_eq!(parts(&settings, false).contains(&Part::Cluster), expected, "{flags:?}");
        }
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
        for sockets in RUNTIMES.each_ref().map(|runtime| runtime.sockets) {
            let plain = |path: &str| path.strip_prefix("/var").unwrap_or(path).to_owned();
            assert_eq!(plain(sockets[0]), plain(sockets[1]), "both names of /run");
        }
        let dockershim = settings("--container-runtime-endpoint=unix:///var/run/dockershim.sock");
        assert_eq!(endpoint(&dockershim), None);
        assert!(parts(&settings("--cgroup-driver=systemd"), true).ends_with(&[Part::Systemd, Part::Cni]));
    }
}
