//! Adds manifests that say something about an image to its layout.

use std::collections::BTreeMap;

use anyhow::Result;
use oci_spec::image::Descriptor;
use serde_json::{Value, json};

use super::attachment::{EMPTY, SIMPLE_SIGNING, signature_tag};
use super::{Layout, REF_NAME, blobs};
use crate::digest::Digest;
use crate::json;

/// The media type of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an empty config.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// Something to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A document of this type, as a referrer: its manifest names its subject.
    Referrer {
        /// The media type, which is the artifact's type too.
        media_type: String,
        /// The document.
        bytes: Vec<u8>,
        /// Annotations of the manifest and its descriptor.
        annotations: BTreeMap<String, String>,
    },
    /// A signature as cosign looks for it: by a tag made of the digest of what is signed.
    Signature {
        /// What is signed, which names the subject.
        payload: Vec<u8>,
        /// The signature of it, base64.
        signature: String,
    },
}

impl Document {
    /// The digest of the manifest that it will have.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn descriptor(&self, subject: &Descriptor) -> Result<Descriptor> {
        Ok(serde_json::from_value(self.parts(subject)?.descriptor)?)
    }

    fn parts(&self, subject: &Descriptor) -> Result<Parts> {
        match self {
            Document::Referrer { media_type, bytes, annotations } => {
                let subject = json!({
                    "mediaType": subject.media_type().to_string(),
                    "digest": subject.digest().to_string(),
                    "size": subject.size(),
                });
                let manifest = json::canonical(&json!({
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "artifactType": media_type,
                    "config": blob(EMPTY_TYPE, EMPTY),
                    "layers": [blob(media_type, bytes)],
                    "subject": subject,
                    "annotations": annotations,
                }))?;
                let mut descriptor = blob(MANIFEST, &manifest);
                descriptor["artifactType"] = json!(media_type);
                descriptor["annotations"] = json!(annotations);
                Ok(Parts { descriptor, blobs: vec![EMPTY.to_vec(), bytes.clone(), manifest] })
            }
            Document::Signature { payload, signature } => {
                let config = json::canonical(&json!({
                    "architecture": "",
                    "os": "",
                    "config": {},
                    "rootfs": {"type": "layers", "diff_ids": [Digest::of(payload)]},
                }))?;
                let mut layer = blob(SIMPLE_SIGNING, payload);
                layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
                let manifest = json::canonical(&json!({
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": blob("application/vnd.oci.image.config.v1+json", &config),
                    "layers": [layer],
                }))?;
                let mut descriptor = blob(MANIFEST, &manifest);
                descriptor["annotations"] = json!({REF_NAME: signature_tag(subject.digest().as_ref())});
                Ok(Parts { descriptor, blobs: vec![config, payload.clone(), manifest] })
            }
        }
    }
}

struct Parts {
    descriptor: Value,
    blobs: Vec<Vec<u8>>,
}

fn blob(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// Attaches documents, each to its subject, and takes away what was attached before. The index is replaced last and in
/// one step: at any moment the layout is whole. The same layout and documents give the same bytes.
///
/// # Errors
/// What the file system gives.
pub fn attach(layout: &Layout, documents: &[(Descriptor, Document)]) -> Result<()> {
    let dir = layout.dir();
    let mut manifests =
        layout.roots.iter().map(serde_json::to_value).collect::<Result<Vec<_>, serde_json::Error>>()?;
    for (subject, document) in documents {
        let parts = document.parts(subject)?;
        for bytes in &parts.blobs {
            files::write(&blobs::path(dir, &Digest::of(bytes)), bytes)?;
        }
        manifests.push(parts.descriptor);
    }
    let mut index = serde_json::to_value(&layout.index)?;
    index["manifests"] = Value::Array(manifests);
    files::write(&dir.join("index.json"), &json::canonical(&index)?)
}
