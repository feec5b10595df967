//! `verify`: is an image what it says it is?

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use attest::sign::Public;
use project::source::Source;
use project::verify;

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
        let again = !self.no_rebuild && (key.is_some() || self.rebuild);
        let options = self.how.options();
        let mut checked = Vec::new();
        for image in &layout.images {
            let name = image.platform();
            let digest = image.descriptor.digest().to_string();
            let done = verify::image(&context.checkout, &options, (&layout, image), key.as_ref(), again);
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
}
