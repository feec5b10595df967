//! Evidence of images, made and attached to a layout: SBOMs, provenance, signatures.

use std::collections::BTreeMap;

use anyhow::Result;
use attest::sbom::Sbom;
use attest::sign::Private;
use attest::{cyclonedx, provenance, spdx};
use oci::layout::{Document, Layout};
use toolchain::Host;

use crate::{Checkout, Session, rebuild};

/// Who signs.
pub struct Signer<'k> {
    /// The key.
    pub key: &'k Private,
    /// What signatures call the images: a repository.
    pub repository: String,
}

/// Attaches SBOMs, provenance and, if somebody signs, signatures to what a layout has; returns how many documents.
///
/// # Errors
/// `Mismatch` if an image is not what this checkout builds, `Unknown` if it is none of its catalog's.
pub fn attach(
    session: &Session<'_>,
    layout: &Layout,
    signer: Option<&Signer<'_>>,
    commit: Option<&str>,
) -> Result<usize> {
    let cargo_lock = session.sources.entrypoint().join("Cargo.lock");
    let cargo_lock = files::read_text(&cargo_lock, files::DOCUMENT)?;
    let mut documents = Vec::new();
    let mut signed = Vec::new();
    for image in &layout.images {
        let parameters = rebuild::parameters(session, image)?;
        // Nothing is attested but what this checkout builds.
        let again = rebuild::rebuild(session, &parameters)?;
        again.same_as(layout, image)?;
        let digest = image.descriptor.digest().to_string();
        let bill = Sbom::of(layout, image, Some(&rebuild::build(session, &parameters, image)?))?;
        let inputs = provenance::Inputs {
            plan: &again.plan,
            parameters: &parameters,
            lock: &session.sources.lock,
            host: Host::current()?,
            cargo_lock: &cargo_lock,
            commit,
            digest: &digest,
        };
        for (media_type, bytes) in [
            (spdx::MEDIA_TYPE, spdx::write(&bill)?),
            (cyclonedx::MEDIA_TYPE, cyclonedx::write(&bill)?),
            (provenance::MEDIA_TYPE, provenance::write(&inputs)?),
        ] {
            let mut annotations =
                BTreeMap::from([("org.opencontainers.image.created".to_owned(), bill.created.clone())]);
            if media_type == provenance::MEDIA_TYPE {
                annotations.insert("in-toto.io/predicate-type".into(), provenance::PREDICATE.into());
            }
            let document = Document::Referrer { media_type: media_type.into(), bytes, annotations };
            signed.push(document.descriptor(&image.descriptor)?);
            documents.push((image.descriptor.clone(), document));
        }
    }
    if let Some(Signer { key, repository }) = signer {
        // The images, what was just said of them, and an index over them.
        signed.extend(layout.images.iter().map(|image| image.descriptor.clone()));
        let indexes =
            layout.roots.iter().filter(|root| !signed.iter().any(|one| one.digest() == root.digest()));
        signed.extend(indexes.cloned().collect::<Vec<_>>());
        for subject in signed {
            let signature = key.sign(repository, subject.digest().as_ref())?;
            documents.push((subject, signature));
        }
    }
    oci::layout::attach(layout, &documents)?;
    Ok(documents.len())
}

/// The commit of the checkout for provenance; says so if there is none to name.
pub fn known_commit(checkout: &Checkout) -> Result<Option<String>> {
    let commit = checkout.commit()?;
    if commit.is_none() {
        checkout
            .progress
            .note("the source has uncommitted changes or is not in git: provenance names no commit");
    }
    Ok(commit)
}
