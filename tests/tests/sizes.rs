//! The sizes that are promised and recorded, what a change of them is answered with, and the second build that does
//! nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::registry::Registry;
use tests::{cmd, cpu, image, scratch, skip, xtask};

const CNI: &str = "kubelet-v1_26_0-cni-amd64";

const MIB: f64 = 1_048_576.0;

/// What was promised before anything was measured, in MiB; kubeadm without crictl.
#[test]
fn compressed_sizes_are_as_promised() -> Result<()> {
    for (variant, promised) in [("", 20.0), ("-cni", 24.5), ("-kubeadm", 24.0)] {
        let attr = format!("kubelet-v1_26_0{variant}-amd64");
        #[expect(clippy::cast_precision_loss, reason = "megabytes fit")]
        let size = image::compressed(&xtask::layout(&attr)?)? as f64 / MIB;
        ensure!(size <= promised, "`{attr}` has {size:.3} MiB compressed, more than its {promised:.1}");
    }
    Ok(())
}

#[test]
fn every_image_that_is_built_here_is_within_its_budget() -> Result<()> {
    let attrs = ["", "-flannel", "-cni", "-kubeadm", "-kubeadm-cni"]
        .map(|variant| format!("kubelet-v1_26_0{variant}-amd64"));
    let mut dir = None;
    for attr in &attrs {
        dir = xtask::layout(attr)?.parent().map(Path::to_owned);
    }
    let dir = dir.context("no layouts")?;
    let layouts = dir.to_str().context("the directory's name is not UTF-8")?;
    let args: Vec<&str> = ["size", "check", "--json", "--layouts", layouts]
        .into_iter()
        .chain(attrs.iter().map(String::as_str))
        .collect();
    let answer: Value = serde_json::from_str(&xtask::Xtask::new()?.ok(&args)?)?;
    let cells = answer["cells"].as_array().context("no cells")?;
    assert_eq!(cells.len(), attrs.len());
    for cell in cells {
        let attr = cell["attribute"].as_str().context("no name")?;
        ensure!(
            cell["compressed"].as_u64() > image::compressed(&dir.join(attr))?.into(),
            "the config counts too"
        );
    }
    Ok(())
}

/// A program of the plugins' binary gains 200 KB, as a pull request would bring them: the check names the component and
/// the file; once they are wanted, one command records them, and once they are gone again, too.
#[test]
fn two_hundred_kilobytes_more_fail_the_check_and_one_command_records_them() -> Result<()> {
    xtask::layout(CNI)?;
    let scratch = scratch::dir()?;
    let root = scratch.path().join("checkout");
    scratch::checkout(&root)?;
    // The limits beside the published images are another matter; a text that compresses badly is a large one.
    let xtask = xtask::Xtask::new()?.cwd(&root);
    let record = root.join("images/sizes.json");
    let recorded = || fs::read_to_string(&record).context("no images/sizes.json");
    fs::remove_file(&record)?;
    xtask.ok(&["size", "record", CNI])?;
    let before = recorded()?;

    let source = root.join("images/go/join/main.go");
    let plain = fs::read_to_string(&source)?;
    let large = format!("{plain}\nvar ballast = \"{}\"\n", noise(200_000));
    let large = large.replacen(
        "func main() {",
        "func main() {\n\tif len(os.Args) > 1000 {\n\t\tprintln(ballast)\n\t}",
        1,
    );
    fs::write(&source, large)?;
    let failed = xtask.fails(
        &["size", "check", CNI],
        Kind::Budget,
        &[CNI, "layer cni", "component cni, opt/cni/bin/bandwidth", "(types and constants)", "size record"],
    )?;
    ensure!(!failed.stderr.contains("layer kubelet"), "what did not grow is named:\n{}", failed.stderr);

    xtask.ok(&["size", "record"])?;
    let grown = recorded()?;
    ensure!(grown != before, "nothing was recorded");
    fs::write(&source, plain)?;
    let answer = xtask.ok(&["size", "record"])?;
    ensure!(answer.contains("-200,"), "it does not say what was saved:\n{answer}");
    assert_eq!(recorded()?, before);
    Ok(())
}

/// Digits that no compressor makes much of, the same each time.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut digit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(
            b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"
                [usize::try_from(state >> 58).unwrap_or(0)],
        )
    };
    (0..length).map(|_| digit()).collect()
}

#[test]
fn an_image_in_a_registry_is_compared_with_a_layout() -> Result<()> {
    if skip::without(&["skopeo", "docker-registry"])? {
        return Ok(());
    }
    let (plain, cni) = (xtask::layout("kubelet-v1_26_0-flannel-amd64")?, xtask::layout(CNI)?);
    let scratch = scratch::dir()?;
    let registry = Registry::start(scratch.path())?;
    let name = format!("{}/kubelet:flannel", registry.address());
    let docker = format!("{}/kubelet:docker", registry.address());
    for (name, format) in [(&name, "oci"), (&docker, "v2s2")] {
        let mut skopeo = std::process::Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--dest-tls-verify=false", "--format", format]);
        let from = format!("oci:{}:{}", plain.display(), image::tag(&plain)?);
        cmd::ok(skopeo.arg(from).arg(format!("docker://{name}")))?;
    }
    let cni = cni.to_str().context("the directory's name is not UTF-8")?;
    let xtask = xtask::Xtask::new()?;
    let answer: Value = serde_json::from_str(&xtask.ok(&["size", "diff", &name, cni, "--json"])?)?;
    let layers: Vec<_> =
        answer["layers"].as_array().into_iter().flatten().map(|layer| &layer["name"]).collect();
    assert_eq!(layers, ["cni", "cni-flannel"], "they share all others");
    let table = xtask.ok(&["size", "diff", &name, cni, "--markdown"])?;
    for words in
        ["| image |", "<summary>layer cni:", "<code>opt/cni/bin/bandwidth</code>", "vishvananda/netlink"]
    {
        ensure!(table.contains(words), "no {words:?} in\n{table}");
    }
    let plain = plain.to_str().context("the directory's name is not UTF-8")?;
    for (before, after) in [(cni, cni), (&*name, plain), (&*docker, plain)] {
        let same = xtask.ok(&["size", "diff", before, after])?;
        assert_eq!(same.trim(), "no change; images compared: 1", "{before} {after}");
    }
    xtask.fails(&["size", "diff", "no-such-thing", cni], Kind::NotFound, &["no-such-thing"])?;
    Ok(())
}

/// The program in front of every kubelet may cost next to nothing.
#[test]
fn the_entrypoint_is_small_and_starts_at_once() -> Result<()> {
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let root = image::unpack(&xtask::layout("kubelet-v1_26_0-amd64")?, &scratch.path().join("bundle"))?;
    let entrypoint = root.join("usr/bin/entrypoint");
    let size = std::fs::metadata(&entrypoint)?.len();
    ensure!(size < 700_000, "the entrypoint has {size} bytes");
    // A kubelet that ends at once, found and given its flags as ever.
    let bin = scratch.path().join("bin");
    std::fs::create_dir(&bin)?;
    std::fs::copy("/bin/true", bin.join("kubelet"))?;
    let script = "for i in $(/usr/bin/seq 100); do \"$0\" \"$@\" || exit 1; done";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(&entrypoint);
    command.args(["--kubeconfig=", "--container-runtime-endpoint=unix:///none", "--v=2"]);
    command.env("PATH", &bin).env("KUBELET_IMAGE_RELEASE", "v1.26.0");
    // All checks are made, and the start goes on whatever this machine lacks.
    command.env("KUBELET_PREFLIGHT", "warn").env("KUBELET_REPAIR", "off");
    let each = cpu::used(&mut command)? / 100;
    println!("{each:?} of processor time a start");
    ensure!(each < Duration::from_millis(5), "the entrypoint and a program that ends at once took {each:?}");
    Ok(())
}

#[test]
fn a_second_build_does_nothing_and_takes_no_time() -> Result<()> {
    let out = scratch::dir()?;
    let attr = "kubelet-v1_26_0-amd64";
    let xtask = xtask::Xtask::new()?;
    let layout = xtask.build(attr, out.path())?;
    let before = image::digest(&layout)?;
    let stamp = std::fs::metadata(layout.join("index.json"))?.modified()?;
    let used = cpu::used(&mut xtask.command(&xtask::build_args(attr, out.path())?)?)?;
    println!("{used:?} of processor time");
    assert_eq!(image::digest(&layout)?, before);
    assert_eq!(
        std::fs::metadata(layout.join("index.json"))?.modified()?,
        stamp,
        "the layout was written again"
    );
    ensure!(used < Duration::from_millis(500), "took {used:?} to find that there is nothing to do");
    Ok(())
}
