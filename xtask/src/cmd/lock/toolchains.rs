//! `lock toolchains`: images/locks/toolchains.json.

use anyhow::Result;
use project::Session;
use toolchain::relock::Versions;

use super::Report;
use crate::context::Context;
use crate::flags::BuildFlags;

/// Update images/locks/toolchains.json, or check it: fetches every archive for every host and hashes it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask lock toolchains --check
  cargo xtask lock toolchains --go 1.26.8")]
pub(crate) struct LockToolchains {
    /// Change nothing; fail if the lock is not what would be made.
    #[arg(long, conflicts_with_all = ["go", "zig", "cargo_zigbuild", "ca_certificates"])]
    check: bool,
    /// Another version of Go.
    #[arg(long, value_name = "VERSION")]
    go: Option<String>,
    /// Another version of zig.
    #[arg(long, value_name = "VERSION")]
    zig: Option<String>,
    /// Another version of cargo-zigbuild.
    #[arg(long, value_name = "VERSION")]
    cargo_zigbuild: Option<String>,
    /// Another version of certifi, the CA certificates.
    #[arg(long, value_name = "VERSION")]
    ca_certificates: Option<String>,
    #[command(flatten)]
    how: BuildFlags,
}

impl LockToolchains {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let session = Session::open(&context.checkout, self.how.options())?;
        let setup = session.setup()?;
        let path = context.checkout.root.join(toolchain::lock::PATH);
        let mut report = Report::new();
        if self.check {
            setup.check_lock(&path)?;
            report.add(context, toolchain::lock::PATH, "unchanged");
            return report.print(context);
        }
        let versions = Versions {
            go: self.go.clone(),
            zig: self.zig.clone(),
            cargo_zigbuild: self.cargo_zigbuild.clone(),
            ca_certificates: self.ca_certificates.clone(),
        };
        let text = setup.relock(&versions)?.to_text()?;
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            report.add(context, toolchain::lock::PATH, "unchanged");
        } else {
            files::write(&path, text.as_bytes())?;
            report.add(context, toolchain::lock::PATH, "updated");
        }
        report.print(context)
    }
}
