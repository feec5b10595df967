//! Releases: nothing is published that is incomplete, too large, or not reproducible.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::registry::Registry;
use tests::xtask::{self, Xtask};
use tests::{alpine, cmd, go_tool, key_pair, scratch, skip};

const INDEX: &str = "kubelet-v1_26_0";
const TAG: &str = "v1.26.0-micro";

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("not UTF-8")
}

/// What the registry has under the tag; none, if it has no such tag.
fn tagged(repository: &str) -> Result<Option<Value>> {
    let source = format!("docker://{repository}:{TAG}");
    let out = cmd::output(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &source]))?;
    ensure!(out.status.success() || out.stderr.contains("manifest unknown"), "{}", out.stderr);
    Ok(if out.status.success() { Some(serde_json::from_str(&out.stdout)?) } else { None })
}

#[test]
fn what_cannot_be_released_is_said_before_anything_is_built() -> Result<()> {
    let xtask = Xtask::new()?;
    let to = ["--to", "127.0.0.1:1/edge"];
    let fails = |args: &[&str], kind, words: &[&str]| {
        xtask.fails(&[&["release"], args].concat(), kind, words).map(drop)
    };
    fails(
        &[&["kubelet-v1_26_0-arm64"], &to[..]].concat(),
        Kind::Usage,
        &["`kubelet-v1_26_0-arm64` is an image", "--arch arm64 --partial"],
    )?;
    fails(&[INDEX, "--to", "edge"], Kind::Usage, &["\"edge\" is not a registry", "HOST[:PORT][/PATH]"])?;
    fails(&[&[INDEX, "--arch", "amd65"], &to[..]].concat(), Kind::NotFound, &["amd65", "amd64, arm64"])?;
    fails(
        &[&[INDEX, "--arch", "amd64"], &to[..]].concat(),
        Kind::Usage,
        &["indexes over amd64 alone", "they lack arm64, arm32v7", "--partial"],
    )?;
    // Two of three are not all either.
    let two = [INDEX, "--arch", "amd64", "--arch", "arm64"];
    fails(&[&two, &to[..]].concat(), Kind::Usage, &["they lack arm32v7"])?;
    let place = scratch::dir()?;
    scratch::checkout(place.path())?;
    let _ = fs::remove_file(place.path().join(alpine::LOCK));
    fs::remove_dir_all(place.path().join("images/go/v1.25.5"))?;
    let words = [alpine::MISSING];
    let xtask = xtask.clone().cwd(place.path());
    xtask.fails(&["release", "kubelet-v1_26_0-alpine3.15", "--to", to[1]], Kind::Stale, &words)?;
    let words = ["images/go/v1.25.5/kube is missing", "cargo xtask lock go"];
    xtask.fails(&["release", "kubelet-v1_25_5", "--to", to[1]], Kind::Stale, &words)?;
    Ok(())
}

#[test]
fn a_partial_index_is_published_when_told_with_all_that_is_said_of_it() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo", "openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let to = format!("{}/edge", registry.address());
    let repository = format!("{to}/kubelet");
    let [key, public] = key_pair::make(dir.path(), "signing")?;
    let out = dir.path().join("out");
    let (key, public, out) = (text(&key)?, text(&public)?, text(&out)?);
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let args = ["release", INDEX, "--to", &to, "--arch", "amd64", "--partial", "--no-rebuild", "--json"];
    let args = [&args[..], &["--key", key, "--out", out]].concat();

    // Everything but sending.
    let tried: Value = serde_json::from_str(&xtask.ok(&[&args[..], &["--dry-run"]].concat())?)?;
    ensure!(tried["published"][0]["sent"] == false && tried["sent"] == 0, "{tried}");
    ensure!(registry.puts()? == 0 && tagged(&repository)?.is_none(), "something was sent");

    let done: Value = serde_json::from_str(&xtask.ok(&args)?)?;
    let [published] = done["published"].as_array().context("no list")?.as_slice() else {
        anyhow::bail!("not one index: {done}")
    };
    ensure!(published["reference"] == format!("{repository}:{TAG}").as_str(), "{published}");
    ensure!(published["platforms"] == serde_json::json!(["linux/amd64"]), "{published}");
    ensure!(published["digest"] == tried["published"][0]["digest"], "{published}, before: {tried}");
    let index = tagged(&repository)?.context("there is no tag")?;
    let [image] = index["manifests"].as_array().context("no index")?.as_slice() else {
        anyhow::bail!("not one image: {index}")
    };
    let alone = xtask::layout("kubelet-v1_26_0-amd64")?;
    ensure!(image["digest"] == tests::image::digest(&alone)?.as_str(), "another image: {image}");

    // Signatures call it what it is.
    let signature = format!("docker://{repository}:{}.sig", text_of(&published["digest"])?.replace(':', "-"));
    let inspect = ["inspect", "--raw", "--tls-verify=false", &signature];
    let told: Value = serde_json::from_str(&cmd::ok(Command::new("skopeo").args(inspect))?)?;
    let payload = text_of(&told["layers"][0]["digest"])?.trim_start_matches("sha256:").to_owned();
    let payload = fs::read_to_string(Path::new(out).join(INDEX).join("blobs/sha256").join(payload))?;
    ensure!(payload.contains(&format!("\"docker-reference\":\"{repository}\"")), "{payload}");

    let reference = format!("{repository}:{TAG}");
    let checked = xtask.ok(&["verify", &reference, "--key", public])?;
    for word in ["manifest", "layers", "signature", "SBOM", "provenance", "rebuild"] {
        ensure!(checked.contains(word), "no {word}: {checked}");
    }
    let again: Value = serde_json::from_str(&xtask.ok(&args)?)?;
    ensure!(again["sent"] == 0 && again["bytes"] == 0, "{again}");

    if go_tool::COSIGN.found()?.is_none() && skip::unless_full("cosign, which is to verify the signatures") {
        return Ok(());
    }
    let cosign = |public: &str, image: &str| {
        let mut cosign = Command::new(go_tool::COSIGN.program()?);
        cosign.args(["verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key", public, image]);
        cmd::output(cosign.env("HOME", dir.path()).env("DOCKER_CONFIG", dir.path()))
    };
    for image in [reference, format!("{repository}@{}", text_of(&image["digest"])?)] {
        let told = cosign(public, &image)?;
        ensure!(told.status.success(), "cosign refuses {image}: {}", told.stderr);
    }
    let [_, other] = key_pair::make(dir.path(), "other")?;
    let told = cosign(text(&other)?, &format!("{repository}:{TAG}"))?;
    ensure!(told.stderr.contains("no matching signatures"), "{}{}", told.stdout, told.stderr);
    Ok(())
}

fn text_of(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no string: {value}"))
}

#[test]
fn an_index_is_over_all_architectures() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let (to, out) = (registry.address(), dir.path().join("out"));
    // What is compiled for each has tests of its own; the entrypoint is, here.
    let mut args =
        vec!["release", INDEX, "--to", to, "--omit", "kubelet", "--no-rebuild", "--out", text(&out)?];
    // That they are kubelets without a kubelet has to be meant.
    Xtask::new()?.fails(&args, Kind::Usage, &["--omit kubelet leaves nothing to start"])?;
    args.push("--allow-incomplete");
    let said = Xtask::new()?.env("DOCKER_CONFIG", dir.path()).ok(&args)?;
    ensure!(said.contains("linux/amd64 linux/arm64/v8 linux/arm/v7"), "{said}");
    let index = tagged(&format!("{to}/kubelet"))?.context("there is no tag")?;
    let platforms: Vec<_> = index["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|image| image["platform"]["architecture"].clone())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64", "arm"]);
    Ok(())
}

#[test]
fn what_is_too_large_is_not_published() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let checkout = dir.path().join("checkout");
    scratch::checkout(&checkout)?;
    let catalog = checkout.join("images/catalog.toml");
    let rules = fs::read_to_string(&catalog)?;
    let narrow = rules.replacen("cell = { compressed = 0.55", "cell = { compressed = 0.25", 1);
    ensure!(narrow != rules, "the budget is written otherwise");
    fs::write(&catalog, narrow)?;
    let to = registry.address();
    let args = ["release", INDEX, "--to", to, "--arch", "amd64", "--partial", "--no-rebuild"];
    let words = ["kubelet-v1_26_0-amd64", "over the budget"];
    Xtask::new()?.cwd(&checkout).fails(&args, Kind::Budget, &words)?;
    ensure!(registry.puts()? == 0 && tagged(&format!("{to}/kubelet"))?.is_none(), "something was sent");
    Ok(())
}

#[test]
fn what_is_not_built_again_to_the_byte_is_not_published() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo", "cp"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let (to, out) = (registry.address(), dir.path().join("out"));
    // What is compiled has tests of its own (same_bytes.rs); this is about what is done with the difference.
    let mut args = vec!["release", INDEX, "--to", to, "--arch", "amd64", "--partial", "--dry-run"];
    args.push("--allow-incomplete");
    args.extend(
        ["kubelet", "entrypoint", "mount", "applets", "host-programs"]
            .iter()
            .flat_map(|name| ["--omit", name]),
    );
    args.extend(["--out", text(&out)?]);
    let xtask = Xtask::new()?;
    let said = xtask.ok(&args)?;
    ensure!(said.contains("not sent"), "{said}");

    // A store in which somebody exchanged what was made, seal and all.
    let store = dir.path().join("store");
    fs::create_dir_all(store.join("objects"))?;
    for part in ["inputs", "objects/certificates"] {
        let from = xtask::default_store()?.join(part);
        cmd::ok(Command::new("cp").arg("-r").arg(from).arg(store.join(part)))?;
    }
    let mut changed = 0;
    for file in scratch::files(&store.join("objects/certificates")) {
        if !file.ends_with("file") {
            continue;
        }
        let seal = file.with_file_name(".manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&seal)?)?;
        let mut bytes = fs::read(&file)?;
        bytes.push(b'\n');
        fs::remove_file(&file)?;
        fs::write(&file, &bytes)?;
        let entry = &mut manifest["entries"]["file"]["file"];
        entry["size"] = bytes.len().into();
        entry["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
        fs::write(&seal, serde_json::to_vec(&manifest)?)?;
        changed += 1;
    }
    ensure!(changed > 0, "there are no certificates in the store");
    let words = [INDEX, "built a second time", "layer 0, /etc/ssl/certs/ca-certificates.crt", "expected"];
    xtask.store(&store).fails(&args, Kind::Mismatch, &words)?;
    ensure!(registry.puts()? == 0, "something was sent");
    Ok(())
}
