//! A second machine joins the first: nothing is between them but a cable.

use std::time::Duration;

use anyhow::{Result, ensure};
use progress::Silent;
use tests::cluster::LONG;

/// A pod on the machine that joined, and a service of it.
const FAR: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: far, labels: { app: far } }
spec:
  nodeName: node1
  containers:
  - name: far
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: [sh, -c, "echo asked for; mkdir /www && echo from afar > /www/index.html && exec busybox httpd -f -p 80 -h /www"]
---
apiVersion: v1
kind: Service
metadata: { name: far }
spec: { selector: { app: far }, ports: [{ port: 8081, targetPort: 80 }] }
"#;
/// By the service's address, since the node's rules lead to the other machine then.
const ASK: &str = r#"
set -e
address=$(kubectl get service far --output=jsonpath={.spec.clusterIP})
bash -c "exec 3<>/dev/tcp/$address/8081 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && tail -n 1 <&3"
"#;

#[test]
fn a_second_machine_joins_and_its_pods_are_reached_from_the_first() -> Result<()> {
    crate::with_cluster(|cluster| {
        cluster.join(&Silent)?;
        println!("{:?}", cluster.steps);
        let nodes =
            cluster.kubectl("get nodes --output=jsonpath='{.items[*].status.addresses[0].address}'")?;
        assert_eq!(nodes, "192.0.2.10 192.0.2.11");
        let proxy = "kubectl --namespace kube-system wait --for=condition=Ready --timeout=5s pods \
                     --selector=k8s-app=kube-proxy --field-selector=spec.nodeName=node1";
        cluster.wait("kube-proxy on the second machine", proxy, LONG)?;
        cluster.apply(FAR)?;
        cluster.wait(
            "pod on the second machine",
            "kubectl wait --for=condition=Ready pod/far --timeout=5s",
            LONG,
        )?;
        let said = cluster.wait("answer from the second machine", ASK, Duration::from_mins(5))?;
        assert_eq!(said, "from afar\n");
        // The API server asks the other machine's kubelet.
        let log = cluster.kubectl("logs far")?;
        ensure!(log == "asked for\n", "{log}");
        cluster.kubectl("delete --wait=false pod/far service/far").map(drop)
    })
}
