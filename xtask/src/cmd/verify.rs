//! `verify`: is an image what it says it is?

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use attest::sbom::Sbom;
use attest::sign::Public;
use attest::{check, provenance, spdx};
use fault::{Fault, Kind};
use oci::layout::{Attachment, Found, Layout};
use project::source::Source;
use project::{Session, rebuild};

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, ConnectionFlags};

/// Check an image: digests, signature, SBOM; then build it again and compare.
///
/// What nobody signed is built only with --rebuild: anybody may have written what it is to be built from.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask verify kubelet-v1_26_0-amd64
  cargo xtask verify kubelet-v1_26_0-amd64 --rebuild
  cargo xtask verify registry.example.org/kubelet:v1.26.0-micro --key cosign.pub")]
pub(crate) struct Verify {
    /// A layout's directory, an image that is built, by attribute, or one in a registry.
    #[arg(value_name = "LAYOUT|ATTR|REFERENCE")]
    image: String,
    /// Demand signatures by this public key, in PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The quick half: do not build it again.
    #[arg(long)]
    no_rebuild: bool,
    /// Build it again without a key, too: compiles whatever its provenance names.
    #[arg(long, conflicts_with = "no_rebuild")]
    rebuild: bool,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(flatten)]
    how: BuildFlags,
}

impl Verify {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let key = self.key.as_deref().map(Public::read).transpose()?;
        let source = Source::any(&context.checkout, &self.image, &self.connection.options(context))?;
        let layout = source.open()?;
        let mut checked = Vec::new();
        for image in &layout.images {
            let name = image.platform();
            let digest = image.descriptor.digest().to_string();
            let done = self.image(context, key.as_ref(), &layout, image);
            let done = done.with_context(|| format!("{}, {name}", self.image))?;
            checked.push(serde_json::json!({"platform": name, "digest": digest, "checked": done}));
        }
        if key.is_none() && !self.rebuild && !self.no_rebuild {
            context.note(
                "not built again: no --key says whose provenance to believe; --rebuild builds what this one names all the same",
            );
        }
        // What the name stands for is what is signed, whatever it says of itself; all images were reached from there.
        let roots: Vec<String> = layout.roots.iter().map(|root| root.digest().to_string()).collect();
        source.check_root(&roots)?;
        if let Some(key) = &key {
            roots.iter().try_for_each(|root| key.verify(&layout, root))?;
        }
        if context.json {
            let signed = key.is_some();
            let report =
                serde_json::json!({"version": 1, "roots": roots, "signed": signed, "images": checked});
            return context.print_json(&report);
        }
        let signed = if key.is_some() { "  signature verified" } else { "" };
        roots.iter().try_for_each(|root| write_out(&format!("{}@{root}{signed}", self.image)))?;
        checked.iter().try_for_each(|image| {
            let done: Vec<&str> =
                image["checked"].as_array().into_iter().flatten().filter_map(|d| d.as_str()).collect();
            let text = |key: &str| image[key].as_str().unwrap_or_default().to_owned();
            write_out(&format!("{} {}\n  verified: {}", text("platform"), text("digest"), done.join(", ")))
        })
    }

    /// Returns what was verified.
    fn image(
        &self,
        context: &Context,
        key: Option<&Public>,
        layout: &Layout,
        image: &Found,
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
        if self.no_rebuild || key.is_none() && !self.rebuild {
            if let Ok(statement) = statement {
                provenance::read(&statement, &digest)?;
                done.push("provenance");
            }
            return Ok(done);
        }
        let said = provenance::read(&statement?, &digest)?;
        done.push("provenance");
        if let Some(expected) = &said.commit
            && context.checkout.commit()?.as_ref() != Some(expected)
        {
            context.note(&format!("it was built from commit {expected}, which this checkout is not at"));
        }
        let session = Session::open(&context.checkout, self.how.options())?;
        rebuild::rebuild(&session, &said.parameters)?.same_as(layout, image)?;
        done.push("rebuild");
        Ok(done)
    }
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
    layout
        .bytes(document.ok_or_else(|| Fault::new(Kind::Data, format!("an empty {media_type} is attached")))?)
}
