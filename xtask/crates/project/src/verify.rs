//! Is an image what it says it is?

use anyhow::Result;
use attest::sbom::Sbom;
use attest::sign::Public;
use attest::{check, provenance, spdx};
use fault::{Fault, Kind};
use oci::layout::{Attachment, Layout, LayoutImage};

use crate::{BuildOptions, Checkout, Session, rebuild};

/// Checks an image of a layout: digests, with a key signatures, SBOM and provenance. With `again` that has to be there, and
/// what it names is built and compared. Returns what was verified.
pub fn image(
    checkout: &Checkout,
    options: &BuildOptions,
    (layout, image): (&Layout, &LayoutImage),
    key: Option<&Public>,
    again: bool,
) -> Result<Vec<&'static str>> {
    let digest = image.descriptor.digest().to_string();
    let mut done = vec!["manifest", "layers"];
    // Reads every layer, with its size, digest and diff ID.
    let bill = Sbom::of(layout, image, None)?;
    if let Some(key) = key {
        key.verify(layout, &digest)?;
        done.push("signature");
    }
    let sbom = attached(layout, &digest, spdx::MEDIA_TYPE, key)?;
    check::spdx(&sbom, &bill)?;
    done.push("SBOM");
    let statement = attached(layout, &digest, provenance::MEDIA_TYPE, key);
    if !again {
        if let Ok(statement) = statement {
            provenance::read(&statement, &digest)?;
            done.push("provenance");
        }
        return Ok(done);
    }
    let said = provenance::read(&statement?, &digest)?;
    done.push("provenance");
    if let Some(expected) = &said.commit
        && checkout.commit()?.as_ref() != Some(expected)
    {
        checkout
            .progress
            .note(&format!("it was built from commit {expected}, which this checkout is not at"));
    }
    let session = Session::open(checkout, options.clone())?;
    rebuild::rebuild(&session, &said.parameters)?.same_as(layout, image)?;
    done.push("rebuild");
    Ok(done)
}

/// The document of this type that is attached to an image, signed if there is a key.
fn attached(layout: &Layout, digest: &str, media_type: &str, key: Option<&Public>) -> Result<Vec<u8>> {
    let wanted = |attachment: &&Attachment| {
        let subject = attachment.manifest.subject().as_ref();
        subject.is_some_and(|subject| subject.digest().to_string() == digest)
            && attachment
                .manifest
                .artifact_type()
                .as_ref()
                .is_some_and(|found| found.to_string() == media_type)
    };
    // Anyone may attach more: one that is signed is looked for.
    let mut refused = None;
    let found = layout.attachments.iter().filter(wanted).find(|found| {
        let verified = key.map_or(Ok(()), |key| key.verify(layout, found.descriptor.digest().as_ref()));
        verified.map_err(|error| refused = Some(error)).is_ok()
    });
    let Some(found) = found else {
        return Err(match refused {
            Some(error) => error.context(format!("the {media_type} of image {digest}")),
            None => Fault::new(Kind::Mismatch, format!("no {media_type} is attached to image {digest}"))
                .help("`cargo xtask attest` attaches it to a layout that this checkout built")
                .into(),
        });
    };
    let document = found.manifest.layers().first();
    layout.bytes(
        document
            .ok_or_else(|| Fault::new(Kind::InvalidData, format!("an empty {media_type} is attached")))?,
    )
}
