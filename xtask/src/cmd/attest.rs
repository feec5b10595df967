//! `attest`: SBOMs, provenance and signatures, attached to a layout.

use std::path::PathBuf;

use anyhow::Result;
use attest::sign::Private;

use crate::context::{Context, write_out};
use crate::project::attach::{Signer, attach, known_commit};
use crate::project::rebuild;
use crate::project::session::{How, Session};
use crate::project::source::Source;

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
