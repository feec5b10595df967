//! The logs of all machines, in one folder.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cluster::Cluster;
use vm::Sink;

/// What a machine has: an archive of it on standard output.
const NODE: &str = r"
dir=$(mktemp -d)
cp -r /var/log $dir/log
docker logs kubeletd >$dir/kubelet.docker.log 2>&1
podman logs kubeletd >$dir/kubelet.podman.log 2>&1
crictl ps --all >$dir/containers.txt 2>&1
dmesg >$dir/dmesg.txt 2>&1
cat /proc/1/mountinfo >$dir/mounts.txt
ip address >$dir/network.txt; ip route >>$dir/network.txt
iptables-save >$dir/iptables.txt 2>&1
ps -ef >$dir/processes.txt
find $dir -empty -delete
tar -C $dir -cf - .
rm -r $dir
";
/// What the API server says of all.
const STATE: &str = "
export KUBECONFIG=/etc/kubernetes/admin.conf
for what in nodes,pods,services,endpoints 'events --sort-by=.metadata.creationTimestamp'; do
  echo \"== $what\"; timeout 60 kubectl get $what --all-namespaces --output=wide 2>&1
done
echo '== describe'; timeout 120 kubectl describe nodes,pods --all-namespaces 2>&1
exit 0
";
const LIMIT: Duration = Duration::from_mins(5);
/// The kubelet's log, by what runs its container.
const KUBELET: [&str; 3] = ["log/kubelet.log", "kubelet.docker.log", "kubelet.podman.log"];

/// Writes the logs of all machines into a directory, each machine's into one of its own, and what the API server says. A
/// machine that answers no more is left out.
///
/// # Errors
/// Where the directory cannot be written to.
pub fn collect(cluster: &mut Cluster, dir: &Path) -> Result<()> {
    let write = |path: &Path| File::create(path).with_context(|| format!("cannot write {}", path.display()));
    for (index, node) in cluster.nodes.iter_mut().enumerate() {
        let own = dir.join(&node.name);
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        let mut archive = Vec::new();
        let sink = &mut Sink { stdout: &mut archive, stderr: &mut std::io::sink() };
        if node.machine.run(NODE, LIMIT, sink).is_ok() {
            // Cut short, it still has what came before.
            let _ = tar::Archive::new(&*archive).unpack(&own);
        }
        if index == 0 {
            let mut file = write(&dir.join("state.txt"))?;
            let _ =
                node.machine.run(STATE, LIMIT, &mut Sink { stdout: &mut file, stderr: &mut std::io::sink() });
        }
    }
    Ok(())
}

/// The log of a node's kubelet that was collected; empty if there is none.
pub fn kubelet(dir: &Path, node: &str) -> String {
    let read = |name: &str| fs::read(dir.join(node).join(name)).ok();
    let bytes = KUBELET.into_iter().find_map(read).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
