//! SBOM and provenance, as anyone attached them to an image.
#![no_main]

use attest::sbom::Sbom;
use attest::{check, provenance};
use libfuzzer_sys::fuzz_target;

/// What the seeds are about.
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(said) = provenance::read(bytes, DIGEST) {
        assert!(said.commit.is_none_or(|commit| commit.len() == 40));
    }
    let bill = Sbom {
        name: "image".to_owned(),
        version: "v1".to_owned(),
        digest: DIGEST.to_owned(),
        created: "2022-12-08T00:00:00Z".to_owned(),
        licence: None,
        purl: String::new(),
        comment: None,
        components: Vec::new(),
    };
    let _ = check::spdx(bytes, &bill);
});
