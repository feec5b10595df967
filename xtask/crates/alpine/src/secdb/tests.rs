//! A database of odd rows, in the format that Alpine publishes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// As <https://secdb.alpinelinux.org> has them: claircore's copy of v3.15/main.json has these fields in this order.
fn text(branch: &str, repository: &str, packages: &Value) -> String {
    json!({
        "apkurl": "{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk",
        "archs": ["aarch64", "armhf", "armv7", "ppc64le", "s390x", "x86", "x86_64"],
        "reponame": repository,
        "urlprefix": "https://dl-cdn.alpinelinux.org/alpine",
        "distroversion": branch,
        "packages": packages,
    })
    .to_string()
}

fn package(name: &str, secfixes: &Value) -> Value {
    json!({"pkg": {"name": name, "secfixes": secfixes}})
}

fn database(files: &[(&str, Value)]) -> Database {
    let mut database = Database::default();
    for (branch, packages) in files {
        database.add(text(branch, "main", packages).as_bytes(), "main.json").unwrap();
    }
    database
}

/// What is reported of a package, a line each.
fn found(database: &Database, branch: &str, origin: &str, version: &str) -> Vec<String> {
    let known = database.look_up(Branch::parse(branch).unwrap(), origin, &Version::parse(version).unwrap());
    let named = (!known.named).then(|| "not named".to_owned());
    let findings = known.findings.into_iter().map(|Finding { vulnerability, branch, fixed }| {
        let fixed = fixed.unwrap_or_else(|text| format!("?{text}?"));
        format!("{} {branch} {fixed}", vulnerability.id)
    });
    named.into_iter().chain(findings).collect()
}

#[test]
fn a_version_is_compared_with_the_one_that_repaired_it() {
    let database = database(&[(
        "v3.15",
        json!([
            package(
                "busybox",
                &json!({
                    "0": ["CVE-2021-42373", "CVE-2021-42376"],
                    "1.27.2-r4": ["CVE-2017-16544", "CVE-2017-15873"],
                    "1.34.1-r5": ["CVE-2022-28391"],
                    // One that was repaired twice, and one of which a later note says that it was never there.
                    "1.34.1-r3": ["CVE-2022-28391", "CVE-2021-42373"],
                    "1.34.1-r9": ["CVE-2022-30065 XSA-1", "CVE-2021-42376 (regression)"],
                })
            ),
            package("xen", &json!({"4.10-1-r1": ["XSA-252"], "4.10.0-r2": ["CVE-2018-7540 XSA-252"]})),
            package("zlib", &json!([])),
            package("xz", &Value::Null),
            json!({"pkg": {"name": "kmod"}}),
            package("musl", &json!({"1.1.15-r4": null, "1.2.2-r2": [], "1.2.2_pre2-r0": ["CVE-2020-28928"]})),
        ]),
    )]);
    for (origin, version, expected) in [
        ("busybox", "1.34.1-r9", vec![]),
        ("busybox", "1.34.1-r10", vec![]),
        ("busybox", "1.34.1-r7", vec!["CVE-2021-42376 v3.15 1.34.1-r9", "CVE-2022-30065 v3.15 1.34.1-r9"]),
        (
            "busybox",
            "1.34.1-r2",
            vec![
                "CVE-2021-42373 v3.15 1.34.1-r3",
                "CVE-2021-42376 v3.15 1.34.1-r9",
                "CVE-2022-28391 v3.15 1.34.1-r5",
                "CVE-2022-30065 v3.15 1.34.1-r9",
            ],
        ),
        ("xen", "4.10.0-r2", vec!["XSA-252 v3.15 ?4.10-1-r1?"]),
        ("zlib", "1.2.12-r0", vec![]),
        ("xz", "5.2.5-r1", vec![]),
        ("kmod", "29-r2", vec![]),
        // `_pre2` is before the release.
        ("musl", "1.2.2-r0", vec![]),
        ("musl", "1.2.2_pre1-r9", vec!["CVE-2020-28928 v3.15 1.2.2_pre2-r0"]),
        ("ssl_client", "1.34.1-r2", vec!["not named"]),
    ] {
        assert_eq!(found(&database, "v3.15", origin, version), expected, "{origin} {version}");
    }
    assert_eq!(found(&database, "v3.16", "busybox", "1.34.1-r2"), ["not named"]);
}

#[test]
fn what_newer_branches_repaired_counts_unless_the_own_one_says_otherwise() {
    let database = database(&[
        ("edge", json!([package("zlib", &json!({"1.4-r0": ["CVE-5", "CVE-6"]}))])),
        ("v3.9", json!([package("zlib", &json!({"9-r0": ["CVE-OLD-1"]}))])),
        ("v3.15", json!([package("zlib", &json!({"0": ["CVE-1"], "1.2-r3": ["CVE-2", "CVE-3"]}))])),
        (
            "v3.22",
            json!([
                package(
                    "zlib",
                    &json!({"0": ["CVE-5"], "1.3-r0": ["CVE-1", "CVE-2", "CVE-3", "CVE-4"], "1.2-r0": ["CVE-6"]})
                ),
                package("musl", &json!({"1.2.5-r11": ["CVE-2025-26519"]})),
            ]),
        ),
    ]);
    assert_eq!(found(&database, "v3.15", "zlib", "1.2-r3"), ["CVE-4 v3.22 1.3-r0", "CVE-5 edge 1.4-r0"]);
    assert_eq!(
        found(&database, "v3.15", "zlib", "1.2-r2"),
        ["CVE-2 v3.15 1.2-r3", "CVE-3 v3.15 1.2-r3", "CVE-4 v3.22 1.3-r0", "CVE-5 edge 1.4-r0"]
    );
    // v3.22 says of both that they do not matter.
    assert_eq!(found(&database, "v3.22", "zlib", "1.3-r0"), Vec::<String>::new());
    assert_eq!(
        found(&database, "v3.15", "musl", "1.2.2-r8"),
        ["not named", "CVE-2025-26519 v3.22 1.2.5-r11"]
    );
}

#[test]
fn branches_are_ordered_by_their_numbers() {
    let branch = |text| Branch::parse(text).unwrap();
    assert!(branch("v3.9") < branch("v3.15") && branch("v3.22") < branch("edge"));
    for (text, expected) in [
        ("3.15.11", Some("v3.15")),
        ("3.22.0_rc1", Some("v3.22")),
        ("3.23_alpha20251016", Some("edge")),
        ("12", None),
        ("", None),
        ("trixie/sid", None),
    ] {
        assert_eq!(Branch::of_release(text).map(|branch| branch.to_string()).as_deref(), expected, "{text}");
    }
    for text in ["3.15", "v3", "v3.15.1", "v3.", "v.1", "v3.+1", "v3.99999999999"] {
        assert_eq!(Branch::parse(text), None, "{text}");
    }
}

#[test]
fn a_directory_has_files_of_several_branches_or_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("v3.15/main.json", &text("v3.15", "main", &json!([package("zlib", &json!({"2-r0": ["CVE-1"]}))])));
    write(
        "v3.15/community.json",
        &text("v3.15", "community", &json!([package("zlib-ng", &json!({"2-r0": ["CVE-2"]}))])),
    );
    write("v3.22/main.json", &text("v3.22", "main", &json!([])));
    write("last-update", "2026-11-29T00:00:00+00:00");
    write(".v3.22/main.json", "left by rsync");
    write("a/b/main.json", "not looked for so deep");
    let read = Database::read(dir.path()).unwrap();
    assert_eq!(read.branches().map(|branch| branch.to_string()).collect::<Vec<_>>(), ["v3.15", "v3.22"]);
    assert_eq!(found(&read, "v3.15", "zlib", "1-r0"), ["CVE-1 v3.15 2-r0"]);
    assert_eq!(found(&read, "v3.15", "zlib-ng", "1-r0"), ["CVE-2 v3.15 2-r0"]);
}

/// What reading a directory with this file is refused with.
fn refusal(fill: impl Fn(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let error = Database::read(dir.path()).unwrap_err();
    assert_eq!(fault::exit_code(&error), 20, "{error:#}");
    assert!(fault::of(&error).unwrap().hint().unwrap().contains("secdb.alpinelinux.org"));
    format!("{error:#}").replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn what_is_no_such_file_is_refused() {
    let with = |content: String| refusal(|dir| fs::write(dir.join("main.json"), &content).unwrap());
    let one = |packages: &Value| with(text("v3.15", "main", packages));
    for (found, expected) in [
        (refusal(|_| ()), "DIR has no file *.json"),
        (
            with("[]".into()),
            "DIR/main.json: invalid length 0, expected struct Raw with 3 elements at line 1 column 2",
        ),
        (with(String::new()), "DIR/main.json: EOF while parsing a value at line 1 column 0"),
        (with("{}".into()), "DIR/main.json: missing field `distroversion` at line 1 column 2"),
        (with(text("3.15", "main", &json!([]))), "DIR/main.json: `3.15` is not a branch such as v3.22"),
        (with(text("v3.15", "ma in", &json!([]))), "DIR/main.json: `ma in` is not the name of a repository"),
        (one(&json!([package("", &json!({}))])), "DIR/main.json: `` is not the name of a package"),
    ] {
        assert_eq!(found, expected);
    }
    for (found, words) in [
        (one(&json!({})), "expected a sequence"),
        (one(&json!([{"pkg": {"secfixes": {}}}])), "missing field `name`"),
        (one(&json!([package("a", &json!([["CVE-1"]]))])), "expected versions, each with a list of texts"),
        (one(&json!([package("a", &json!({"1": "CVE-1"}))])), "expected a sequence"),
        (one(&json!([package("a", &json!({"1": [1]}))])), "expected a string"),
        (refusal(|dir| fs::create_dir(dir.join("main.json")).unwrap()), "DIR has no file *.json"),
        (
            refusal(|dir| std::os::unix::fs::symlink("/dev/zero", dir.join("main.json")).unwrap()),
            "is not a regular file",
        ),
        (
            refusal(|dir| {
                fs::File::create(dir.join("main.json")).unwrap().set_len(MAX_FILE + 1).unwrap();
            }),
            "DIR/main.json has more than 33554432 bytes",
        ),
        (
            refusal(|dir| {
                for name in ["main.json", "old.json"] {
                    fs::write(dir.join(name), text("v3.15", "main", &json!([]))).unwrap();
                }
            }),
            "DIR/old.json is a second file of v3.15 main",
        ),
        (
            refusal(|dir| {
                for name in 0..=MAX_FILES {
                    fs::write(dir.join(format!("{name}.json")), "").unwrap();
                }
            }),
            "DIR has more than 256 files *.json",
        ),
    ] {
        assert!(found.contains(words), "{found}");
    }
    let error = Database::read(Path::new("/nowhere/secdb")).unwrap_err();
    assert_eq!(format!("{error:#}"), "there is no directory /nowhere/secdb");
}
