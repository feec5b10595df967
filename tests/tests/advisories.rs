//! Known vulnerabilities of an image's programs, by a small database made here.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use fault::Kind;
use serde_json::{Value, json};
use tests::xtask::{self, Xtask};
use tests::{cmd, scratch, secdb, skip};

const IMAGE: &str = "kubelet-v1_26_0-amd64";

/// A database in the format of Go's, version 1: <https://go.dev/doc/security/vuln/database>.
fn database(dir: &Path, modules: &[(&str, &str)]) -> Result<()> {
    let day = "2026-01-01T00:00:00Z";
    for folder in ["index", "ID"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let mut index = Vec::new();
    for (id, module) in modules {
        index.push(json!({"path": module, "vulns": [{"id": id, "modified": day}]}));
        let events = json!([{"introduced": "0"}, {"fixed": "99.0.0"}]);
        let osv = json!({
            "schema_version": "1.3.1", "id": id, "modified": day, "published": day, "aliases": [format!("CVE-{id}")],
            "summary": format!("a mistake in {module}"), "details": "made for a test",
            "affected": [{
                "package": {"name": module, "ecosystem": "Go"},
                "ranges": [{"type": "SEMVER", "events": events}],
                "ecosystem_specific": {},
            }],
            "database_specific": {"url": format!("https://example.org/{id}"), "review_status": "REVIEWED"},
        });
        fs::write(dir.join(format!("ID/{id}.json")), osv.to_string())?;
    }
    fs::write(dir.join("index/modules.json"), Value::from(index).to_string())?;
    fs::write(dir.join("index/vulns.json"), "[]")?;
    fs::write(dir.join("index/db.json"), json!({"modified": day}).to_string())?;
    Ok(())
}

/// Must a test be skipped, because the program that asks the database is not available? An error in CI.
fn without_govulncheck(out: &cmd::Output) -> Result<bool> {
    let unavailable = out.code() == Some(i32::from(Kind::Unavailable.exit_code()));
    if unavailable {
        skip::for_want_of(&format!("govulncheck is not available: {}", out.stderr.trim()))?;
    }
    Ok(unavailable)
}

#[test]
fn modules_of_a_kubelet_are_found_in_a_database_and_others_are_not() -> Result<()> {
    let dir = scratch::dir()?;
    let (db, vex) = (dir.path().join("db"), dir.path().join("vex.json"));
    // One as its sources are, one that is edited for the build, Go itself, and one that no kubelet has.
    let wanted = [("GO-1", "github.com/spf13/pflag"), ("GO-2", "golang.org/x/net"), ("GO-3", "stdlib")];
    database(&db, &[&wanted[..], &[("GO-4", "example.org/absent")]].concat())?;
    let (image, db, vex) =
        (xtask::layout(IMAGE)?.display().to_string(), db.display().to_string(), vex.display().to_string());
    let xtask = Xtask::new()?;
    let out = xtask.output(&["advisories", &image, "--db", &db, "--vex", &vex, "--json"])?;
    if without_govulncheck(&out)? {
        return Ok(());
    }
    ensure!(out.status.success(), "{}", out.stderr);
    let told: Value = serde_json::from_str(&out.stdout)?;
    let programs = told["programs"].as_array().cloned().unwrap_or_default();
    ensure!(programs.len() == 1 && programs[0]["program"] == "usr/bin/kubelet", "{told}");
    let found: Vec<_> = programs[0]["advisories"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = found.iter().map(|advisory| (&advisory["id"], &advisory["module"])).collect();
    ensure!(names.len() == wanted.len(), "{told}");
    for (at, (id, module)) in wanted.iter().enumerate() {
        ensure!(names[at].0 == id && names[at].1 == module, "{told}");
    }
    ensure!(found[1]["found"].as_str().is_some_and(|version| version.starts_with("v0.")), "{told}");

    let vex: Value = serde_json::from_str(&fs::read_to_string(&vex)?)?;
    let statements = vex["statements"].as_array().cloned().unwrap_or_default();
    ensure!(statements.len() == wanted.len(), "{vex}");
    ensure!(statements[0]["vulnerability"]["name"] == "GO-1", "{vex}");
    let part = &statements[0]["products"][0]["subcomponents"][0]["@id"];
    ensure!(part.as_str().is_some_and(|id| id.starts_with("pkg:golang/github.com/spf13/pflag@v")), "{vex}");
    let text = xtask.ok(&["advisories", &image, "--db", &db])?;
    ensure!(text.contains("3 known vulnerabilities") && !text.contains("absent"), "{text}");
    Ok(())
}

#[test]
fn an_absent_database_has_an_exit_code_of_its_own() -> Result<()> {
    let dir = scratch::dir()?;
    let image = xtask::layout(IMAGE)?.display().to_string();
    let none = dir.path().display().to_string();
    let xtask = Xtask::new()?;
    xtask.fails(
        &["advisories", &image, "--db", &none],
        Kind::Database,
        &[&none, "no index/db.json", "--db"],
    )?;
    let nobody = "http://127.0.0.1:1";
    let out = xtask.output(&["advisories", &image, "--db", nobody])?;
    if without_govulncheck(&out)? {
        return Ok(());
    }
    xtask.fails(&["advisories", &image, "--db", nobody], Kind::Database, &[nobody, "cannot be used"])?;
    xtask.fails(&["advisories", "kubelet-nothing", "--db", nobody], Kind::NotFound, &["kubelet-nothing"])?;
    Ok(())
}

/// Beside what is said of Go modules, in one report.
#[test]
fn an_image_without_alpine_says_so_beside_its_go_programs() -> Result<()> {
    let dir = scratch::dir()?;
    let db = dir.path().join("go");
    let alpine = dir.path().join("alpine");
    database(&db, &[("GO-1", "github.com/spf13/pflag")])?;
    secdb::write(&alpine, "v3.15", &json!({"busybox": {"99-r0": ["CVE-1-1"]}}))?;
    let image = xtask::layout(IMAGE)?.display().to_string();
    let (db, alpine) = (db.display().to_string(), alpine.display().to_string());
    let out = Xtask::new()?.output(&["advisories", &image, "--db", &db, "--alpine-secdb", &alpine])?;
    if without_govulncheck(&out)? {
        return Ok(());
    }
    ensure!(out.status.success(), "{}", out.stderr);
    ensure!(out.stdout.contains("usr/bin/kubelet: 1 known vulnerabilities"), "{}", out.stdout);
    ensure!(out.stdout.contains(": there is no Alpine package in it"), "{}", out.stdout);
    Ok(())
}
