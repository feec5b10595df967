//! What each variant of the micro image holds, read by umoci; and that variants share their layers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tests::containerd::{self, Containerd, Namespace};
use tests::{host, image, scratch, skip, xtask};

const FLANNEL: [&str; 5] = ["bridge", "flannel", "host-local", "loopback", "portmap"];
const ALL: [&str; 17] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "firewall",
    "flannel",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tuning",
    "vlan",
    "vrf",
];

/// Of v1.10.0, which the newest releases take.
const NEWER: [&str; 18] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
];

fn layout(variant: &str) -> Result<PathBuf> {
    xtask::layout(&format!("kubelet-v1_26_0{variant}-amd64"))
}

fn digests(variant: &str) -> Result<Vec<String>> {
    Ok(image::layers(&layout(variant)?)?.into_iter().map(|(digest, _)| digest).collect())
}

#[test]
fn each_variant_has_its_programs_and_no_others() -> Result<()> {
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    let expected: [(&str, &[&str], bool); 5] = [
        ("", &[], false),
        ("-flannel", &FLANNEL, false),
        ("-cni", &ALL, false),
        ("-kubeadm", &[], true),
        ("-kubeadm-cni", &ALL, true),
    ];
    for (variant, plugins, kubeadm) in expected {
        let scratch = scratch::dir()?;
        let root = image::unpack(&layout(variant)?, &scratch.path().join("bundle"))?;
        let cni = root.join("opt/cni/bin");
        let found = if cni.exists() { image::names(&cni)? } else { BTreeSet::new() };
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), plugins, "variant `{variant}`");
        for (program, wanted) in [("kubelet", true), ("mount", true), ("umount", true), ("kubeadm", kubeadm)]
        {
            let file = root.join("usr/bin").join(program);
            assert_eq!(file.exists(), wanted, "variant `{variant}`, {program}");
        }
        ensure!(
            !root.join("usr/bin/crictl").exists(),
            "variant `{variant}` was built without crictl, but has it"
        );
    }
    Ok(())
}

/// Without their kubelets, which are compiled for long.
#[test]
fn newer_releases_have_newer_plugins_and_flannels_stay_whole() -> Result<()> {
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    for (variant, plugins) in [("cni", &NEWER[..]), ("flannel", &FLANNEL)] {
        let scratch = scratch::dir()?;
        let attr = format!("kubelet-v1_37_2-{variant}-amd64");
        let layout = xtask::without_kubelet(&attr, scratch.path())?;
        let root = image::unpack(&layout, &scratch.path().join("bundle"))?;
        let found = image::names(&root.join("opt/cni/bin"))?;
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), plugins, "{variant}");
        ensure!(!root.join("usr/bin/kubelet").exists(), "it was built without a kubelet");
    }
    Ok(())
}

#[test]
fn kubeadm_and_the_joined_kubelet_behave_as_themselves() -> Result<()> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let layout = layout("-kubeadm")?;
    let containerd = Containerd::start(scratch.path())?;
    let image = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    assert_eq!(containerd.run(&image, &["kubeadm", "version", "-o", "short"])?, "v1.26.0\n");
    assert_eq!(containerd.run(&image, &["kubelet", "--version"])?, "Kubernetes v1.26.0\n");
    containerd.host.stop()
}

#[test]
fn a_plugin_says_its_name_and_version() -> Result<()> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let layout = layout("-flannel")?;
    let containerd = Containerd::start(scratch.path())?;
    let image = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    // A plugin called without CNI_COMMAND prints its usage to standard error; VERSION is its one command without input.
    let cgroup = format!("{}/cni", containerd.host.cgroup());
    let mut ctr = containerd.ctr(Namespace::Default);
    ctr.args([
        "run",
        "--rm",
        "--cgroup",
        &cgroup,
        "--env",
        "CNI_COMMAND=VERSION",
        &image,
        "cni",
        "/opt/cni/bin/bridge",
    ]);
    let answer = tests::cmd::ok(&mut ctr)?;
    ensure!(answer.contains("supportedVersions") && answer.contains("0.4.0"), "bridge said: {answer}");
    containerd.host.stop()
}

#[test]
fn variants_share_their_layers() -> Result<()> {
    let [plain, flannel, cni] = [digests("")?, digests("-flannel")?, digests("-cni")?];
    let [kubeadm, both] = [digests("-kubeadm")?, digests("-kubeadm-cni")?];
    let starts = |with: &[String], what: &[String]| with.starts_with(what) && with.len() > what.len();
    ensure!(starts(&flannel, &plain), "flannel {flannel:?}\ndoes not go on from plain {plain:?}");
    ensure!(starts(&cni, &plain), "cni {cni:?}\ndoes not go on from plain {plain:?}");
    ensure!(starts(&both, &kubeadm), "kubeadm-cni {both:?}\ndoes not go on from kubeadm {kubeadm:?}");
    assert_eq!(plain.first(), kubeadm.first(), "the base");
    assert_eq!(cni.last(), both.last(), "the plugins");
    Ok(())
}
