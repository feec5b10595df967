//! A standalone kubelet in a container, started as the README tells users to.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::containerd::{Containerd, Namespace};
use crate::{cmd, wait_for};

/// The container's name.
const NAME: &str = "kubeletd";
/// Where it finds static pods.
pub const MANIFESTS: &str = "/var/lib/kubelet/manifests";
/// Host paths that it gets, with their propagation, as in the table of the README.
const BINDS: [(&str, &str); 7] = [
    ("/etc/machine-id", "bind:ro"),
    ("/sys/fs/cgroup", "rbind:rw"),
    ("/run/containerd/containerd.sock", "bind:rw"),
    ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "rbind:rshared:rw"),
    ("/var/lib/kubelet", "rbind:rshared:rw"),
    ("/var/log/pods", "rbind:rw"),
    ("/etc/kubernetes", "rbind:rw"),
];

/// The kubelet's container, running.
#[derive(Debug)]
pub struct Kubelet<'a> {
    containerd: &'a Containerd,
}

impl<'a> Kubelet<'a> {
    /// Starts one from an image with this command.
    ///
    /// All in the image that a pod with volumes needs of it are the kubelet, `mount` and `umount` in PATH:
    /// `--net-host` brings /etc/hosts and /etc/resolv.conf, and the kubelet makes what other directories it wants.
    pub fn start(containerd: &'a Containerd, image: &str, command: &[String]) -> Result<Self> {
        let host = &containerd.host;
        fs::create_dir_all(host.path(MANIFESTS))?;
        fs::write(host.path("/var/lib/kubelet/config.yaml"), config(&host.cgroup()))?;
        let mut ctr = containerd.ctr(Namespace::Default);
        ctr.args(["run", "--detach", "--privileged", "--net-host", "--rootfs-propagation", "rshared"]);
        ctr.args(["--with-ns", "pid:/proc/1/ns/pid", "--with-ns", "uts:/proc/1/ns/uts"]);
        ctr.args([
            "--log-uri",
            "file:///var/log/kubelet.log",
            "--cgroup",
            &format!("{}/kubelet", host.cgroup()),
        ]);
        for (path, options) in BINDS {
            ctr.arg("--mount").arg(format!("type=bind,src={path},dst={path},options={options}"));
        }
        cmd::ok(ctr.arg(image).arg(NAME).args(command))?;
        Ok(Self { containerd })
    }

    /// The flags of a kubelet without a cluster, as [`Kubelet::start`] prepares its host: they take back what the
    /// image's default flags say of a cluster.
    pub const FLAGS: [&'static str; 3] = [
        "--bootstrap-kubeconfig=",
        "--kubeconfig=",
        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
    ];

    /// Waits until it says of itself that it is healthy.
    pub fn wait_healthy(&self) -> Result<()> {
        wait_for("healthy kubelet", Duration::from_secs(90), || {
            self.alive()?;
            let answer = self.containerd.host.http(10248, "/healthz");
            Ok(answer.is_ok_and(|text| text == "ok").then_some(()))
        })
        .with_context(|| self.log())
    }

    /// Waits until a pod is Running, by what the kubelet says of it.
    pub fn wait_running(&self, pod: &str) -> Result<()> {
        wait_for(&format!("pod `{pod}` that is Running"), Duration::from_secs(90), || {
            self.alive()?;
            let Ok(answer) = self.containerd.host.http(10255, "/pods") else { return Ok(None) };
            let pods: Value = serde_json::from_str(&answer).context("/pods is no JSON")?;
            let running =
                |item: &Value| item["metadata"]["name"] == pod && item["status"]["phase"] == "Running";
            Ok(pods["items"].as_array().is_some_and(|items| items.iter().any(running)).then_some(()))
        })
        .with_context(|| self.log())
    }

    /// Asks it to end as a person would, and waits for that; returns its exit code.
    pub fn terminate(&self) -> Result<String> {
        let ctr = || self.containerd.ctr(Namespace::Default);
        cmd::ok(ctr().args(["tasks", "kill", "--signal", "SIGTERM", NAME]))?;
        wait_for("end of the kubelet after SIGTERM", Duration::from_secs(20), || {
            let tasks = self.containerd.tasks(Namespace::Default)?;
            Ok(tasks.iter().all(|(id, status)| id != NAME || status == "STOPPED").then_some(()))
        })
        .with_context(|| self.log())?;
        let ended = cmd::output(ctr().args(["tasks", "delete", NAME]))?;
        cmd::ok(ctr().args(["containers", "delete", NAME]))?;
        Ok(ended.code().map(|code| code.to_string()).unwrap_or_default())
    }

    /// What it logged, for failure messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.containerd.host.path("/var/log/kubelet.log")).unwrap_or_default()
    }

    fn alive(&self) -> Result<()> {
        let tasks = self.containerd.tasks(Namespace::Default)?;
        if tasks.iter().any(|(id, status)| id == NAME && status == "RUNNING") {
            return Ok(());
        }
        bail!("the kubelet's container has ended")
    }
}

/// Its configuration. Thresholds are as low as the kubelet takes them: how full the machine is must not matter.
fn config(cgroup: &str) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
evictionHard: {{memory.available: 1Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}}
failSwapOn: false
fileCheckFrequency: 2s
readOnlyPort: 10255
staticPodPath: {MANIFESTS}
"
    )
}
