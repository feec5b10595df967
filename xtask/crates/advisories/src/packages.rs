//! Known vulnerabilities of the Alpine packages in an image, by Alpine's security database.

use std::collections::BTreeMap;

use alpine::secdb::{Branch, Database, Finding, Known};
use anyhow::{Context, Result};
use apk::record::Record;
use attest::contents::Contents;
use oci::layout::{Layout, LayoutImage};
use serde::Serialize;

use crate::{Advisory, Image};

/// An image's Alpine packages, and what is known of them.
#[derive(Debug, Serialize)]
pub struct Packages {
    /// The image.
    #[serde(flatten)]
    pub image: Image,
    /// What the image says it is of; none if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    /// How many packages there are.
    #[serde(rename = "packages")]
    count: usize,
    /// Those with vulnerabilities, by the package they were built from.
    pub vulnerable: Vec<Vulnerable>,
    /// Packages that the database does not name on this branch, `NAME-VERSION`: nothing is known of them.
    unknown: Vec<String>,
}

/// Packages of one origin and version.
#[derive(Debug, Serialize)]
pub struct Vulnerable {
    /// Names of the packages.
    packages: Vec<String>,
    /// Their package URLs.
    #[serde(skip)]
    pub purls: Vec<String>,
    /// The vulnerabilities.
    pub advisories: Vec<Advisory>,
}

/// Compares the packages of an image with the database.
///
/// # Errors
/// As [`Contents::read`].
pub(super) fn scan(
    database: &Database,
    layout: &Layout,
    image: &LayoutImage,
    name: Image,
) -> Result<Packages> {
    let contents = Contents::read(layout, image)?;
    let branch = contents.os_version.as_deref().and_then(Branch::of_release);
    let mut packages = Packages {
        image: name,
        branch: branch.map(|branch| branch.to_string()),
        count: contents.packages.len(),
        vulnerable: Vec::new(),
        unknown: Vec::new(),
    };
    let mut origins: BTreeMap<(&str, &str), Vec<&Record>> = BTreeMap::new();
    for record in &contents.packages {
        let origin = record.origin.as_deref().unwrap_or(&record.name);
        origins.entry((origin, record.version.as_str())).or_default().push(record);
    }
    for ((origin, version), records) in origins {
        let first = records.first().context("packages without a package")?;
        let known = branch.map(|branch| database.look_up(branch, origin, &first.version)).unwrap_or_default();
        let Known { named, findings } = known;
        if !named {
            packages.unknown.extend(records.iter().map(|record| record.id()));
        }
        if findings.is_empty() {
            continue;
        }
        let advisory = |finding| advisory(finding, origin, version, branch);
        packages.vulnerable.push(Vulnerable {
            packages: records.iter().map(|record| record.name.clone()).collect(),
            purls: records.iter().map(|record| contents.purl(record)).collect(),
            advisories: findings.into_iter().map(advisory).collect(),
        });
    }
    packages.unknown.sort();
    Ok(packages)
}

fn advisory(finding: Finding, origin: &str, found: &str, own: Option<Branch>) -> Advisory {
    let Finding { vulnerability, branch, fixed } = finding;
    let mut said = Vec::new();
    if own != Some(branch) {
        said.push(format!("repaired in {branch}, maybe of newer versions only"));
    }
    if let Err(text) = &fixed {
        said.push(format!("repaired in `{text}`, which cannot be compared"));
    }
    said.extend(Some(vulnerability.note).filter(|note| !note.is_empty()));
    Advisory {
        id: vulnerability.id,
        aliases: vulnerability.aliases,
        summary: said.join("; "),
        module: origin.to_owned(),
        found: found.to_owned(),
        fixed: fixed.ok(),
    }
}

/// For people, a line each.
pub(super) fn render_text(all: &[Packages]) -> Vec<String> {
    let mut lines = Vec::new();
    for Packages { image, branch, count: packages, vulnerable, unknown } in all {
        let image = &image.layout;
        if *packages == 0 {
            lines.push(format!("{image}: there is no Alpine package in it"));
            continue;
        }
        let count: usize = vulnerable.iter().map(|of| of.advisories.len()).sum();
        let branch = branch.as_deref().unwrap_or("an unknown branch");
        lines.push(format!("{image}: {packages} packages of Alpine {branch}: {count} known vulnerabilities"));
        for Vulnerable { packages, advisories, .. } in vulnerable {
            let itself = advisories.iter().all(|advisory| *packages == [advisory.module.as_str()]);
            let built = if itself { String::new() } else { format!(" [{}]", packages.join(", ")) };
            lines.extend(crate::by_module(advisories, &built));
        }
        if !unknown.is_empty() {
            lines.push(format!(
                "  nothing is known, good or bad, of {} packages, which the database does not name: {}",
                unknown.len(),
                unknown.join(" ")
            ));
        }
    }
    lines
}
