//! Known vulnerabilities of an image's Alpine packages, by databases made here after what secdb.alpinelinux.org publishes.

use std::fs;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use serde_json::{Value, json};
use tests::alpine::{OMITTED, Place, real};
use tests::secdb;
use tests::xtask;

const ATTR: &str = "kubelet-v1_26_0-alpine3_15-amd64";

/// The real root filesystem's packages: busybox 1.34.1-r7 with `ssl_client`, of the same origin; musl 1.2.2-r9 with musl-utils,
/// apk-tools 2.12.7-r3, zlib 1.2.12-r3 and others.
#[test]
fn packages_are_looked_up_by_origin_and_what_nobody_names_is_unknown() -> Result<()> {
    let Some(real) = real() else { return Ok(()) };
    let place = Place::new(&real)?;
    let out = place.dir.path().join("out");
    let args = [&xtask::build_args(ATTR, &out)?[..], &["--offline"], &OMITTED].concat();
    place.xtask.ok(&args)?;
    let (db, vex) = (place.dir.path().join("secdb"), place.dir.path().join("vex.json"));
    secdb::write(
        &db,
        "v3.15",
        &json!({
            "busybox": {
                "0": ["CVE-2021-42373"],
                "1.34.1-r5": ["CVE-2022-28391"],
                "1.34.1-r8": ["CVE-2023-42363 (only with awk)", "CVE-2023-42364 XSA-9"],
            },
            // Repaired, as the image has it; one that no version can be compared with; a package that is not in the image.
            "musl": {"1.2.2-r9": ["CVE-2020-28928"]},
            "zlib": {"1.2.12-1-r3": ["CVE-2022-37434"]},
            "xen": {"99-r0": ["XSA-248"]},
        }),
    )?;
    secdb::write(
        &db,
        "v3.22",
        &json!({
            "musl": {"1.2.5-r11": ["CVE-2025-26519"], "1.2.5-r0": ["CVE-2020-28928"]},
            "libretls": {"99-r0": ["CVE-2099-1"]},
        }),
    )?;
    let (layout, db, vex) =
        (out.join(ATTR).display().to_string(), db.display().to_string(), vex.display().to_string());
    let args = ["advisories", &layout, "--alpine-secdb", &db];
    let told: Value =
        serde_json::from_str(&place.xtask.ok(&[&args[..], &["--vex", &vex, "--json"]].concat())?)?;
    // Without a program no database of Go's is asked.
    assert_eq!(told["programs"], json!([]), "{told}");
    let alpine = &told["alpine"][0];
    assert_eq!(
        (&alpine["image"], &alpine["branch"], &alpine["packages"]),
        (&json!(ATTR), &json!("v3.15"), &json!(16))
    );
    let vulnerable = alpine["vulnerable"].as_array().context("no list")?;
    let found: Vec<String> = vulnerable
        .iter()
        .flat_map(|of| {
            let advisories = of["advisories"].as_array().into_iter().flatten();
            advisories.map(move |one| {
                format!(
                    "{} {} {} in {} {}",
                    one["id"], one["module"], one["found"], of["packages"], one["fixed"]
                )
            })
        })
        .map(|line| line.replace('"', ""))
        .collect();
    assert_eq!(
        found,
        [
            "CVE-2023-42363 busybox 1.34.1-r7 in [busybox,ssl_client] 1.34.1-r8",
            "CVE-2023-42364 busybox 1.34.1-r7 in [busybox,ssl_client] 1.34.1-r8",
            "CVE-2099-1 libretls 3.3.4-r3 in [libretls] 99-r0",
            "CVE-2025-26519 musl 1.2.2-r9 in [musl,musl-utils] 1.2.5-r11",
            "CVE-2022-37434 zlib 1.2.12-r3 in [zlib] null",
        ]
    );
    let unknown: Vec<&str> =
        alpine["unknown"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(unknown.len() == 16 - 5, "{unknown:?}");
    for package in ["apk-tools-2.12.7-r3", "libretls-3.3.4-r3", "test-tool-1.0-r0"] {
        ensure!(unknown.contains(&package), "{unknown:?}");
    }

    let text = place.xtask.ok(&args)?;
    for line in [
        "there is no Go program in these images",
        &format!("{ATTR}: 16 packages of Alpine v3.15: 5 known vulnerabilities"),
        "  busybox 1.34.1-r7 [busybox, ssl_client]\n    CVE-2023-42363, fixed in 1.34.1-r8: only with awk",
        "    CVE-2023-42364 (XSA-9), fixed in 1.34.1-r8",
        "  musl 1.2.2-r9 [musl, musl-utils]\n    CVE-2025-26519, fixed in 1.2.5-r11: repaired in v3.22, maybe of newer versions only",
        "  zlib 1.2.12-r3\n    CVE-2022-37434, not fixed: repaired in `1.2.12-1-r3`, which cannot be compared",
    ] {
        ensure!(format!("\n{text}").contains(&format!("\n{line}\n")), "no {line:?} in\n{text}");
    }
    ensure!(
        text.contains("  nothing is known, good or bad, of 11 packages, which the database does not name: "),
        "{text}"
    );

    let vex: Value = serde_json::from_str(&fs::read_to_string(&vex)?)?;
    let statements = vex["statements"].as_array().context("no statements")?;
    assert_eq!(statements.len(), 5, "{vex}");
    let busybox = statements
        .iter()
        .find(|statement| statement["vulnerability"]["name"] == "CVE-2023-42364")
        .context("no statement")?;
    assert_eq!(busybox["vulnerability"]["@id"], "https://security.alpinelinux.org/vuln/CVE-2023-42364");
    assert_eq!(busybox["vulnerability"]["aliases"], json!(["XSA-9"]));
    let parts = &busybox["products"][0]["subcomponents"];
    let purl = |name: &str| format!("pkg:apk/alpine/{name}@1.34.1-r7?arch=x86_64&distro=alpine-3.15.11");
    assert_eq!(*parts, json!([{"@id": purl("busybox")}, {"@id": purl("ssl_client")}]));
    a_database_without_the_branch(&place, &layout)
}

/// Of a branch that the database has nothing of, all packages are unknown; what is not a database ends with a code of its own.
fn a_database_without_the_branch(place: &Place, layout: &str) -> Result<()> {
    let db = place.dir.path().join("older");
    secdb::write(&db, "v3.9", &json!({"busybox": {"99-r0": ["CVE-1-1"]}}))?;
    let args = ["advisories", layout, "--alpine-secdb", db.to_str().context("not UTF-8")?];
    let text = place.xtask.ok(&args)?;
    ensure!(text.contains(": 16 packages of Alpine v3.15: 0 known vulnerabilities"), "{text}");
    ensure!(text.contains("of 16 packages, which the database does not name: alpine-baselayout-"), "{text}");
    fs::write(
        db.join("other.json"),
        "{\"distroversion\": \"3.15\", \"reponame\": \"main\", \"packages\": []}",
    )?;
    let words = ["other.json: `3.15` is not a branch", "secdb.alpinelinux.org"];
    place.xtask.fails(&args, Kind::Database, &words).map(drop)
}
