//! Kubernetes as those who release it make it: `--unedited`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::{cmd, image, scratch, skip, xtask};

const LABEL: &str = "io.containerized-kubelet.unedited";
const KUBELET: &str = "kubelet-v1_37_2-amd64";
/// The plugins alone, which are compiled in a moment.
const PLUGINS: [&str; 5] =
    ["build", "kubelet-v1_37_2-flannel-amd64", "--omit", "kubelet", "--allow-incomplete"];

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

/// What `build --json` says of the only image.
fn build(args: &[&str], out: &Path) -> Result<Value> {
    let args = [args, &["--json", "--out", text(out)?]].concat();
    let mut report: Value = serde_json::from_str(&xtask::Xtask::new()?.ok(&args)?)?;
    Ok(report["built"][0].take())
}

/// The directory of an image's layers, one over the other.
fn unpacked(layout: &Path, to: &Path) -> Result<PathBuf> {
    let root = to.join("root");
    fs::create_dir_all(&root)?;
    for (layer, _) in image::layers(layout)? {
        cmd::ok(Command::new("tar").arg("-xf").arg(image::blob(layout, &layer)).arg("-C").arg(&root))?;
    }
    Ok(root)
}

/// What `go version -m` says of a program.
#[derive(Debug, Default)]
struct Told {
    path: String,
    /// The program's own module, and all others: version, and what stands in its place.
    modules: BTreeMap<String, (String, Option<String>)>,
    settings: BTreeMap<String, String>,
}

impl Told {
    fn of(program: &Path) -> Result<Self> {
        let mut told = Self::default();
        let mut last = String::new();
        for line in cmd::ok(Command::new("go").args(["version", "-m"]).arg(program))?.lines().skip(1) {
            match line.trim_start().split('\t').collect::<Vec<_>>()[..] {
                ["path", path] => path.clone_into(&mut told.path),
                ["mod" | "dep", path, version, ..] => {
                    path.clone_into(&mut last);
                    told.modules.insert(last.clone(), (version.to_owned(), None));
                }
                ["=>", path, version, ..] => {
                    told.modules.get_mut(&last).context("`=>` first")?.1 = Some(format!("{path} {version}"));
                }
                ["build", setting] => {
                    let (name, value) = setting.split_once('=').context("a setting without a value")?;
                    told.settings.insert(name.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        Ok(told)
    }

    /// Demands these settings, and none for the compiler or the linker.
    fn is_built_with(&self, cgo: &str, tags: Option<&str>) -> Result<()> {
        let setting = |name: &str| self.settings.get(name).map(String::as_str);
        assert_eq!((setting("CGO_ENABLED"), setting("-tags")), (Some(cgo), tags), "{}", self.path);
        assert_eq!(setting("-trimpath"), Some("true"), "{}", self.path);
        ensure!(setting("-gcflags").is_none() && setting("-asmflags").is_none(), "{:?}", self.settings);
        Ok(())
    }
}

fn says_unedited(layout: &Path) -> Result<()> {
    assert_eq!(image::manifest(layout)?["annotations"][LABEL], "true");
    assert_eq!(image::config(layout)?["config"]["Labels"][LABEL], "true");
    let xtask = xtask::Xtask::new()?;
    let sbom = |format: &str| -> Result<Value> {
        Ok(serde_json::from_str(&xtask.ok(&["sbom", text(layout)?, "--format", format])?)?)
    };
    let spdx = sbom("spdx")?;
    let packages = spdx["packages"].as_array().context("no packages")?;
    let comments = |package: &Value| package["comment"].as_str().unwrap_or_default().to_owned();
    let image = packages.iter().find(|package| package["SPDXID"] == "SPDXRef-Image").context("no image")?;
    ensure!(comments(image).starts_with("unedited: "), "{image}");
    let edited = packages.iter().find(|package| comments(package).contains("an edited copy"));
    ensure!(edited.is_none(), "{edited:?}");
    let property = &sbom("cyclonedx")?["metadata"]["component"]["properties"][0]["value"];
    assert_eq!(*property, comments(image).as_str());
    Ok(())
}

#[test]
fn programs_are_alone_and_the_image_says_so_and_is_built_again_from_what_it_says() -> Result<()> {
    if skip::without(&["go", "tar"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let out = dir.path().join("out");
    let built = build(&[&PLUGINS[..], &["--unedited"]].concat(), &out)?;
    assert_eq!(built["reference"], "kubelet:v1.37.2-flannel-micro-unedited");
    let layout = PathBuf::from(built["layout"].as_str().context("no layout")?);
    assert_eq!(layout, out.join("kubelet-v1_37_2-flannel-amd64-unedited"));
    says_unedited(&layout)?;

    let bin = unpacked(&layout, dir.path())?.join("opt/cni/bin");
    let plugins = ["bridge", "flannel", "host-local", "loopback", "portmap"];
    assert_eq!(image::names(&bin)?, plugins.map(str::to_owned).into());
    let mut inodes = BTreeSet::new();
    for plugin in plugins {
        let told = Told::of(&bin.join(plugin))?;
        ensure!(told.path.ends_with(&format!("/{plugin}")), "{told:?}");
        // flannel's module is stood in for by an older one of the others'.
        let replaced: Vec<_> =
            told.modules.iter().filter(|(_, (_, by))| by.is_some()).map(|(name, _)| name).collect();
        let expected: &[&str] = if plugin == "flannel" { &["github.com/flannel-io/cni-plugin"] } else { &[] };
        assert_eq!(replaced, expected, "{told:?}");
        told.is_built_with("0", None)?;
        inodes.insert(fs::metadata(bin.join(plugin))?.ino());
        let said = cmd::ok(Command::new(bin.join(plugin)).env("CNI_COMMAND", "VERSION"))?;
        ensure!(said.contains("\"supportedVersions\""), "{plugin}: {said}");
    }
    assert_eq!(inodes.len(), plugins.len(), "some are one file");

    // Its attestation is of the image that is built again from its label, and so is `verify`.
    let xtask = xtask::Xtask::new()?;
    xtask.ok(&["attest", text(&layout)?])?;
    let verified = xtask.ok(&["verify", text(&layout)?, "--rebuild"])?;
    ensure!(verified.contains("provenance, rebuild"), "{verified}");

    // It is in no budget, and alone it is nothing to check.
    let words = ["unedited: the budget is of edited images", "there was nothing to check"];
    xtask.fails(&["size", "check", "--layouts", text(&out)?], Kind::NotFound, &words)?;

    let edited = build(&PLUGINS, &out)?;
    assert_eq!(edited["reference"], "kubelet:v1.37.2-flannel-micro");
    ensure!(edited["digest"] != built["digest"], "{built}");
    assert_eq!(
        built["images"][0]["layers"][0]["digest"], edited["images"][0]["layers"][0]["digest"],
        "their bases are the same"
    );
    Ok(())
}

/// The modules that Kubernetes' own go.mod requires, with their versions.
fn required(release: &str) -> Result<BTreeMap<String, String>> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", &format!("k8s.io/kubernetes@{release}")]).current_dir("/");
    let told: Value = serde_json::from_str(&cmd::ok(&mut go)?)?;
    let go_mod = fs::read_to_string(told["GoMod"].as_str().context("no go.mod")?)?;
    let words = go_mod.lines().filter(|line| line.starts_with('\t') && !line.contains("=>"));
    let pairs = words.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    Ok(pairs.filter(|(_, version)| version.starts_with('v')).collect())
}

#[test]
fn the_kubelet_is_of_its_releases_modules_and_flags() -> Result<()> {
    let unedited = format!("{KUBELET}-unedited");
    if skip::without(&["go", "tar"])?
        || !xtask::at_hand(&unedited)?
            && skip::unless_full(&format!("`{unedited}` was never built here, and compiles for long"))
    {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let out = dir.path().join("out");
    let built = build(&["build", KUBELET, "--unedited"], &out)?;
    assert_eq!(built["reference"], "kubelet:v1.37.2-micro-unedited");
    let layout = out.join(&unedited);
    says_unedited(&layout)?;
    let kubelet = unpacked(&layout, dir.path())?.join("usr/bin/kubelet");
    assert_eq!(cmd::ok(Command::new(&kubelet).arg("--version"))?.trim(), "Kubernetes v1.37.2");

    let told = Told::of(&kubelet)?;
    assert_eq!(told.path, "k8s.io/kubernetes/cmd/kubelet");
    told.is_built_with("1", Some("selinux,notest,grpcnotrace"))?;
    let required = required("v1.37.2")?;
    let mut compared = 0;
    for (module, (version, by)) in &told.modules {
        // Those of Kubernetes' own repository are directories in it, published as modules.
        match by {
            Some(by) => assert_eq!(by, &format!("{module} v0.37.2"), "{module}"),
            None if module == "k8s.io/kubernetes" => assert_eq!(version, "v1.37.2"),
            None => {
                assert_eq!(Some(version), required.get(module), "{module}");
                compared += 1;
            }
        }
    }
    ensure!(compared > 80, "only {compared} modules were compared");
    if xtask::at_hand(KUBELET)? {
        let edited = build(&["build", KUBELET], &out)?;
        ensure!(edited["digest"] != built["digest"], "{built}");
        let size = |built: &Value| built["images"][0]["extracted"].as_u64();
        ensure!(size(&edited) < size(&built), "{edited} {built}");
    }
    Ok(())
}
