//! The container runtime on the host: which one the kubelet is to talk to, found by its socket.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::at;
use super::release::Release;
use crate::stop::{HOST, Stop, USAGE};

/// The first release without dockershim, the kubelet's own way to talk to docker.
pub(crate) const WITHOUT_DOCKERSHIM: Release = Release::one(24);

/// Which runtime it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Containerd,
    Crio,
    CriDockerd,
    /// Without CRI: the kubelet's own dockershim speaks to it.
    Docker,
}

/// A container runtime, and where its socket is.
pub(crate) struct Runtime {
    pub(crate) kind: Kind,
    name: &'static str,
    /// The usual place first.
    pub(crate) sockets: [&'static str; 2],
}

/// All of them; docker, which does not speak CRI, last. Source: `cmd/kubeadm/app/constants/constants_unix.go` of
/// Kubernetes, `CRISocket...`; /var/run is /run where a host has both.
pub(crate) static RUNTIMES: [Runtime; 4] = [
    Runtime {
        kind: Kind::Containerd,
        name: "containerd",
        sockets: ["/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock"],
    },
    Runtime { kind: Kind::Crio, name: "CRI-O", sockets: ["/var/run/crio/crio.sock", "/run/crio/crio.sock"] },
    Runtime {
        kind: Kind::CriDockerd,
        name: "cri-dockerd",
        sockets: ["/var/run/cri-dockerd.sock", "/run/cri-dockerd.sock"],
    },
    Runtime { kind: Kind::Docker, name: "docker", sockets: ["/var/run/docker.sock", "/run/docker.sock"] },
];

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
        self.sockets.into_iter().find(|path| is_socket(&at(root, path)))
    }
}

/// Is a socket there? Docker makes a directory of a path to mount that the host does not have.
pub(crate) fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// Those of the host that this release's kubelet can use, with their sockets. Docker is one before 1.24 only, and then
/// hides the containerd that it runs on.
/// Source of that rule: `cmd/kubeadm/app/util/runtime/runtime.go` of Kubernetes v1.23, `detectCRISocketImpl`.
pub(crate) fn usable(root: &Path, release: Option<Release>) -> Vec<(&'static Runtime, &'static str)> {
    let mut found: Vec<_> =
        RUNTIMES.iter().filter_map(|runtime| Some((runtime, runtime.find(root)?))).collect();
    let dockershim = release.is_some_and(|release| release < WITHOUT_DOCKERSHIM);
    let hidden = match found.last() {
        Some((last, _)) if last.kind == Kind::Docker && dockershim => Kind::Containerd,
        _ => Kind::Docker,
    };
    found.retain(|(runtime, _)| runtime.kind != hidden);
    found
}

/// Finds the only runtime of the host.
pub(crate) fn find(root: &Path, release: Option<Release>) -> Result<Found, Stop> {
    match &usable(root, release)[..] {
        [] => Err(none(RUNTIMES.iter().any(|it| it.kind == Kind::Docker && it.find(root).is_some()))),
        [(runtime, _)] if runtime.kind == Kind::Docker => Ok(Found::Dockershim),
        [(runtime, socket)] => Ok(Found::Cri { name: runtime.name, endpoint: endpoint(socket) }),
        several => Err(ambiguous(several)),
    }
}

/// As the kubelet wants it.
fn endpoint(socket: &str) -> String {
    format!("unix://{socket}")
}

fn none(docker: bool) -> Stop {
    let cri = RUNTIMES.iter().filter(|runtime| runtime.kind != Kind::Docker);
    let places: Vec<String> =
        cri.map(|runtime| format!("{} ({})", runtime.sockets[0], runtime.name)).collect();
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

fn ambiguous(found: &[(&Runtime, &str)]) -> Stop {
    let names: Vec<String> =
        found.iter().map(|(runtime, socket)| format!("{} ({socket})", runtime.name)).collect();
    let message =
        format!("{} container runtimes are here: {}; choose one by a flag:", names.len(), names.join(", "));
    let flag = |(runtime, socket): &(&Runtime, &str)| match runtime.kind {
        Kind::Docker => "--container-runtime=docker".to_owned(),
        _ => format!("--container-runtime-endpoint={}", endpoint(socket)),
    };
    found.iter().map(flag).fold(Stop::new(USAGE, message), Stop::help)
}
