//! The host paths that the kubelet's container needs, as data: the table of the README is made of it, and every start
//! is checked against it.

/// How mounts made on one side of a bind mount get to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// Whatever the runtime gives.
    Default,
    /// Mounts made in the container are seen on the host, and the other way round.
    Shared,
}

/// What the kubelet does with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads only.
    Read,
    /// Writes, too.
    Write,
}

/// A part of the node that has host paths of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Containerd,
    Crio,
    /// Docker by itself (before 1.24) or behind cri-dockerd.
    Docker,
    /// The runtime's socket is cri-dockerd's.
    CriDockerd,
    /// `cgroupDriver: systemd`.
    Systemd,
    /// `shutdownGracePeriod`, on a host with systemd.
    Shutdown,
    /// An image with CNI plugins.
    Cni,
    /// A kubeconfig of the usual place.
    Cluster,
}

impl Part {
    /// As in "required: with ...".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Containerd => "with containerd",
            Self::Crio => "with CRI-O",
            Self::Docker => "with docker",
            Self::CriDockerd => "with cri-dockerd",
            Self::Systemd => "with `cgroupDriver: systemd`",
            Self::Shutdown => "with `shutdownGracePeriod`",
            Self::Cluster => "with a cluster",
            Self::Cni => "with the cni variants, to install their plugins",
        }
    }
}

/// When a path must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    Always,
    /// Never; there is a reason to have it.
    No,
    /// Only with this part.
    With(Part),
    /// Wanted with this part, but the kubelet starts without it.
    Wanted(Part),
    /// Wanted always, but the kubelet starts without it.
    Recommended,
    /// No: what the host has there is put in its place at the start (`identity` checks it).
    Taken,
}

/// A row of the table: a path, the same on the host and in the container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) propagation: Propagation,
    pub(crate) access: Access,
    pub(crate) needed: Needed,
    /// What it is for.
    pub(crate) why: &'static str,
}

/// Where the kubelet's own files are unless `--root-dir` says otherwise.
pub(crate) const ROOT_DIR: &str = "/var/lib/kubelet";
/// Where the runtime and the kubelet write the logs of pods.
pub(crate) const POD_LOGS: &str = "/var/log/pods";
/// Where the kubelet makes links to them.
pub(crate) const CONTAINER_LOGS: &str = "/var/log/containers";
/// The hierarchies of cgroups.
pub(crate) const CGROUP: &str = "/sys/fs/cgroup";
/// The host's directory of CNI plugins, where it is mounted beside the image's own.
pub(crate) const HOST_CNI: &str = "/host/opt/cni/bin";

use Access::{Read, Write};
use Needed::{Always, No, Recommended, Taken, Wanted, With};
use Propagation::{Default, Shared};

const fn row(
    path: &'static str,
    propagation: Propagation,
    access: Access,
    needed: Needed,
    why: &'static str,
) -> Row {
    Row { path, propagation, access, needed, why }
}

/// All rows, in the order of the README.
pub(crate) const ROWS: &[Row] = &[
    row(ROOT_DIR, Shared, Write, Always, "pods' volumes are mounted there; the runtime must see them"),
    row(CGROUP, Default, Write, Always, "pods' cgroups are made there"),
    row(
        POD_LOGS,
        Default,
        Write,
        Always,
        "the runtime writes pods' logs there, the kubelet reads and rotates them",
    ),
    row(
        CONTAINER_LOGS,
        Default,
        Write,
        Recommended,
        "links to those logs by the names of pods, which log collectors on the host read; /var/log has both",
    ),
    row(
        "/etc/kubernetes",
        Default,
        Write,
        With(Part::Cluster),
        "kubeconfig files, certificates and static pods",
    ),
    row("/run/containerd", Default, Read, With(Part::Containerd), "the runtime's socket"),
    row(
        "/var/lib/containerd",
        Shared,
        Read,
        With(Part::Containerd),
        "containerd's storage, whose use the kubelet measures; the directory of its snapshotter in it is enough",
    ),
    row("/run/crio", Default, Read, With(Part::Crio), "the runtime's socket"),
    row(
        "/var/lib/containers/storage",
        Shared,
        Read,
        With(Part::Crio),
        "CRI-O's storage, whose use the kubelet measures",
    ),
    row("/run/cri-dockerd.sock", Default, Read, With(Part::CriDockerd), "the runtime's socket"),
    row("/var/run/docker.sock", Default, Read, With(Part::Docker), "docker's socket"),
    row(
        "/var/lib/docker",
        Shared,
        Read,
        With(Part::Docker),
        "docker's storage, whose use the kubelet measures; `containers`, `image/DRIVER` and `DRIVER` in it are enough",
    ),
    row("/run/systemd", Default, Read, With(Part::Systemd), "systemd makes the cgroups of pods"),
    row(
        "/run/dbus",
        Default,
        Read,
        Wanted(Part::Systemd),
        "systemd's bus, for programs that do not use its own socket",
    ),
    row(
        "/etc/systemd",
        Default,
        Write,
        Wanted(Part::Shutdown),
        "the kubelet tells logind there how long a machine that shuts down waits for its pods",
    ),
    row("/etc/os-release", Default, Read, Taken, "the operating system in the node's status"),
    row("/etc/machine-id", Default, Read, Taken, "identity of the node in its status"),
    row(
        "/etc/cni/net.d",
        Default,
        Read,
        No,
        "CNI's configuration: since Kubernetes 1.24 the runtime on the host reads it",
    ),
    row(
        HOST_CNI,
        Default,
        Write,
        Wanted(Part::Cni),
        "the host's /opt/cni/bin, where its runtime looks for plugins",
    ),
    row(
        "/run/flannel",
        Default,
        Read,
        No,
        "the subnet that flannel leased: since Kubernetes 1.24 its plugin runs on the host",
    ),
    row(
        "/dev",
        Default,
        Write,
        No,
        "devices that come after the container: loop devices of `volumeMode: Block`, iSCSI and other disks",
    ),
];

/// The path on the host; all but one are the same in the container.
pub(crate) fn host_path(path: &str) -> &str {
    if path == HOST_CNI { "/opt/cni/bin" } else { path }
}

/// The table as the README has it.
pub(crate) fn markdown() -> String {
    let mut text =
        String::from("| host path | propagation | required | what for |\n| --- | --- | --- | --- |\n");
    for row in ROWS {
        let host = host_path(row.path);
        let place =
            if host == row.path { format!("`{host}`") } else { format!("`{host}` at `{}`", row.path) };
        let propagation = if row.propagation == Shared { "rshared" } else { "default" };
        let needed = match row.needed {
            Always => "yes".to_owned(),
            No => "no".to_owned(),
            With(part) => part.name().to_owned(),
            Wanted(part) => format!("no; wanted {}", part.name()),
            Recommended => "no; wanted".to_owned(),
            Taken => "no; the host's is put there".to_owned(),
        };
        text += &format!("| {place} | {propagation} | {needed} | {} |\n", row.why);
    }
    text + "| paths named in `/var/lib/kubelet/config.yaml` | default | yes | the kubelet reads them |\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_row_once() {
        let table = markdown();
        for row in ROWS {
            assert_eq!(table.matches(&format!("`{}`", row.path)).count(), 1, "{}", row.path);
            assert!(row.path.starts_with('/') && !row.why.contains('|'));
        }
        assert_eq!(table.lines().count(), ROWS.len() + 3);
    }
}
