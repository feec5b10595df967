//! What a cluster has a part in at the start: kubeadm's flags, a join that goes on, a cgroup driver that does not fit the
//! host; and a kubelet that has no cluster. Real kubelets, but for the waiting, whose kubelet is a script.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::bundle::{self, Bundle, Style, stand_in_kubelet};
use tests::containerd::{Containerd, Namespace, POD_IMAGE};
use tests::host::Host;
use tests::kubelet::{self, Kubelet, Settings, Sharing};
use tests::{cmd, containerd, host, image, joined, scratch, skip, wait_for, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";
/// Tried where they were built before.
const OTHERS: [&str; 2] = ["kubelet-v1_25_5-amd64", "kubelet-v1_24_17-amd64"];
const CONFIG: &str = "/var/lib/kubelet/config.yaml";
const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// Where the image's own configuration finds static pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Port 10250, as the kernel's tables have it.
const SERVER_PORT: &str = ":280A ";

fn pod() -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: web, image: {POD_IMAGE}, imagePullPolicy: Never, command: [sleep, '100000']}}
"
    )
}

/// A host with containerd and the image; its name and entrypoint.
fn stage(scratch: &Path, attr: &str) -> Result<Option<(Containerd, String, Vec<String>)>> {
    if skip::without(&host::PROGRAMS)?
        || skip::without(&containerd::PROGRAMS)?
        || skip::without(&["openssl"])?
    {
        return Ok(None);
    }
    let layout = xtask::layout(attr)?;
    let containerd = Containerd::start(scratch)?;
    let name = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    Ok(Some((containerd, name, image::entrypoint(&layout)?)))
}

/// The arguments of the running kubelet.
fn words(kubelet: &Kubelet) -> Result<Vec<String>> {
    let line = fs::read_to_string(format!("/proc/{}/cmdline", kubelet.pid()?))?;
    Ok(line.split_terminator('\0').skip(1).map(str::to_owned).collect())
}

/// The words in this order, others between them.
fn in_order(words: &[String], expected: &[&str]) -> bool {
    let mut words = words.iter();
    expected.iter().all(|word| words.any(|there| there == word))
}

fn wait_for_the_pod(containerd: &Containerd, kubelet: &Kubelet) -> Result<()> {
    wait_for("two running tasks of the pod", Duration::from_secs(90), || {
        kubelet.alive()?;
        let tasks = containerd.tasks(Namespace::Kubernetes)?;
        Ok((tasks.iter().filter(|(_, status)| status == "RUNNING").count() == 2).then_some(()))
    })
    .with_context(|| kubelet.log())
}

/// The image's own configuration, a directory of manifests, and one variable, or the flags that say the same.
#[test]
fn a_kubelet_without_a_cluster_runs_static_pods() -> Result<()> {
    if skip::with_swap()? {
        return Ok(());
    }
    for (attr, by_variable) in [(ATTR, true), (ATTR, false), (OTHERS[0], true), (OTHERS[1], true)] {
        if attr != ATTR
            && !xtask::at_hand(attr)?
            && skip::unless_full(&format!("`{attr}` was never built here, and compiles for long"))
        {
            continue;
        }
        let scratch = scratch::dir()?;
        let Some((containerd, name, mut command)) = stage(scratch.path(), attr)? else { return Ok(()) };
        let host = &containerd.host;
        fs::create_dir_all(host.path(MANIFESTS))?;
        fs::write(host.path(MANIFESTS).join("web.yaml"), pod())?;
        let mut env = Vec::new();
        if by_variable {
            env.push("KUBELET_STANDALONE=1".to_owned());
        } else {
            command.extend(["--kubeconfig=", "--bootstrap-kubeconfig="].map(str::to_owned));
        }
        // The machine's cgroups are not this host's alone.
        command.push(format!("--cgroup-root={}", host.cgroup()));
        let settings = Settings { env: &env, sharing: Sharing::Repair, ..Settings::default() };
        let kubelet = Kubelet::start_as_is(&containerd, &name, &command, &settings)?;
        kubelet.wait_healthy()?;
        wait_for_the_pod(&containerd, &kubelet)?;

        let log = kubelet.log();
        ensure!(log.contains("the image's own is used, /usr/share/kubelet/config.yaml"), "{log}");
        ensure!(!log.contains("entrypoint: error") && !log.contains("entrypoint: warning"), "{log}");
        // Nobody can be asked about clients, so the server for them is off.
        for table in ["tcp", "tcp6"] {
            let listening = fs::read_to_string(format!("/proc/{}/net/{table}", kubelet.pid()?))?;
            ensure!(!listening.contains(SERVER_PORT), "port 10250 is open:\n{listening}");
        }
        // Also of flags that it was not told, preflight knows that they work: they are those of a kubelet that runs.
        let said = kubelet.exec(&["preflight"])?;
        ensure!(said.contains("all is judged by its flags"), "{said}");
        ensure!(
            said.contains("the kubelet can start (errors: 0,") && !said.contains("joined no cluster"),
            "{said}"
        );

        fs::remove_file(host.path(MANIFESTS).join("web.yaml"))?;
        wait_for("end of the pod", Duration::from_secs(90), || {
            Ok(containerd.tasks(Namespace::Kubernetes)?.is_empty().then_some(()))
        })
        .with_context(|| kubelet.log())?;
        kubelet.terminate()?;
        containerd.host.stop()?;
    }
    Ok(())
}

/// A node as `kubeadm join --node-name` leaves it, in a cluster whose driver is systemd, on a host that does not run it:
/// its name, labels and taints are the kubelet's, and a pod runs.
#[test]
fn what_kubeadm_says_of_the_node_takes_effect() -> Result<()> {
    let scratch = scratch::dir()?;
    let Some((containerd, name, command)) = stage(scratch.path(), ATTR)? else { return Ok(()) };
    let host = &containerd.host;
    joined::join(host)?;
    fs::create_dir_all(host.path(kubelet::MANIFESTS))?;
    fs::write(host.path(kubelet::MANIFESTS).join("web.yaml"), pod())?;
    let config = kubelet::config(&host.cgroup()).replace("cgroupDriver: cgroupfs", "cgroupDriver: systemd");
    ensure!(config.contains("systemd"), "{config}");
    fs::write(host.path(CONFIG), config)?;
    let kubeadm = ["--container-runtime=remote", "--hostname-override=other", "--node-labels=a=b,c=d"];
    fs::write(
        host.path(FLAGS),
        format!("KUBELET_KUBEADM_ARGS=\"{} --network-plugin=cni\"\n", kubeadm.join(" ")),
    )?;
    let env = ["KUBELET_EXTRA_ARGS=--node-labels=e=f --v=1".to_owned()];
    let settings = Settings { env: &env, sharing: Sharing::Repair, ..Settings::default() };
    let command = [command, vec!["--v=2".to_owned()]].concat();
    let kubelet = Kubelet::start_as_is(&containerd, &name, &command, &settings)?;
    kubelet.wait_healthy()?;
    // Named by the node's name.
    kubelet.wait_running("web-other")?;

    let given = words(&kubelet)?;
    let more = ["--cgroup-driver=cgroupfs", "--node-labels=e=f", "--v=1", "--v=2"];
    ensure!(in_order(&given, &[&kubeadm[..], &more].concat()), "{given:?}");
    let log = kubelet.log();
    for words in [
        "--network-plugin=cni is left out: it was removed in Kubernetes 1.24",
        "cgroupDriver: systemd is overridden by --cgroup-driver=cgroupfs: this host does not run systemd",
    ] {
        ensure!(log.contains(&format!("entrypoint: {words}")) || log.contains(words), "{words}:\n{log}");
    }
    kubelet.terminate()?;
    // Of a node whose server does not answer, no pod ends by its manifest.
    wait_for("end of the killed pod", Duration::from_secs(30), || {
        let running = containerd.tasks(Namespace::Kubernetes)?;
        for (task, _) in running.iter().filter(|(_, status)| status == "RUNNING") {
            // One that containerd has seen end meanwhile is not found.
            cmd::output(
                containerd.ctr(Namespace::Kubernetes).args(["tasks", "kill", "--signal", "SIGKILL", task]),
            )?;
        }
        Ok(running.iter().all(|(_, status)| status != "RUNNING").then_some(()))
    })?;
    containerd.host.stop()
}

/// A host that is joining a cluster, and a container whose kubelet says its arguments.
struct Joining {
    host: Host,
    bundle: Bundle,
    _socket: std::os::unix::net::UnixListener,
    _scratch: tempfile::TempDir,
}

const LOG: &str = "/var/log/bundle.log";

impl Joining {
    fn new() -> Result<Option<Self>> {
        if skip::without(&host::PROGRAMS)? || skip::without(&bundle::PROGRAMS)? {
            return Ok(None);
        }
        let scratch = scratch::dir()?;
        let rootfs = image::unpack(&xtask::layout(ATTR)?, &scratch.path().join("bundle"))?;
        let kubelet = stand_in_kubelet(scratch.path(), "echo \"started $*\"")?;
        let host = Host::start()?;
        let socket = std::os::unix::net::UnixListener::bind(host.path("/run/containerd/containerd.sock"))?;
        let mut bundle = Bundle::new(Style::Docker, &rootfs, &host.cgroup(), &[]);
        for path in
            ["/sys/fs/cgroup", "/var/log/pods", "/etc/kubernetes", "/etc/machine-id", "/run/containerd"]
        {
            bundle.bind(path, false);
        }
        for path in ["/var/lib/kubelet", "/var/lib/containerd"] {
            bundle.bind(path, true);
        }
        bundle.bind_from(&kubelet.to_string_lossy(), "/stand-in", &["rbind"]);
        bundle.list("/process/env")[0] = json!("PATH=/stand-in:/usr/bin");
        Ok(Some(Self { host, bundle, _socket: socket, _scratch: scratch }))
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.host.path(path), text).with_context(|| format!("cannot write {path}"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.host.path(LOG)).unwrap_or_default()
    }

    /// Waits until the container has said this.
    fn wait_said(&self, words: &str) -> Result<String> {
        wait_for(&format!("`{words}`"), Duration::from_secs(20), || {
            let log = self.log();
            Ok(log.contains(words).then_some(log))
        })
        .with_context(|| self.log())
    }

    fn is_running(&self) -> Result<bool> {
        let state = cmd::output(self.host.command("runc").args(["state", "bundle"]))?;
        Ok(state.stdout.contains("\"running\""))
    }
}

/// kubeadm's files come one by one; the kubelet starts when all are there, and with all.
#[test]
fn a_start_in_mid_join_waits_for_kubeadm() -> Result<()> {
    let Some(mut joining) = Joining::new()? else { return Ok(()) };
    joining.bundle.env("KUBELET_WAIT=on");
    joining.bundle.start(&joining.host, "runc", LOG)?;
    joining.wait_said("waiting for kubeadm: this host has joined no cluster")?;
    joining.write(BOOTSTRAP, "users: [{name: tls-bootstrap-token-user}]")?;
    joining.wait_said("bootstrap-kubelet.conf is here, /var/lib/kubelet/config.yaml is not yet")?;
    joining.write(CONFIG, "kind: KubeletConfiguration\n")?;
    let log = joining.wait_said("the /var/lib/kubelet/kubeadm-flags.env that goes with it is not yet")?;
    ensure!(!log.contains("started"), "{log}");
    joining.write(FLAGS, "KUBELET_KUBEADM_ARGS=\"--hostname-override=other\"\n")?;
    let log = joining.wait_said("started")?;
    ensure!(
        log.contains("--hostname-override=other") && log.contains(&format!("--config={CONFIG}")),
        "{log}"
    );
    wait_for("end of the container", Duration::from_secs(20), || Ok((!joining.is_running()?).then_some(())))?;
    cmd::ok(joining.host.command("runc").args(["delete", "bundle"]))?;
    joining.host.stop()
}

/// Whoever waits is still to be stopped at once.
#[test]
fn a_start_that_waits_hears_signals() -> Result<()> {
    let Some(joining) = Joining::new()? else { return Ok(()) };
    joining.write(BOOTSTRAP, "kind: Config\n")?;
    joining.bundle.start(&joining.host, "runc", LOG)?;
    joining.wait_said("waiting for kubeadm")?;
    Bundle::end(&joining.host, "runc")?;
    ensure!(joining.log().contains("ended by signal 15 while waiting for kubeadm"), "{}", joining.log());
    joining.host.stop()
}
