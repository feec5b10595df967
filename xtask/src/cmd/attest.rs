//! `attest`: SBOMs, provenance and signatures, attached to a layout.

pub(super) mod rebuild;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use attest::bill::Bill;
use attest::sign::Private;
use attest::{cyclonedx, provenance, spdx};
use oci::layout::{Document, Found, Layout};
use toolchain::Host;

use super::session::{How, Session};
use super::source::Source;
use crate::context::{Context, write_out};

/// Attach SBOMs, provenance and, with a key, signatures to a layout.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask attest kubelet-v1_26_0-amd64
  cargo xtask attest kubelet-v1_26_0-amd64 --key cosign.key")]
pub(crate) struct Attest {
    /// An image that is built, by attribute, or the directory of its OCI layout.
    #[arg(value_name = "ATTR|LAYOUT")]
    image: String,
    /// Sign with this private key: PKCS #8 in PEM, ECDSA on P-256.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

impl Attest {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let key = self.key.as_deref().map(Private::read).transpose()?;
        let source = Source::local(context, &self.image)?;
        let layout = source.open()?;
        let session = Session::open(context, &self.how)?;
        let signer = key.as_ref().map(|key| Signer { key, repository: rebuild::repository(&layout) });
        let count = attach(&session, &layout, signer.as_ref(), known_commit(context)?.as_deref())?;
        if context.json {
            return context
                .print_json(&serde_json::json!({"version": 1, "layout": source.layout, "attached": count}));
        }
        write_out(&format!("{}: {count} documents attached", source.layout.display()))
    }
}

/// Who signs.
pub(super) struct Signer<'k> {
    pub(super) key: &'k Private,
    /// What signatures call the images: a repository.
    pub(super) repository: String,
}

/// Attaches SBOMs, provenance and, if somebody signs, signatures to what a layout has; returns how many documents.
///
/// # Errors
/// `Mismatch` if an image is not what this checkout builds, `Unknown` if it is none of its catalog's.
pub(super) fn attach(
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
        let bill = Bill::of(layout, image, Some(&rebuild::build(session, &parameters, image)?))?;
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

/// The platform of an image, such as `linux/arm64/v8`.
pub(super) fn platform(image: &Found) -> String {
    let (os, architecture) = (image.config.os(), image.config.architecture());
    let variant = image.config.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{os}/{architecture}{variant}").chars().filter(|char| !char.is_control()).collect()
}

/// The commit of the checkout for provenance; says so if there is none to name.
pub(super) fn known_commit(context: &Context) -> Result<Option<String>> {
    let commit = commit(context)?;
    if commit.is_none() {
        context
            .progress
            .note("the source has uncommitted changes or is not in git: provenance names no commit");
    }
    Ok(commit)
}

/// The commit of the checkout, if nothing in it was changed.
pub(super) fn commit(context: &Context) -> Result<Option<String>> {
    if exec::which("git").is_none() {
        return Ok(None);
    }
    let git = |args: &[&str]| {
        let run =
            exec::Run::new("git").inherit("PATH").inherit("HOME").cwd(&context.root).args(args).finish()?;
        let text = String::from_utf8_lossy(&run.stdout).trim().to_owned();
        Ok::<_, anyhow::Error>(run.status.success().then_some(text))
    };
    match git(&["status", "--porcelain"])? {
        Some(changes) if changes.is_empty() => git(&["rev-parse", "HEAD"]),
        _ => Ok(None),
    }
}
