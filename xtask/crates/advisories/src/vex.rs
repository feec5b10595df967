//! `OpenVEX` 0.2.0 (<https://github.com/openvex/spec>): what is known of vulnerabilities in images, for scanners.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Advisory, Image, Report, Scanned};

/// The largest document of an earlier run that is read, in bytes.
const MAX: u64 = 64 << 20;
/// Where databases tell more of a vulnerability.
const GO: &str = "https://pkg.go.dev/vuln/";
const ALPINE: &str = "https://security.alpinelinux.org/vuln/";

/// What is said of a vulnerability.
struct Statement<'a> {
    advisory: &'a Advisory,
    /// By image, the modules or packages in it.
    products: BTreeMap<String, Vec<Value>>,
}

/// Writes a document on images that are in this repository, if one is named; over an earlier one of the same images as its
/// next version.
pub fn write(report: &Report, repository: Option<&str>, file: &Path) -> Result<()> {
    let now = Timestamp::now();
    // What is a pipe or a device has no earlier document.
    let old = if file.is_file() { files::read_named(file, MAX)? } else { None };
    let old = old.and_then(|old| serde_json::from_slice(&old).ok());
    let text = serde_json::to_string_pretty(&after(document(report, repository, now), old, now))?;
    files::write(file, format!("{text}\n").as_bytes())
}

/// A document of one statement a vulnerability. That a module or package has a vulnerable version does not say that its
/// code is reached, so the status is `under_investigation`: whoever knows more says so in a document of his own.
///
/// Products are named as scanners name images: `pkg:oci/NAME@DIGEST`, with the repository where it is given.
fn document(report: &Report, repository: Option<&str>, at: Timestamp) -> Value {
    let packages = || report.alpine.iter().flatten();
    let modules = report.programs.iter().map(|Scanned { image, advisories, .. }| {
        let module = |advisory: &Advisory| vec![format!("pkg:golang/{}@{}", advisory.module, advisory.found)];
        (image, advisories.iter().map(|advisory| (advisory, module(advisory))).collect())
    });
    let mut statements = statements(modules, GO, repository);
    statements.extend(self::statements(
        packages().map(|of| {
            let each = of.vulnerable.iter().flat_map(|vulnerable| {
                vulnerable.advisories.iter().map(|advisory| (advisory, vulnerable.purls.clone()))
            });
            (&of.image, each.collect())
        }),
        ALPINE,
        repository,
    ));
    let images = report.programs.iter().map(|program| &program.image).chain(packages().map(|of| &of.image));
    let mut digests: Vec<&str> = Vec::new();
    for Image { digest, .. } in images {
        if !digests.contains(&digest.as_str()) {
            digests.push(digest);
        }
    }
    let alpine = if report.alpine.is_some() { " and Alpine's security database" } else { "" };
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("urn:containerized-kubelet:vex:{}", digests.join("+")),
        "author": "containerized-kubelet",
        "timestamp": at.to_string(),
        "version": 1,
        "tooling": format!("cargo xtask advisories, by govulncheck{alpine}"),
        "statements": statements,
    })
}

/// A statement for each vulnerability, of images' advisories, each with the package URLs of what has it.
fn statements<'a>(
    all: impl Iterator<Item = (&'a Image, Vec<(&'a Advisory, Vec<String>)>)>,
    more: &str,
    repository: Option<&str>,
) -> Vec<Value> {
    let mut statements: BTreeMap<&str, Statement<'_>> = BTreeMap::new();
    for (Image { title, digest, .. }, advisories) in all {
        let name = repository.and_then(|name| name.rsplit('/').next()).unwrap_or(title);
        let product =
            attest::purl("oci", name, digest, &[("repository_url", repository.unwrap_or_default())]);
        for (advisory, purls) in advisories {
            let Statement { products, .. } = statements
                .entry(&advisory.id)
                .or_insert_with(|| Statement { advisory, products: BTreeMap::new() });
            let parts = products.entry(product.clone()).or_default();
            for part in purls.into_iter().map(|purl| json!({"@id": purl})) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
    }
    let statement = |(id, Statement { advisory, products }): (&str, Statement<'_>)| {
        let products: Vec<Value> = products.into_iter().map(|(id, parts)| product(&id, &parts)).collect();
        let mut vulnerability = json!({
            "@id": format!("{more}{id}"), "name": id, "description": advisory.summary, "aliases": advisory.aliases,
        });
        if let Some(fields) = vulnerability.as_object_mut().filter(|_| advisory.summary.is_empty()) {
            fields.remove("description");
        }
        json!({"vulnerability": vulnerability, "products": products, "status": "under_investigation"})
    };
    statements.into_iter().map(statement).collect()
}

fn product(purl: &str, parts: &[Value]) -> Value {
    json!({"@id": purl, "identifiers": {"purl": purl}, "subcomponents": parts})
}

/// What is written over `old`, if that is an earlier version of the document: the same where nothing changed, else of the
/// next version. Source: `version`, `timestamp` and `last_updated` in `OpenVEX`.
fn after(new: Value, old: Option<Value>, at: Timestamp) -> Value {
    const OF_VERSION: [&str; 3] = ["version", "timestamp", "last_updated"];
    let Some(old) = old.filter(|old| old["@id"] == new["@id"]) else { return new };
    let said = |document: &Value| {
        let mut said = document.clone();
        if let Some(fields) = said.as_object_mut() {
            fields.retain(|name, _| !OF_VERSION.contains(&name.as_str()));
        }
        said
    };
    if said(&old) == said(&new) {
        return old;
    }
    let mut new = new;
    new["version"] = (old["version"].as_u64().unwrap_or(1) + 1).into();
    new["timestamp"] = old["timestamp"].clone();
    new["last_updated"] = at.to_string().into();
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(ids: &[&str]) -> Report {
        let advisory = |id: &&str| Advisory {
            id: (*id).to_owned(),
            module: "a.b/C".into(),
            found: "v1.0.0+incompatible".into(),
            ..Advisory::default()
        };
        let image = Image {
            layout: "kubelet-v1_26_0-amd64".into(),
            title: "kubelet".into(),
            digest: format!("sha256:{}", "0".repeat(64)),
        };
        let program = "usr/bin/kubelet".into();
        let programs = vec![Scanned { image, program, advisories: ids.iter().map(advisory).collect() }];
        Report { programs, alpine: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn products_have_the_names_that_scanners_give_them() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (repository, expected) in [
            (None, format!("pkg:oci/kubelet@{digest}")),
            (
                Some("registry.example.org:5000/team/Node"),
                format!("pkg:oci/node@{digest}?repository_url=registry.example.org:5000%2Fteam%2FNode"),
            ),
        ] {
            let product =
                document(&scanned(&["GO-1"]), repository, at(0))["statements"][0]["products"][0].clone();
            assert_eq!(
                (&product["@id"], &product["identifiers"]["purl"]),
                (&json!(expected), &json!(expected))
            );
        }
    }

    #[test]
    fn the_version_rises_when_the_document_changes_and_only_then() {
        let make = |ids: &[&str], second| document(&scanned(ids), None, at(second));
        let first = after(make(&["GO-1"], 1), None, at(1));
        assert_eq!(first["version"], 1);
        assert_eq!(after(make(&["GO-1"], 2), Some(first.clone()), at(2)), first, "nothing changed");
        let second = after(make(&["GO-1", "GO-2"], 3), Some(first.clone()), at(3));
        assert_eq!((&second["version"], &second["timestamp"]), (&json!(2), &first["timestamp"]));
        assert_eq!(second["last_updated"], at(3).to_string());
        assert_eq!(after(make(&["GO-1"], 4), Some(second), at(4))["version"], 3);
        // Of other images: another document.
        let other = json!({"@id": "urn:x", "version": 7});
        assert_eq!(after(make(&["GO-1"], 5), Some(other), at(5))["version"], 1);
    }
}
