//! Push to a real registry: each blob once, tags last, digests kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::registry::{Options, PullScope};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use fault::Kind;
use serde_json::{Value, json};
use tests::meter::Meter;
use tests::puller::Containerd;
use tests::registry::{PASSWORD, Registry, USER};
use tests::xtask::Xtask;
use tests::{cmd, go_tool, image, key_pair, made, scratch, server, skip};

fn push(xtask: &Xtask, layouts: &[PathBuf], to: &str, more: &[&str]) -> Result<Value> {
    let names = layouts.iter().map(|it| it.to_str().context("not UTF-8")).collect::<Result<Vec<_>>>()?;
    let args = [&["push", "--json", "--to", to][..], &names, more].concat();
    Ok(serde_json::from_str(&xtask.ok(&args)?)?)
}

#[test]
fn twenty_images_are_sent_once_mirrored_without_sending_and_accepted_by_all() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo", "umoci", "containerd", "ctr", "go"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let meter = Meter::start(registry.address())?;
    let (base, large) = (made::layer(1, 100_000)?, made::layer(2, 20_000_000)?);
    let mut layouts = Vec::new();
    for number in 0..20_usize {
        let mut layers = vec![base.clone(), made::layer(100 + number as u64, 300_000)?];
        if number % 5 == 0 {
            layers.push(large.clone());
        }
        let tag = format!("v{number}");
        layouts.push(match number % 4 {
            0 => made::index(dir.path(), &tag, &layers)?,
            _ => made::image(dir.path(), &tag, &layers, usize::from(number == 3) * 2)?,
        });
    }
    let blobs = made::blobs(&layouts)?;
    let bytes = blobs.values().sum::<u64>();
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let to = format!("{}/kubelet", meter.address());

    let first = push(&xtask, &layouts, &to, &[])?;
    ensure!(first["sent"] == blobs.len() && first["bytes"] == bytes, "{first}");
    // A PUT a blob; the others are manifests, which are small.
    let (puts, sent) = meter.sent("PUT");
    ensure!(puts > blobs.len() && (bytes..bytes + (1 << 20)).contains(&sent), "{:?} came", (puts, sent));
    ensure!(meter.sent("PATCH") == (0, 0), "{:?} came in pieces", meter.sent("PATCH"));

    let manifests = meter.sent("PUT");
    let second = push(&xtask, &layouts, &to, &[])?;
    ensure!(second["sent"] == 0 && second["present"] == blobs.len(), "{second}");
    ensure!(meter.sent("PUT") == manifests, "manifests were sent again: {:?}", meter.sent("PUT"));
    let mirror = format!("{}/mirror/kubelet", meter.address());
    let mounted = push(&xtask, &layouts, &mirror, &["--mount-from", "kubelet"])?;
    ensure!(mounted["sent"] == 0 && mounted["mounted"] == blobs.len(), "{mounted}");
    ensure!(meter.sent("PUT").1 < sent + (1 << 20), "blobs were sent again");

    let containerd = Containerd::start(&dir.path().join("containerd"))?;
    let crane = go_tool::CRANE.program()?;
    for layout in &layouts {
        let (digest, tag) = (image::digest(layout)?, image::tag(layout)?);
        let name = format!("{mirror}:{tag}");
        let told = cmd::ok(Command::new(&crane).args(["digest", "--insecure", &name]))?;
        ensure!(told.trim() == digest, "{name}: {told}, expected {digest}");
        cmd::ok(Command::new(&crane).args(["validate", "--insecure", "--remote", &name]))?;
        ensure!(containerd.pull(&name)? == digest, "{name}: containerd has another digest");
    }
    for layout in &layouts {
        let (digest, tag) = (image::digest(layout)?, image::tag(layout)?);
        let source = format!("docker://{mirror}:{tag}");
        let copy = format!("oci:{}:{tag}", dir.path().join(format!("copy-{tag}")).display());
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false"]);
        cmd::ok(skopeo.args([&source, &copy]))?;
        let copied = dir.path().join(format!("copy-{tag}"));
        ensure!(image::digest(&copied)? == digest, "{source}: another digest");
        // umoci wants a single image.
        let one = format!("oci:{}:{tag}", dir.path().join(format!("one-{tag}")).display());
        let mut skopeo = Command::new("skopeo");
        cmd::ok(skopeo.args(["--insecure-policy", "copy", "--src-tls-verify=false", &source, &one]))?;
        let mut umoci = Command::new("umoci");
        umoci.args(["unpack", "--image", one.trim_start_matches("oci:")]);
        cmd::ok(umoci.arg(dir.path().join(format!("bundle-{tag}"))))?;
    }
    Ok(())
}

#[test]
fn what_was_pushed_is_pulled_with_all_that_is_attached() -> Result<()> {
    if skip::without(&["docker-registry", "openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start(dir.path())?;
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let layout = dir.path().join("layout");
    let mut copy = Command::new("cp");
    cmd::ok(copy.arg("-r").arg(tests::xtask::layout("kubelet-v1_26_0-amd64")?).arg(&layout))?;
    let [key, public] = key_pair::make(dir.path(), "signing")?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("not UTF-8");
    xtask.ok(&["attest", &text(&layout)?, "--key", &text(&key)?])?;
    let to = format!("{}/kubelet", registry.address());
    // Signatures keep their tags where the image gets another.
    push(&xtask, std::slice::from_ref(&layout), &format!("{to}:other"), &[])?;

    let digest = image::digest(&layout)?;
    for name in [format!("{to}:other"), format!("{to}@{digest}")] {
        let pulled = dir.path().join(if name.contains('@') { "by-digest" } else { "by-tag" });
        let options = Options {
            plain_http: false,
            ca: None,
            parallel: 1,
            retries: 2,
            timeout: Duration::from_mins(1),
            pause: Duration::from_millis(200),
            auth_file: None,
            mount_from: Vec::new(),
            progress: &progress::Silent,
        };
        let told = ::registry::pull(&name.parse()?, PullScope::Attached, &options, &pulled)?;
        // Three documents, and a signature of each and of the image.
        ensure!(told.digest.to_string() == digest && told.attached.len() == 7, "{told:?}");
        let names = |layout: &Path| -> Vec<PathBuf> {
            let files = scratch::files(&layout.join("blobs"));
            files.iter().filter_map(|file| file.strip_prefix(layout).ok().map(Path::to_owned)).collect()
        };
        ensure!(names(&pulled) == names(&layout), "{:?} {:?}", names(&pulled), names(&layout));
        for name in names(&layout) {
            ensure!(fs::read(layout.join(&name))? == fs::read(pulled.join(&name))?, "{}", name.display());
        }
        xtask.ok(&["verify", &name, "--key", &text(&public)?, "--no-rebuild"])?;
    }
    xtask.fails(&["verify", &format!("{to}:none"), "--no-rebuild"], Kind::NotFound, &["no such image"])?;
    Ok(())
}

#[test]
fn what_is_wrong_is_said() -> Result<()> {
    let dir = scratch::dir()?;
    let (one, other) = (
        made::image(&dir.path().join("a"), "v", &[made::layer(1, 10)?], 0)?,
        made::image(&dir.path().join("b"), "v", &[made::layer(2, 10)?], 0)?,
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
    let (layer, size) = image::layers(Path::new(&one))?.swap_remove(0);
    fs::write(image::blob(Path::new(&one), &layer), b"short")?;
    let expected = format!("expected {size} bytes");
    xtask.fails(&["push", &one, "--to", to], Kind::Mismatch, &[&expected, "found    5 bytes"])?;
    Ok(())
}

#[test]
fn https_and_a_password_by_dockers_configuration_and_by_a_helper_and_never_in_what_is_said() -> Result<()> {
    if skip::without(&["docker-registry", "openssl"])? {
        return Ok(());
    }
    let dir = scratch::dir()?;
    let registry = Registry::start_secure(dir.path())?;
    let layout = made::image(dir.path(), "v1", &[made::layer(1, 50_000)?], 1)?;
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

    let helper = format!("#!/bin/sh\necho '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n");
    let path = scratch::path_with(dir.path(), "docker-credential-test", &helper)?;
    config(&json!({"credsStore": "test"}))?;
    let done = xtask.env("PATH", path).output(&args)?;
    silent(&done)?;
    ensure!(done.status.success() && done.stdout.contains("0 sent"), "{}{}", done.stdout, done.stderr);
    Ok(())
}

#[test]
fn a_password_is_shown_to_the_token_server_alone_and_a_token_to_the_registry_and_neither_is_written()
-> Result<()> {
    const TOKEN: &str = "t0ken-of-the-registry";
    let server = server::serve(|own, path, shown| {
        let body = format!("{{\"token\":\"{TOKEN}\"}}");
        let close = "Connection: close\r\nContent-Length";
        if path.starts_with("/token?") {
            return format!("HTTP/1.1 200 x\r\n{close}: {}\r\n\r\n{body}", body.len());
        }
        let realm = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\"\r\n");
        match (shown.is_empty(), path) {
            (true, _) => format!("HTTP/1.1 401 x\r\n{realm}{close}: 0\r\n\r\n"),
            (false, "/v2/") => format!("HTTP/1.1 200 x\r\n{close}: 0\r\n\r\n"),
            // Says back what it was shown.
            (false, _) => format!("HTTP/1.1 403 {shown}\r\n{close}: {}\r\n\r\n{shown}", shown.len()),
        }
    })?;
    let dir = scratch::dir()?;
    let address = &server.address;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let config = json!({"auths": {address: {"auth": encoded}}});
    fs::write(dir.path().join("config.json"), config.to_string())?;
    let layout = made::image(dir.path(), "v1", &[made::layer(1, 10)?], 0)?;
    let name = layout.to_str().context("not UTF-8")?;
    let to = format!("{address}/kubelet");
    let xtask = Xtask::new()?.env("DOCKER_CONFIG", dir.path());
    let out = xtask.fails(&["push", name, "--to", &to, "--verbose"], Kind::Unavailable, &["403"])?;
    let told = format!("{}{}", out.stdout, out.stderr);
    for secret in [PASSWORD, &encoded, TOKEN] {
        ensure!(!told.contains(secret), "{secret} was written:\n{told}");
    }
    let seen = server.seen();
    ensure!(seen.iter().any(|(path, _)| path.starts_with("/v2/kubelet/blobs/")), "{seen:?}");
    for (path, shown) in &seen {
        let basic = format!("Basic {encoded}");
        let right = if path.starts_with("/token?") {
            *shown == basic
        } else {
            shown.is_empty() || *shown == format!("Bearer {TOKEN}")
        };
        ensure!(right, "{path} was shown {shown:?}");
    }
    Ok(())
}
