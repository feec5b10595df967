//! Layouts as somebody would make them who wants an image that nobody signed to be taken for one that was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::made::Layer;
use crate::{cmd, image, key_pair, made, scratch, xtask};

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The annotation that names an entry of `index.json`.
pub const NAME: &str = "org.opencontainers.image.ref.name";

/// A layout that is being made.
#[derive(Debug)]
pub struct Forged {
    /// Where it lies.
    pub dir: PathBuf,
    key: PathBuf,
    /// The public key of who signs.
    pub public: PathBuf,
}

impl Forged {
    /// An empty one below a directory, and a key.
    pub fn new(dir: &Path) -> Result<Self> {
        let layout = dir.join("layout");
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let [key, public] = key_pair::make(dir, "owner")?;
        Ok(Self { dir: layout, key, public })
    }

    /// Writes a blob; returns its descriptor.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let file = self.dir.join("new");
        fs::write(&file, bytes)?;
        let digest = format!("sha256:{}", scratch::sha256(&file)?);
        fs::rename(file, image::blob(&self.dir, &digest))?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }

    /// Writes a document; returns its descriptor.
    pub fn document(&self, media_type: &str, value: &Value) -> Result<Value> {
        self.put(media_type, value.to_string().as_bytes())
    }

    /// An image that runs, with what is said of it beside what every manifest has.
    pub fn image(&self, seed: u64, said: &Value) -> Result<Value> {
        self.image_of(&format!("made-{seed}"), &[made::layer(seed, 64)?], said)
    }

    /// One of these layers, by way of a directory of this name.
    pub fn image_of(&self, name: &str, layers: &[Layer], said: &Value) -> Result<Value> {
        let made = made::image(&self.dir.with_file_name(name), "v", layers, 0)?;
        for file in scratch::files(&made.join("blobs")) {
            self.put("", &fs::read(file)?)?;
        }
        let digest = image::digest(&made)?;
        let mut manifest: Value = serde_json::from_slice(&fs::read(image::blob(&made, &digest))?)?;
        for (key, value) in said.as_object().into_iter().flatten() {
            manifest[key] = value.clone();
        }
        self.document(MANIFEST, &manifest)
    }

    /// An index over these, with what is said of it.
    pub fn index(&self, manifests: &[Value], said: &Value) -> Result<Value> {
        let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        for (key, value) in said.as_object().into_iter().flatten() {
            index[key] = value.clone();
        }
        self.document(INDEX, &index)
    }

    /// The owner's signature of what has this digest, as an entry of `index.json` under cosign's tag for `tag`.
    pub fn signature(&self, of: &Value, tag: &Value) -> Result<Value> {
        let payload = json!({"critical": {"identity": {"docker-reference": "x"},
            "image": {"docker-manifest-digest": of["digest"]}, "type": "cosign container image signature"}, "optional": null});
        let file = self.dir.with_file_name("payload");
        fs::write(&file, payload.to_string())?;
        let out = self.dir.with_file_name("signed");
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(&self.key).arg("-out").arg(&out);
        cmd::ok(openssl.arg(&file))?;
        let mut layer = self.put("application/vnd.dev.cosign.simplesigning.v1+json", &fs::read(&file)?)?;
        layer["annotations"] =
            json!({"dev.cosignproject.cosign/signature": STANDARD.encode(fs::read(&out)?)});
        let config = json!({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
        let config = self.document("application/vnd.oci.image.config.v1+json", &config)?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let mut descriptor = self.document(MANIFEST, &manifest)?;
        let digest = tag["digest"].as_str().context("no digest")?;
        descriptor["annotations"] = json!({NAME: format!("{}.sig", digest.replace(':', "-"))});
        Ok(descriptor)
    }

    /// What is in an image, attached to it and signed: two entries of `index.json`.
    pub fn sbom(&self, of: &Value) -> Result<Vec<Value>> {
        self.write(&[named(of, "v1")])?;
        let layout = self.dir.to_str().context("not UTF-8")?;
        let sbom = xtask::Xtask::new()?.ok(&["sbom", layout])?;
        let empty = self.put("application/vnd.oci.empty.v1+json", b"{}")?;
        let sbom = self.put("application/spdx+json", sbom.trim_end().as_bytes())?;
        let mut subject = of.clone();
        subject.as_object_mut().context("no descriptor")?.remove("annotations");
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json",
            "config": empty, "layers": [sbom], "subject": subject});
        let attached = self.document(MANIFEST, &manifest)?;
        Ok(vec![attached.clone(), self.signature(&attached, &attached)?])
    }

    /// Writes `index.json`.
    pub fn write(&self, manifests: &[Value]) -> Result<()> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        Ok(fs::write(self.dir.join("index.json"), index.to_string())?)
    }
}

/// An entry of `index.json` with this name.
pub fn named(descriptor: &Value, name: &str) -> Value {
    let mut entry = descriptor.clone();
    entry["annotations"] = json!({ NAME: name });
    entry
}
