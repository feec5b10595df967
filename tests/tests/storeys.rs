//! The storeys of the house (docs/architecture.md): arrows between crates go down only, and verbs know no verb.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Lowest first. A crate knows those of its own storey and of lower ones; the lab is not known to what is a product.
const STOREYS: [(&str, &[&str]); 7] = [
    ("base", &["exec", "fault", "files", "progress", "store", "web"]),
    ("formats", &["apk", "oci", "pax", "registry"]),
    ("inputs", &["alpine", "catalog", "gobuild", "rustbuild", "toolchain"]),
    ("build", &["plan"]),
    ("evidence", &["attest", "report", "sizes"]),
    ("lab", &["bench", "cluster", "e2e", "skip", "standin", "testimage", "testregistry", "vm"]),
    ("programs", &["tests", "xtask"]),
];

/// Verbs that know another one still. An entry that is not needed any more is a failure, too: this list only shrinks.
const KNOWN: [(&str, &str); 12] = [
    ("add_release", "lock"),
    ("add_release", "size"),
    ("release", "attest"),
    ("release", "push"),
    ("release", "size"),
    ("sbom", "attest"),
    ("session", "lock"),
    ("size", "push"),
    ("source", "push"),
    ("test", "fuzz"),
    ("verify", "attest"),
    ("verify", "push"),
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

/// The verbs that a file's `use` lines name, but its own.
fn verbs_used(text: &str, own: &str, verbs: &BTreeSet<String>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let Some((_, path)) = line.split_once("use ") else { continue };
        let path = path.strip_prefix("crate::cmd::").or_else(|| path.strip_prefix("super::"));
        let Some(path) = path.map(|path| path.trim_start_matches("super::")) else { continue };
        for name in path.trim_matches(['{', '}', ';']).split(", ") {
            let first = name.split("::").next().unwrap_or_default().trim_matches(['{', '}', ';', ',']);
            if first != own && verbs.contains(first) {
                used.insert(first.to_owned());
            }
        }
    }
    used
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
    // What all verbs share is none.
    for shared in ["session", "source"] {
        verbs.remove(shared);
    }
    let mut found = BTreeSet::new();
    for (verb, path) in files.iter().filter(|(_, path)| path.is_file()) {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        found.extend(verbs_used(&text, verb, &verbs).into_iter().map(|used| (verb.clone(), used)));
    }
    let known: BTreeSet<(String, String)> =
        KNOWN.iter().map(|(verb, used)| ((*verb).to_owned(), (*used).to_owned())).collect();
    let new: Vec<_> = found.difference(&known).collect();
    ensure!(new.is_empty(), "a verb knows another one, move what they share down: {new:?}");
    let over: Vec<_> = known.difference(&found).collect();
    ensure!(over.is_empty(), "take out of the list: {over:?}");
    Ok(())
}
