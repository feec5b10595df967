//! Push to a real registry: each blob once, tags last, digests kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use fault::Kind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::registry::{PASSWORD, Registry, USER};
use tests::xtask::Xtask;
use tests::{cmd, scratch, skip};

/// Bytes that look random, different for each seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(size).collect()
}

fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let hex = hex::encode(Sha256::digest(bytes));
    fs::write(layout.join("blobs/sha256").join(&hex), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()}))
}

/// A layout with an image of these layers, and what refers to it.
fn image(dir: &Path, tag: &str, layers: &[Vec<u8>], referrers: usize) -> Result<PathBuf> {
    let layout = dir.join(tag);
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let ids: Vec<_> = layers.iter().map(|it| format!("sha256:{}", hex::encode(Sha256::digest(it)))).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"tag": tag}},
        "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = blob(&layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let layer = |it: &Vec<u8>| blob(&layout, "application/vnd.oci.image.layer.v1.tar", it);
    let layers = layers.iter().map(layer).collect::<Result<Vec<_>>>()?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
    let subject = blob(&layout, kind, manifest.to_string().as_bytes())?;
    let mut root = subject.clone();
    root["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let mut manifests = vec![root];
    for number in 0..referrers {
        let empty = blob(&layout, "application/vnd.oci.empty.v1+json", b"{}")?;
        let sbom = blob(&layout, "application/spdx+json", format!("{{\"n\":{number}}}").as_bytes())?;
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "artifactType": "application/spdx+json",
            "config": empty, "layers": [sbom], "subject": subject});
        manifests.push(blob(&layout, kind, manifest.to_string().as_bytes())?);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    fs::write(layout.join("index.json"), index.to_string())?;
    Ok(layout)
}

/// The size of each distinct blob that is no manifest, in all layouts.
fn blobs(layouts: &[PathBuf]) -> Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for file in layouts.iter().flat_map(|layout| scratch::files(&layout.join("blobs"))) {
        let bytes = fs::read(&file)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if value.get("schemaVersion").is_none() {
            all.insert(scratch::sha256(&file)?, bytes.len() as u64);
        }
    }
    Ok(all)
}

fn push(xtask: &Xtask, layouts: &[PathBuf], to: &str, more: &[&str]) -> Result<Value> {
    let names = layouts.iter().map(|it| it.to_str().context("not UTF-8")).collect::<Result<Vec<_>>>()?;
    let args = [&["push", "--json", "--to", to][..], &names, more].concat();
    Ok(serde_json::from_str(&xtask.ok(&args)?)?)
}

#[test]
fn twenty_images_are_sent_once_and_mirrored_without_sending() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo", "umoci"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let (base, large) = (noise(1, 100_000), noise(2, 20_000_000));
    let mut layouts = Vec::new();
    for number in 0..20 {
        let own = noise(100 + number, 300_000);
        let mut layers = vec![base.clone(), own];
        if number % 5 == 0 {
            layers.push(large.clone());
        }
        layouts.push(image(dir.path(), &format!("v{number}"), &layers, usize::from(number == 3) * 2)?);
    }
    let blobs = blobs(&layouts)?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let to = format!("{}/kubelet", registry.address());

    let first = push(&xtask, &layouts, &to, &[])?;
    ensure!(first["sent"] == blobs.len() && first["bytes"] == blobs.values().sum::<u64>(), "{first}");
    // Pieces are of 8 MiB: so many there are of all blobs, and none came twice.
    let pieces = blobs.values().map(|size| size.div_ceil(8 << 20)).sum::<u64>();
    ensure!(registry.pieces()? as u64 == pieces, "{} pieces, expected {pieces}", registry.pieces()?);

    let second = push(&xtask, &layouts, &to, &[])?;
    ensure!(second["sent"] == 0 && second["present"] == blobs.len(), "{second}");
    let mirror = format!("{}/mirror/kubelet", registry.address());
    let mounted = push(&xtask, &layouts, &mirror, &["--mount-from", "kubelet"])?;
    ensure!(mounted["sent"] == 0 && mounted["mounted"] == blobs.len(), "{mounted}");
    ensure!(registry.pieces()? as u64 == pieces, "blobs were sent again");

    for layout in [&layouts[0], &layouts[3]] {
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
        let (digest, tag) = (&index["manifests"][0]["digest"], layout.file_name().context("no name")?);
        let tag = tag.to_string_lossy();
        let source = format!("docker://{mirror}:{tag}");
        let copy = format!("oci:{}:{tag}", dir.path().join(format!("copy-{tag}")).display());
        cmd::ok(Command::new("skopeo").args(["copy", "--src-tls-verify=false", &source, &copy]))?;
        let told = cmd::ok(Command::new("skopeo").args(["inspect", "--tls-verify=false", &source]))?;
        ensure!(serde_json::from_str::<Value>(&told)?["Digest"] == *digest, "another digest: {told}");
        cmd::ok(Command::new("umoci").args(["stat", "--image"]).arg(copy.trim_start_matches("oci:")))?;
    }
    // This registry has no referrers API: both are found by the tag that takes its place.
    let index: Value = serde_json::from_slice(&fs::read(layouts[3].join("index.json"))?)?;
    let tag = index["manifests"][0]["digest"].as_str().context("no digest")?.replace(':', "-");
    let url = format!("docker://{to}:{tag}");
    let told = cmd::ok(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &url]))?;
    let told: Value = serde_json::from_str(&told)?;
    let found: Vec<_> =
        told["manifests"].as_array().context("no list")?.iter().map(|it| &it["digest"]).collect();
    ensure!(found == [&index["manifests"][1]["digest"], &index["manifests"][2]["digest"]], "{told}");
    Ok(())
}

#[test]
fn a_killed_push_is_finished_by_the_next_and_never_tags_too_early() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    for number in 0..20_u64 {
        let layers = [noise(number * 2 + 1000, 12_000_000), noise(number * 2 + 1001, 500_000)];
        let layout = image(dir.path(), &format!("k{number}"), &layers, 0)?;
        let to = format!("{}/killed", registry.address());
        let name = layout.to_str().context("not UTF-8")?;
        let mut child = xtask.command(&["push", name, "--to", &to, "--quiet"])?.spawn()?;
        std::thread::sleep(Duration::from_millis(number * 23));
        child.kill()?;
        child.wait()?;
        let source = format!("docker://{to}:k{number}");
        let copy = |to: &str| {
            let to = format!("dir:{}", dir.path().join(to).display());
            cmd::output(Command::new("skopeo").args(["copy", "--src-tls-verify=false", &source, &to]))
        };
        let inspect =
            cmd::output(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &source]))?;
        if inspect.status.success() {
            ensure!(copy("early")?.status.success(), "k{number}: a tag names an incomplete image");
        }
        push(&xtask, std::slice::from_ref(&layout), &to, &[])?;
        ensure!(copy("late")?.status.success(), "k{number} was not finished");
    }
    Ok(())
}

#[test]
fn what_is_wrong_is_said() -> Result<()> {
    let dir = scratch::dir()?;
    let (one, other) = (
        image(&dir.path().join("a"), "v", &[noise(1, 10)], 0)?,
        image(&dir.path().join("b"), "v", &[noise(2, 10)], 0)?,
    );
    let text = |path: &Path| path.to_str().map(str::to_owned).context("not UTF-8");
    let (one, other) = (text(&one)?, text(&other)?);
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let to = "127.0.0.1:1/kubelet";
    xtask.fails(&["push", &one, &other, "--to", to], Kind::Usage, &["two images would have the tag `v`"])?;
    xtask.fails(
        &["push", &one, "--to", to, "--retries", "1"],
        Kind::Unavailable,
        &["127.0.0.1:1 cannot be reached", "2 tries"],
    )?;
    xtask.fails(&["push", &one, "--to", "kubelet"], Kind::Usage, &["it has no host"])?;
    let blob = scratch::files(&Path::new(&one).join("blobs"));
    let layer =
        blob.iter().find(|file| file.metadata().is_ok_and(|meta| meta.len() == 10)).context("no layer")?;
    fs::write(layer, b"short")?;
    xtask.fails(&["push", &one, "--to", to], Kind::Mismatch, &["expected 10 bytes", "found    5 bytes"])?;
    Ok(())
}

#[test]
fn https_and_a_password_by_dockers_configuration_and_by_a_helper_and_never_in_what_is_said() -> Result<()> {
    if skip::without(&["docker-registry", "openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start_secure(dir.path())?;
    let layout = image(dir.path(), "v1", &[noise(1, 50_000)], 1)?;
    let name = layout.to_str().context("not UTF-8")?;
    let (ca, to) = (dir.path().join("ca.pem"), format!("{}/kubelet", registry.address()));
    let ca = ca.to_str().context("not UTF-8")?;
    let args = ["push", name, "--to", &to, "--ca", ca, "--verbose"];
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let config = |value: &Value| fs::write(dir.path().join("config.json"), value.to_string());
    let encoded =
        |password: &str| base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    let silent = |out: &cmd::Output| {
        let told = format!("{}{}", out.stdout, out.stderr);
        ensure!(
            !told.contains(PASSWORD) && !told.contains(&encoded(PASSWORD)),
            "a password was written:\n{told}"
        );
        Ok(())
    };

    silent(&xtask.fails(&args, Kind::Unavailable, &["no credentials are known", "docker login"])?)?;
    config(&json!({"auths": {registry.address(): {"auth": encoded("wrong")}}}))?;
    xtask.fails(&args, Kind::Unavailable, &["401"])?;
    config(&json!({"auths": {registry.address(): {"auth": encoded(PASSWORD)}}}))?;
    let untrusted = ["push", name, "--to", &to, "--plain-http", "--retries", "0"];
    silent(&xtask.output(&untrusted)?)?;
    let done = xtask.output(&args)?;
    silent(&done)?;
    ensure!(done.status.success() && done.stdout.contains("4 sent"), "{}{}", done.stdout, done.stderr);

    let helper = dir.path().join("docker-credential-test");
    fs::write(&helper, format!("#!/bin/sh\necho '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n"))?;
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    config(&json!({"credsStore": "test"}))?;
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH")?);
    let done = xtask.env("PATH", path).output(&args)?;
    silent(&done)?;
    ensure!(done.status.success() && done.stdout.contains("0 sent"), "{}{}", done.stdout, done.stderr);
    Ok(())
}
