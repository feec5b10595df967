//! What is attached to images: documents that refer to them, and their signatures.
//!
//! It is distinguished from an image by where it lies first, and by what it is second. In an index below `index.json`, and in
//! `index.json` under a name of its own, everything is an image, whatever it says of itself: tools that are given the name
//! would copy and run it. What is left is an attachment only if nothing could be run of it.

use anyhow::Result;
use oci_spec::image::{Descriptor, ImageManifest, MediaType};

use super::open::typed;
use super::{CONTAINERD_NAME, REF_NAME};
use crate::digest::Digest;
use crate::read::Encoding;

/// A manifest that says something about another one: an SBOM, provenance, a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What the index says of it.
    pub descriptor: Descriptor,
    /// Its manifest, verified.
    pub manifest: ImageManifest,
}

/// The media type of what cosign signs; only its signatures have layers of it.
/// Source: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The content of the config of what has none. Source: OCI image-spec, manifest.md, "Guidance for an Empty Descriptor".
pub(super) const EMPTY: &[u8] = b"{}";

impl Attachment {
    /// Is it where cosign looks for the signatures of this manifest?
    pub fn signs(&self, digest: &str) -> bool {
        name(&self.descriptor).is_some_and(|name| name == signature_tag(digest))
    }
}

/// cosign's tag for the signatures of a manifest.
/// Source: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>
pub fn signature_tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}

/// Is this such a tag?
pub fn is_signature_tag(tag: &str) -> bool {
    let hex = tag.strip_prefix("sha256-").and_then(|rest| rest.strip_suffix(".sig"));
    hex.is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
}

/// Are these the bytes of a manifest of signatures, and of nothing else?
pub fn is_signature(bytes: &[u8]) -> bool {
    manifest(bytes).is_ok_and(|manifest| has_signatures(&manifest))
}

/// Are these the bytes of a document's manifest that refers to another one, and of nothing that could be run?
pub fn is_referrer(bytes: &[u8], subject: Digest) -> bool {
    manifest(bytes).is_ok_and(|manifest| {
        let named =
            manifest.subject().as_ref().is_some_and(|it| it.digest().to_string() == subject.to_string());
        named && is_document(&manifest)
    })
}

fn manifest(bytes: &[u8]) -> Result<ImageManifest> {
    typed("manifest", bytes, &MediaType::ImageManifest, &MediaType::ImageManifest)
}

fn has_signatures(manifest: &ImageManifest) -> bool {
    let layers = manifest.layers();
    !layers.is_empty() && layers.iter().all(|layer| layer.media_type().to_string() == SIMPLE_SIGNING)
}

/// Its config is empty, so no layer of it has a place in an image.
fn is_document(manifest: &ImageManifest) -> bool {
    manifest.subject().is_some()
        && manifest.config().digest().to_string() == Digest::of(EMPTY).to_string()
        && manifest.layers().iter().all(|layer| Encoding::of(layer.media_type().as_ref()).is_err())
}

/// Is this place in `index.json` one where an attachment may be? It has no name that an image could be asked for by.
pub(super) fn may_be(descriptor: &Descriptor) -> bool {
    let free = name(descriptor).is_none_or(is_signature_tag);
    let told = descriptor.annotations().as_ref().is_some_and(|all| all.contains_key(CONTAINERD_NAME));
    *descriptor.media_type() == MediaType::ImageManifest && free && !told && descriptor.platform().is_none()
}

/// Is what lies in such a place an attachment?
pub(super) fn is(descriptor: &Descriptor, manifest: &ImageManifest) -> bool {
    match name(descriptor) {
        Some(_) => has_signatures(manifest),
        None => is_document(manifest),
    }
}

fn name(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations().as_ref().and_then(|all| all.get(REF_NAME)).map(String::as_str)
}

/// Does an index say that this is an attestation for another of its images? Source: `BuildKit`,
/// docs/attestations/attestation-storage.md.
pub(super) fn is_buildx(descriptor: &Descriptor) -> bool {
    let kind = descriptor.annotations().as_ref().and_then(|all| all.get("vnd.docker.reference.type"));
    let platform = descriptor.platform().as_ref();
    let unknown = platform
        .is_some_and(|it| it.os().to_string() == "unknown" && it.architecture().to_string() == "unknown");
    unknown && kind.is_some_and(|kind| kind == "attestation-manifest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_a_tag_of_its_own() {
        let digest = Digest::of(b"");
        assert!(is_signature_tag(&signature_tag(&digest.to_string())));
        for tag in ["v1.sig", &format!("sha256-{}", digest.hex()), "sha256-0.sig", ".sig"] {
            assert!(!is_signature_tag(tag), "{tag}");
        }
    }
}
