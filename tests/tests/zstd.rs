//! The second set of manifests: zstd layers of the same archives, under tags and in layouts of their own. And `--fast`, whose
//! gzip is of several members.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::containerd::{self, Containerd, Namespace};
use tests::{cmd, host, image, scratch, skip, xtask};

/// The base alone, so that compressing takes no time.
const SMALL: [&str; 5] = ["build", "kubelet-v1_26_0-amd64", "--omit", "kubelet", "--allow-incomplete"];
const MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Builds it with this flag; returns the report's only entry.
fn build(out: &Path, flags: &[&str]) -> Result<Value> {
    let out = out.to_str().context("the directory's name is not UTF-8")?;
    let args = [&SMALL, &["--json", "--out", out][..], flags].concat();
    let mut report: Value = serde_json::from_str(&xtask::Xtask::new()?.ok(&args)?)?;
    Ok(report["built"][0].take())
}

fn layout(built: &Value) -> Result<PathBuf> {
    built["layout"].as_str().map(PathBuf::from).context("no layout")
}

#[test]
fn gzip_fast_and_zstd_have_the_same_diff_ids_and_config() -> Result<()> {
    let out = scratch::dir()?;
    let mut builds = Vec::new();
    for flags in [&[][..], &["--fast"], &["--zstd"]] {
        let built = build(out.path(), flags)?;
        let layer = &built["images"][0]["layers"][0];
        let field = |name: &str| layer[name].as_str().map(str::to_owned).context("a layer without it");
        let config = built["images"][0]["config"].as_str().map(str::to_owned);
        builds.push((field("diff_id")?, config, field("digest")?, field("encoder")?));
    }
    let [gzip, fast, zstd] = &builds[..] else { unreachable!("three builds") };
    assert_eq!([&fast.0, &zstd.0], [&gzip.0; 2], "diff IDs");
    assert_eq!([&fast.1, &zstd.1], [&gzip.1; 2], "configs");
    ensure!(gzip.2 != fast.2 && gzip.2 != zstd.2 && fast.2 != zstd.2, "digests: {builds:?}");
    ensure!(zstd.3.starts_with("zstd ") && gzip.3.starts_with("libdeflate "), "encoders: {builds:?}");
    Ok(())
}

#[test]
fn both_sets_stand_side_by_side() -> Result<()> {
    let out = scratch::dir()?;
    let (gzip, zstd) = (build(out.path(), &[])?, build(out.path(), &["--zstd"])?);
    assert_eq!(zstd["reference"], "kubelet:v1.26.0-micro-zstd");
    assert_eq!(layout(&zstd)?, out.path().join("kubelet-v1_26_0-amd64-zstd"));
    let [gzip, zstd] = [image::manifest(&layout(&gzip)?)?, image::manifest(&layout(&zstd)?)?];
    ensure!(zstd["layers"][0]["mediaType"] == MEDIA_TYPE, "{zstd}");
    ensure!(zstd["layers"][0]["size"].as_u64() < gzip["layers"][0]["size"].as_u64(), "{zstd} {gzip}");
    let encoder = |manifest: &Value| manifest["annotations"]["io.containerized-kubelet.encoder"].clone();
    ensure!(encoder(&zstd).as_str().is_some_and(|encoder| encoder.starts_with("zstd ")), "{zstd}");
    ensure!(encoder(&zstd) != encoder(&gzip));
    let both = [&SMALL[..], &["--fast", "--zstd"]].concat();
    xtask::Xtask::new()?.fails(&both, fault::Kind::Usage, &["--fast", "--zstd"])?;
    // That a kubelet's image has none has to be meant.
    let words = ["kubelet-v1_26_0-amd64", "--omit kubelet leaves nothing to start"];
    xtask::Xtask::new()?.fails(&SMALL[..4], fault::Kind::Usage, &words).map(drop)
}

#[test]
fn they_are_weighed_and_a_lying_one_is_refused() -> Result<()> {
    let out = scratch::dir()?;
    let layout = layout(&build(out.path(), &["--zstd"])?)?;
    let dir = out.path().to_str().context("the directory's name is not UTF-8")?;
    let check = ["size", "check", "--json", "--layouts", dir];
    let answer: Value = serde_json::from_str(&xtask::Xtask::new()?.ok(&check)?)?;
    let cell = &answer["cells"][0];
    assert_eq!(cell["attribute"], "kubelet-v1_26_0-amd64-zstd");
    assert_eq!((&cell["set"], &cell["counted"]), (&"zstd".into(), &false.into()), "it lacks the kubelet");
    ensure!(cell["compressed"].as_u64() > image::compressed(&layout)?.into(), "the config counts too");
    ensure!(cell["notes"].to_string().contains("only gzip images are recorded"), "{cell}");

    let digest = image::manifest(&layout)?["layers"][0]["digest"].clone();
    let digest = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).context("no layer")?;
    let blob = layout.join("blobs/sha256").join(digest);
    let mut bytes = fs::read(&blob)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes)?;
    xtask::Xtask::new()?.fails(&check, fault::Kind::Mismatch, &[digest]).map(drop)
}

#[test]
fn skopeo_reads_them_and_makes_gzip_of_them_for_tools_that_do_not() -> Result<()> {
    if skip::without(&["skopeo", "umoci"])? {
        return Ok(());
    }
    let out = scratch::dir()?;
    let zstd = layout(&build(out.path(), &["--zstd"])?)?;
    let source = format!("oci:{}:{}", zstd.display(), image::tag(&zstd)?);
    let seen: Value = serde_json::from_str(&cmd::ok(Command::new("skopeo").args(["inspect", &source]))?)?;
    assert_eq!(seen["Digest"], image::digest(&zstd)?.as_str());
    let copy = out.path().join("gzip");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--dest-compress-format", "gzip", "--dest-compress"]);
    cmd::ok(skopeo.arg(&source).arg(format!("oci:{}:copy", copy.display())))?;
    let root = image::unpack(&copy, &out.path().join("bundle"))?;
    ensure!(root.join("usr/bin/mount").is_file());
    Ok(())
}

#[test]
fn containerd_imports_and_runs_them() -> Result<()> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let layout = layout(&build(scratch.path(), &["--zstd"])?)?;
    let containerd = Containerd::start(scratch.path())?;
    let name = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    assert_eq!(name, "localhost/kubelet:v1.26.0-micro-zstd");
    let mounts = containerd.run(&name, &["/usr/bin/mount"])?;
    ensure!(mounts.contains(" on /proc type proc"), "{mounts}");
    containerd.host.stop()
}

/// Dozens of members: whoever reads only the first has a megabyte of a kubelet.
#[test]
fn containerd_and_umoci_read_all_members_of_quick_gzip() -> Result<()> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let out = scratch.path().to_str().context("the directory's name is not UTF-8")?;
    let args = ["build", "kubelet-v1_26_0-amd64", "--fast", "--json", "--out", out];
    let report: Value = serde_json::from_str(&xtask::Xtask::new()?.ok(&args)?)?;
    let layout = layout(&report["built"][0])?;
    let root = image::unpack(&layout, &scratch.path().join("bundle"))?;
    let released = image::unpack(&xtask::layout("kubelet-v1_26_0-amd64")?, &scratch.path().join("released"))?;
    let [quick, released] = [root, released].map(|root| fs::read(root.join("usr/bin/kubelet")));
    ensure!(quick? == released?, "another kubelet");
    let containerd = Containerd::start(scratch.path())?;
    let name = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    assert_eq!(containerd.run(&name, &["/usr/bin/kubelet", "--version"])?, "Kubernetes v1.26.0\n");
    containerd.host.stop()
}
