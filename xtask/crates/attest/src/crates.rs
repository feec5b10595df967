//! The crates of the entrypoint, from what `cargo metadata` says of it for one target.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use fault::{Fault, Kind};
use serde::Deserialize;

/// A crate that is linked into the entrypoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, by its own manifest.
    pub licence: Option<String>,
    /// The SHA-256 of its archive, by Cargo.lock.
    pub checksum: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
    root: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The crates that are linked in, less the program itself, by name. `metadata` is cargo's for the target's platform, `lock`
/// the text of Cargo.lock.
///
/// # Errors
/// [`Kind::InvalidData`] for what is not such output.
pub fn linked(metadata: &[u8], lock: &str) -> Result<Vec<Crate>> {
    let metadata: Metadata = serde_json::from_slice(metadata).map_err(|error| {
        Fault::new(Kind::InvalidData, format!("what `cargo metadata` says cannot be read: {error}"))
    })?;
    let root = metadata
        .resolve
        .root
        .ok_or_else(|| Fault::new(Kind::InvalidData, "`cargo metadata` names no program"))?;
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![root.as_str()]);
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            let below = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            let normal =
                below.filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            waiting.extend(normal.map(|dependency| dependency.pkg.as_str()));
        }
    }
    let checksums = checksums(lock);
    let mut crates: Vec<Crate> = metadata
        .packages
        .iter()
        .filter(|package| package.id != root && seen.contains(package.id.as_str()))
        .map(|package| Crate {
            name: package.name.clone(),
            version: package.version.clone(),
            licence: package.license.clone(),
            checksum: checksums
                .get(&(package.name.as_str(), package.version.as_str()))
                .map(ToString::to_string),
        })
        .collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(crates)
}

/// Of each crate, by name and version, as cargo writes its lock: a line a field.
pub(crate) fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut found = BTreeMap::new();
    let (mut name, mut version) = ("", "");
    for line in lock.lines() {
        let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(text) = value("name") {
            name = text;
        } else if let Some(text) = value("version") {
            version = text;
        } else if let Some(text) = value("checksum") {
            found.insert((name, version), text);
        }
    }
    found
}
