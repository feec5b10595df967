//! `sbom`: what is in an image.

use std::path::PathBuf;

use anyhow::Result;
use attest::sbom;
use fault::{Fault, Kind};
use oci::layout::LayoutImage;
use project::source::Source;
use project::{BuildOptions, Session, rebuild};

use crate::context::{Context, write_out};
use crate::ui::plain_json;

/// Say what is in an image: packages, Go modules, crates, as SPDX or `CycloneDX`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask sbom kubelet-v1_26_0-amd64
  cargo xtask sbom kubelet-v1_26_0-amd64 --format cyclonedx --out sbom.json")]
pub(crate) struct Sbom {
    /// An image that is built, by attribute, or the directory of an OCI layout.
    #[arg(value_name = "ATTR|LAYOUT")]
    image: String,
    /// The format.
    #[arg(long, value_enum, default_value_t = Format::Spdx)]
    format: Format,
    /// Of several images, the one for this platform, such as `linux/arm64/v8`.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Write it here [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// SPDX 2.3.
    Spdx,
    /// `CycloneDX` 1.5.
    Cyclonedx,
}

impl Sbom {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let source = Source::local(&context.checkout, &self.image)?;
        let layout = source.open()?;
        let platforms: Vec<String> = layout.images.iter().map(LayoutImage::platform).collect();
        let mut wanted = layout.images.iter().zip(&platforms);
        let found = match &self.platform {
            Some(platform) => wanted.find(|(_, found)| *found == platform),
            None => wanted.next().filter(|_| platforms.len() == 1),
        };
        let (image, _) = found.ok_or_else(|| {
            Fault::new(Kind::Usage, format!("{} has images for {}", self.image, platforms.join(", ")))
                .help("choose one with --platform")
        })?;
        let session = Session::open(&context.checkout, BuildOptions::default())?;
        let build = rebuild::known(&session, &layout, image)?;
        if build.is_none() {
            context.note("this checkout has not built that image: its crates and the version of its CA certificates are not known");
        }
        let bill = sbom::Sbom::of(&layout, image, build.as_ref())?;
        let bytes = match self.format {
            Format::Spdx => attest::spdx::write(&bill)?,
            Format::Cyclonedx => attest::cyclonedx::write(&bill)?,
        };
        match &self.out {
            Some(path) => {
                files::write(path, &bytes)?;
                if context.json {
                    context.print_json(&serde_json::json!({"version": 1, "file": path}))?;
                }
                Ok(())
            }
            None => write_out(&plain_json(&String::from_utf8(bytes)?)),
        }
    }
}
