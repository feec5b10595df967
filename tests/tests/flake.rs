//! The flake, by the real Nix, with this machine's tools in place of nixpkgs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use apk::testrepo::Signer;
use serde_json::Value;
use tempfile::TempDir;
use tests::alpine::{LOCK, MISSING, Place, real};
use tests::cmd;
use tests::containerd::{self, Containerd};
use tests::nix::{Nix, StandIns, store_command};
use tests::registry::Registry;
use tests::xtask::{self, Xtask};
use tests::{host, image, measured, newer_nix, scratch, second_branch, skip};

const ATTR: &str = "kubelet-v1_26_0-amd64";
/// How many function calls evaluating every attribute may take: a count is the same whatever else the machine does. Half as
/// many are 1.7 s of a processor here; what is evaluated again for each image takes five times as long.
const EVALUATION: u64 = 175_000;
/// An attribute's derivation; null where it cannot be evaluated.
const DERIVATIONS: &str = "all: builtins.mapAttrs (name: package: \
    let tried = builtins.tryEval package.drvPath; in if tried.success then tried.value else null) \
    (removeAttrs all [\"go-modules\" \"without\"])";

/// A copy of the repository, and a Nix to build it with.
struct Flake {
    nix: Nix,
    dir: TempDir,
    /// Where commands are run: in no checkout.
    cwd: PathBuf,
    stand_ins: StandIns,
}

impl Flake {
    fn shared() -> Result<Option<Self>> {
        if skip::without(&["nix", "go"])? {
            return Ok(None);
        }
        let dir = scratch::dir()?;
        scratch::checkout(&dir.path().join("checkout"))?;
        Self::of(dir).map(Some)
    }

    /// A directory with a checkout in it, which may have a catalog of its own.
    fn of(dir: TempDir) -> Result<Self> {
        let stand_ins = StandIns::new(dir.path())?;
        let flake = Self { nix: Nix::shared()?, cwd: dir.path().to_owned(), dir, stand_ins };
        flake.plan_again()?;
        Ok(flake)
    }

    /// Brings the plan up to date with the catalog.
    fn plan_again(&self) -> Result<()> {
        Xtask::new()?.cwd(&self.file("")).ok(&["lock", "plan"]).map(drop)
    }

    fn file(&self, path: &str) -> PathBuf {
        self.dir.path().join("checkout").join(path)
    }

    /// What the last evaluation cost, as Nix tells it.
    fn stats(&self) -> PathBuf {
        self.dir.path().join("stats.json")
    }

    /// Runs `nix`.
    fn run(&self, words: &[&str], of: &str, more: &[&str]) -> Result<cmd::Output> {
        let mut flake = format!("path:{}", self.dir.path().join("checkout").display());
        if !of.is_empty() {
            flake = format!("{flake}#{of}");
        }
        let mut command = self.nix.command(words);
        command.env("NIX_SHOW_STATS", "1").env("NIX_SHOW_STATS_PATH", self.stats());
        // Evaluation may neither fetch nor build.
        command.args(self.stand_ins.flags()).args(["--option", "allow-import-from-derivation", "false"]);
        cmd::output(command.arg(flake).args(more).current_dir(&self.cwd))
    }

    fn ok(&self, words: &[&str], of: &str, more: &[&str]) -> Result<String> {
        let out = self.run(words, of, more)?;
        ensure!(out.status.success(), "nix {words:?} {of}: {}\n{}{}", out.status, out.stdout, out.stderr);
        Ok(out.stdout)
    }

    fn derivations(&self) -> Result<BTreeMap<String, Option<String>>> {
        let told = self.ok(&["eval", "--json"], "legacyPackages.x86_64-linux", &["--apply", DERIVATIONS])?;
        serde_json::from_str(&told).context("what `nix eval` says")
    }

    /// Makes parts of what was built again: each is what it was.
    fn make_again(&self, attr: &str, kinds: &[&str]) -> Result<()> {
        let drv = self.derivations()?[attr].clone().context("no derivation")?;
        let mut query = self.nix.command(&["--query", "--requisites", &drv]);
        let all = cmd::ok(store_command(&mut query))?;
        for kind in kinds {
            let drv = all.lines().find(|drv| drv.contains(kind)).with_context(|| format!("no {kind}"))?;
            cmd::ok(store_command(&mut self.nix.command(&["--realise", "--check", drv])))?;
        }
        Ok(())
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
    let derivations = flake.derivations()?;
    let stats: Value = serde_json::from_slice(&fs::read(flake.stats())?)?;
    let calls = stats["nrFunctionCalls"].as_u64().context("Nix does not say how much it did")?;
    assert!(calls < EVALUATION, "evaluating took {calls} function calls, and {} s", stats["cpuTime"]);
    let list: Value = serde_json::from_str(&Xtask::new()?.ok(&["list", "--json"])?)?;
    let attributes = list["attributes"].as_array().context("no attributes")?;
    let mut names = BTreeSet::new();
    let mut expected = BTreeSet::new();
    for attribute in attributes {
        let name = attribute["name"].as_str().unwrap_or_default().to_owned();
        for alias in attribute["aliases"].as_array().context("no aliases")? {
            let alias = alias.as_str().unwrap_or_default().to_owned();
            assert_eq!(derivations.get(&alias), derivations.get(&name), "{alias} and {name}");
            expected.insert(alias);
        }
        expected.insert(name.clone());
        names.insert(name);
    }
    assert_eq!(derivations.keys().cloned().collect::<BTreeSet<_>>(), expected);
    assert!(derivations["kubelet-v1_26_0-cni-arm64"].is_some(), "it needs no lock of Alpine");
    for newer in ["kubelet-v1_37_2-cni-arm64", "kubelet-v1_37_2-flannel-arm64"] {
        assert!(derivations[newer].is_some(), "{newer}: no hash of its plugins");
    }
    for alias in ["kubelet-v1_26_0-cni-micro-arm64", "kubelet-v1_26_0-cni-alpine3.15-arm64"] {
        assert!(expected.contains(alias), "{alias}");
    }

    // Only because a lock or hash is missing may one fail, and it says so.
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
    // Those are not packages, so that a check of the flake does not fail; but who asks for one is told why.
    let told = flake.ok(&["eval", "--json"], "packages.x86_64-linux", &["--apply", "builtins.attrNames"])?;
    let packages: BTreeSet<String> = serde_json::from_str(&told)?;
    let is_sound = |(name, drv): &(&String, &Option<String>)| names.contains(*name) && drv.is_some();
    let sound = derivations.iter().filter(is_sound).map(|(name, _)| name.clone());
    assert_eq!(packages, sound.chain(["xtask".to_owned()]).collect());
    let message = |attr: &str| -> Result<String> {
        let out = flake.run(&["build"], attr, &[])?;
        ensure!(!out.status.success(), "{attr} evaluates");
        Ok(out.stderr)
    };
    if failed.contains("kubelet-v1_26_0-alpine3_15-amd64") {
        let said = message("kubelet-v1_26_0-alpine3_15-amd64")?;
        assert!(said.contains(MISSING), "{said}");
    }
    if failed.contains("kubelet-v1_26_0-kubeadm-amd64") {
        let said = message("kubelet-v1_26_0-kubeadm-amd64")?;
        assert!(said.contains("images/locks/go-modules.json has no hash of `v1.26.0/kubeadm`"), "{said}");
    }
    Ok(())
}

#[test]
fn the_flake_passes_its_check() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    flake.ok(&["flake", "check", "--no-build"], "", &[]).map(drop)
}

/// The quick ones of what `nix flake check` builds: CI runs what the others run without Nix, and an image by Nix in another
/// test, of the one release that it compiles.
#[test]
fn checks_of_the_flake_pass() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    let mut checks = vec!["attributes", "toml", "format"];
    if tests::nix::std_sources()?.join("Cargo.lock").is_file() {
        checks.push("rust-std-lock");
    }
    if ["nixpkgs-fmt", "deadnix"].into_iter().all(|name| skip::which(name).is_some()) {
        checks.push("nix-format");
    } else {
        skip::say("nixpkgs-fmt or deadnix is not installed");
    }
    if !skip::unless_full("the newest image, lints and unit tests by Nix, which other tests run without it") {
        checks.extend(["image", "lints", "tests"]);
    }
    for check in checks {
        flake.build(&format!("checks.x86_64-linux.{check}"), &[])?;
    }
    Ok(())
}

#[test]
fn an_image_is_pushed_and_loaded_from_anywhere() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])?
        || skip::without(&host::PROGRAMS)?
        || skip::without(&containerd::PROGRAMS)?
    {
        return Ok(());
    }
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    let scratch = scratch::dir()?;
    let registry = Registry::start(scratch.path())?;
    let repository = format!("{}/mirror/kubelet", registry.address());
    let said = flake.ok(&["run"], &format!("{ATTR}.push"), &["--", "--to", &repository])?;
    let digest = image::digest(&flake.build(ATTR, &[])?)?;
    assert!(said.contains(&format!("{repository}:v1.26.0-micro@{digest}")), "{said}");
    let inspect = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
    let there =
        Command::new("skopeo").args(inspect).arg(format!("docker://{repository}@{digest}")).output()?;
    assert_eq!(String::from_utf8(there.stdout)?.trim(), digest);

    let load = flake.build(&format!("{ATTR}.load"), &[])?.join(format!("bin/load-{ATTR}"));
    let containerd = Containerd::start(scratch.path())?;
    let entered = containerd.host.entered(scratch.path());
    let said = cmd::ok(Command::new(&entered[0]).args(&entered[1..]).arg(&load))?;
    assert_eq!(said.trim(), "localhost/kubelet:v1.26.0-micro");
    assert_eq!(containerd.run(said.trim(), &["kubelet", "--version"])?, "Kubernetes v1.26.0\n");
    containerd.host.stop()
}

#[test]
fn what_nix_runs_in_a_checkout_is_xtask() -> Result<()> {
    let Some(mut flake) = Flake::shared()? else { return Ok(()) };
    let checkout = flake.file("");
    flake.cwd = checkout;
    assert_eq!(flake.ok(&["run"], "", &["--", "list"])?, Xtask::new()?.ok(&["list"])?);
    let said = flake.ok(&["run"], "lock", &["--", "go", "v1.26.0", "--check", "--offline", "--json"])?;
    assert!(said.contains("v1.26.0/kube"), "{said}");
    let refused = flake.run(&["run"], "push", &["--", "no-such", "--to", "localhost:1/kubelet"])?;
    assert_eq!(refused.code(), Some(i32::from(fault::Kind::NotFound.exit_code())), "{}", refused.stderr);
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
    flake.plan_again()?;
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

/// Whatever has changed in it: Nix cannot tell what of the plan that reaches.
#[test]
fn a_plan_of_another_catalog_is_refused() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    let names =
        || flake.run(&["eval", "--json"], "packages.x86_64-linux", &["--apply", "builtins.attrNames"]);
    let before = names()?;
    ensure!(before.status.success(), "{}", before.stderr);
    let catalog = flake.file("images/catalog.toml");
    fs::write(&catalog, fs::read_to_string(&catalog)? + "# A remark.\n")?;
    let stale = names()?;
    let told = "images/plan.json is not what images/catalog.toml gives: `cargo xtask lock plan` makes it";
    ensure!(!stale.status.success() && stale.stderr.contains(told), "{}{}", stale.stdout, stale.stderr);
    flake.plan_again()?;
    assert_eq!(names()?.stdout, before.stdout);
    Ok(())
}

#[test]
fn nix_builds_the_bytes_that_xtask_builds() -> Result<()> {
    let Some(flake) = Flake::shared()? else { return Ok(()) };
    same_digest(&flake, "", ATTR, &xtask::layout(ATTR)?)?;
    let kinds =
        ["layer-micro-", "layer-kubelet-", "component-entrypoint-", "component-ca-certificates-", ATTR];
    flake.make_again(ATTR, &kinds)
}

/// Alpine's real root filesystem, and packages of the tests' own.
#[test]
fn nix_builds_images_on_alpine() -> Result<()> {
    if skip::without(&["nix", "go"])? {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let Place { dir, xtask } = Place::new(&real)?;
    xtask.ok(&["lock", "alpine", "--index-only", "--offline"])?;
    let flake = Flake::of(dir)?;
    let attr = "kubelet-v1_26_0-alpine3_15-amd64";
    // A derivation cannot be pinned by what an index says.
    let said = flake.run(&["build"], attr, &[])?.stderr;
    let words = "pins 2 packages of kubelet for amd64 by Alpine's index alone: `cargo xtask lock alpine --complete` adds";
    ensure!(said.contains(words), "{said}");
    xtask.ok(&["lock", "alpine", "--complete", "--offline"])?;
    flake.stand_ins.serve(&flake.dir.path().join("mirror"))?;
    same_digest(&flake, "", attr, &xtask.build(attr, &flake.dir.path().join("layouts"))?)?;
    flake.make_again(attr, &["layer-alpine3.15-amd64"])?;

    // What is Alpine's is in no other image.
    let mut before = flake.derivations()?;
    let key = Signer::new("another.rsa.pub", 10)?;
    for (file, text) in [
        (LOCK, fs::read_to_string(flake.file(LOCK))?.replace("-1-gtest", "-2-gtest")),
        ("images/keys/alpine/x86_64/another.rsa.pub", key.pem().to_owned()),
        (
            "images/catalog.toml",
            fs::read_to_string(flake.file("images/catalog.toml"))?.replacen("dl-cdn.", "dl-2.", 1),
        ),
    ] {
        fs::write(flake.file(file), text)?;
        flake.plan_again()?;
        let after = flake.derivations()?;
        for (name, drv) in before.iter().filter(|(_, drv)| drv.is_some()) {
            assert_eq!(after[name] == *drv, !is_alpine(name), "{file}: {name}");
        }
        before = after;
    }
    Ok(())
}

/// Alpine's real root filesystem, and every package that the catalog asks for, made to measure: the images that have Alpine's
/// name. Kubelets and kube-proxies that were never compiled here only with `FULL`.
#[test]
fn nix_builds_images_on_alpine_made_to_measure() -> Result<()> {
    if skip::without(&["nix", "go"])? {
        return Ok(());
    }
    let (Some(real), Some(data)) = (real(), measured::data()) else { return Ok(()) };
    let Place { dir, xtask } = Place::made_to_measure(&real, &data)?;
    xtask.ok(&["lock", "alpine", "--offline"])?;
    let flake = Flake::of(dir)?;
    flake.stand_ins.serve(&flake.dir.path().join("mirror"))?;
    let layouts = flake.dir.path().join("layouts");
    for (attr, same) in [
        // With the same layers but the lowest.
        ("kubelet-v1_26_0-cni-alpine3_15-amd64", "kubelet-v1_26_0-cni-amd64"),
        ("kubelet-v1_26_0-cni-alpine3_15-arm64", "kubelet-v1_26_0-cni-arm64"),
        ("kubelet-v1_26_0-cni-alpine3_15-arm32v7", "kubelet-v1_26_0-cni-arm32v7"),
        ("kube-proxy-v1_26_0-amd64", "kube-proxy-v1_26_0-amd64"),
        ("kube-proxy-v1_26_0-arm64", "kube-proxy-v1_26_0-arm64"),
        ("kube-proxy-v1_26_0-arm32v7", "kube-proxy-v1_26_0-arm32v7"),
    ] {
        if !xtask::at_hand(same)? && skip::unless_full(&format!("{attr}: {same} was never built here")) {
            continue;
        }
        same_digest(&flake, "", attr, &xtask.build(attr, &layouts)?)?;
    }
    Ok(())
}

/// Another branch of Alpine in the catalog is one more base to Nix, too, once it has its lock.
#[test]
fn a_second_branch_of_alpine_evaluates() -> Result<()> {
    if skip::without(&["nix", "go"])? {
        return Ok(());
    }
    let (Some(real), Some(data)) = (real(), measured::data()) else { return Ok(()) };
    let place = Place::made_to_measure(&real, &data)?;
    second_branch::add(&place, &data)?;
    let Place { dir, xtask } = place;
    let flake = Flake::of(dir)?;
    let (attr, proxy) = ("kubelet-v1_37_2-alpine3_22-amd64", "kube-proxy-v1_26_0-alpine3_22-arm64");
    let missing = flake.run(&["build"], attr, &[])?.stderr;
    ensure!(missing.contains("alpine-3.22.json is missing: `cargo xtask lock alpine`"), "{missing}");
    xtask.ok(&["lock", "alpine", "--offline"])?;
    let all = flake.derivations()?;
    for (name, alias) in [(attr, attr.replace("3_22", "3.22")), (proxy, proxy.replace("3_22", "3.22"))] {
        ensure!(all[name].is_some() && all[name] == all[&alias], "{name}: {:?}", all[name]);
    }
    ensure!(all[attr] != all["kubelet-v1_37_2-alpine3_15-amd64"]);
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
        "kubelet-v1_26_0-arm64",
        "kubelet-v1_26_0-flannel-arm32v7",
        "kubelet-v1_26_0-cni-amd64",
        // What this project is known by.
        "kubelet-v1_26_0-cni-arm64",
        "kubelet-v1_26_0",
    ] {
        same_digest(&flake, "", attr, &xtask::layout(attr)?)?;
        flake.make_again(attr, &["layer-micro-", "layer-kubelet-", attr])?;
    }
    flake.make_again("kubelet-v1_26_0-flannel-arm32v7", &["layer-cni-flannel-"])?;
    flake.make_again("kubelet-v1_26_0-cni-amd64", &["layer-cni-"])?;
    let attr = "kubelet-v1_26_0-kubeadm-amd64";
    let layout = Xtask::new()?.build(attr, &flake.dir.path().join("layouts"))?;
    same_digest(&flake, "legacyPackages.x86_64-linux.without.crictl.", attr, &layout)
}

/// Is it an image on Alpine, by whichever of its names?
fn is_alpine(name: &str) -> bool {
    name.contains("-alpine3") || name.starts_with("kube-proxy")
}

fn same_digest(flake: &Flake, set: &str, attr: &str, layout: &Path) -> Result<()> {
    let built = flake.build(&format!("{set}{attr}"), &[])?;
    assert_eq!(image::digest(&built)?, image::digest(layout)?, "{attr}");
    Ok(())
}
