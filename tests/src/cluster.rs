//! A cluster of virtual machines that tests share, by docs/cluster.md.

use anyhow::Result;
use progress::Silent;

use crate::{skip, xtask};

pub use cluster::{Cluster, Kit, LONG, Nodes};

/// What a cluster needs, whatever its machines are.
const PROGRAMS: [&str; 3] = ["mmdebstrap", "busybox", "iptables"];

/// What a node has for volumes: a server and helpers of NFS.
const PACKAGES: [&str; 1] = ["nfs-kernel-server"];
/// Empty disks, in bytes: what volumes are made of. Their serial numbers are `disk0`, `disk1`.
const DISKS: [u64; 2] = [64 << 20; 2];

/// Must this test be skipped, because a program is missing that a cluster of such machines needs? An error in CI.
pub fn skip_without(nodes: Nodes) -> Result<bool> {
    let machines = match nodes {
        Nodes::Vm => vec!["qemu-system-x86_64"],
        Nodes::Namespaces => [&standin::machine::PROGRAMS[..], &["qemu-img"]].concat(),
    };
    skip::without(&[&machines[..], &PROGRAMS].concat())
}

/// What virtual machines are made of, by containerd, with the image of this attribute, of a variant with kubeadm and CNI plugins.
pub fn kit(release: &str, attr: &str, init: vm::Init) -> Result<Kit> {
    let setup = cluster::Setup {
        root: &crate::root(),
        release,
        layout: &xtask::layout(attr)?,
        network: cluster::PodNetwork::Routes,
        other: None,
        nodes: Nodes::Vm,
        init,
        runtime: vm::Runtime::Containerd,
        packages: PACKAGES.map(str::to_owned).into(),
        disks: DISKS.into(),
        suite: false,
        consoles: crate::root().join("target/vm/cluster"),
    };
    Kit::new(&setup, &Silent)
}

/// A cluster of a node that is Ready, of machines without systemd.
pub fn start(release: &str, attr: &str) -> Result<Cluster> {
    let mut cluster = Cluster::new(kit(release, attr, vm::Init::Busybox)?)?;
    cluster.init(&Silent)?;
    Ok(cluster)
}
