//! crictl, joined with kubelet and kubeadm in one binary, against a real containerd: from the container in which an
//! administrator runs it, with the runtime's socket from the host.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::bundle::{self, Bundle, Style};
use tests::containerd::{self, Containerd, POD_IMAGE};
use tests::registry::Registry;
use tests::xtask::Xtask;
use tests::{cmd, host, image, scratch, skip, wait_for, xtask};

/// Releases, and the crictl that each has; but for the first with `FULL`.
const RELEASES: [(&str, &str); 4] =
    [("v1.37.2", "v1.37.0"), ("v1.36.3", "v1.34.0"), ("v1.35.4", "v1.34.0"), ("v1.34.4", "v1.34.0")];
/// Where the runtime writes what containers say.
const LOGS: &str = "/var/log";
/// Where the registry is, on the host's loopback address.
const REGISTRY: &str = "127.0.0.1:5000";
/// Where it keeps what it has, as the host sees it.
const KEPT: &str = "/var/lib/registry";

/// A host with containerd, and our image unpacked.
struct Node {
    containerd: Containerd,
    rootfs: PathBuf,
}

impl Node {
    fn new(scratch: &Path, attr: &str) -> Result<Self> {
        let out = scratch.join("out");
        // With crictl, which other tests leave out.
        Xtask::new()?.ok(&["build", attr, "--out", out.to_str().context("not UTF-8")?])?;
        let rootfs = image::unpack(&out.join(attr), &scratch.join("bundle"))?;
        Ok(Self { containerd: Containerd::start(scratch)?, rootfs })
    }

    /// Runs the image's crictl.
    fn crictl(&self, words: &[&str]) -> Result<String> {
        let socket = "--runtime-endpoint=unix:///run/containerd/containerd.sock";
        let words = [&["crictl", socket, "--timeout=30s"], words].concat();
        let host = &self.containerd.host;
        let mut bundle = Bundle::new(Style::Docker, &self.rootfs, &host.cgroup(), &words);
        bundle.env("KUBELET_IMAGE_VARIANT=kubeadm");
        bundle.bind("/run/containerd", false);
        bundle.bind("/etc/kubernetes", false);
        bundle.bind(LOGS, false);
        let out = bundle.run(host, "runc")?;
        ensure!(
            out.status.success(),
            "crictl {words:?}: {}{}{}",
            out.stdout,
            out.stderr,
            self.containerd.log()
        );
        Ok(out.stdout)
    }

    fn json(&self, words: &[&str]) -> Result<Value> {
        let said = self.crictl(words)?;
        serde_json::from_str(&said).with_context(|| format!("{words:?} says {said}"))
    }

    /// A registry on the host that has the pods' image as `pod:latest`.
    fn registry(&self, scratch: &Path) -> Result<()> {
        let host = &self.containerd.host;
        let outside = host.path(KEPT);
        fs::create_dir_all(&outside)?;
        {
            // Filled from here, as the host's addresses are not ours.
            let registry = Registry::start(&outside)?;
            let to = format!("{}/pod", registry.address());
            let layout = scratch.join("pod.oci");
            Xtask::new()?.ok(&["push", layout.to_str().context("not UTF-8")?, "--to", &to])?;
        }
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {KEPT}/registry}}}}\nhttp: {{addr: '{REGISTRY}'}}\n"
        );
        fs::write(outside.join("inside.yml"), config)?;
        let log = File::create(outside.join("inside.log"))?;
        let mut serve = host.command("docker-registry");
        serve.args(["serve", &format!("{KEPT}/inside.yml")]).stdin(Stdio::null());
        // It ends with the host.
        serve.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start docker-registry")?;
        wait_for("registry", Duration::from_secs(20), || Ok(host.http(5000, "/v2/").ok()))
            .with_context(|| fs::read_to_string(outside.join("inside.log")).unwrap_or_default())
            .map(drop)
    }
}

#[test]
fn it_speaks_to_containerd() -> Result<()> {
    if skip::without(&host::PROGRAMS)?
        || skip::without(&containerd::PROGRAMS)?
        || skip::without(&bundle::PROGRAMS)?
        || skip::without(&["docker-registry"])?
    {
        return Ok(());
    }
    for (number, (release, crictl)) in RELEASES.into_iter().enumerate() {
        let attr = format!("kubelet-{}-kubeadm-amd64", release.replace('.', "_"));
        let is_compiled = number == 0 && xtask::at_hand(&attr)?;
        if is_compiled || !skip::unless_full(&format!("{attr}, compiled with crictl")) {
            speaks(&attr, release, crictl).with_context(|| attr.clone())?;
        }
    }
    Ok(())
}

fn speaks(attr: &str, release: &str, crictl: &str) -> Result<()> {
    let scratch = scratch::dir()?;
    let node = Node::new(scratch.path(), attr)?;
    let host = &node.containerd.host;

    let version = node.crictl(&["--version"])?;
    ensure!(version.contains(crictl), "{version}");
    let version = node.crictl(&["version"])?;
    ensure!(
        version.contains("RuntimeName:  containerd") && version.contains("RuntimeApiVersion:  v1"),
        "{version}"
    );
    let info = node.json(&["info"])?;
    let conditions = info["status"]["conditions"].as_array().context("no conditions")?;
    let ready = conditions.iter().any(|it| it["type"] == "RuntimeReady" && it["status"] == true);
    ensure!(ready, "{info}");

    node.registry(scratch.path())?;
    let name = format!("{REGISTRY}/pod:latest");
    node.crictl(&["pull", &name])?;
    let images = node.json(&["images", "--output", "json"])?;
    ensure!(images["images"].to_string().contains(&name), "{images}");
    let gone = format!("{REGISTRY}/none:latest");
    ensure!(node.crictl(&["pull", &gone]).is_err(), "an image is pulled that is nowhere");

    // The host's network: nobody set up CNI here.
    let pod = json!({"metadata": {"name": "web", "namespace": "default", "uid": "1", "attempt": 1},
        "log_directory": LOGS,
        "linux": {"cgroup_parent": host.cgroup(), "security_context": {"namespace_options": {"network": 2}}}});
    let container = json!({"metadata": {"name": "one"}, "image": {"image": POD_IMAGE}, "log_path": "one.log",
        "command": ["/bin/sh", "-c", "echo one; echo two; exec sleep 100000"], "linux": {}});
    for (file, content) in [("pod.json", &pod), ("container.json", &container)] {
        fs::write(host.path("/etc/kubernetes").join(file), content.to_string())?;
    }
    let [pod, container] = ["/etc/kubernetes/pod.json", "/etc/kubernetes/container.json"];
    let id = node.crictl(&["runp", pod])?.trim().to_owned();
    let pods = node.json(&["pods", "--output", "json"])?;
    ensure!(pods["items"][0]["id"] == *id && pods["items"][0]["state"] == "SANDBOX_READY", "{pods}");
    let created = node.crictl(&["create", "--no-pull", &id, container, pod])?.trim().to_owned();
    node.crictl(&["start", &created])?;
    let running = node.json(&["ps", "--output", "json"])?;
    let states: Vec<_> = running["containers"].as_array().context("no containers")?.iter().collect();
    ensure!(states.len() == 1 && states[0]["state"] == "CONTAINER_RUNNING", "{running}");
    ensure!(states[0]["id"] == *created && states[0]["podSandboxId"] == *id, "{running}");
    // What it said, and as much of that as is asked for.
    let logs = |words: &[&str]| node.crictl(&[&["logs"], words, &[&*created]].concat());
    wait_for("log", Duration::from_secs(20), || Ok((logs(&[])? == "one\ntwo\n").then_some(())))?;
    assert_eq!(logs(&["--tail", "1"])?, "two\n");
    assert_eq!(logs(&["--tail", "0"])?, "");
    assert_eq!(logs(&["--limit-bytes", "5"])?, "one\nt");
    assert_eq!(logs(&["--since", "2099-01-01T00:00:00Z"])?, "");
    ensure!(logs(&["--timestamps"])?.lines().all(|line| line.starts_with("20")), "no times");
    for by in [&["exec", "--sync"][..], &["exec"]] {
        let words = [by, &[&*created, "/bin/sh", "-c", "echo here"]].concat();
        assert_eq!(node.crictl(&words)?.trim_end(), "here", "{by:?}");
    }
    // A user's template may name keys, and the methods of numbers.
    let template = "{{.status.metadata.name}} {{.info.pid.Int64}}";
    let said = node.crictl(&["inspect", "--output=go-template", "--template", template, &created])?;
    let pid = said.trim().strip_prefix("one ").and_then(|pid| pid.parse::<u32>().ok());
    ensure!(pid.is_some_and(|pid| pid > 1), "{said}");
    node.crictl(&["stopp", &id])?;
    node.crictl(&["rmp", &id])?;
    ensure!(node.json(&["pods", "--output", "json"])?["items"] == json!([]), "the pod is still there");
    // kubeadm and the kubelet are the same file, and still themselves.
    let told = cmd::ok(
        std::process::Command::new(node.rootfs.join("usr/bin/kubeadm")).args(["version", "-o", "short"]),
    )?;
    assert_eq!(told.trim(), release);
    node.containerd.host.stop()
}
