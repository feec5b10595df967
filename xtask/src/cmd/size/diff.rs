//! `size diff`: what changed between two states.

use anyhow::Result;
use project::diff::diff;
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::flags::ConnectionFlags;

/// Show which layer, package, Go module or file of images changed by how much.
///
/// A and B are each: a layout, or a directory of layouts; a git revision, of which images/sizes.json is read; such a file;
/// or an image in a registry, which is fetched.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size diff main HEAD --markdown
  cargo xtask size diff HEAD target/images
  cargo xtask size diff old/kubelet-v1_26_0-amd64 target/images/kubelet-v1_26_0-amd64
  cargo xtask size diff registry.example.org/kubelet:v1.25.5-micro registry.example.org/kubelet:v1.26.0-micro")]
pub(crate) struct DiffSizes {
    /// The state before.
    #[arg(value_name = "A")]
    before: String,
    /// The state after.
    #[arg(value_name = "B")]
    after: String,
    /// For a comment on a pull request.
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    connection: ConnectionFlags,
}

/// The answer for machines.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) diff: &'a sizes::diff::Diff,
}

impl DiffSizes {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let options = self.connection.options(context);
        let diff = diff(&context.checkout, &self.before, &self.after, &options)?;
        if context.json {
            return context.print_json(&Answer { version: 1, diff: &diff });
        }
        write_out(&if self.markdown { sizes::render::markdown(&diff) } else { sizes::render::text(&diff) })
    }
}
