//! `advisories`: known vulnerabilities of the Go modules and toolchain in images, and of their Alpine packages.

use std::path::PathBuf;

use advisories::Report;
use alpine::secdb::Database;
use anyhow::Result;
use gobuild::vulncheck::Vulncheck;
use oci::layout::Layout;
use project::Session;
use project::source::Source;
use serde::Serialize;
use toolchain::Host;

use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

/// Go's own database.
const DATABASE: &str = "https://vuln.go.dev";

/// Say which known vulnerabilities concern the Go programs in images, by govulncheck, and their Alpine packages.
///
/// Programs carry no symbols: a finding says that a module or the Go toolchain has a vulnerable version, not that its
/// code is reached. Modules that are edited for the build count as the versions they were made of.
///
/// Alpine's database says what its branches repaired. What a newer branch than the image's repaired is reported, too; packages
/// that it does not name are reported as unknown.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask advisories kubelet-v1_26_0-amd64            the layout in target/images
  cargo xtask advisories target/images/kubelet-v1_26_0-amd64 --db vulndb --vex kubelet.vex.json
  cargo xtask advisories kubelet-v1_26_0-alpine3_15-amd64 --alpine-secdb secdb
  cargo xtask advisories kubelet-v1_26_0-amd64 --json")]
pub(crate) struct Advisories {
    /// Layouts, or attributes of layouts in target/images.
    #[arg(value_name = "ATTR|LAYOUT", required = true)]
    images: Vec<String>,
    /// The vulnerability database: a directory or a URL, in the format of Go's.
    #[arg(long, value_name = "DIR|URL", default_value = DATABASE)]
    db: String,
    /// Alpine's security database: a directory with files of secdb.alpinelinux.org, those of the image's branch
    /// and, best, of newer ones.
    #[arg(long, value_name = "DIR")]
    alpine_secdb: Option<PathBuf>,
    /// Write a VEX document too, as `OpenVEX` has it.
    #[arg(long, value_name = "FILE")]
    vex: Option<PathBuf>,
    /// The repository that the images are in, for the names of products in that document.
    #[arg(long, value_name = "HOST/REPOSITORY", requires = "vex")]
    repository: Option<String>,
    #[command(flatten)]
    how: BuildFlags,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    #[serde(flatten)]
    report: &'a Report,
}

impl Advisories {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let url = advisories::database(&self.db)?;
        let alpine = self.alpine_secdb.as_deref().map(Database::read).transpose()?;
        // Before anything is compiled to look into them.
        let layouts = self.images.iter().map(|image| Source::local(&context.checkout, image)?.open());
        let layouts: Vec<Layout> = layouts.collect::<Result<_>>()?;
        let session = Session::open(&context.checkout, self.how.options())?;
        let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
        let check =
            || Vulncheck::build(&session.sources.go(), Host::current()?.arch(), tools.go()?, work.path());
        let report = advisories::scan(&layouts, &url, alpine.as_ref(), work.path(), check)?;
        if let Some(file) = &self.vex {
            advisories::write(&report, self.repository.as_deref(), file)?;
        }
        if context.json {
            return context.print_json(&Answer { version: 1, report: &report });
        }
        write_out(&advisories::render_text(&report))
    }
}
