//! `kubeadm init` from our image: a node that is Ready, the control plane as static pods, a network of pods.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::cluster::{Cluster, LONG};

/// What runs without the scheduler's help.
const STATIC: [&str; 4] =
    ["etcd-node", "kube-apiserver-node", "kube-controller-manager-node", "kube-scheduler-node"];

/// A pod, and a service of it.
const SERVED: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  tolerations: [{ operator: Exists }]
  containers:
  - name: web
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: [sh, -c, "mkdir /www && echo served > /www/index.html && exec busybox httpd -f -p 80 -h /www"]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 8080, targetPort: 80 }] }
"#;

const ASK: &str = r#"
set -e
dns=$(kubectl --namespace kube-system get service kube-dns --output=jsonpath={.spec.clusterIP})
echo "nameserver $dns" >/etc/resolv.conf
bash -c 'exec 3<>/dev/tcp/web.default.svc.cluster.local/8080 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && tail -n 1 <&3'
"#;

#[test]
fn kubeadm_init_makes_a_node_with_its_control_plane_in_static_pods() -> Result<()> {
    crate::with_cluster(is_whole)
}

fn is_whole(cluster: &mut Cluster) -> Result<()> {
    println!("{:?}", cluster.steps);
    let wide =
        "get node node --output=jsonpath='{.status.nodeInfo.kubeletVersion} {.status.nodeInfo.osImage}'";
    let node = cluster.kubectl(wide)?;
    assert!(node.starts_with("v1.26.0 Debian GNU/Linux 12"), "the node says of itself `{node}`");

    // All of it: its own pods, kube-proxy and the cluster's DNS, which needs a network of pods.
    let ready = "for pods in --selector=k8s-app=kube-proxy --selector=k8s-app=kube-dns --all; do\n  \
                 kubectl --namespace kube-system wait --for=condition=Ready pods $pods --timeout=5s || exit\ndone";
    cluster.wait("ready pods", ready, LONG)?;
    let pods = cluster.kubectl(
        "--namespace kube-system get pods --output=jsonpath='{range .items[*]}{.metadata.name} \
         {.metadata.annotations.kubernetes\\.io/config\\.source}{\"\\n\"}{end}'",
    )?;
    for name in STATIC {
        ensure!(
            pods.lines().any(|line| line == format!("{name} file")),
            "`{name}` is not a static pod:\n{pods}"
        );
    }
    ensure!(pods.contains("kube-proxy-") && pods.contains("coredns-"), "{pods}");

    // A service is found by its name and answers: DNS, kube-proxy's rules and the CNI plugins. The node asks, since
    // Debian's static busybox crashes where it resolves names.
    cluster.apply(SERVED)?;
    cluster.wait("pod of a user", "kubectl wait --for=condition=Ready pods --all --timeout=5s", LONG)?;
    let said = cluster.wait("answer of a service", ASK, Duration::from_mins(3))?;
    assert_eq!(said, "served\n");
    let log = cluster.kubectl("--namespace kube-system logs kube-scheduler-node --tail=1")?;
    ensure!(!log.is_empty(), "the scheduler's log is empty");
    Ok(())
}
