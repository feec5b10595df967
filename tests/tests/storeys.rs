//! The storeys of the house (docs/architecture.md): arrows between crates go down only, and verbs know no verb.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use walkdir::WalkDir;

/// Lowest first. A crate knows those of its own storey and of lower ones; the lab is not known to what is a product.
const STOREYS: [(&str, &[&str]); 8] = [
    ("base", &["digest", "exec", "fault", "files", "fstree", "progress", "store", "web"]),
    ("formats", &["apk", "deflate", "elf", "oci", "registry"]),
    ("inputs", &["alpine", "catalog", "gobuild", "rustbuild", "toolchain"]),
    ("build", &["executor", "plan"]),
    ("evidence", &["advisories", "attest", "report", "sizes"]),
    ("project", &["project"]),
    ("lab", &["bench", "cluster", "e2e", "libfuzzer", "skip", "standin", "testimage", "testregistry", "vm"]),
    ("programs", &["tests", "xtask"]),
];

#[test]
fn arrows_between_crates_go_down() -> Result<()> {
    let storey: BTreeMap<&str, usize> = STOREYS
        .iter()
        .enumerate()
        .flat_map(|(height, (_, crates))| crates.iter().map(move |name| (*name, height)))
        .collect();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(tests::root())
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    assert_eq!(names, storey.keys().copied().collect(), "each crate has a storey");
    let mut up = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a crate without a name")?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            // What tests alone use may be the lab's.
            let normal = dependency["kind"].is_null();
            if normal && storey.get(used).is_some_and(|height| *height > storey[name]) {
                up.push(format!("{name} uses {used}"));
            }
        }
    }
    ensure!(up.is_empty(), "upwards: {up:?}");
    Ok(())
}

/// The verbs that the paths in a file name, but its own.
fn verbs_used(text: &str, own: &str, verbs: &BTreeSet<String>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for start in ["crate::cmd::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let path = text[at + start.len()..].trim_start_matches("super::");
            let names = match path.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => {
                    path.split(|char: char| char != '_' && !char.is_alphanumeric()).next().unwrap_or_default()
                }
            };
            let names = names.split(',').filter_map(|name| name.trim().split("::").next());
            used.extend(names.filter(|name| *name != own && verbs.contains(*name)).map(str::to_owned));
        }
    }
    used
}

#[test]
fn verbs_are_found_in_paths() {
    let verbs = ["push", "size", "lock"].map(str::to_owned).into();
    let used = |text| verbs_used(text, "lock", &verbs).into_iter().collect::<Vec<_>>();
    assert_eq!(used("use super::super::push::Connection;"), ["push"]);
    assert_eq!(used("use super::{\n    lock, size::Which,\n};\n::lock::x()"), ["size"]);
    assert_eq!(used("f(crate::cmd::push::platform)"), ["push"]);
    assert_eq!(used("use crate::project::push; use super::lock; super::sizes()"), Vec::<String>::new());
}

#[test]
fn verbs_know_no_verb() -> Result<()> {
    let dir = tests::root().join("xtask/src/cmd");
    let mut files: Vec<(String, std::path::PathBuf)> = Vec::new();
    let mut verbs = BTreeSet::new();
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        let verb = stem(&path);
        if path.is_dir() {
            for inner in fs::read_dir(&path)? {
                files.push((verb.clone(), inner?.path()));
            }
        } else {
            files.push((verb.clone(), path));
        }
        verbs.insert(verb);
    }
    let mut found = BTreeSet::new();
    for (verb, path) in files.iter().filter(|(_, path)| path.is_file()) {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        found.extend(verbs_used(&text, verb, &verbs).into_iter().map(|used| (verb.clone(), used)));
    }
    ensure!(
        found.is_empty(),
        "a verb knows another one, move what they share to xtask/crates/project: {found:?}"
    );
    ensure!(files.len() > 40, "only {} files were read", files.len());
    Ok(())
}

/// Flags, verbs and what they print: what has more to say belongs to a library. Without unit tests it may have so many lines.
const PROGRAM: usize = 4000;

#[test]
fn the_program_is_thin() -> Result<()> {
    let mut lines = 0;
    for entry in WalkDir::new(tests::root().join("xtask/src")) {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(entry.path())?;
            lines += text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        }
    }
    let room = PROGRAM.checked_sub(lines);
    ensure!(
        room.is_some(),
        "xtask/src has {lines} lines, at most {PROGRAM}: move what verbs do to xtask/crates/project"
    );
    ensure!(room < Some(100), "xtask/src has {lines} lines: lower the limit of {PROGRAM}");
    Ok(())
}

/// Who adds one of these needs this page alone.
#[test]
fn the_page_says_where_to_add_what() -> Result<()> {
    let root = tests::root();
    let page = fs::read_to_string(root.join("docs/architecture.md"))?;
    let rows = |heading: &str| -> Vec<(String, String)> {
        let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        cells.skip(2).map(|(what, place)| (what.to_owned(), place.to_owned())).collect()
    };
    let crates: BTreeSet<String> =
        rows("The libraries").iter().map(|(name, _)| name.replace('`', "")).collect();
    let storeys: BTreeSet<String> =
        STOREYS.iter().flat_map(|(_, crates)| *crates).map(|name| (*name).to_owned()).collect();
    let unnamed: Vec<_> = storeys.symmetric_difference(&crates).collect();
    ensure!(
        unnamed == ["tests", "xtask"],
        "crates that the page does not name, or that are gone: {unnamed:?}"
    );

    let places = rows("Where to add");
    let wanted = ["verb", "release", "architecture", "component", "check of preflight", "package format"];
    for wanted in wanted {
        ensure!(
            places.iter().any(|(what, _)| what.contains(wanted)),
            "the page does not say where to add a {wanted}"
        );
    }
    for (what, place) in &places {
        let quoted: Vec<&str> = place.split('`').skip(1).step_by(2).collect();
        let paths: Vec<&&str> =
            quoted.iter().filter(|word| word.contains('/') && !word.contains(' ')).collect();
        ensure!(!paths.is_empty(), "{what}: no path");
        for path in paths {
            // In capitals is what the new one is called.
            let known =
                path.split('/').take_while(|part| !part.starts_with(|first: char| first.is_uppercase()));
            ensure!(root.join(known.collect::<Vec<_>>().join("/")).exists(), "{what}: there is no {path}");
        }
        for pair in
            quoted.windows(2).filter(|pair| place.contains(&format!("`{}` in `{}`", pair[0], pair[1])))
        {
            let (name, text) =
                (pair[0].rsplit("::").next().unwrap_or_default(), fs::read_to_string(root.join(pair[1]))?);
            ensure!(text.contains(name), "{what}: {} has no `{name}`", pair[1]);
        }
    }
    Ok(())
}
