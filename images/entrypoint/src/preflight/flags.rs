//! What repairs a row, in the words of each way to start the container.

use super::table::{Access, Propagation, host_path};

/// A way to start a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starter {
    Docker,
    Ctr,
    Podman,
    Kubernetes,
}

impl Starter {
    /// All, in the order in which they are named to people.
    pub(crate) const ALL: [Self; 4] = [Self::Docker, Self::Ctr, Self::Podman, Self::Kubernetes];

    /// Its name, also the key in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Ctr => "ctr",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// What has to be given to the container that it was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// A bind mount of a host path.
    Mount {
        path: String,
        propagation: Propagation,
        access: Access,
    },
    HostPid,
    HostNetwork,
    HostUts,
    HostCgroup,
    Privileged,
    /// Nothing that a flag of the container can do.
    Text(String),
}

impl Repair {
    /// The flags for one way, or the lines of a manifest.
    pub(crate) fn by(&self, starter: Starter) -> String {
        use Starter::{Ctr, Docker, Kubernetes, Podman};
        let flag = match (self, starter) {
            (Self::Mount { path, propagation, access }, _) => {
                return mount(path, *propagation, *access, starter);
            }
            (Self::Text(text), _) => return text.clone(),
            (Self::HostPid, Docker | Podman) => "--pid=host",
            (Self::HostPid, Ctr) => "--with-ns pid:/proc/1/ns/pid",
            (Self::HostPid, Kubernetes) => "hostPID: true",
            (Self::HostNetwork, Docker | Podman) => "--network=host",
            (Self::HostNetwork, Ctr) => "--net-host",
            (Self::HostNetwork | Self::HostUts, Kubernetes) => "hostNetwork: true",
            (Self::HostUts, Docker | Podman) => "--uts=host",
            (Self::HostUts, Ctr) => "--with-ns uts:/proc/1/ns/uts",
            (Self::HostCgroup, Docker | Podman) => "--cgroupns=host",
            (Self::HostCgroup, Ctr) => "--with-ns cgroup:/proc/1/ns/cgroup",
            (Self::Privileged, Docker | Ctr | Podman) => "--privileged",
            // Runtimes of pods give these the host's namespace of cgroups, too.
            (Self::Privileged | Self::HostCgroup, Kubernetes) => "securityContext: {privileged: true}",
        };
        flag.to_owned()
    }

    /// Is it the same whichever way the container is started?
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }
}

fn mount(path: &str, propagation: Propagation, access: Access, starter: Starter) -> String {
    let host = host_path(path);
    let shared = propagation == Propagation::Shared;
    let mode = if access == Access::Read && !shared { "ro" } else { "rw" };
    match starter {
        Starter::Docker | Starter::Podman => {
            let options = match (shared, mode) {
                (true, _) => ":rshared",
                (false, "ro") => ":ro",
                _ => "",
            };
            format!("-v {host}:{path}{options}")
        }
        // A shared mount in a container whose root is not shared has no peer on the host.
        Starter::Ctr if shared => format!(
            "--rootfs-propagation rshared --mount type=bind,src={host},dst={path},options=rbind:rshared:{mode}"
        ),
        Starter::Ctr => format!("--mount type=bind,src={host},dst={path},options=rbind:{mode}"),
        Starter::Kubernetes => {
            let name: String = path
                .trim_start_matches('/')
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
                .collect();
            let options = match (shared, mode) {
                (true, _) => ", mountPropagation: Bidirectional",
                (false, "ro") => ", readOnly: true",
                _ => "",
            };
            format!(
                "volumes: [{{name: {name}, hostPath: {{path: {host}}}}}], volumeMounts: [{{name: {name}, mountPath: {path}{options}}}]"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(repair: &Repair) -> Vec<String> {
        Starter::ALL.iter().map(|starter| repair.by(*starter)).collect()
    }

    #[test]
    fn mounts_in_everyones_words() {
        let shared = Repair::Mount {
            path: "/var/lib/kubelet".to_owned(),
            propagation: Propagation::Shared,
            access: Access::Write,
        };
        assert_eq!(
            all(&shared),
            [
                "-v /var/lib/kubelet:/var/lib/kubelet:rshared",
                "--rootfs-propagation rshared --mount type=bind,src=/var/lib/kubelet,dst=/var/lib/kubelet,options=rbind:rshared:rw",
                "-v /var/lib/kubelet:/var/lib/kubelet:rshared",
                "volumes: [{name: var-lib-kubelet, hostPath: {path: /var/lib/kubelet}}], volumeMounts: [{name: var-lib-kubelet, mountPath: /var/lib/kubelet, mountPropagation: Bidirectional}]",
            ]
        );
        let read = Repair::Mount {
            path: "/etc/cni/net.d".to_owned(),
            propagation: Propagation::Default,
            access: Access::Read,
        };
        assert_eq!(read.by(Starter::Docker), "-v /etc/cni/net.d:/etc/cni/net.d:ro");
        assert_eq!(
            read.by(Starter::Ctr),
            "--mount type=bind,src=/etc/cni/net.d,dst=/etc/cni/net.d,options=rbind:ro"
        );
        let plugins = Repair::Mount {
            path: super::super::table::HOST_CNI.to_owned(),
            propagation: Propagation::Default,
            access: Access::Write,
        };
        assert_eq!(plugins.by(Starter::Podman), "-v /opt/cni/bin:/host/opt/cni/bin");
    }

    #[test]
    fn namespaces_in_everyones_words() {
        assert_eq!(
            all(&Repair::HostPid),
            ["--pid=host", "--with-ns pid:/proc/1/ns/pid", "--pid=host", "hostPID: true"]
        );
        assert_eq!(all(&Repair::HostNetwork)[1], "--net-host");
        assert_eq!(all(&Repair::Privileged)[3], "securityContext: {privileged: true}");
        assert!(Repair::Text("swapoff".to_owned()).is_text());
    }
}
