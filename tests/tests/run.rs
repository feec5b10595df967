//! An image in a real containerd: it prints its version, and runs pods.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::{Value, json};
use tests::containerd::{Containerd, Namespace, POD_IMAGE};
use tests::kubelet::{Kubelet, MANIFESTS, Sharing};
use tests::{cmd, containerd, host, image, scratch, skip, wait_for, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";
/// The size limit of the pod's volume, as the table of mounts has it.
const VOLUME_SIZE: &str = "size=8192k";
/// What the entrypoint says where everything is there.
const FOUND_RUNTIME: &str =
    "entrypoint: container runtime: containerd, unix:///run/containerd/containerd.sock";
const VOLUMES: &str = "/var/lib/kubelet/pods";
/// What the kubelet writes below its root directory at its first start, some of it after it is healthy.
const OWN_FILES: [&str; 3] = ["cpu_manager_state", "memory_manager_state", "device-plugins/kubelet.sock"];

/// Says on standard output what it sees of its two volumes, both of which are tmpfs mounts that the kubelet makes
/// by calling the image's `mount`; then writes into one of them.
fn pod() -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: {POD_IMAGE}
    imagePullPolicy: Never
    command: ["/bin/sh", "-c", "mount | grep ' /scratch '; cat /info/labels; echo; echo seen > /scratch/file; exec sleep 100000"]
    volumeMounts:
    - {{name: scratch, mountPath: /scratch}}
    - {{name: info, mountPath: /info}}
  volumes:
  - name: scratch
    emptyDir: {{medium: Memory, sizeLimit: 8Mi}}
  - name: info
    downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}]}}
"#
    )
}

/// The image under test, imported.
struct Started {
    containerd: Containerd,
    image: String,
    layout: PathBuf,
}

fn start(scratch: &Path) -> Result<Option<Started>> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(None);
    }
    let layout = xtask::layout(ATTR)?;
    let containerd = Containerd::start(scratch)?;
    let image = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    Ok(Some(Started { containerd, image, layout }))
}

#[test]
fn the_kubelet_in_the_image_prints_its_version() -> Result<()> {
    let scratch = scratch::dir()?;
    let Some(Started { containerd, image, .. }) = start(scratch.path())? else { return Ok(()) };
    assert_eq!(containerd.run(&image, &["kubelet", "--version"])?, "Kubernetes v1.26.0\n");
    containerd.host.stop()
}

/// The README's first command.
#[test]
fn one_command_builds_an_image_and_shows_it_running() -> Result<()> {
    let scratch = scratch::dir()?;
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let containerd = Containerd::start(scratch.path())?;
    let xtask = xtask::Xtask::new()?.under(containerd.host.entered(&tests::root()));
    let out = scratch.path().join("out");
    let said = xtask.ok(&["build", ATTR, "--run", "--out", out.to_str().context("not UTF-8")?])?;
    let name = "localhost/kubelet:v1.26.0-micro";
    ensure!(said.contains(&format!("{name} says: Kubernetes v1.26.0")), "{said}");

    // What was built already, from outside of a checkout.
    cmd::ok(containerd.ctr(Namespace::Default).args(["images", "rm", name]))?;
    let layout = out.join(ATTR);
    let outside = xtask::Xtask::new()?.cwd(scratch.path()).under(containerd.host.entered(scratch.path()));
    let loaded = outside.ok(&["load", layout.to_str().context("not UTF-8")?, "--json"])?;
    assert_eq!(loaded.trim(), format!(r#"{{"version":1,"runtime":"containerd","images":["{name}"]}}"#));
    assert_eq!(containerd.run(name, &["kubelet", "--version"])?, "Kubernetes v1.26.0\n");
    let mut index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    index["manifests"][0]["annotations"] = json!({});
    fs::write(layout.join("index.json"), index.to_string())?;
    outside.fails(&["load", &layout.display().to_string()], Kind::InvalidData, &["gives no image a name"])?;
    containerd.host.stop()
}

#[test]
fn a_static_pod_with_volumes_runs_and_ends_without_a_trace() -> Result<()> {
    life_of_a_pod(Sharing::Flags)
}

/// `ctr run` as every containerd has it, with plain binds.
#[test]
fn mounts_of_a_container_by_stock_ctr_are_repaired() -> Result<()> {
    life_of_a_pod(Sharing::Repair)
}

/// The README's lines, as they are but for a log, the tests' cgroup and the flags of a kubelet without a cluster; the
/// second time with a read-only root.
#[test]
fn the_readmes_recipe_for_containerd_works() -> Result<()> {
    let scratch = scratch::dir()?;
    let Some(Started { containerd, .. }) = start(scratch.path())? else { return Ok(()) };
    let host = &containerd.host;
    let readme = fs::read_to_string(tests::root().join("README.md"))?;
    let recipe = readme.split("```").find(|block| block.contains("ctr run -d")).context("no recipe")?;
    fs::create_dir_all(host.path(MANIFESTS))?;
    fs::write(host.path("/var/lib/kubelet/config.yaml"), tests::kubelet::config(&host.cgroup()))?;
    for more in ["", "--read-only"] {
        let more = format!(
            "ctr run -d {more} --cgroup {}/kubelet --log-uri file:///var/log/kubelet.log",
            host.cgroup()
        );
        let script =
            format!("{} {}", recipe.replace("ctr run -d", &more).trim_end(), Kubelet::FLAGS.join(" "));
        tests::cmd::ok(host.command("sh").args(["-ec", &script]))?;
        let kubelet = Kubelet::started_by_hand(&containerd);
        kubelet.wait_healthy()?;
        fs::write(host.path(MANIFESTS).join("web.yaml"), pod())?;
        // What collectors of logs on the host read.
        let links = host.path("/var/log/containers");
        wait_for("a link to the pod's log", Duration::from_mins(1), || {
            let read = |name: &String| -> Result<bool> {
                let path = format!("/var/log/containers/{name}");
                let text = cmd::output(host.command("cat").arg(path))?.stdout;
                Ok(name.starts_with("web-node_default_web-") && text.contains("app="))
            };
            let names = if links.exists() { image::names(&links)? } else { BTreeSet::new() };
            Ok(names.iter().map(read).collect::<Result<Vec<_>>>()?.contains(&true).then_some(()))
        })
        .with_context(|| kubelet.log())?;
        for file in ["/etc/os-release", "/etc/machine-id"] {
            let hosts = cmd::ok(host.command("cat").arg(file))?;
            assert_eq!(fs::read_to_string(kubelet.path(file)?)?, hosts, "{file}");
        }
        let log = kubelet.log();
        let wrong = ["entrypoint: warning", "entrypoint: error", "read-only file system"];
        ensure!(!wrong.iter().any(|words| log.contains(words)), "{log}");
        fs::remove_file(host.path(MANIFESTS).join("web.yaml"))?;
        wait_for("end of the pod", Duration::from_secs(90), || {
            Ok(containerd.tasks(Namespace::Kubernetes)?.is_empty().then_some(()))
        })
        .with_context(|| kubelet.log())?;
        kubelet.terminate()?;
    }
    containerd.host.stop()
}

/// Started and ended again and again, with repairs each time, it leaves no container, mount or file behind.
#[test]
fn starts_and_ends_leave_nothing_on_the_host() -> Result<()> {
    let scratch = scratch::dir()?;
    let Some(Started { containerd, image: name, layout }) = start(scratch.path())? else { return Ok(()) };
    let host = &containerd.host;
    let command = [image::entrypoint(&layout)?, Kubelet::FLAGS.map(str::to_owned).to_vec()].concat();
    let mut states = Vec::new();
    for _ in 0..4 {
        let kubelet = Kubelet::start(&containerd, &name, &command, Sharing::Repair)?;
        kubelet.wait_healthy()?;
        // It is healthy before it has written all of its state.
        wait_for("the kubelet's own files", Duration::from_mins(1), || {
            let written = |name: &&str| host.path("/var/lib/kubelet").join(name).exists();
            Ok(OWN_FILES.iter().all(written).then_some(()))
        })?;
        kubelet.terminate()?;
        ensure!(containerd.tasks(Namespace::Default)?.is_empty(), "tasks are left");
        let mut files: Vec<_> = scratch::files(&host.path("/var/lib/kubelet"));
        files.retain(|file| !file.starts_with(host.path("/var/lib/kubelet/pki")));
        states.push((host.mounts_in("/")?, files));
    }
    // The first start makes the kubelet's own state; those after it add nothing.
    assert_eq!(states[0], states[3]);
    containerd.host.stop()
}

/// What the repair is for: without it no volume gets to the pod.
#[test]
fn without_the_repair_volumes_do_not_get_to_the_pod() -> Result<()> {
    let scratch = scratch::dir()?;
    let Some(Started { containerd, image: name, layout }) = start(scratch.path())? else { return Ok(()) };
    let host = &containerd.host;
    let command = [image::entrypoint(&layout)?, Kubelet::FLAGS.map(str::to_owned).to_vec()].concat();
    let kubelet = Kubelet::start(&containerd, &name, &command, Sharing::None)?;
    fs::write(host.path(MANIFESTS).join("web.yaml"), pod())?;
    // The script in the pod fails where its labels should be.
    let log = wait_for("log of the pod", Duration::from_secs(90), || {
        let text = pod_log(host)?;
        Ok(text.contains("/info/labels").then_some(text))
    })
    .with_context(|| kubelet.log())?;
    // What it has at /scratch is a directory of the host, not the volume.
    ensure!(!log.contains(VOLUME_SIZE) && log.contains("No such file"), "{log}");
    ensure!(host.mounts_in(VOLUMES)?.is_empty(), "volumes on the host: {:?}", host.mounts_in(VOLUMES)?);
    ensure!(kubelet.log().contains("repairs are switched off"), "{}", kubelet.log());
    fs::remove_file(host.path(MANIFESTS).join("web.yaml"))?;
    wait_for("end of the pod", Duration::from_secs(90), || {
        Ok(containerd.tasks(Namespace::Kubernetes)?.is_empty().then_some(()))
    })?;
    kubelet.terminate()?;
    containerd.host.stop()
}

fn life_of_a_pod(sharing: Sharing) -> Result<()> {
    let scratch = scratch::dir()?;
    let Some(Started { containerd, image: name, layout }) = start(scratch.path())? else { return Ok(()) };
    let host = &containerd.host;
    // ctr puts its arguments in place of the image's entrypoint, so that is said again.
    let command = [image::entrypoint(&layout)?, Kubelet::FLAGS.map(str::to_owned).to_vec()].concat();
    let kubelet = Kubelet::start(&containerd, &name, &command, sharing)?;
    let manifest = host.path(MANIFESTS).join("web.yaml");
    fs::write(&manifest, pod())?;
    kubelet.wait_healthy()?;
    assert_eq!(kubelet.probe()?, "ok\n");
    kubelet.wait_running("web-node")?;
    // The runtime that was found, a line a repair, and nothing where nothing is wrong.
    let log = kubelet.log();
    let said: Vec<&str> = log.lines().filter(|line| line.starts_with("entrypoint: ")).collect();
    let repairs = if sharing == Sharing::Repair { 2 } else { 0 };
    ensure!(
        said.len() == 1 + repairs
            && said[0] == FOUND_RUNTIME
            && said[1..].iter().all(|line| line.starts_with("entrypoint: repaired: ")),
        "{said:#?}"
    );

    // The sandbox and the pod's own container.
    let tasks = containerd.tasks(Namespace::Kubernetes)?;
    assert_eq!(tasks.iter().map(|(_, status)| status.as_str()).collect::<Vec<_>>(), ["RUNNING", "RUNNING"]);
    let log = wait_for("log of the pod", Duration::from_secs(10), || {
        let text = pod_log(host)?;
        Ok(text.contains("app=").then_some(text))
    })
    .with_context(|| kubelet.log())?;
    ensure!(log.contains("tmpfs on /scratch type tmpfs"), "no tmpfs in the pod:\n{log}");
    ensure!(log.contains(VOLUME_SIZE), "not the volume in the pod:\n{log}");
    ensure!(log.contains(r#"app="web""#), "no labels in the pod:\n{log}");
    // Seen from the host too: the mounts that the kubelet's container made came out of it.
    let mounts = host.mounts_in(VOLUMES)?;
    let scratch_volume =
        mounts.iter().find(|path| path.ends_with("/scratch")).context("no tmpfs on the host")?;
    wait_for("file that the pod wrote", Duration::from_secs(10), || {
        Ok(fs::read_to_string(host.path(scratch_volume).join("file")).ok().filter(|text| text == "seen\n"))
    })?;

    fs::remove_file(manifest)?;
    wait_for("end of the pod", Duration::from_secs(90), || {
        let tasks = containerd.tasks(Namespace::Kubernetes)?;
        Ok((tasks.is_empty() && host.mounts_in(VOLUMES)?.is_empty()).then_some(()))
    })
    .with_context(|| kubelet.log())?;
    wait_for("removal of the pod's directory", Duration::from_secs(30), || {
        Ok(image::names(&host.path(VOLUMES))?.is_empty().then_some(()))
    })
    .with_context(|| kubelet.log())?;
    kubelet.terminate()?;
    ensure!(
        host.mounts_in("/run/containerd/io.containerd.runtime.v2.task")?.is_empty(),
        "containers are still mounted"
    );
    containerd.host.stop()
}

fn pod_log(host: &host::Host) -> Result<String> {
    let mut text = String::new();
    let pods = host.path("/var/log/pods");
    for file in scratch::files(&pods) {
        text.push_str(&fs::read_to_string(file)?);
    }
    Ok(text)
}
