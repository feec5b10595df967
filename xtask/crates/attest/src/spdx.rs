//! SPDX 2.3 as JSON. Source: <https://spdx.github.io/spdx-spec/v2.3/>.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::licence::Licence;
use crate::sbom::{Component, Kind, Sbom};

/// The media type.
pub const MEDIA_TYPE: &str = "application/spdx+json";
const NONE: &str = "NOASSERTION";
const IMAGE: &str = "SPDXRef-Image";

/// The document.
///
/// # Errors
/// None that can be caused.
pub fn write(bill: &Sbom) -> Result<Vec<u8>> {
    let mut names = BTreeMap::new();
    let mut packages = vec![image(bill, &mut names)];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for (index, component) in bill.components.iter().enumerate() {
        let id = id(index);
        packages.push(package(&id, component, &mut names));
        match component.kind {
            Kind::Tool => relations.push(relation(&id, "BUILD_TOOL_OF", IMAGE)),
            _ => relations.push(relation(IMAGE, "CONTAINS", &id)),
        }
        relations.extend(component.contains.iter().map(|other| relation(&id, "CONTAINS", &self::id(*other))));
    }
    let extracted: Vec<Value> = names
        .into_iter()
        .map(|(id, name)| json!({"licenseId": id, "name": name, "extractedText": name}))
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{} {}", bill.name, bill.version),
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", bill.name, bill.uuid("spdx")),
        "creationInfo": {
            "created": bill.created,
            "creators": [concat!("Tool: containerized-kubelet-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relations,
    });
    if !extracted.is_empty() {
        document["hasExtractedLicensingInfos"] = Value::Array(extracted);
    }
    oci::json::canonical(&document)
}

fn id(index: usize) -> String {
    format!("SPDXRef-{}", index + 1)
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn image(bill: &Sbom, names: &mut BTreeMap<String, String>) -> Value {
    let hex = bill.digest.strip_prefix("sha256:").unwrap_or(&bill.digest);
    let mut image = json!({
        "SPDXID": IMAGE,
        "name": bill.name,
        "versionInfo": bill.version,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": NONE,
        "filesAnalyzed": false,
        "licenseConcluded": NONE,
        "licenseDeclared": licence(bill.licence.as_deref(), names),
        "copyrightText": NONE,
        "checksums": [{"algorithm": "SHA256", "checksumValue": hex}],
        "externalRefs": [purl(&bill.purl)],
    });
    if let Some(comment) = bill.comment {
        image["comment"] = json!(comment);
    }
    image
}

fn package(id: &str, component: &Component, names: &mut BTreeMap<String, String>) -> Value {
    let purpose = match component.kind {
        Kind::Package => "INSTALL",
        Kind::Program | Kind::Tool => "APPLICATION",
        Kind::Library => "LIBRARY",
        Kind::File => "FILE",
    };
    let mut package = json!({
        "SPDXID": id,
        "name": component.name,
        "primaryPackagePurpose": purpose,
        "downloadLocation": NONE,
        "filesAnalyzed": false,
        "licenseConcluded": NONE,
        "licenseDeclared": licence(component.licence.as_deref(), names),
        "copyrightText": NONE,
    });
    if !component.version.is_empty() {
        package["versionInfo"] = json!(component.version);
    }
    if let Some(sha256) = &component.sha256 {
        package["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sha256}]);
    }
    if let Some(url) = &component.purl {
        package["externalRefs"] = json!([purl(url)]);
    }
    if let Some(comment) = &component.comment {
        package["comment"] = json!(comment);
    }
    package
}

fn purl(url: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url})
}

/// An expression; what is none becomes a licence of the document's own.
fn licence(text: Option<&str>, names: &mut BTreeMap<String, String>) -> String {
    match Licence::of(text) {
        Licence::Unknown => NONE.to_owned(),
        Licence::Expression(text) => text,
        Licence::Name(name) => {
            let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
            let short = store::Digest::of(&name).to_string();
            let word: String = name.chars().take(40).map(plain).collect();
            let id = format!("LicenseRef-{word}-{}", &short[..8]);
            names.insert(id.clone(), name);
            id
        }
    }
}
