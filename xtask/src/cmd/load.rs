//! `load`: layouts into docker or containerd.

use anyhow::Result;
use project::load::Runtime;
use project::source::Source;
use serde::Serialize;

use crate::context::{Context, write_out};

/// Load layouts that were built already, here or elsewhere, into docker or containerd, whichever runs here.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask load target/images/kubelet-v1_26_0-amd64
  cargo xtask load result                            what Nix built

`build --load` builds and loads. DOCKER_HOST, CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE say where to.")]
pub(crate) struct Load {
    /// Directories of OCI layouts, or attributes that were built.
    #[arg(value_name = "LAYOUT", required = true)]
    layouts: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    runtime: &'static str,
    images: Vec<String>,
}

impl Load {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let runtime = Runtime::required()?;
        let mut images = Vec::new();
        for layout in &self.layouts {
            let source = Source::local(&context.checkout, layout)?;
            images.extend(runtime.load(&source.layout, &*context.checkout.progress)?);
        }
        if context.json {
            return context.print_json(&Report { version: 1, runtime: runtime.name(), images });
        }
        images.iter().try_for_each(|image| write_out(image))
    }
}
