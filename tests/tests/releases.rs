//! Every release that is built here, from its own image without arguments, as a node whose API server does not answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::bundle::{self, Bundle, Style};
use tests::containerd::{Containerd, Namespace};
use tests::host::Host;
use tests::kubelet::{self, Kubelet, Settings, Sharing};
use tests::{cmd, containerd, host, image, joined, scratch, skip, wait_for, xtask};

const RELEASES: [&str; 7] = ["v1.37.2", "v1.36.3", "v1.35.4", "v1.34.4", ALWAYS, "v1.25.5", "v1.24.17"];
/// The one that is built on every machine.
const ALWAYS: &str = "v1.26.0";
const HOST_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// What each has besides its configuration file: the image's defaults, and the runtime that was found. These releases
/// are all without dockershim, so none is told `--container-runtime=remote`.
const FLAGS: [&str; 4] = [
    "--register-node",
    "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
];
/// A release's image.
struct Image {
    release: &'static str,
    layout: PathBuf,
}

impl Image {
    /// From 1.35 on kubelets do not start with cgroups v1 unless they are told that they may.
    fn refuses_cgroups_v1(&self) -> bool {
        minor(self.release) >= 35
    }

    /// A configuration that it starts with on any machine that tests run on.
    fn config(&self, cgroup: &str) -> String {
        let config = kubelet::config(cgroup);
        if self.refuses_cgroups_v1() { config + "failCgroupV1: false\n" } else { config }
    }
}

/// The second number of a version.
fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
}

#[test]
fn each_starts_without_arguments_and_becomes_healthy() -> Result<()> {
    each(|containerd, image| {
        let config = image.config(&containerd.host.cgroup());
        fs::write(containerd.host.path(HOST_CONFIG), &config)?;
        starts(containerd, image, HOST_CONFIG)?;
        ensure!(
            fs::read_to_string(containerd.host.path(HOST_CONFIG))? == config,
            "the host's file was changed"
        );
        Ok(())
    })
}

/// The image's own configuration is used, and none is put on the host.
#[test]
fn each_starts_without_arguments_on_a_host_without_a_configuration() -> Result<()> {
    if skip::with_swap()? {
        return Ok(());
    }
    each(|containerd, image| {
        if image.refuses_cgroups_v1() && !Path::new("/sys/fs/cgroup/cgroup.controllers").is_file() {
            return refuses(containerd, image);
        }
        containerd.host.confine()?;
        let log = starts(containerd, image, "/usr/share/kubelet/config.yaml")?;
        ensure!(log.contains(&format!("the host has no {HOST_CONFIG}")), "{log}");
        ensure!(!containerd.host.path(HOST_CONFIG).exists(), "a configuration was put on the host");
        Ok(())
    })
}

/// As docker and podman would run it, by their other OCI runtime.
#[test]
fn docker_and_podman_style_containers_become_healthy() -> Result<()> {
    if skip::without(&bundle::PROGRAMS)? {
        return Ok(());
    }
    each(|containerd, image| {
        let host = &containerd.host;
        let scratch = scratch::dir()?;
        let rootfs = image::unpack(&image.layout, &scratch.path().join("bundle"))?;
        fs::write(host.path(HOST_CONFIG), image.config(&host.cgroup()))?;
        // crun refuses a cgroup2 with controllers beside cgroups v1, which some machines have.
        cmd::ok(host.command("sh").args(["-c", "umount /sys/fs/cgroup/unified 2>/dev/null || true"]))?;
        for style in [Style::Docker, Style::Podman] {
            becomes_healthy(host, style, &rootfs, image.release).with_context(|| format!("{style:?}"))?;
        }
        Ok(())
    })
}

fn becomes_healthy(host: &Host, style: Style, rootfs: &Path, release: &str) -> Result<()> {
    let mut bundle = Bundle::new(style, rootfs, &host.cgroup(), &[]);
    for path in ["/sys/fs/cgroup", "/var/log", "/etc/kubernetes", "/run/containerd"] {
        bundle.bind(path, false);
    }
    for path in ["/var/lib/kubelet", "/var/lib/containerd"] {
        bundle.bind(path, true);
    }
    // What the image's own environment says.
    bundle.env(&format!("KUBELET_IMAGE_RELEASE={release}"));
    let log = "/var/log/bundle.log";
    let text = || fs::read_to_string(host.path(log)).unwrap_or_default();
    bundle.start(host, "crun", log).with_context(text)?;
    wait_for("healthy kubelet", Duration::from_secs(90), || {
        Ok(host.http(10248, "/healthz").is_ok_and(|text| text == "ok").then_some(()))
    })
    .with_context(text)?;
    let text = text();
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("entrypoint: ")).collect();
    assert_eq!(said, ["entrypoint: container runtime: containerd, unix:///run/containerd/containerd.sock"]);
    ensure!(text.contains(&format!("kubeletVersion=\"{release}\"")), "not {release}: {text}");
    Bundle::end(host, "crun")
}

/// On a host with cgroups v1 the entrypoint says why the kubelet would not start, and both ways out.
fn refuses(containerd: &Containerd, image: &Image) -> Result<()> {
    let settings = Settings { sharing: Sharing::Repair, ..Settings::default() };
    let name = containerd.import(Namespace::Default, &image.layout, "localhost/kubelet")?;
    let command = image::entrypoint(&image.layout)?;
    let kubelet = Kubelet::start_as_is(containerd, &name, &command, &settings)?;
    let log = wait_for("the end of a start that would fail", Duration::from_mins(1), || {
        let log = kubelet.log();
        Ok(log.contains("does not start").then_some(log))
    })?;
    for words in ["cgroup version", "systemd.unified_cgroup_hierarchy=1", "failCgroupV1: false"] {
        ensure!(log.contains(words), "no `{words}` in {log}");
    }
    ensure!(!log.contains("kubeletVersion="), "the kubelet was started: {log}");
    Ok(())
}

/// Does this for each release, on a new host of a node that has joined.
fn each(test: impl Fn(&mut Containerd, &Image) -> Result<()>) -> Result<()> {
    if skip::without(&host::PROGRAMS)?
        || skip::without(&containerd::PROGRAMS)?
        || skip::without(&["openssl"])?
    {
        return Ok(());
    }
    for release in RELEASES {
        let attr = format!("kubelet-{}-amd64", release.replace('.', "_"));
        if release != ALWAYS
            && !xtask::at_hand(&attr)?
            && skip::unless_full(&format!("`{attr}` was never built here, and compiles for long"))
        {
            continue;
        }
        let layout = xtask::layout(&attr)?;
        let scratch = scratch::dir()?;
        let mut containerd = Containerd::start(scratch.path())?;
        joined::join(&containerd.host)?;
        test(&mut containerd, &Image { release, layout }).with_context(|| attr)?;
        containerd.host.stop()?;
    }
    Ok(())
}

/// Starts the image by stock ctr with nothing but its entrypoint; the kubelet becomes healthy and has the flags that its
/// release needs, this file among them. Returns its log.
fn starts(containerd: &Containerd, image: &Image, config: &str) -> Result<String> {
    let settings = Settings { sharing: Sharing::Repair, ..Settings::default() };
    let name = containerd.import(Namespace::Default, &image.layout, "localhost/kubelet")?;
    let command = image::entrypoint(&image.layout)?;
    let kubelet = Kubelet::start_as_is(containerd, &name, &command, &settings)?;
    kubelet.wait_healthy()?;
    assert_eq!(kubelet.probe()?, "ok\n");

    let line = fs::read_to_string(format!("/proc/{}/cmdline", kubelet.pid()?))?;
    let mut words: Vec<&str> = line.split_terminator('\0').skip(1).collect();
    let config = format!("--config={config}");
    let mut expected = [&[config.as_str()], &FLAGS[..]].concat();
    for list in [&mut words, &mut expected] {
        list.sort_unstable();
    }
    assert_eq!(words, expected);

    let log = kubelet.log();
    ensure!(log.contains(&format!("kubeletVersion=\"{}\"", image.release)), "not {}: {log}", image.release);
    ensure!(!log.contains("entrypoint: error") && !log.contains("entrypoint: warning"), "{log}");
    kubelet.terminate()?;
    Ok(log)
}
