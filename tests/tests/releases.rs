//! Every release that is built here, from its own image without arguments, as a node whose API server does not answer.

use std::fs;

use anyhow::{Context, Result, ensure};
use tests::containerd::{Containerd, Namespace};
use tests::host::Host;
use tests::kubelet::{self, Kubelet, Settings, Sharing};
use tests::{cmd, containerd, host, image, scratch, skip, xtask};

const RELEASES: [&str; 3] = [ALWAYS, "v1.25.5", "v1.24.17"];
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

/// A release's image in containerd.
struct Image {
    release: &'static str,
    name: String,
    command: Vec<String>,
}

#[test]
fn each_starts_without_arguments_and_becomes_healthy() -> Result<()> {
    each(|containerd, image| {
        let config = kubelet::config(&containerd.host.cgroup());
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
        containerd.host.confine()?;
        let log = starts(containerd, image, "/usr/share/kubelet/config.yaml")?;
        ensure!(log.contains(&format!("the host has no {HOST_CONFIG}")), "{log}");
        ensure!(!containerd.host.path(HOST_CONFIG).exists(), "a configuration was put on the host");
        Ok(())
    })
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
        let attr = format!("kubelet-{}-micro-amd64", release.replace('.', "_"));
        if release != ALWAYS
            && !xtask::at_hand(&attr)?
            && skip::unless_full(&format!("`{attr}` was never built here, and compiles for long"))
        {
            continue;
        }
        let scratch = scratch::dir()?;
        let mut containerd = Containerd::start(scratch.path())?;
        join(&containerd.host)?;
        let layout = xtask::layout(&attr)?;
        let image = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
        let image = Image { release, name: image, command: image::entrypoint(&layout)? };
        test(&mut containerd, &image).with_context(|| attr)?;
        containerd.host.stop()?;
    }
    Ok(())
}

/// Leaves on the host what joining a cluster does.
fn join(host: &Host) -> Result<()> {
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

/// Starts the image by stock ctr with nothing but its entrypoint; the kubelet becomes healthy and has the flags that its
/// release needs, this file among them. Returns its log.
fn starts(containerd: &Containerd, image: &Image, config: &str) -> Result<String> {
    let settings = Settings { sharing: Sharing::Repair, ..Settings::default() };
    let kubelet = Kubelet::start_as_is(containerd, &image.name, &image.command, &settings)?;
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
