//! What an image was built from: an in-toto statement with a SLSA provenance predicate.
//!
//! Sources: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>, `digest_set.md` beside it, and
//! <https://slsa.dev/spec/v1.0/provenance>.

use std::collections::BTreeMap;

use alpine::lock::LockedPackage;
use anyhow::{Context, Result};
use apk::digest::Checksum;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fault::{Fault, Kind};
use oci::compress::Compression;
use plan::{Content, From, Made, Plan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toolchain::{Host, Lock};

use crate::purl::purl;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// What the statement is and says.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The predicate's type.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// How it was built: what the parameters mean.
const BUILD_TYPE: &str = "https://containerized-kubelet.io/image/v1";
const BUILDER: &str = concat!("https://containerized-kubelet.io/xtask/", env!("CARGO_PKG_VERSION"));

/// What a user chose: with the source's commit, all that is needed to build the image again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The attribute.
    pub attribute: String,
    /// What was left out.
    pub omit: Vec<String>,
    /// Were its programs compiled as those who release them do?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unedited: bool,
    /// What compressed the layers, with its version.
    pub encoder: String,
}

impl Parameters {
    /// The compression with that encoder.
    ///
    /// # Errors
    /// [`Kind::Tool`] if this version has another encoder.
    pub fn compression(&self) -> Result<Compression> {
        Compression::ALL.into_iter().find(|known| known.encoder() == self.encoder).ok_or_else(|| {
            let message =
                format!("layers are compressed with {:?}, which this checkout does not have", self.encoder);
            Fault::new(Kind::Tool, message).help("check out the commit that provenance names").into()
        })
    }
}

/// All that a statement is made of.
pub struct Inputs<'a> {
    /// The plan that the image is of.
    pub plan: &'a Plan,
    /// What was chosen.
    pub parameters: &'a Parameters,
    /// The locked toolchains, and the machine whose were used.
    pub lock: &'a Lock,
    /// That machine.
    pub host: Host,
    /// Cargo.lock of the entrypoint.
    pub cargo_lock: &'a str,
    /// The git commit of the source, if nothing in it was changed.
    pub commit: Option<&'a str>,
    /// The digest of the image's manifest, `sha256:...`.
    pub digest: &'a str,
}

/// The statement about an image.
///
/// # Errors
/// [`Kind::NotFound`] if the plan has no such image; [`Kind::InvalidData`] for a go.sum with a hash that is none.
pub fn write(inputs: &Inputs<'_>) -> Result<Vec<u8>> {
    let image = inputs.plan.images.get(&inputs.parameters.attribute);
    let image = image.ok_or_else(|| Fault::new(Kind::NotFound, "the plan has no such image"))?;
    let mut materials = Materials::default();
    if let Some(commit) = inputs.commit {
        materials.add("source", json!({"gitCommit": commit}));
    }
    for layer in image.layers.iter().filter_map(|key| inputs.plan.layers.get(key)) {
        if let Some(recipe) = &layer.alpine {
            materials.sha256(&recipe.rootfs().path, &recipe.rootfs().sha256.to_string());
            recipe.packages().iter().try_for_each(|package| materials.package(package))?;
        }
        for entry in &layer.entries {
            match &entry.content {
                Content::File { from: From::Repository { sha256, .. }, .. } => {
                    materials.sha256(&format!("rootfs file /{}", entry.path), &sha256.to_string());
                }
                Content::File { from: From::Component(key), .. } => {
                    let component =
                        inputs.plan.components.get(key).context("the plan has no such component")?;
                    materials.component(component, inputs)?;
                }
                _ => {}
            }
        }
    }
    oci::json::canonical(&json!({
        "_type": STATEMENT,
        "subject": [{"name": image.reference, "digest": {"sha256": inputs.digest.trim_start_matches("sha256:")}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": inputs.parameters,
                "resolvedDependencies": materials.0.into_iter().map(|(name, digest)| {
                    if name.starts_with("pkg:") { json!({"uri": name, "digest": digest}) } else { json!({"name": name, "digest": digest}) }
                }).collect::<Vec<_>>(),
            },
            "runDetails": {"builder": {"id": BUILDER}},
        },
    }))
}

/// What went in, by name.
#[derive(Default)]
struct Materials(BTreeMap<String, Value>);

impl Materials {
    fn add(&mut self, name: &str, digest: Value) {
        self.0.insert(name.to_owned(), digest);
    }

    fn sha256(&mut self, name: &str, hex: &str) {
        self.add(name, json!({"sha256": hex}));
    }

    /// A package of Alpine's: its file, or what Alpine's index pins of it.
    fn package(&mut self, package: &LockedPackage) -> Result<()> {
        if let Some(sha256) = &package.sha256 {
            self.sha256(&package.path, &sha256.to_string());
            return Ok(());
        }
        let (name, digest) = match Checksum::parse(&package.checksum)? {
            Checksum::Sha1(sum) => ("apkControlSha1", hex::encode(sum)),
            Checksum::Sha256(sum) => ("apkControlSha256", hex::encode(sum)),
        };
        self.add(&format!("{} (pinned by Alpine's index)", package.path), json!({name: digest}));
        Ok(())
    }

    fn component(&mut self, component: &plan::Component, inputs: &Inputs<'_>) -> Result<()> {
        let lock = inputs.lock;
        match &component.made {
            Made::Go { recipe, packing } => {
                let digest = |text: &str| store::Digest::of(text).to_string();
                self.sha256(&format!("go.mod of {}", component.name), &digest(&recipe.go_mod));
                self.sha256(&format!("go.sum of {}", component.name), &digest(&recipe.go_sum));
                self.sha256(&format!("recipe of {}", component.name), &component.key()?.digest().to_string());
                self.modules(&recipe.go_sum)?;
                let go = lock.go.hosts.get(inputs.host);
                self.sha256(&purl("golang", &lock.go.module, &go.version, &[]), &go.sha256.to_string());
                self.zig(inputs);
                if packing.upx.is_some() {
                    let upx = lock.upx.hosts.get(inputs.host);
                    self.sha256(&format!("UPX {} {}", lock.upx.version, upx.file), &upx.sha256.to_string());
                }
            }
            Made::Rust { inputs: made } => {
                self.sha256("source of the entrypoint", &made.source);
                for ((name, version), checksum) in crate::crates::checksums(inputs.cargo_lock) {
                    self.sha256(&purl("cargo", name, version, &[]), checksum);
                }
                for (part, hosts) in &lock.rust.components {
                    for (host, sha256) in hosts {
                        let name = format!("Rust {} {part} {host}", lock.rust.version);
                        self.sha256(&name, &sha256.to_string());
                    }
                }
                let zigbuild = lock.cargo_zigbuild.hosts.get(inputs.host);
                let name = purl(
                    "pypi",
                    "cargo-zigbuild",
                    &lock.cargo_zigbuild.version,
                    &[("file_name", &zigbuild.file)],
                );
                self.sha256(&name, &zigbuild.sha256.to_string());
                self.zig(inputs);
            }
            Made::Certificates { sha256 } => {
                let bundle = &lock.ca_certificates;
                let name =
                    purl("pypi", &bundle.project, &bundle.version, &[("file_name", &bundle.wheel.file)]);
                self.sha256(&name, &bundle.wheel.sha256.to_string());
                self.sha256(&bundle.member.file, &sha256.to_string());
            }
        }
        Ok(())
    }

    fn zig(&mut self, inputs: &Inputs<'_>) {
        let zig = inputs.lock.zig.hosts.get(inputs.host);
        let name =
            purl("pypi", &inputs.lock.zig.project, &inputs.lock.zig.version, &[("file_name", &zig.file)]);
        self.sha256(&name, &zig.sha256.to_string());
    }

    /// The modules of a go.sum whose files are hashed; of the others only go.mod is read.
    fn modules(&mut self, go_sum: &str) -> Result<()> {
        for line in go_sum.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [path, version, sum] = *fields else { continue };
            if version.ends_with("/go.mod") {
                continue;
            }
            let hash = sum.strip_prefix("h1:").and_then(|text| STANDARD.decode(text).ok());
            let hash =
                hash.ok_or_else(|| Fault::new(Kind::InvalidData, format!("go.sum: `{sum}` is not a hash")))?;
            self.add(&purl("golang", path, version, &[]), json!({"dirHash": hex::encode(hash)}));
        }
        Ok(())
    }
}

/// What a statement says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What was chosen.
    pub parameters: Parameters,
    /// The commit of the source, if it had one.
    pub commit: Option<String>,
}

/// Reads a statement, which must be about the image with this digest and of our way to build.
///
/// # Errors
/// [`Kind::InvalidData`] for what is not such a statement; [`Kind::Mismatch`] if it is about another image.
pub fn read(bytes: &[u8], digest: &str) -> Result<Said> {
    let damaged =
        |why: String| Fault::new(Kind::InvalidData, format!("the provenance cannot be read: {why}"));
    let value: Value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let build = &value["predicate"]["buildDefinition"];
    for (what, found, expected) in [
        ("_type", &value["_type"], STATEMENT),
        ("predicateType", &value["predicateType"], PREDICATE),
        ("buildType", &build["buildType"], BUILD_TYPE),
    ] {
        if found != expected {
            return Err(damaged(format!("`{what}` is {found}, expected {expected:?}")).into());
        }
    }
    let subjects = value["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    let hex = digest.trim_start_matches("sha256:");
    if !subjects.iter().any(|subject| subject["digest"]["sha256"] == hex) {
        return Err(Fault::new(Kind::Mismatch, format!("the provenance is not about image {digest}")).into());
    }
    let parameters = serde_json::from_value(build["externalParameters"].clone());
    let parameters = parameters.map_err(|error| damaged(format!("externalParameters: {error}")))?;
    let materials = build["resolvedDependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let commit = materials.iter().find_map(|material| material["digest"]["gitCommit"].as_str());
    let commit = commit.filter(|text| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Ok(Said { parameters, commit: commit.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_what_is_pinned_of_it() {
        let mut package = LockedPackage {
            name: "app".into(),
            version: "1.0-r0".into(),
            path: "v3.15/main/x86_64/app-1.0-r0.apk".into(),
            size: 7,
            sha256: Some(store::Digest::of("app")),
            checksum: "Q1pcfTfDNEbNKQc2s1tia7da05M8Q=".into(),
            license: "MIT".into(),
            origin: None,
            record: Vec::new(),
        };
        let of = |package: &LockedPackage| {
            let mut materials = Materials::default();
            materials.package(package).unwrap();
            materials.0.pop_first().unwrap()
        };
        assert_eq!(
            of(&package),
            (package.path.clone(), json!({"sha256": store::Digest::of("app").to_string()}))
        );
        package.sha256 = None;
        assert_eq!(
            of(&package),
            (
                format!("{} (pinned by Alpine's index)", package.path),
                json!({"apkControlSha1": "a5c7d37c33446cd290736b35b626bb75ad3933c4"})
            )
        );
    }

    #[test]
    fn hostile_statements_are_refused_with_a_reason() {
        let good = json!({
            "_type": STATEMENT, "predicateType": PREDICATE,
            "subject": [{"digest": {"sha256": "aa"}}],
            "predicate": {"buildDefinition": {"buildType": BUILD_TYPE,
                "externalParameters": {"attribute": "a", "omit": [], "encoder": "e"}}},
        });
        let read = |value: &Value| super::read(value.to_string().as_bytes(), "sha256:aa");
        let parameters = read(&good).unwrap().parameters;
        assert_eq!((parameters.attribute.as_str(), parameters.unedited), ("a", false));
        assert!(
            !serde_json::to_string(&parameters).unwrap().contains("unedited"),
            "older readers know it not"
        );
        let with = |pointer: &str, new: Value| {
            let mut value = good.clone();
            *value.pointer_mut(pointer).unwrap() = new;
            read(&value).unwrap_err().to_string()
        };
        insta::assert_snapshot!(with("/_type", json!(1)), @r#"the provenance cannot be read: `_type` is 1, expected "https://in-toto.io/Statement/v1""#);
        insta::assert_snapshot!(with("/subject", json!([])), @"the provenance is not about image sha256:aa");
        insta::assert_snapshot!(with("/predicate/buildDefinition/externalParameters", json!({})), @"the provenance cannot be read: externalParameters: missing field `attribute`");
        assert!(super::read(b"\xff", "sha256:aa").is_err());
    }
}
