//! A standalone kubelet in a container, started as the README tells users to.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde_json::Value;

use crate::containerd::{Containerd, Namespace};
use crate::{cmd, wait_for};

/// The container's name.
const NAME: &str = "kubeletd";
/// Its cgroup, below its host's.
const CGROUP: &str = "kubelet";
/// Where the kubelet is in an image.
pub const PROGRAM: &str = "/usr/bin/kubelet";
/// Where a program that replaces it is on the host.
const REPLACEMENT: &str = "/var/lib/replacement";
/// Where it finds static pods.
pub const MANIFESTS: &str = "/var/lib/kubelet/manifests";
/// Host paths that it gets, with their propagation, as in the table of the README.
const BINDS: [(&str, &str); 7] = [
    ("/etc/machine-id", "bind:ro"),
    ("/sys/fs/cgroup", "rbind:rw"),
    ("/run/containerd/containerd.sock", "bind:rw"),
    ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "rbind:rshared:rw"),
    ("/var/lib/kubelet", "rbind:rshared:rw"),
    ("/var/log", "rbind:rw"),
    ("/etc/kubernetes", "rbind:rw"),
];

/// What may differ from a user's kubelet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'s> {
    /// Variables of its environment, each `NAME=VALUE`.
    pub env: &'s [String],
    /// A program that takes the place of the image's kubelet.
    pub program: Option<&'s Path>,
    /// Lines that are added to its configuration, where that is written.
    pub config: &'s str,
    /// How its mounts come back to the host.
    pub sharing: Sharing,
}

/// The kubelet's container, running.
#[derive(Debug)]
pub struct Kubelet<'a> {
    containerd: &'a Containerd,
}

/// How the mounts of the container come back to the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// By flags that tell the runtime to share them.
    #[default]
    Flags,
    /// By the entrypoint's repair: nothing is said of propagation.
    Repair,
    /// Not at all: as before, and the repair is switched off.
    None,
}

impl<'a> Kubelet<'a> {
    /// Starts one from an image with this command.
    ///
    /// All in the image that a pod with volumes needs of it are the kubelet, `mount` and `umount` in PATH:
    /// `--net-host` brings /etc/hosts and /etc/resolv.conf, and the kubelet makes what other directories it wants.
    pub fn start(
        containerd: &'a Containerd,
        image: &str,
        command: &[String],
        sharing: Sharing,
    ) -> Result<Self> {
        Self::start_with(containerd, image, command, &Settings { sharing, ..Settings::default() })
    }

    /// [`Kubelet::start`], with settings that differ from a user's.
    pub fn start_with(
        containerd: &'a Containerd,
        image: &str,
        command: &[String],
        settings: &Settings<'_>,
    ) -> Result<Self> {
        let host = &containerd.host;
        fs::create_dir_all(host.path(MANIFESTS))?;
        let config = config(&host.cgroup()) + settings.config;
        fs::write(host.path("/var/lib/kubelet/config.yaml"), config)?;
        Self::start_as_is(containerd, image, command, settings)
    }

    /// [`Kubelet::start_with`] on a host that has its configuration, or none: nothing is written there.
    pub fn start_as_is(
        containerd: &'a Containerd,
        image: &str,
        command: &[String],
        settings: &Settings<'_>,
    ) -> Result<Self> {
        let host = &containerd.host;
        let mut ctr = containerd.ctr(Namespace::Default);
        ctr.args(["run", "--detach", "--privileged", "--net-host"]);
        let more: &[&str] = match settings.sharing {
            Sharing::Flags => &["--rootfs-propagation", "rshared"],
            Sharing::Repair => &[],
            Sharing::None => &["--env", "KUBELET_REPAIR=off", "--env", "KUBELET_PREFLIGHT=warn"],
        };
        ctr.args(more);
        ctr.args(["--with-ns", "pid:/proc/1/ns/pid", "--with-ns", "uts:/proc/1/ns/uts"]);
        ctr.args([
            "--log-uri",
            "file:///var/log/kubelet.log",
            "--cgroup",
            &format!("{}/{CGROUP}", host.cgroup()),
        ]);
        for variable in settings.env {
            ctr.args(["--env", variable]);
        }
        if let Some(program) = settings.program {
            // A copy, so that its file system is the one that an image's own programs are on.
            fs::copy(program, host.path(REPLACEMENT))
                .with_context(|| format!("cannot copy {}", program.display()))?;
            ctr.args(["--mount", &format!("type=bind,src={REPLACEMENT},dst={PROGRAM},options=bind:ro")]);
        }
        for (path, options) in BINDS {
            let options = if settings.sharing == Sharing::Flags {
                options.to_owned()
            } else {
                options.replace(":rshared", "")
            };
            ctr.arg("--mount").arg(format!("type=bind,src={path},dst={path},options={options}"));
        }
        cmd::ok(ctr.arg(image).arg(NAME).args(command))?;
        Ok(Self { containerd })
    }

    /// The one that a person started by this name, with [`config`] on its host.
    pub fn started_by_hand(containerd: &'a Containerd) -> Self {
        Self { containerd }
    }

    /// The flags of a kubelet without a cluster, as [`Kubelet::start`] prepares its host: they take back what the
    /// image's default flags say of a cluster. The runtime is found by its socket.
    pub const FLAGS: [&'static str; 2] = ["--bootstrap-kubeconfig=", "--kubeconfig="];

    /// Waits until it says of itself that it is healthy.
    pub fn wait_healthy(&self) -> Result<()> {
        wait_for("healthy kubelet", Duration::from_secs(90), || {
            self.alive()?;
            let answer = self.containerd.host.http(10248, "/healthz");
            Ok(answer.is_ok_and(|text| text == "ok").then_some(()))
        })
        .with_context(|| self.log())
    }

    /// What the image's health check says in its container.
    pub fn probe(&self) -> Result<String> {
        self.exec(&["probe"])
    }

    /// What the entrypoint says to these words, called once more in its container.
    pub fn exec(&self, words: &[&str]) -> Result<String> {
        let mut ctr = self.containerd.ctr(Namespace::Default);
        cmd::ok(ctr.args(["tasks", "exec", "--exec-id", "words", NAME, "/usr/bin/entrypoint"]).args(words))
    }

    /// Waits until a pod is Running, by what the kubelet says of it.
    pub fn wait_running(&self, pod: &str) -> Result<()> {
        wait_for(&format!("pod `{pod}` that is Running"), Duration::from_secs(90), || {
            self.alive()?;
            Ok(self.running()?.iter().any(|name| name == pod).then_some(()))
        })
        .with_context(|| self.log())
    }

    /// The pods that are Running, by what the kubelet says of them; none while it does not answer.
    pub fn running(&self) -> Result<Vec<String>> {
        let Ok(answer) = self.containerd.host.http(10255, "/pods") else { return Ok(Vec::new()) };
        let pods: Value = serde_json::from_str(&answer).context("/pods is not JSON")?;
        let items = pods["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let running = items.iter().filter(|item| item["status"]["phase"] == "Running");
        Ok(running.filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect())
    }

    /// The id of the kubelet's own process in our namespace; it is not the first one of a container: that is the entrypoint.
    pub fn pid(&self) -> Result<i32> {
        let is_kubelet =
            |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "kubelet\n");
        let found = self.containerd.host.processes(CGROUP).into_iter().find(is_kubelet);
        found.context("no process of the container is called `kubelet`").with_context(|| self.log())
    }

    /// A path in its container, for our own file operations.
    pub fn path(&self, path: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/root{path}", self.pid()?)))
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

    /// An error once its container has ended.
    pub fn alive(&self) -> Result<()> {
        let tasks = self.containerd.tasks(Namespace::Default)?;
        if tasks.iter().any(|(id, status)| id == NAME && status == "RUNNING") {
            return Ok(());
        }
        Err(Fault::new(Kind::ToolFailed, "the kubelet's container has ended").into())
    }
}

/// Its configuration in a host's cgroup. Thresholds are as low as the kubelet takes them: how full the machine is must not matter.
pub fn config(cgroup: &str) -> String {
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
