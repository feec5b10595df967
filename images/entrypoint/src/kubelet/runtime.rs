//! The container runtime on the host: which one the kubelet is to talk to, found by its socket.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::at;
use super::release::Release;
use crate::stop::{HOST, Stop, USAGE};

/// The first release without dockershim, the kubelet's own way to talk to docker.
pub(crate) const WITHOUT_DOCKERSHIM: Release = Release::one(24);

/// A container runtime, and where its socket is.
struct Runtime {
    name: &'static str,
    /// The usual place first.
    sockets: &'static [&'static str],
}

/// Those that speak CRI. Source: `cmd/kubeadm/app/constants/constants_unix.go` of Kubernetes, `CRISocket...`.
const CRI: [Runtime; 3] = [
    Runtime { name: "containerd", sockets: &["/run/containerd/containerd.sock"] },
    Runtime { name: "CRI-O", sockets: &["/var/run/crio/crio.sock", "/run/crio/crio.sock"] },
    Runtime { name: "cri-dockerd", sockets: &["/var/run/cri-dockerd.sock", "/run/cri-dockerd.sock"] },
];
const DOCKER: Runtime = Runtime { name: "docker", sockets: &["/var/run/docker.sock", "/run/docker.sock"] };

/// A runtime that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// One that speaks CRI, by its name, at this endpoint.
    Cri { name: &'static str, endpoint: String },
    /// Docker, by the kubelet's own dockershim.
    Dockershim,
}

impl Runtime {
    /// Its socket, if it is there.
    fn find(&self, root: &Path) -> Option<&'static str> {
        let is_socket =
            |path: &str| fs::metadata(at(root, path)).is_ok_and(|meta| meta.file_type().is_socket());
        self.sockets.iter().copied().find(|path| is_socket(path))
    }
}

/// Finds the only runtime of the host. Docker counts before 1.24 only, and then hides the containerd that it runs on.
/// Source of that rule: `cmd/kubeadm/app/util/runtime/runtime.go` of Kubernetes v1.23, `detectCRISocketImpl`.
pub(crate) fn find(root: &Path, release: Option<Release>) -> Result<Found, Stop> {
    let docker = DOCKER.find(root);
    let dockershim = docker.is_some() && release.is_some_and(|release| release < WITHOUT_DOCKERSHIM);
    let found: Vec<(&Runtime, &str)> = CRI
        .iter()
        .filter(|runtime| !(dockershim && runtime.name == "containerd"))
        .filter_map(|runtime| Some((runtime, runtime.find(root)?)))
        .collect();
    match (&found[..], dockershim) {
        ([], true) => Ok(Found::Dockershim),
        ([], false) => Err(none(docker.is_some())),
        ([(runtime, socket)], false) => Ok(Found::Cri { name: runtime.name, endpoint: endpoint(socket) }),
        (several, _) => Err(ambiguous(several, docker.filter(|_| dockershim))),
    }
}

/// As the kubelet wants it.
fn endpoint(socket: &str) -> String {
    format!("unix://{socket}")
}

fn none(docker: bool) -> Stop {
    let places: Vec<String> =
        CRI.iter().map(|runtime| format!("{} ({})", runtime.sockets[0], runtime.name)).collect();
    let stop = Stop::new(HOST, format!("no container runtime: none of {} is here", places.join(", ")))
        .help("mount your runtime's socket directory at the same path, for containerd /run/containerd")
        .help("or name it: --container-runtime-endpoint=unix:///PATH/OF/ITS.sock");
    if !docker {
        return stop;
    }
    stop.help(
        "docker.sock is here, but since Kubernetes 1.24 docker needs cri-dockerd: install that on the host",
    )
}

fn ambiguous(found: &[(&Runtime, &str)], docker: Option<&str>) -> Stop {
    let mut names: Vec<String> =
        found.iter().map(|(runtime, socket)| format!("{} ({socket})", runtime.name)).collect();
    names.extend(docker.map(|socket| format!("docker ({socket})")));
    let message =
        format!("{} container runtimes are here: {}; choose one by a flag:", names.len(), names.join(", "));
    let mut stop = Stop::new(USAGE, message);
    for (_, socket) in found {
        stop = stop.help(format!("--container-runtime-endpoint={}", endpoint(socket)));
    }
    if docker.is_some() { stop.help("--container-runtime=docker") } else { stop }
}
