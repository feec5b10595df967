//! A real containerd on a stand-in host.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::host::Host;
use crate::{cmd, image, wait_for};

/// The programs that it needs.
pub const PROGRAMS: [&str; 4] = ["containerd", "ctr", "runc", "umoci"];

/// The image that every pod's sandbox, and the tests' pods themselves, run from.
pub const POD_IMAGE: &str = "localhost/pod:latest";

/// `restrict_oom_score_adj`: on a machine without `CAP_SYS_RESOURCE`, runc cannot lower a pod's score and dies.
/// The disabled plugins need file systems or devices that no test has.
const CONFIG: &str = r#"
version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing",
]
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
sandbox_image = "localhost/pod:latest"
"#;

/// Its command-line client's namespaces.
#[derive(Clone, Copy, Debug)]
pub enum Namespace {
    /// Containers that a person runs.
    Default,
    /// What the kubelet runs.
    Kubernetes,
}

/// A containerd that answers; it ends with its host.
#[derive(Debug)]
pub struct Containerd {
    /// Where it runs.
    pub host: Host,
}

impl Containerd {
    /// Starts a host and containerd on it, with the pods' image in place.
    pub fn start(scratch: &Path) -> Result<Self> {
        let host = Host::start()?;
        fs::write(host.path("/etc/containerd.toml"), CONFIG)?;
        let log = fs::File::create(host.path("/var/log/containerd.log"))?;
        let mut command = host.command("containerd");
        command.args(["--config", "/etc/containerd.toml"]).stdin(Stdio::null());
        // Ends with the host's pid namespace; nobody else waits for it.
        command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start containerd")?;
        let containerd = Self { host };
        wait_for("answer from containerd", Duration::from_secs(30), || {
            let ready = containerd.ctr(Namespace::Default).args(["plugins", "ls"]).output()?;
            Ok(ready.status.success().then_some(()))
        })
        .with_context(|| containerd.log())?;
        let layout = image::pod(scratch)?;
        containerd.import(Namespace::Kubernetes, &layout, "localhost/pod")?;
        Ok(containerd)
    }

    /// Its client.
    pub fn ctr(&self, namespace: Namespace) -> Command {
        let mut command = self.host.command("ctr");
        let name = match namespace {
            Namespace::Default => "default",
            Namespace::Kubernetes => "k8s.io",
        };
        command.args(["--namespace", name]);
        command
    }

    /// Imports a layout, with the tag that it has, under this name; returns both. The archive is made by `tar`, as a
    /// user would.
    pub fn import(&self, namespace: Namespace, layout: &Path, name: &str) -> Result<String> {
        let archive = self.host.path("/var/lib/image.tar");
        cmd::ok(Command::new("tar").arg("-C").arg(layout).arg("-cf").arg(&archive).arg("."))?;
        let command = ["images", "import", "--base-name", name, "/var/lib/image.tar"];
        let imported = cmd::ok(self.ctr(namespace).args(command));
        fs::remove_file(archive)?;
        imported?;
        let full = format!("{name}:{}", image::tag(layout)?);
        let names = cmd::ok(self.ctr(namespace).args(["images", "ls", "--quiet"]))?;
        ensure!(
            names.lines().any(|line| line == full),
            "imported `{full}`, but containerd has only:\n{names}"
        );
        Ok(full)
    }

    /// Runs a program from an image to its end and returns what it wrote to standard output.
    pub fn run(&self, image: &str, args: &[&str]) -> Result<String> {
        let cgroup = format!("{}/once", self.host.cgroup());
        let mut command = self.ctr(Namespace::Default);
        cmd::ok(command.args(["run", "--rm", "--cgroup", &cgroup, image, "once"]).args(args))
    }

    /// The tasks of a namespace: id and status.
    pub fn tasks(&self, namespace: Namespace) -> Result<Vec<(String, String)>> {
        let table = cmd::ok(self.ctr(namespace).args(["tasks", "ls"]))?;
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        Ok(rows.filter(|row| row.len() == 3).map(|row| (row[0].to_owned(), row[2].to_owned())).collect())
    }

    /// What it logged, for failure messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.host.path("/var/log/containerd.log")).unwrap_or_default()
    }
}
