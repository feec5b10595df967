//! The flake, by the real Nix, with this machine's tools in place of nixpkgs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::cmd;
use tests::nix::{Nix, StandIns, store_command};
use tests::xtask::{self, Xtask};
use tests::{image, newer_nix, scratch, skip};

const ATTR: &str = "kubelet-v1_26_0-micro-amd64";
/// How long evaluating every attribute may take.
const EVALUATION: Duration = Duration::from_secs(20);
/// An attribute's derivation; null where it cannot be evaluated.
const DERIVATIONS: &str = "packages: builtins.mapAttrs (name: package: \
    let tried = builtins.tryEval package.drvPath; in if tried.success then tried.value else null) packages";

/// A copy of the repository, and a Nix to build it with.
struct Flake {
    nix: Nix,
    dir: TempDir,
    stand_ins: StandIns,
}

impl Flake {
    fn new(nix: Nix) -> Result<Self> {
        let dir = scratch::dir()?;
        scratch::checkout(&dir.path().join("checkout"))?;
        let stand_ins = StandIns::new(dir.path())?;
        Ok(Self { nix, dir, stand_ins })
    }

    fn shared() -> Result<Option<Self>> {
        if skip::without(&["nix", "go"])? {
            return Ok(None);
        }
        Self::new(Nix::shared()?).map(Some)
    }

    fn file(&self, path: &str) -> PathBuf {
        self.dir.path().join("checkout").join(path)
    }

    fn run(&self, words: &[&str], of: &str, more: &[&str]) -> Result<cmd::Output> {
        let flake = format!("path:{}#{of}", self.dir.path().join("checkout").display());
        let mut command = self.nix.command(words);
        // Evaluation may neither fetch nor build.
        command.args(self.stand_ins.flags()).args(["--option", "allow-import-from-derivation", "false"]);
        cmd::output(command.arg(flake).args(more))
    }

    fn ok(&self, words: &[&str], of: &str, more: &[&str]) -> Result<String> {
        let out = self.run(words, of, more)?;
        ensure!(out.status.success(), "nix {words:?} {of}: {}\n{}{}", out.status, out.stdout, out.stderr);
        Ok(out.stdout)
    }

    fn derivations(&self) -> Result<BTreeMap<String, Option<String>>> {
        let told = self.ok(&["eval", "--json"], "packages.x86_64-linux", &["--apply", DERIVATIONS])?;
        serde_json::from_str(&told).context("what `nix eval` says")
    }

    /// Builds an attribute and returns where it is.
    fn build(&self, attr: &str, more: &[&str]) -> Result<PathBuf> {
        let link = self.dir.path().join("result");
        let words =
            ["build", "--out-link", link.to_str().context("a path that is not UTF-8")?, "--print-build-logs"];
        self.ok(&words, attr, more)?;
        fs::canonicalize(&link).context("nix built nothing")
    }
}

#[test]
fn every_attribute_evaluates() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    let start = Instant::now();
    let derivations = flake.derivations()?;
    let took = start.elapsed();
    assert!(took < EVALUATION, "evaluating took {took:?}");
    let list: Value = serde_json::from_str(&Xtask::new()?.ok(&["list", "--json"])?)?;
    let attributes = list["attributes"].as_array().context("no attributes")?;
    let name = |attribute: &Value| attribute["name"].as_str().unwrap_or_default().to_owned();
    let mut expected: BTreeSet<String> = attributes.iter().map(name).collect();
    expected.insert("xtask".into());
    assert_eq!(derivations.keys().cloned().collect::<BTreeSet<_>>(), expected);

    // Only for want of a lock or hash may one fail, and it says so.
    let hashes: BTreeMap<String, String> =
        serde_json::from_str(&fs::read_to_string(flake.file("images/locks/go-modules.json"))?)?;
    let alpine = flake.file("images/locks/alpine-3.15.json").is_file();
    let mut failed = BTreeSet::new();
    for attribute in attributes {
        let text = |field: &str| attribute[field].as_str().unwrap_or_default();
        let closure = if text("variant").starts_with("kubeadm") { "kubeadm" } else { "kube" };
        let has = (alpine || text("base") == "micro")
            && hashes.contains_key(&format!("{}/{closure}", text("release")));
        let found = derivations[text("name")].is_some();
        assert_eq!(found, has, "{}", text("name"));
        if !has {
            failed.insert(text("name"));
        }
    }
    let message = |attr: &str| -> Result<String> {
        let out = flake.run(&["eval"], &format!("packages.x86_64-linux.{attr}.drvPath"), &[])?;
        ensure!(!out.status.success(), "{attr} evaluates");
        Ok(out.stderr)
    };
    if failed.contains("kubelet-v1_26_0-amd64") {
        let said = message("kubelet-v1_26_0-amd64")?;
        assert!(
            said.contains("images/locks/alpine-3.15.json is missing: run `cargo xtask lock alpine`"),
            "{said}"
        );
    }
    if failed.contains("kubelet-v1_26_0-kubeadm-micro-amd64") {
        let said = message("kubelet-v1_26_0-kubeadm-micro-amd64")?;
        assert!(said.contains("images/locks/go-modules.json has no hash of `v1.26.0/kubeadm`"), "{said}");
    }
    Ok(())
}

#[test]
fn a_newer_nix_gives_the_same_derivations() -> Result<()> {
    if skip::without(&["nix", "go", "apt-get", "dpkg-deb"])? {
        return Ok(());
    }
    let Some(mut flake) = Flake::shared()? else { return Ok(()) };
    let old = flake.derivations()?;
    flake.nix.program = newer_nix::program()?;
    assert_eq!(flake.derivations()?, old);
    Ok(())
}

#[test]
fn a_change_reaches_only_what_it_is_in() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    let before = flake.derivations()?;
    fs::write(flake.file("README.md"), "Another text.\n")?;
    fs::write(flake.file("docs/nix.md"), "Another text.\n")?;
    assert_eq!(flake.derivations()?, before);

    let catalog = flake.file("images/catalog.toml");
    let text = fs::read_to_string(&catalog)?;
    let changed = text.replacen("2022-12-08T10:08:09Z", "2022-12-08T10:08:10Z", 1);
    assert_ne!(changed, text);
    fs::write(&catalog, changed)?;
    let after = flake.derivations()?;
    let differ: BTreeSet<&str> =
        before.iter().filter(|(name, drv)| after[*name] != **drv).map(|(name, _)| name.as_str()).collect();
    let of_it: BTreeSet<&str> = before
        .iter()
        .filter(|(name, drv)| name.contains("-v1_25_5") && drv.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(!of_it.is_empty());
    assert_eq!(differ, of_it);
    Ok(())
}

#[test]
fn nix_builds_the_bytes_that_xtask_builds() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    same_digest(&flake, "", ATTR, &xtask::layout(ATTR)?)?;
    // Made again, each kind of it is what it was.
    let drv = flake.derivations()?[ATTR].clone().context("no derivation")?;
    let mut query = flake.nix.command(&["--query", "--requisites", &drv]);
    let all = cmd::ok(store_command(&mut query))?;
    let again =
        ["layer-micro-", "layer-kubelet-", "component-entrypoint-", "component-ca-certificates-", ATTR];
    for kind in again {
        let drv = all.lines().find(|drv| drv.contains(kind)).with_context(|| format!("no {kind}"))?;
        cmd::ok(store_command(&mut flake.nix.command(&["--realise", "--check", drv])))?;
    }
    Ok(())
}

#[test]
fn the_standard_librarys_lock_is_the_pinned_rusts() -> Result<()> {
    let theirs = tests::nix::std_sources()?.join("Cargo.lock");
    if !theirs.is_file() {
        skip::say("the pinned Rust's sources are not installed");
        return Ok(());
    }
    let ours = fs::read_to_string(tests::root().join("images/locks/rust-std.lock"))?;
    assert!(ours == fs::read_to_string(&theirs)?, "copy {} to images/locks/rust-std.lock", theirs.display());
    Ok(())
}

/// Other architectures, variants with the CNI plugins and kubeadm: an hour of compiling if nothing was compiled before.
#[test]
fn nix_builds_the_bytes_of_other_images() -> Result<()> {
    if skip::unless_full("images of every architecture and variant by Nix") {
        return Ok(());
    }
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    for attr in [
        "kubelet-v1_26_0-micro-arm64",
        "kubelet-v1_26_0-flannel-micro-arm32v7",
        "kubelet-v1_26_0-cni-micro-amd64",
    ] {
        same_digest(&flake, "", attr, &xtask::layout(attr)?)?;
    }
    let attr = "kubelet-v1_26_0-kubeadm-micro-amd64";
    let out = flake.dir.path().join("layouts");
    let mut args = xtask::build_args(attr, &out)?;
    args.extend(["--omit", "crictl"]);
    Xtask::new()?.ok(&args)?;
    same_digest(&flake, "legacyPackages.x86_64-linux.without.crictl.", attr, &out.join(attr))
}

fn same_digest(flake: &Flake, set: &str, attr: &str, layout: &Path) -> Result<()> {
    let built = flake.build(&format!("{set}{attr}"), &[])?;
    assert_eq!(image::digest(&built)?, image::digest(layout)?, "{attr}");
    Ok(())
}
