//! kubeadm's own preflight, in the container of the README's `kubeadm join`: it passes with the host's programs, and names
//! what is missing without them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tests::bundle::{self, Bundle, Style};
use tests::host::Host;
use tests::{cmd, host, image, root, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-kubeadm-amd64";
/// What a host has that passes.
const PROGRAMS: [&str; 5] = ["conntrack", "ebtables", "ip", "iptables", "tc"];
/// Nobody answers there: the preflight is over when it is asked.
const JOIN: &str = "apiVersion: kubeadm.k8s.io/v1beta3
kind: JoinConfiguration
discovery:
  timeout: 1s
  bootstrapToken: {apiServerEndpoint: '192.0.2.10:6443', token: abcdef.0123456789abcdef, unsafeSkipCAVerification: true}
";
/// A stand-in on the host: the module of these releases' crictl is not available everywhere.
const CRICTL: &str = "#!/bin/sh\necho \"$@\" >>/run/crictl.log\necho '{}'\n";

/// A host that could join a cluster.
struct Node {
    host: Host,
    rootfs: PathBuf,
    _socket: UnixListener,
    _scratch: tempfile::TempDir,
}

impl Node {
    fn new() -> Result<Option<Self>> {
        if skip::without(&host::PROGRAMS)? || skip::without(&bundle::PROGRAMS)? || skip::without(&PROGRAMS)? {
            return Ok(None);
        }
        let scratch = scratch::dir()?;
        let rootfs = image::unpack(&xtask::layout(ATTR)?, &scratch.path().join("bundle"))?;
        let host = Host::start()?;
        let socket = UnixListener::bind(host.path("/run/containerd/containerd.sock"))?;
        fs::write(host.path("/etc/kubernetes/join.yaml"), JOIN)?;
        fs::create_dir(host.path("/opt/bin"))?;
        fs::write(host.path("/opt/bin/crictl"), CRICTL)?;
        let node = Self { host, rootfs, _socket: socket, _scratch: scratch };
        node.on_host("chmod 755 /opt/bin/crictl; echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        Ok(Some(node))
    }

    fn on_host(&self, script: &str) -> Result<String> {
        cmd::ok(self.host.command("sh").args(["-ec", script]))
    }

    /// The README's container, with these words after its entrypoint.
    fn container(&self, words: &[&str]) -> Result<Bundle> {
        let readme = fs::read_to_string(root().join("README.md"))?;
        let blocks = readme.split("```").skip(1).step_by(2);
        let command =
            blocks.filter(|block| block.contains("docker run")).find(|block| block.contains("kubeadm join"));
        let command = command.context("the README does not say how to join")?;
        ensure!(!command.contains("--ignore-preflight-errors"), "{command}");
        for flag in ["--privileged", "--network=host", "--pid=host", "--uts=host"] {
            ensure!(command.contains(flag), "{flag}: {command}");
        }
        let mut bundle = Bundle::new(Style::Docker, &self.rootfs, &self.host.cgroup(), words);
        bundle.env("KUBELET_IMAGE_VARIANT=kubeadm");
        let mut flags = command.split_whitespace();
        while let Some(flag) = flags.next() {
            if flag == "-v" {
                let mount = flags.next().context("-v without a value")?;
                bundle.bind(mount.split(':').next().unwrap_or_default(), mount.ends_with(":rshared"));
            }
        }
        Ok(bundle)
    }

    /// What kubeadm's preflight refuses the host for, and all that it said.
    fn errors(&self, setting: &str) -> Result<(BTreeSet<String>, String)> {
        let words = ["kubeadm", "join", "phase", "preflight", "--config=/etc/kubernetes/join.yaml"];
        let mut bundle = self.container(&words)?;
        bundle.env(setting);
        let out = bundle.run(&self.host, "runc")?;
        let named =
            out.stderr.lines().filter_map(|line| line.trim().strip_prefix("[ERROR ")?.split(']').next());
        Ok((named.map(str::to_owned).collect(), out.stderr.clone()))
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| format!("FileExisting-{name}")).collect()
}

#[test]
fn a_host_with_the_programs_passes_and_others_are_told_what_is_missing() -> Result<()> {
    let Some(node) = Node::new()? else { return Ok(()) };

    let (errors, said) = node.errors("KUBELET_HOST_TOOLS=")?;
    ensure!(errors.is_empty(), "{said}");
    // It went on to the API server, and asked the runtime by the host's crictl before.
    ensure!(said.contains("couldn't validate the identity of the API Server"), "{said}");
    let log = node.on_host("cat /run/crictl.log")?;
    ensure!(log.starts_with("-r unix:///") && log.trim_end().ends_with(" info"), "{log}");

    let (errors, said) = node.errors("KUBELET_HOST_TOOLS=off")?;
    assert_eq!(errors, names(&["conntrack", "crictl", "ip", "iptables"]), "{said}");

    node.on_host("for program in conntrack iptables; do mount --bind /dev/null /usr/sbin/$program; done")?;
    let (errors, said) = node.errors("KUBELET_HOST_TOOLS=")?;
    assert_eq!(errors, names(&["conntrack", "iptables"]), "{said}");

    // Our own preflight says it before, with what repairs it.
    let out = node.container(&["preflight", "--json"])?.run(&node.host, "runc")?;
    let report: serde_json::Value = serde_json::from_str(&out.stdout).with_context(|| out.stderr.clone())?;
    let rows = report["rows"].as_array().context("no rows")?;
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).context("no such row");
    assert_eq!(row("kubeadm")?["status"], "warning");
    let text = row("kubeadm")?.to_string();
    ensure!(text.contains("`kubeadm join` will refuse without iptables, conntrack;"), "{text}");
    ensure!(text.contains("on the host: `apt-get install iptables conntrack`"), "{text}");
    let text = row("iptables")?.to_string();
    ensure!(text.contains("not found on the host") && text.contains("CVE-2020-8558"), "{text}");

    // As if it was done.
    node.on_host("umount /usr/sbin/conntrack /usr/sbin/iptables")?;
    let (errors, said) = node.errors("KUBELET_HOST_TOOLS=")?;
    ensure!(errors.is_empty(), "{said}");
    node.host.stop()
}
