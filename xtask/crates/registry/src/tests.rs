//! Against registries that keep to the API, and such that do not.

mod faults;
mod headers;
mod hostile;
mod protocol;
mod rows;
mod script;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::digest::Digest;
use progress::Silent;
use serde_json::{Value, json};

use crate::{Options, Reference};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn options() -> Options<'static> {
    Options {
        plain_http: false,
        ca: None,
        parallel: 1,
        retries: 2,
        timeout: Duration::from_mins(1),
        pause: Duration::from_millis(2),
        auth_file: None,
        mount_from: Vec::new(),
        progress: &Silent,
    }
}

fn reference(address: &str) -> Reference {
    format!("{address}/kubelet:v1").parse().unwrap()
}

fn put(layout: &Path, kind: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    json!({"digest": digest.to_string(), "size": bytes.len(), "mediaType": kind})
}

/// A layout: an index `v1` over an image with this layer, three referrers of the image, and signatures of the index,
/// the image and a referrer.
fn layout(dir: &Path, layer: &[u8]) -> PathBuf {
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    let put = |kind: &str, bytes: &[u8]| put(dir, kind, bytes);
    let layers = [put("application/vnd.oci.image.layer.v1.tar", layer)];
    let config = put("application/vnd.oci.image.config.v1+json", b"{}");
    let manifest = |rest: Value| -> Value {
        let mut value = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config});
        value.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        put(MANIFEST, value.to_string().as_bytes())
    };
    let image = manifest(json!({"layers": layers}));
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [image]});
    let mut root = put(kind, index.to_string().as_bytes());
    let mut all = vec![root.clone()];
    for number in 0..3 {
        let sbom = put("application/spdx+json", format!("sbom {number}").as_bytes());
        all.push(manifest(
            json!({"layers": [sbom], "artifactType": "application/spdx+json", "subject": image}),
        ));
    }
    for signed in [root.clone(), image, all[1].clone()] {
        let payload = put("application/vnd.dev.cosign.simplesigning.v1+json", signed.to_string().as_bytes());
        let mut signature = manifest(json!({"layers": [payload]}));
        let tag = format!("{}.sig", signed["digest"].as_str().unwrap().replace(':', "-"));
        signature["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        all.push(signature);
    }
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    all[0] = root;
    fs::write(dir.join("index.json"), json!({"schemaVersion": 2, "manifests": all}).to_string()).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    dir.to_owned()
}

/// Name and bytes of all blobs.
fn blobs(layout: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let name = |file: &Path| file.file_name().unwrap().to_string_lossy().into_owned();
    let mut all: Vec<_> = files.map(|file| (name(&file), fs::read(&file).unwrap())).collect();
    all.sort();
    all
}
