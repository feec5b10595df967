//! A layout: its blobs, then `index.json`, with [`fuzz::SEPARATOR`] between them. In a document, `@0`, `@1` and so on
//! stand for the digest of the blob of that place among those before it, and `%0`, `%1` for its size: without them
//! no input would ever get past the first digest.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use oci::digest::Digest;
use oci::layout::{Limits, open};
use tempfile::TempDir;

/// libFuzzer ends without dropping it: `cargo xtask fuzz` gives a directory for all of these and removes that.
static DIR: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
const BLOBS: usize = 5;

fuzz_target!(|documents: &[u8]| {
    let dir = DIR.path();
    std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut written: Vec<(PathBuf, Digest, usize)> = Vec::new();
    let parts: [&[u8]; BLOBS + 1] = fuzz::parts(documents);
    let count = parts.iter().rposition(|part| !part.is_empty()).unwrap_or(0);
    for (place, part) in parts[..=count].iter().enumerate() {
        let bytes = fill_in(part, &written);
        if place == count {
            std::fs::write(dir.join("index.json"), &bytes).unwrap();
        } else {
            let digest = Digest::of(&bytes);
            let path = dir.join("blobs/sha256").join(digest.hex());
            std::fs::write(&path, &bytes).unwrap();
            written.push((path, digest, bytes.len()));
        }
    }
    let mut limits = Limits { document: 1 << 16, images: 20, ..Limits::default() };
    limits.layer.tar_size = 1 << 20;
    if let Ok(layout) = open(dir, &limits) {
        let _ = layout.verify(&progress::Silent);
        for image in &layout.images {
            let _ = (layout.list(image), layout.sizes(image));
        }
    }
    for (path, ..) in written {
        let _ = std::fs::remove_file(path);
    }
});

/// The document with the digests and sizes of blobs in place of what stands for them; other bytes are left alone.
fn fill_in(document: &[u8], blobs: &[(PathBuf, Digest, usize)]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(document) else { return document.to_vec() };
    let mut text = text.to_owned();
    for (place, (_, digest, size)) in blobs.iter().enumerate() {
        text = text.replace(&format!("@{place}"), &digest.to_string());
        text = text.replace(&format!("%{place}"), &size.to_string());
    }
    text.into_bytes()
}
