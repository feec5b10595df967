//! A second branch of Alpine is data: a base in the catalog, a key, a mirror; no line of code. 3.22 beside 3.15, its root
//! filesystems stand-ins and its packages made to measure.

use std::fs;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::{Value, json};
use tests::alpine::{ARCHES, LOCK, OMITTED, Place, real};
use tests::inside::Inside;
use tests::{image, measured, secdb, second_branch, skip};

const ATTR: &str = "kubelet-v1_37_2-alpine3_22-amd64";
/// The same as tags spell its base.
const ALIAS: &str = "kubelet-v1_37_2-alpine3.22-amd64";
const OLDER: &str = "kubelet-v1_37_2-alpine3_15-amd64";

#[test]
fn it_is_locked_listed_built_and_audited_by_data_alone() -> Result<()> {
    if skip::without(&["umoci", "runc", "qemu-aarch64-static", "qemu-arm-static"])? {
        return Ok(());
    }
    let (Some(real), Some(data)) = (real(), measured::data()) else { return Ok(()) };
    let place = Place::made_to_measure(&real, &data)?;
    let xtask = &place.xtask;
    let out = place.dir.path().join("out");
    let out_name = out.to_str().context("not UTF-8")?;
    let build = |attr: &str, omit: &[&str]| {
        xtask.ok(&[&["build", attr, "--out", out_name, "--offline", "--locked"], omit].concat())
    };
    xtask.ok(&["lock", "alpine", "--offline"])?;
    build(OLDER, &OMITTED)?;
    let (older, lock) = (image::digest(&out.join(OLDER))?, fs::read(place.lock())?);

    second_branch::add(&place, &data)?;
    let missing = ["images/locks/alpine-3.22.json is missing: `cargo xtask lock alpine`"];
    xtask.fails(&["fetch", ATTR, "--offline", "--locked"], Kind::Stale, &missing)?;
    xtask.ok(&["lock", "alpine", "--branch", "v3.22", "--offline"])?;
    xtask.ok(&["lock", "alpine", "--check", "--offline"])?;
    ensure!(fs::read(place.lock())? == lock, "{LOCK} is another");
    let locked = place.dir.path().join("checkout").join(second_branch::LOCK);
    let locked: Value = serde_json::from_slice(&fs::read(locked)?)?;
    let packages = locked["arches"]["arm32v7"]["packages"].as_array().context("no packages")?;
    let paths: Vec<&str> = packages.iter().filter_map(|package| package["path"].as_str()).collect();
    ensure!(paths.iter().all(|path| path.starts_with("v3.22/main/armv7/")), "{paths:?}");
    let has = |name: &str| packages.iter().any(|package| package["name"] == name);
    ensure!(has("iptables-legacy") && has("util-linux-misc") && !has("util-linux"), "{paths:?}");

    let list: Value = serde_json::from_str(&xtask.ok(&["list", "--json"])?)?;
    let listed = list["attributes"].as_array().context("no attributes")?;
    for (name, alias, tag) in [
        (ATTR, ALIAS, "v1.37.2-alpine3.22"),
        ("kube-proxy-v1_26_0-alpine3_22", "kube-proxy-v1_26_0-alpine3.22", "v1.26.0-alpine3.22"),
    ] {
        let one = listed.iter().find(|one| one["name"] == name).with_context(|| format!("no {name}"))?;
        ensure!(one["aliases"].as_array().is_some_and(|all| all.contains(&json!(alias))), "{one}");
        ensure!(one["tag"] == tag, "{one}");
    }
    // kube-proxy stays on the branch that it was on where none is named.
    ensure!(
        listed.iter().any(|one| one["name"] == "kube-proxy-v1_26_0" && one["base"] == "alpine3.15"),
        "{list}"
    );

    build(OLDER, &OMITTED)?;
    assert_eq!(image::digest(&out.join(OLDER))?, older, "the other branch's image is another");
    build(ALIAS, &OMITTED)?;
    let layout = out.join(ATTR);
    let bundle = place.dir.path().join("bundle");
    let root = image::unpack(&layout, &bundle)?;
    ensure!(fs::read_to_string(root.join("etc/os-release"))?.contains("VERSION_ID=3.22.2\n"));
    let inside = Inside::new("amd64", &bundle)?;
    let installed = inside.ok(&["/sbin/apk", "info"])?;
    ensure!(installed.lines().any(|name| name == "iptables-legacy"), "{installed}");
    let owner = inside.ok(&["/sbin/apk", "info", "-W", "/sbin/losetup"])?;
    ensure!(owner.contains("is owned by util-linux-misc-"), "{owner}");
    let audit = inside.ok(&["/sbin/apk", "audit", "--system"])?;
    let changed: Vec<&str> = audit.lines().filter(|line| !line.starts_with("A ")).collect();
    ensure!(changed.is_empty(), "{changed:?}");

    let omit = ["--allow-incomplete", "--omit", "kube-proxy", "--omit", "entrypoint", "--omit", "iptables"];
    let index = "kube-proxy-v1_26_0-alpine3_22";
    build(index, &omit)?;
    let index = out.join(index);
    let index: Value = serde_json::from_slice(&fs::read(image::blob(&index, &image::digest(&index)?))?)?;
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(ARCHES.len()), "{index}");

    let db = place.dir.path().join("secdb");
    let fixed = json!({"busybox": {"99-r0": ["CVE-1-1"]}});
    secdb::write(&db, "v3.22", &fixed)?;
    let layout = layout.to_str().context("not UTF-8")?;
    let text = xtask.ok(&["advisories", layout, "--alpine-secdb", db.to_str().context("not UTF-8")?])?;
    ensure!(text.contains("packages of Alpine v3.22: 1 known vulnerabilities"), "{text}");
    ensure!(
        text.contains("  busybox 1.34.1-r7 [busybox, ssl_client]\n    CVE-1-1, fixed in 99-r0"),
        "{text}"
    );
    Ok(())
}

/// What one branch has is not taken for the other's.
#[test]
fn a_mirror_that_serves_one_branch_under_the_others_path_is_refused() -> Result<()> {
    let (Some(real), Some(data)) = (real(), measured::data()) else { return Ok(()) };
    let place = Place::made_to_measure(&real, &data)?;
    second_branch::add(&place, &data)?;
    let mirror = place.dir.path().join("mirror");
    let index = |branch: &str| mirror.join(branch).join("main/x86_64/APKINDEX.tar.gz");
    let (older, newer) = (fs::read(index("v3.15"))?, fs::read(index("v3.22"))?);
    fs::write(index("v3.15"), &newer)?;
    let words =
        ["the branch of v3.15/main/x86_64/APKINDEX.tar.gz", "expected v3.15", "found    v3.22.2-7-gtest"];
    place.xtask.fails(&["lock", "alpine", "--offline"], Kind::Mismatch, &words)?;
    fs::write(index("v3.15"), &older)?;
    // An architecture's index in place of another's, which both keys sign here.
    fs::write(index("v3.22"), fs::read(mirror.join("v3.22/main/armv7/APKINDEX.tar.gz"))?)?;
    let words =
        ["the architecture of v3.22/main/x86_64/APKINDEX.tar.gz", "expected x86_64", "found    armv7"];
    place.xtask.fails(&["lock", "alpine", "--offline"], Kind::Mismatch, &words).map(drop)
}
