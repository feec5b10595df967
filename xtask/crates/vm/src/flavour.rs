//! Which system a machine has.

use serde::Serialize;

use crate::Arch;

/// What is process 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// busybox's init, as on embedded hosts.
    #[default]
    Busybox,
    /// systemd, with udev and D-Bus.
    Systemd,
}

/// What runs the kubelet's container. Pods are always containerd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// `ctr`.
    #[default]
    Containerd,
    /// `docker`, whose containers are the same containerd's.
    Docker,
    /// `podman`.
    Podman,
}

impl Runtime {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// What a system is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flavour {
    /// The processor.
    pub arch: Arch,
    /// Process 1.
    pub init: Init,
    /// What runs the kubelet's container.
    pub runtime: Runtime,
    /// Packages besides those that each system has.
    pub packages: Vec<String>,
}

/// What each system has besides the essential packages: a runtime for pods, and the tools of a usual host.
const COMMON: [&str; 13] = [
    "busybox-static",
    "ca-certificates",
    "conntrack",
    "containerd",
    "ebtables",
    "ethtool",
    "iproute2",
    "iptables",
    "kmod",
    "nftables",
    "procps",
    "runc",
    "socat",
];

impl Flavour {
    /// The packages that are asked for by name, besides the kernel's.
    pub(crate) fn packages(&self) -> Vec<&str> {
        let init: &[&str] = match self.init {
            Init::Busybox => &[],
            Init::Systemd => &["systemd", "systemd-sysv", "dbus", "udev"],
        };
        let runtime: &[&str] = match self.runtime {
            Runtime::Containerd => &[],
            Runtime::Docker => &["docker.io"],
            Runtime::Podman => &["podman", "crun"],
        };
        let more = self.packages.iter().map(String::as_str);
        let mut all: Vec<_> = COMMON
            .into_iter()
            .chain(init.iter().copied())
            .chain(runtime.iter().copied())
            .chain(more)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> String {
        let init = match self.init {
            Init::Busybox => "",
            Init::Systemd => " and systemd",
        };
        format!("{} with {}{init}", self.arch.name(), self.runtime.name())
    }
}
