//! A stand-in host as a node that has joined a cluster whose server does not answer.

use std::fs;

use anyhow::Result;

use crate::cmd;
use crate::host::Host;

/// Where a node that has joined has its client certificate, with the key.
const CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// What `kubeadm join` writes, for a server that nobody is. Without a valid certificate the kubelet would want to
/// bootstrap, and wait for the server before it serves anything.
const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", insecure-skip-tls-verify: true}}]
users: [{name: node, user: {client-certificate: CERTIFICATE, client-key: CERTIFICATE}}]
contexts: [{name: node, context: {cluster: c, user: node}}]
current-context: node
"#;

/// Leaves on the host what joining a cluster does; it needs `openssl`.
pub fn join(host: &Host) -> Result<()> {
    fs::create_dir_all(host.path("/var/lib/kubelet/pki"))?;
    let subject = "/O=system:nodes/CN=system:node:node";
    let request =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let files = ["-keyout", "/run/key.pem", "-out", "/run/certificate.pem"];
    cmd::ok(host.command("openssl").args(request).args(["-subj", subject]).args(files))?;
    let read = |path| fs::read_to_string(host.path(path));
    fs::write(host.path(CERTIFICATE), read("/run/certificate.pem")? + &read("/run/key.pem")?)?;
    fs::write(host.path("/etc/kubernetes/kubelet.conf"), KUBECONFIG.replace("CERTIFICATE", CERTIFICATE))?;
    Ok(())
}
