//! One owner for each idea: what is said or done in one place of the product is said or done in no other.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

/// An idea, the code that only its owners have, and these: files below `xtask`.
const OWNERS: [(&str, &str, &[&str]); 28] = [
    ("SHA-256", "sha2::", &["crates/digest/src/hash.rs", "crates/digest/src/lib.rs"]),
    ("what size and digest a file has to have", "struct Expected", &["crates/digest/src/lib.rs"]),
    ("a file written by rename", ".persist(", &["crates/files/src/write.rs"]),
    ("a file or directory that is renamed", "fs::rename(", &["crates/files/src/place.rs"]),
    ("a directory that takes another's place", "renameat_with(", &["crates/files/src/place.rs"]),
    ("a program in PATH", "split_paths(", &["crates/exec/src/lib.rs"]),
    ("a child process", "process_group(", &["crates/exec/src/end.rs"]),
    ("an interrupt", "signal_hook::", &["crates/exec/src/interrupt.rs"]),
    ("git", "new(\"git\")", &["crates/exec/src/lib.rs"]),
    ("HTTP", "Agent::with_parts(", &["crates/web/src/request.rs"]),
    ("which variables name a proxy", "\"no_proxy\"", &["crates/web/src/proxy.rs"]),
    ("the file that makes a directory a layout", "\"oci-layout\"", &["crates/oci/src/layout.rs"]),
    ("our annotations and labels", "\"io.containerized-kubelet", &["crates/catalog/src/label.rs"]),
    ("an image's title", "\"org.opencontainers.image.title", &["crates/catalog/src/label.rs"]),
    ("an image's platform as text", ".config.variant()", &["crates/oci/src/layout/open.rs"]),
    (
        "an ELF file",
        "object::",
        &["crates/elf/src/lib.rs", "crates/elf/src/program.rs", "crates/elf/src/sections.rs"],
    ),
    ("what an ELF file begins with", "x7fELF", &[]),
    ("Go's build information", "Go buildinf", &["crates/sizes/src/go/buildinfo.rs"]),
    ("an archive of others", "tar::Archive", &[]),
    (
        "a header of an archive",
        "EntryType",
        &["crates/apk/src/database.rs", "crates/fstree/src/archive.rs", "crates/fstree/src/header.rs"],
    ),
    ("extended attributes in an archive", "SCHILY.", &["crates/fstree/src/pax.rs"]),
    ("a path that is plain", "(part, \"\" | \".\" | \"..\")", &[]),
    ("a path that is plain", "Component::Normal", &[]),
    ("the record of sizes", "\"images/sizes.json\"", &["crates/project/src/record.rs"]),
    ("the plan as Nix reads it", "\"images/plan.json\"", &["crates/plan/src/nix.rs"]),
    ("an architecture of images: images/catalog.toml alone", "\"arm32v7\"", &[]),
    ("what compilers call an architecture: images/catalog.toml alone", "-linux-musl", &[]),
    ("an emulator: images/catalog.toml alone", "\"qemu-arm\"", &[]),
];

/// What tests and measurements stand on: no part of the product.
const LAB: [&str; 9] =
    ["bench", "cluster", "e2e", "libfuzzer", "skip", "standin", "testimage", "testregistry", "vm"];

/// The product's code: each file by its name below `xtask`, without its tests and comments.
fn sources() -> Result<Vec<(String, String)>> {
    let root = tests::root().join("xtask");
    let mut all = Vec::new();
    for entry in WalkDir::new(&root) {
        let entry = entry?;
        let name = entry.path().strip_prefix(&root)?.to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('/').collect();
        let is_product = match parts[..] {
            ["src", ..] => true,
            ["crates", part, "src", ..] => !LAB.contains(&part),
            _ => false,
        };
        let is_test =
            parts.iter().any(|part| ["tests", "tests.rs", "testrepo.rs", "testing.rs"].contains(part));
        let is_rust = Path::new(&name).extension().is_some_and(|extension| extension == "rs");
        if !is_product || is_test || !is_rust {
            continue;
        }
        let text = fs::read_to_string(entry.path()).with_context(|| format!("reading {name}"))?;
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        all.push((name, lines.collect::<Vec<_>>().join("\n")));
    }
    Ok(all)
}

#[test]
fn each_idea_has_one_owner() -> Result<()> {
    let sources = sources()?;
    ensure!(sources.len() > 150, "only {} files were read", sources.len());
    let mut wrong = String::new();
    for (idea, code, owners) in OWNERS {
        let found: BTreeSet<&str> =
            sources.iter().filter(|(_, text)| text.contains(code)).map(|(name, _)| name.as_str()).collect();
        let owners: BTreeSet<&str> = owners.iter().copied().collect();
        for other in found.difference(&owners) {
            writeln!(wrong, "{other}: {idea} (`{code}`): use what {owners:?} has")?;
        }
        for gone in owners.difference(&found) {
            writeln!(wrong, "{gone} has no `{code}` ({idea}) any more: take it out of the list")?;
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}
