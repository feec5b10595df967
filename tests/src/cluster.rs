//! A cluster of virtual machines that tests share, by docs/cluster.md.

use anyhow::Result;
use progress::Silent;

use crate::xtask;

pub use cluster::{Cluster, LONG};

/// What a node has for volumes: a server and helpers of NFS.
const PACKAGES: [&str; 1] = ["nfs-kernel-server"];
/// Empty disks, in bytes: what volumes are made of. Their serial numbers are `disk0`, `disk1`.
const DISKS: [u64; 2] = [64 << 20; 2];

/// One of a node that is Ready, by containerd, with the image of this attribute, of a variant with kubeadm and CNI plugins.
pub fn start(release: &str, attr: &str) -> Result<Cluster> {
    let setup = cluster::Setup {
        root: &crate::root(),
        release,
        layout: &xtask::layout(attr)?,
        other: None,
        nodes: cluster::Nodes::Vm,
        runtime: vm::Runtime::Containerd,
        packages: PACKAGES.map(str::to_owned).into(),
        disks: DISKS.into(),
        suite: false,
        consoles: crate::root().join("target/vm/cluster"),
    };
    let mut cluster = Cluster::new(cluster::Kit::new(&setup, &Silent)?)?;
    cluster.init(&Silent)?;
    Ok(cluster)
}
