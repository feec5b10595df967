//! A whole cluster in a virtual machine, which the tests share: what only an API server shows.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use tests::cluster::{self, Cluster, Nodes};
use tests::skip;

mod join;
mod node;
mod volumes;

const RELEASE: &str = "v1.26.0";
const ATTR: &str = "kubelet-v1_26_0-kubeadm-cni-amd64";

/// It ends when this process does.
static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);

/// Does this in a cluster of one node that is Ready, one test after another. The first one makes it, and the first after one
/// that went wrong.
fn with_cluster(test: impl FnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    if skip::unless_full("a cluster in a virtual machine: ten minutes") || cluster::skip_without(Nodes::Vm)? {
        return Ok(());
    }
    let mut guard = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let mut cluster = match guard.take() {
        Some(cluster) => cluster,
        None => cluster::start(RELEASE, ATTR)?,
    };
    test(&mut cluster)?;
    *guard = Some(cluster);
    Ok(())
}
