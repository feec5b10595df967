//! Other people's tools accept the layouts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::containerd::{self, Containerd, Namespace};
use tests::registry::Registry;
use tests::{cmd, go_tool, host, image, scratch, skip, xtask};

const ATTR: &str = "kubelet-v1_26_0-amd64";
const TAG: &str = "v1.26.0-micro";

#[test]
fn skopeo_sees_the_platform_and_every_layer() -> Result<()> {
    if skip::without(&["skopeo"])? {
        return Ok(());
    }
    let layout = xtask::layout(ATTR)?;
    let source = format!("oci:{}:{}", layout.display(), image::tag(&layout)?);
    let seen: Value = serde_json::from_str(&cmd::ok(Command::new("skopeo").args(["inspect", &source]))?)?;
    assert_eq!(seen["Architecture"], "amd64");
    assert_eq!(seen["Os"], "linux");
    assert_eq!(seen["Digest"], image::digest(&layout)?.as_str());
    let layers: Vec<_> = image::layers(&layout)?.into_iter().map(|(digest, _)| Value::from(digest)).collect();
    assert_eq!(seen["Layers"], Value::from(layers));
    // The release's day, whenever it is built.
    ensure!(
        seen["Created"].as_str().is_some_and(|time| time.starts_with("2022-12-08T")),
        "made at {}",
        seen["Created"]
    );
    Ok(())
}

#[test]
fn skopeo_copies_it_without_changing_its_digest() -> Result<()> {
    if skip::without(&["skopeo"])? {
        return Ok(());
    }
    let layout = xtask::layout(ATTR)?;
    let scratch = scratch::dir()?;
    let copy = scratch.path().join("copy");
    let source = format!("oci:{}:{}", layout.display(), image::tag(&layout)?);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--preserve-digests", &source]);
    cmd::ok(skopeo.arg(format!("oci:{}:{TAG}", copy.display())))?;
    assert_eq!(image::digest(&copy)?, image::digest(&layout)?);
    Ok(())
}

#[test]
fn umoci_unpacks_it_to_files_of_root_with_fixed_modes() -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let root = image::unpack(&xtask::layout(ATTR)?, &scratch.path().join("bundle"))?;
    let [entrypoint, mount, umount] =
        ["entrypoint", "mount", "umount"].map(|name| root.join("usr/bin").join(name));
    let inode = |file: &Path| Ok::<_, anyhow::Error>(std::fs::metadata(file)?.ino());
    assert_eq!(inode(&mount)?, inode(&entrypoint)?, "mount is a hard link");
    assert_eq!(inode(&umount)?, inode(&entrypoint)?, "umount is a hard link");
    for file in scratch::files(&root) {
        let meta = std::fs::symlink_metadata(&file)?;
        ensure!((meta.uid(), meta.gid()) == (0, 0), "{} is not root's", file.display());
        ensure!(
            matches!(meta.mode() & 0o7777, 0o644 | 0o755),
            "{} has mode {:o}",
            file.display(),
            meta.mode()
        );
    }
    Ok(())
}

#[test]
fn its_configuration_has_release_variant_and_health_check() -> Result<()> {
    let config = &image::config(&xtask::layout(ATTR)?)?["config"];
    let env = config["Env"].as_array().context("no environment")?;
    for variable in ["KUBELET_IMAGE_RELEASE=v1.26.0", "KUBELET_IMAGE_VARIANT=kubelet"] {
        ensure!(env.iter().any(|found| found == variable), "no {variable} in {env:?}");
    }
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/usr/bin/entrypoint", "probe"]));
    Ok(())
}

#[test]
fn containerd_imports_it_under_its_tag() -> Result<()> {
    if skip::without(&host::PROGRAMS)? || skip::without(&containerd::PROGRAMS)? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let layout = xtask::layout(ATTR)?;
    let containerd = Containerd::start(scratch.path())?;
    let name = containerd.import(Namespace::Default, &layout, "localhost/kubelet")?;
    assert_eq!(name, format!("localhost/kubelet:{TAG}"));
    let check = cmd::ok(containerd.ctr(Namespace::Default).args(["images", "check"]))?;
    let ours = check.lines().find(|line| line.starts_with(&name)).context("not in `images check`")?;
    ensure!(ours.contains("complete") && ours.ends_with("true"), "{ours}");
    containerd.host.stop()
}

#[test]
fn crane_validates_it_in_a_registry() -> Result<()> {
    if skip::without(&["skopeo", "docker-registry", "go"])? {
        return Ok(());
    }
    let layout = xtask::layout(ATTR)?;
    let crane = go_tool::CRANE.program()?;
    let scratch = scratch::dir()?;
    let registry = Registry::start(scratch.path())?;
    let name = format!("{}/kubelet:{TAG}", registry.address());
    let source = format!("oci:{}:{}", layout.display(), image::tag(&layout)?);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false", &source]);
    cmd::ok(skopeo.arg(format!("docker://{name}")))?;
    cmd::ok(Command::new(&crane).args(["validate", "--insecure", "--remote", &name]))?;
    let digest = cmd::ok(Command::new(&crane).args(["digest", "--insecure", &name]))?;
    assert_eq!(digest.trim(), image::digest(&layout)?);
    Ok(())
}
