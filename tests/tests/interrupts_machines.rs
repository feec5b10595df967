//! The verbs that make machines and hosts, at random moments of that: no process, mount, cgroup, interface, loop device or
//! file of theirs is left.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::cluster::{self, Nodes};
use tests::interrupt::{each, each_ends_in, moments_of, seconds};
use tests::random::Random;
use tests::xtask::Xtask;
use tests::{containerd, host, left, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";

/// How long a cluster of namespaces has: two filesystems with all images are taken away.
const CLUSTER: Duration = Duration::from_secs(3);

#[test]
fn a_virtual_machine_ends_and_nothing_of_it_is_left() -> Result<()> {
    if skip::without(&["qemu-system-x86_64", "mmdebstrap"])? {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let layout = xtask::layout(ATTR)?;
    let (script, console) = (dir.path().join("script"), dir.path().join("console.log"));
    fs::write(&script, "sleep 600\n")?;
    let [layout, script, console] = [&layout, &script, &console].map(|path| path.to_string_lossy());
    let args = ["vm", "--image", &layout, "--run", &script, "--console", &console, "--quiet"];
    let within = (moments_of(4), seconds(5, 60));
    each(&Xtask::new()?, &args, within, dir.path(), &mut random, || Ok(()))
}

#[test]
fn a_cluster_ends_and_nothing_of_it_is_left() -> Result<()> {
    if cluster::skip_without(Nodes::Namespaces)? {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let out = dir.path().join("out");
    let before = left::kernel()?;
    let args = ["e2e", "--nodes", "namespaces", "--case", "dns", "--quiet", "--out"];
    let args = [&args[..], &[out.to_str().context("not UTF-8")?]].concat();
    let within = (moments_of(3), seconds(16, 80));
    each_ends_in(CLUSTER, &Xtask::new()?, &args, within, dir.path(), &mut random, || {
        ensure!(left::kernel()? == before, "the kernel's settings are not what they were: {before:?}");
        Ok(())
    })
}

#[test]
fn a_cluster_of_virtual_machines_ends_and_nothing_of_it_is_left() -> Result<()> {
    if skip::unless_full("interrupts of a cluster of virtual machines") || cluster::skip_without(Nodes::Vm)? {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let out = dir.path().join("out");
    let args = ["e2e", "--case", "dns", "--quiet", "--out", out.to_str().context("not UTF-8")?];
    let within = (moments_of(3), seconds(20, 120));
    each(&Xtask::new()?, &args, within, dir.path(), &mut random, || Ok(()))
}

#[test]
fn a_measured_kubelet_ends_and_nothing_of_its_host_is_left() -> Result<()> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let (dir, mut random) = (scratch::dir()?, Random::new()?);
    let layout = xtask::layout(ATTR)?;
    let layout = layout.to_string_lossy();
    let args = ["bench", "kubelet", &layout, &layout, "--pods", "2", "--cycles", "1", "--rounds", "1"];
    let args = [&args[..], &["--rest", "5", "--quiet"]].concat();
    let within = (moments_of(2), seconds(10, 60));
    each(&Xtask::new()?, &args, within, dir.path(), &mut random, || Ok(()))
}
