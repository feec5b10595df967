//! Images on Alpine of packages that are Alpine's own in all but their bytes: from the lock to what apk says inside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::Value;
use tests::alpine::{ARCHES, OMITTED, Place, real};
use tests::inside::Inside;
use tests::registry::Registry;
use tests::{cmd, image, measured, skip, xtask};

/// A product's attribute without its architecture, and what of it is compiled, with the links to that.
const PRODUCTS: [(&str, &str, &[&str]); 2] = [
    ("kubelet", "kubelet-v1_26_0-alpine3_15", &OMITTED),
    (
        "kube-proxy",
        "kube-proxy-v1_26_0",
        &["--allow-incomplete", "--omit", "kube-proxy", "--omit", "entrypoint", "--omit", "iptables"],
    ),
];

fn place() -> Result<Option<(Place, std::path::PathBuf)>> {
    let (Some(real), Some(data)) = (real(), measured::data()) else { return Ok(None) };
    if !data.join("v3.15-closure.tsv").is_file() {
        skip::say(&format!(
            "no v3.15-closure.tsv in {} (ALPINE_TEST_DATA sets another place)",
            data.display()
        ));
        return Ok(None);
    }
    Ok(Some((Place::made_to_measure(&real, &data)?, data)))
}

/// What a product's world comes to for an architecture.
fn install<'v>(lock: &'v Value, arch: &str, product: &str) -> Vec<&'v str> {
    let install = lock["arches"][arch]["worlds"][product]["install"].as_array();
    install.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn it_is_locked_and_installed_for_every_architecture() -> Result<()> {
    if skip::without(&["umoci", "runc", "qemu-aarch64-static", "qemu-arm-static"])? {
        return Ok(());
    }
    let Some((place, data)) = place()? else { return Ok(()) };
    place.xtask.ok(&["lock", "alpine", "--offline"])?;
    let lock: Value = serde_json::from_slice(&fs::read(place.lock())?)?;
    let out = place.dir.path().join("out");
    let out_name = out.to_str().context("not UTF-8")?;
    for (product, attr, omitted) in PRODUCTS {
        place.xtask.ok(&[&["build", attr, "--out", out_name, "--offline", "--locked"], omitted].concat())?;
        for (arch, alpine) in ARCHES {
            let attr = format!("{attr}-{arch}");
            place
                .xtask
                .ok(&[&["build", &attr, "--out", out_name, "--offline", "--locked"], omitted].concat())?;
            let bundle = place.dir.path().join(&attr);
            image::unpack(&out.join(&attr), &bundle)?;
            check(
                &Inside::new(arch, &bundle)?,
                &install(&lock, arch, product),
                &measured::closure(&data, alpine)?,
            )
            .with_context(|| attr.clone())?;
        }
    }
    for (arch, alpine) in ARCHES {
        let names = &measured::closure(&data, alpine)?;
        let packages = lock["arches"][arch]["packages"].as_array().context("no packages")?;
        let locked: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
        // What the root filesystem has is not added.
        let rest: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !locked.contains(name)).collect();
        assert_eq!(rest, ROOTFS, "{arch}");
        ensure!(locked.iter().all(|name| names.contains(*name)), "{arch}: more than the closure: {locked:?}");
    }
    Ok(())
}

/// Both products' indexes of three architectures: built twice and compared, attested, and published.
#[test]
fn it_is_released_for_every_architecture() -> Result<()> {
    if skip::without(&["docker-registry", "skopeo"])? {
        return Ok(());
    }
    let Some((place, _)) = place()? else { return Ok(()) };
    place.xtask.ok(&["lock", "alpine", "--offline"])?;
    let registry = Registry::start(place.dir.path())?;
    let to = format!("{}/edge", registry.address());
    let out = place.dir.path().join("published");
    let xtask = place.xtask.clone().env("DOCKER_CONFIG", place.dir.path());
    for ((_, attr, omitted), reference) in
        PRODUCTS.into_iter().zip(["kubelet:v1.26.0-alpine3.15", "kube-proxy:v1.26.0-alpine3.15"])
    {
        let out = out.to_str().context("not UTF-8")?;
        let args = ["release", attr, "--to", &to, "--locked", "--json", "--out", out];
        let done: Value = serde_json::from_str(&xtask.ok(&[&args[..], omitted].concat())?)?;
        let published = &done["published"][0];
        ensure!(published["reference"] == format!("{to}/{reference}"), "{done}");
        ensure!(published["platforms"].as_array().map(Vec::len) == Some(ARCHES.len()), "{done}");
        let source = format!("docker://{to}/{reference}");
        let inspect =
            ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", "--override-arch", "amd64"];
        let there = cmd::ok(Command::new("skopeo").args(inspect).arg(source))?;
        ensure!(published["digest"] == there.trim(), "{there} and {done}");
    }
    Ok(())
}

/// What images on Alpine weigh, with stand-ins for its packages: those whose programs were compiled here before, or with
/// `FULL=1` all that the catalog has. Above Alpine's own layer they are the images that stand on nothing, layer for layer.
#[test]
fn its_images_are_weighed() -> Result<()> {
    let Some((place, _)) = place()? else { return Ok(()) };
    place.xtask.ok(&["lock", "alpine", "--offline"])?;
    let list: Value = serde_json::from_str(&place.xtask.ok(&["list", "--json"])?)?;
    let out = place.dir.path().join("layouts");
    let (mut built, mut left_out) = (Vec::new(), 0);
    for attribute in list["attributes"].as_array().into_iter().flatten() {
        let text = |field: &str| attribute[field].as_str().unwrap_or_default();
        let attr = text("name");
        if text("base") != "alpine3.15" || text("kind") != "image" {
            continue;
        }
        let same = attr.replace("-alpine3_15", "");
        if !skip::full() && !xtask::at_hand(&same)? {
            left_out += 1;
            continue;
        }
        let layout = place.xtask.build(attr, &out)?;
        let layers = image::layers(&layout)?;
        if same != attr {
            let own = image::layers(&xtask::layout(&same)?)?;
            ensure!(layers[1..] == own[1..] && layers[0] != own[0], "{attr}: {layers:?} and {own:?}");
        }
        built.push((attr.to_owned(), image::compressed(&layout)?));
    }
    if left_out > 0 {
        skip::unless_full(&format!("{left_out} images on Alpine whose programs were never compiled here"));
    }
    if built.is_empty() {
        return Ok(());
    }
    let out = out.to_str().context("not UTF-8")?;
    place.xtask.ok(&["size", "record", "--layouts", out])?;
    let record: Value =
        serde_json::from_slice(&fs::read(place.dir.path().join("checkout/images/sizes.json"))?)?;
    for (attr, compressed) in &built {
        let image = &record["images"][attr];
        let config = image["config"].as_u64().context("no config")?;
        ensure!(image["compressed"] == compressed + config, "{attr}: {compressed} and {image}");
        let layer = &record["layers"][image["layers"][0].as_str().context("no layer")?];
        let parts = layer["parts"].as_array().context("no parts")?;
        let sizes = parts.iter().filter_map(|part| part["size"].as_u64());
        ensure!(layer["extracted"] == sizes.sum::<u64>(), "{attr}: {layer}");
        ensure!(parts.iter().any(|part| part["name"] == "package busybox"), "{attr}: {layer}");
    }
    let check = place.xtask.output(&["size", "check", "--layouts", out])?;
    println!("{}", check.stdout);
    // A mean over a few of them says nothing.
    ensure!(check.status.success() || left_out > 0, "{}", check.stderr);
    ensure!(check.stdout.contains(", 0 over their budget"), "{}", check.stderr);
    Ok(())
}

/// The packages of Alpine's root filesystem.
const ROOTFS: [&str; 14] = [
    "alpine-baselayout",
    "alpine-keys",
    "apk-tools",
    "busybox",
    "ca-certificates-bundle",
    "libc-utils",
    "libcrypto1.1",
    "libretls",
    "libssl1.1",
    "musl",
    "musl-utils",
    "scanelf",
    "ssl_client",
    "zlib",
];

/// apk in the image agrees with what was installed in it.
fn check(inside: &Inside, install: &[&str], closure: &BTreeSet<String>) -> Result<()> {
    let packages = inside.ok(&["/sbin/apk", "info", "-v"])?;
    let packages: BTreeSet<&str> = packages.lines().collect();
    ensure!(install.iter().all(|id| packages.contains(id)), "{install:?} and {packages:?}");
    assert_eq!(packages.len(), install.len() + ROOTFS.len());
    ensure!(install.len() < closure.len(), "{install:?}");
    let audit = inside.ok(&["/sbin/apk", "audit", "--system"])?;
    let changed: Vec<&str> = audit.lines().filter(|line| !line.starts_with("A ")).collect();
    ensure!(changed.is_empty(), "{changed:?}");
    inside.ok(&["/sbin/apk", "add", "--no-network", "--simulate", "busybox"])?;
    if install.iter().any(|id| id.starts_with("coreutils-")) {
        // Links to busybox that are other packages' programs now; /etc/ssl stays whose it was.
        for (path, owner) in [
            ("/bin/ls", "coreutils-9.0-r2"),
            ("/usr/bin/find", "findutils-4.8.0-r1"),
            ("/sbin/losetup", "util-linux-misc-2.37.4-r0"),
            ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates-bundle-"),
        ] {
            let said = inside.ok(&["/sbin/apk", "info", "-W", path])?;
            ensure!(said.starts_with(&format!("{path} is owned by {owner}")), "{said}");
        }
    }
    Ok(())
}

#[test]
fn what_a_mirror_must_not_serve_is_refused_with_a_message_of_its_own() -> Result<()> {
    let Some((place, _)) = place()? else { return Ok(()) };
    let main = place.dir.path().join("mirror/v3.15/main");
    let refused = |kind, words: &[&str]| {
        place.xtask.fails(&["lock", "alpine", "--offline"], kind, words)?;
        ensure!(!place.lock().exists(), "a lock was made all the same");
        Ok(())
    };
    // An architecture is missing.
    fs::rename(main.join("aarch64"), main.join("hidden"))?;
    refused(Kind::Unavailable, &["v3.15/main/aarch64/APKINDEX.tar.gz", "locked together"])?;
    fs::rename(main.join("hidden"), main.join("aarch64"))?;
    // One package that is not what the index says.
    let package = main.join("armv7/kmod-29-r2.apk");
    let bytes = fs::read(&package)?;
    fs::write(&package, fs::read(main.join("armv7/utmps-0.1.0.3-r0.apk"))?)?;
    refused(Kind::Mismatch, &["kmod-29-r2.apk", "the size"])?;
    let mut flipped = bytes.clone();
    *flipped.last_mut().context("an empty package")? ^= 1;
    fs::write(&package, flipped)?;
    refused(Kind::Mismatch, &["kmod-29-r2.apk", "the SHA-256 of its data segment"])?;
    fs::write(&package, bytes)?;
    place.xtask.ok(&["lock", "alpine", "--offline"])?;
    every_checksum_of_the_lock_counts(&place)
}

/// A wrong checksum of the control segment contradicts the record beside it; a wrong SHA-256 the file.
fn every_checksum_of_the_lock_counts(place: &Place) -> Result<()> {
    let text = fs::read_to_string(place.lock())?;
    let lock: Value = serde_json::from_str(&text)?;
    let packages = lock["arches"]["amd64"]["packages"].as_array().context("no packages")?;
    ensure!(packages.len() > 40, "{} packages", packages.len());
    let attr = "kubelet-v1_26_0-alpine3_15-amd64";
    let installed = install(&lock, "amd64", "kubelet");
    for package in packages {
        let field = |name: &str| package[name].as_str().context("a field is missing");
        let id = format!("{}-{}", field("name")?, field("version")?);
        let wrong = text.replacen(
            &format!("\"checksum\": \"{}\"", field("checksum")?),
            "\"checksum\": \"Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\"",
            1,
        );
        fs::write(place.lock(), wrong)?;
        place.xtask.fails(
            &["list"],
            Kind::InvalidData,
            &[&format!("the record of {id} says something else")],
        )?;
        if installed.contains(&id.as_str()) {
            let sum = field("sha256")?;
            fs::write(place.lock(), text.replacen(sum, &sum.chars().rev().collect::<String>(), 1))?;
            place.xtask.fails(&["fetch", attr, "--offline"], Kind::Mismatch, &[field("path")?, sum])?;
        }
    }
    fs::write(place.lock(), text).context("the lock")
}

/// What nobody has yet is locked all the same, and completed later.
#[test]
fn it_is_locked_by_the_indexes_alone() -> Result<()> {
    let Some((place, _)) = place()? else { return Ok(()) };
    let files = |arch: &str| place.dir.path().join("mirror/v3.15/main").join(arch);
    let hidden = place.dir.path().join("hidden");
    fs::create_dir(&hidden)?;
    for (_, arch) in ARCHES {
        fs::rename(files(arch), hidden.join(arch))?;
        fs::create_dir(files(arch))?;
        copy(&hidden.join(arch), &files(arch), "APKINDEX.tar.gz")?;
    }
    place.xtask.ok(&["lock", "alpine", "--index-only", "--offline"])?;
    let fresh = place.xtask.clone().store(&place.dir.path().join("store"));
    fresh.fails(&["lock", "alpine", "--complete", "--offline"], Kind::Unavailable, &["is not complete"])?;
    for (_, arch) in ARCHES {
        fs::remove_dir_all(files(arch))?;
        fs::rename(hidden.join(arch), files(arch))?;
    }
    fresh.ok(&["lock", "alpine", "--complete", "--offline"])?;
    fresh.ok(&["lock", "alpine", "--check", "--offline"]).map(drop)
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    fs::copy(from.join(name), to.join(name)).map(drop).with_context(|| format!("copying {name}"))
}
