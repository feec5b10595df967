//! `CycloneDX` 1.5 as JSON. Source: <https://cyclonedx.org/docs/1.5/json/>.

use anyhow::Result;
use serde_json::{Value, json};

use crate::licence::Licence;
use crate::sbom::{Component, Kind, Sbom};
use catalog::label;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";
const IMAGE: &str = "image";

/// The document.
///
/// # Errors
/// None that can be caused.
pub fn write(bill: &Sbom) -> Result<Vec<u8>> {
    let parts = || bill.components.iter().enumerate().filter(|(_, part)| part.kind != Kind::Tool);
    let own =
        json!({"type": "application", "name": "containerized-kubelet", "version": env!("CARGO_PKG_VERSION")});
    let tools = bill.components.iter().filter(|part| part.kind == Kind::Tool);
    let tools = tools.map(|tool| json!({"type": "application", "name": tool.name, "version": tool.version}));
    let tools: Vec<Value> = std::iter::once(own).chain(tools).collect();
    let mut dependencies = vec![
        json!({"ref": IMAGE, "dependsOn": parts().map(|(index, _)| reference(index)).collect::<Vec<_>>()}),
    ];
    dependencies.extend(parts().map(|(index, part)| {
        let below: Vec<String> = part.contains.iter().map(|other| reference(*other)).collect();
        json!({"ref": reference(index), "dependsOn": below})
    }));
    let hex = bill.digest.strip_prefix("sha256:").unwrap_or(&bill.digest);
    let mut image = json!({
        "type": "container",
        "bom-ref": IMAGE,
        "name": bill.name,
        "version": bill.version,
        "hashes": [{"alg": "SHA-256", "content": hex}],
        "purl": bill.purl,
    });
    licence(&mut image, bill.licence.as_deref());
    if let Some(comment) = bill.comment {
        image["properties"] = properties(comment);
    }
    let components: Vec<Value> = parts().map(|(index, part)| component(index, part)).collect();
    oci::json::canonical(&json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{}", bill.uuid("cyclonedx")),
        "version": 1,
        "metadata": {"timestamp": bill.created, "tools": {"components": tools}, "component": image},
        "components": components,
        "dependencies": dependencies,
    }))
}

fn reference(index: usize) -> String {
    format!("component-{}", index + 1)
}

fn component(index: usize, part: &Component) -> Value {
    let kind = match part.kind {
        Kind::Program | Kind::Tool => "application",
        Kind::Package | Kind::Library => "library",
        Kind::File => "file",
    };
    let mut out = json!({"type": kind, "bom-ref": reference(index), "name": part.name});
    if !part.version.is_empty() {
        out["version"] = json!(part.version);
    }
    if let Some(sha256) = &part.sha256 {
        out["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    if let Some(purl) = &part.purl {
        out["purl"] = json!(purl);
    }
    if let Some(comment) = &part.comment {
        out["properties"] = properties(comment);
    }
    licence(&mut out, part.licence.as_deref());
    out
}

fn properties(comment: &str) -> Value {
    json!([{"name": format!("{}comment", label::OWN), "value": comment}])
}

fn licence(component: &mut Value, text: Option<&str>) {
    match Licence::of(text) {
        Licence::Unknown => {}
        Licence::Expression(text) => component["licenses"] = json!([{"expression": text}]),
        Licence::Name(name) => component["licenses"] = json!([{"license": {"name": name}}]),
    }
}
