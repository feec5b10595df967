//! Does an SBOM list what is in the image?

use std::collections::BTreeSet;

use anyhow::Result;
use fault::{Fault, Kind};
use serde_json::Value;

use crate::sbom::Sbom;

/// Name and version of a package, and the digest of its file, if it is one.
type Line = (String, String, String);

/// Compares an SPDX document with what was read from the image: every package, Go module and program must be in it, and
/// no package or module that is not in the image.
///
/// # Errors
/// [`Kind::Mismatch`] with the first difference; [`Kind::InvalidData`] for what is not an SPDX document.
pub fn spdx(document: &[u8], found: &Sbom) -> Result<()> {
    let value: Value = serde_json::from_slice(document).map_err(|error| damaged(&error.to_string()))?;
    if value["spdxVersion"] != "SPDX-2.3" {
        return Err(damaged("it is not SPDX 2.3"));
    }
    let packages = value["packages"].as_array().ok_or_else(|| damaged("it lists no packages"))?;
    let listed: BTreeSet<Line> = packages.iter().map(line).collect();
    let hex = found.digest.strip_prefix("sha256:").unwrap_or_default();
    let about = packages
        .iter()
        .find(|package| line(package).2 == hex)
        .ok_or_else(|| Fault::new(Kind::Mismatch, format!("the SBOM is not about image {}", found.digest)))?;
    if about["comment"].as_str() != found.comment {
        let say = |comment: Option<&str>| comment.unwrap_or("nothing").escape_debug().to_string();
        let what = format!("what the SBOM says of image {}", found.digest);
        return Err(Fault::mismatch(what, say(found.comment), say(about["comment"].as_str())).into());
    }
    let present: BTreeSet<Line> = found
        .components
        .iter()
        .map(|part| (part.name.clone(), part.version.clone(), part.sha256.clone().unwrap_or_default()))
        .collect();
    if let Some(missing) = present.difference(&listed).next() {
        return Err(different("is in the image, but not in its SBOM", missing));
    }
    // Crates and certificates are known from the build and not from the image.
    let from_image = |package: &&Value| {
        let purl = package["externalRefs"][0]["referenceLocator"].as_str().unwrap_or_default();
        ["pkg:apk/", "pkg:golang/"].iter().any(|kind| purl.starts_with(kind))
    };
    match packages.iter().filter(from_image).map(line).find(|line| !present.contains(line)) {
        Some(line) => Err(different("is in the SBOM, but not in the image", &line)),
        None => Ok(()),
    }
}

fn line(package: &Value) -> Line {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&package["name"]), text(&package["versionInfo"]), text(&package["checksums"][0]["checksumValue"]))
}

fn different(how: &str, (name, version, sha256): &Line) -> anyhow::Error {
    let parts = [name, version, sha256].map(|part| part.escape_debug().to_string());
    Fault::new(Kind::Mismatch, format!("`{}` {how}", parts.join(" ").trim_end())).into()
}

fn damaged(why: &str) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("the SBOM cannot be read: {why}")).into()
}
