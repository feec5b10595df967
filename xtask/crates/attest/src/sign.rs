//! Signatures by key, in the form that cosign makes and verifies.
//!
//! Source: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>: ECDSA on P-256 with SHA-256 over a
//! "simple signing" payload, which names the digest of a manifest. The nonce is RFC 6979's, so a signature is a function
//! of key and payload.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fault::{Fault, Kind};
use oci::layout::{Document, Layout};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use serde_json::{Value, json};

/// Where cosign keeps a signature.
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// What a payload says it is.
const TYPE: &str = "cosign container image signature";

/// A private key.
pub struct Private(SigningKey);

impl Private {
    /// Reads a PKCS #8 key in PEM, as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for another kind of key; its content is never shown.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let refuse = |why: &str| Fault::new(Kind::InvalidData, format!("{} {why}", path.display()));
        if text.contains("ENCRYPTED") {
            return Err(refuse("is an encrypted key")
                .help("give a key in PKCS #8 that is not encrypted, from where only the signer can read")
                .into());
        }
        SigningKey::from_pkcs8_pem(&text).map(Self).map_err(|_| {
            refuse("is not a private key in PKCS #8 PEM for ECDSA on P-256")
                .help("`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out cosign.key` makes one")
                .into()
        })
    }

    /// Signs a manifest by its digest; `reference` is what the image is called.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn sign(&self, reference: &str, digest: &str) -> Result<Document> {
        let payload = oci::json::canonical(&json!({
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": TYPE,
            },
            "optional": null,
        }))?;
        let signature: Signature = self.0.sign(&payload);
        Ok(Document::Signature { signature: STANDARD.encode(signature.to_der()), payload })
    }
}

/// A public key.
pub struct Public(VerifyingKey);

impl Public {
    /// Reads a public key in PEM, as `openssl pkey -pubout` and `cosign public-key` write it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for another kind of key.
    pub fn read(path: &Path) -> Result<Self> {
        VerifyingKey::from_public_key_pem(&read(path)?).map(Self).map_err(|_| {
            Fault::new(
                Kind::InvalidData,
                format!("{} is not a public key in PEM for ECDSA on P-256", path.display()),
            )
            .help("`openssl pkey -in cosign.key -pubout -out cosign.pub` makes one of a private key")
            .into()
        })
    }

    /// Demands that one of a layout's signatures is of this manifest and by this key. As cosign does, it looks under the
    /// tag of that manifest's signatures alone.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if none is.
    pub fn verify(&self, layout: &Layout, digest: &str) -> Result<()> {
        let mut why = "there is none".to_owned();
        for signature in layout.attachments.iter().filter(|attachment| attachment.signs(digest)) {
            for layer in signature.manifest.layers() {
                let payload = layout.bytes(layer)?;
                let signed: Value = serde_json::from_slice(&payload).unwrap_or_default();
                if signed["critical"]["image"]["docker-manifest-digest"] != digest {
                    continue;
                }
                let text = layer.annotations().as_ref().and_then(|all| all.get(ANNOTATION));
                let der = text.and_then(|text| STANDARD.decode(text).ok());
                let valid = der
                    .and_then(|der| Signature::from_der(&der).ok())
                    .is_some_and(|signature| self.0.verify(&payload, &signature).is_ok());
                if valid && signed["critical"]["type"] == TYPE {
                    return Ok(());
                }
                "the one there is not by this key, or damaged".clone_into(&mut why);
            }
        }
        Err(Fault::new(Kind::Mismatch, format!("no valid signature of {digest}: {why}")).into())
    }
}

/// No key is longer, in bytes.
const LONGEST_KEY: u64 = 64 << 10;

fn read(path: &Path) -> Result<String> {
    files::read_text(path, LONGEST_KEY).context("the key cannot be read")
}
