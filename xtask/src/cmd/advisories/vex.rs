//! `OpenVEX` 0.2.0 (<https://github.com/openvex/spec>): what is known of vulnerabilities in images, for scanners.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Scanned;

/// What is said of a vulnerability.
struct Statement<'a> {
    aliases: &'a [String],
    summary: &'a str,
    /// By image, the modules in it.
    products: BTreeMap<String, Vec<Value>>,
}

/// A document of one statement a vulnerability. That a module has a vulnerable version does not say that its code is
/// reached, so the status is `under_investigation`: whoever knows more says so in a document of his own.
pub(super) fn document(programs: &[Scanned], at: Timestamp) -> Value {
    let mut statements: BTreeMap<&str, Statement<'_>> = BTreeMap::new();
    for Scanned { image, digest, advisories, .. } in programs {
        for advisory in advisories {
            let Statement { products, .. } = statements.entry(&advisory.id).or_insert_with(|| Statement {
                aliases: &advisory.aliases,
                summary: &advisory.summary,
                products: BTreeMap::new(),
            });
            let part = json!({"@id": format!("pkg:golang/{}@{}", advisory.module, advisory.found)});
            let parts =
                products.entry(format!("pkg:oci/{image}@{}", digest.replace(':', "%3A"))).or_default();
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    let statements: Vec<Value> = statements
        .into_iter()
        .map(|(id, Statement { aliases, summary, products })| {
            let products: Vec<Value> =
                products.into_iter().map(|(id, parts)| json!({"@id": id, "subcomponents": parts})).collect();
            let vulnerability = json!({
                "@id": format!("https://pkg.go.dev/vuln/{id}"), "name": id, "description": summary, "aliases": aliases,
            });
            json!({"vulnerability": vulnerability, "products": products, "status": "under_investigation"})
        })
        .collect();
    let mut digests: Vec<&str> = programs.iter().map(|program| program.digest.as_str()).collect();
    digests.dedup();
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("urn:containerized-kubelet:vex:{}", digests.join("+")),
        "author": "containerized-kubelet",
        "timestamp": at.to_string(),
        "version": 1,
        "tooling": "cargo xtask advisories, by govulncheck",
        "statements": statements,
    })
}
