//! `attest`: SBOMs, provenance and signatures, attached to a layout.

use std::path::PathBuf;

use anyhow::Result;
use attest::sign::Private;
use project::attach::{Signer, attach, known_commit};
use project::source::Source;
use project::{Session, rebuild};

use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

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
    how: BuildFlags,
}

impl Attest {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let key = self.key.as_deref().map(Private::read).transpose()?;
        let source = Source::local(&context.checkout, &self.image)?;
        let layout = source.open()?;
        let session = Session::open(&context.checkout, self.how.options())?;
        let signer = key.as_ref().map(|key| Signer { key, repository: rebuild::repository(&layout) });
        let count = attach(&session, &layout, signer.as_ref(), known_commit(&context.checkout)?.as_deref())?;
        if context.json {
            return context
                .print_json(&serde_json::json!({"version": 1, "layout": source.layout, "attached": count}));
        }
        write_out(&format!("{}: {count} documents attached", source.layout.display()))
    }
}
