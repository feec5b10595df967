//! `release`: the whole matrix, checked, attested and published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use attest::sign::Private;
use executor::Built;
use fault::{Fault, Kind};
use plan::{Options, Plan};
use project::attach::{Signer, attach, known_commit};
use project::matrix::{self, Matrix, Skipped};
use project::record::check_layouts;
use project::{Session, reproduce};
use registry::Reference;
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, OmitFlags, PushFlags};

/// Build every index that the locks allow, check sizes, build again and compare, attest, and publish.
///
/// Nothing is sent before all of that is done for all indexes. In each repository tags are set last; what the registry
/// has is not sent again, so a release that broke off goes on when it is run again.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask release --to registry.example.org/edge --key cosign.key
  cargo xtask release kubelet-v1_26_0 --to localhost:5000 --no-rebuild
  cargo xtask release --to registry.example.org/edge --arch arm64 --partial --dry-run    one machine's part, not sent

Repositories are the catalog's, below REGISTRY: `kubelet` and `kube-proxy`. Indexes without a lock are left out and named;
one that is asked for by name must have its locks.")]
pub(crate) struct Release {
    /// Multi-arch indexes, as `cargo xtask list` names them [default: all whose locks are there].
    #[arg(value_name = "INDEX")]
    what: Vec<String>,
    /// Where to: HOST[:PORT][/PATH].
    #[arg(long, value_name = "REGISTRY", value_parser = registry_name)]
    to: String,
    /// Build for this architecture only; may be given several times. Indexes are partial then: see --partial.
    #[arg(long, value_name = "ARCH")]
    arch: Vec<String>,
    /// Publish indexes that lack architectures of the catalog.
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    omit: OmitFlags,
    /// Sign with this private key: PKCS #8 in PEM, ECDSA on P-256.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not build everything a second time.
    #[arg(long)]
    no_rebuild: bool,
    /// Do everything but publish.
    #[arg(long)]
    dry_run: bool,
    /// Put the layouts here, each in a directory named like its attribute [default: target/published].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    remote: PushFlags,
    #[command(flatten)]
    how: BuildFlags,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    published: Vec<Published>,
    lacking: Vec<Skipped>,
    /// Blobs sent, and their bytes.
    sent: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct Published {
    reference: String,
    digest: String,
    platforms: Vec<String>,
    /// Was it sent, or is it only what would be?
    sent: bool,
}

impl Release {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let key = self.key.as_deref().map(Private::read).transpose()?;
        let session = Session::open(&context.checkout, self.how.options())?;
        let matrix = Matrix::of(&session, &self.what, &self.omit.names)?;
        self.omit.check(&session.catalog, matrix.names.iter().map(String::as_str))?;
        for lacking in &matrix.lacking {
            let Skipped { attributes, why, help } = lacking;
            context.note(&format!("left out: {}: {why} ({help})", attributes.join(", ")));
        }
        let plan = self.plan(&session, &matrix.names)?;
        session.tell_unread(&plan)?;
        if !self.partial {
            matrix::check_whole(&session.catalog, &self.arch)?;
        }
        let out = self.out.clone().unwrap_or_else(|| context.checkout.root.join("target/published"));
        let built = session.executor()?.build(&plan, &out)?;
        let layouts: Vec<&Path> = built.iter().map(|built| built.layout.as_path()).collect();
        check_layouts(&context.checkout, &layouts)?;
        if !self.no_rebuild {
            let replan = |session: &Session<'_>| self.plan(session, &matrix.names);
            reproduce::all(&session, &built, replan)?;
        }
        let repositories = self.repositories(&built)?;
        let commit = known_commit(&context.checkout)?;
        for (to, built) in &repositories {
            let signer =
                key.as_ref().map(|key| Signer { key, repository: format!("{}/{}", to.host, to.repository) });
            for built in built {
                let layout = sizes::measure::open(&built.layout)?;
                attach(&session, &layout, signer.as_ref(), commit.as_deref())
                    .with_context(|| format!("attesting `{}`", built.attribute))?;
            }
        }
        let mut report =
            Report { version: 1, published: Vec::new(), lacking: matrix.lacking, sent: 0, bytes: 0 };
        for (to, built) in &repositories {
            self.publish(context, to, built, &mut report)?;
        }
        if context.json {
            return context.print_json(&report);
        }
        report.published.iter().try_for_each(|Published { reference, digest, platforms, sent }| {
            let state = if *sent { "" } else { "  not sent" };
            write_out(&format!("{reference}@{digest}  {}{state}", platforms.join(" ")))
        })?;
        write_out(&format!(
            "{} indexes, {} blobs sent ({} bytes)",
            report.published.len(),
            report.sent,
            report.bytes
        ))
    }

    fn plan(&self, session: &Session<'_>, names: &[String]) -> Result<Plan> {
        let options = session.options(oci::compress::Compression::default())?;
        let options = Options { omit: self.omit.names.clone(), arches: self.arch.clone(), ..options };
        session.planner(&options).plan(names)
    }

    /// What goes to which repository.
    fn repositories<'b>(&self, built: &'b [Built]) -> Result<Vec<(Reference, Vec<&'b Built>)>> {
        let mut by_name: BTreeMap<&str, Vec<&Built>> = BTreeMap::new();
        for built in built {
            let (repository, _) = built.reference.rsplit_once(':').context("a reference without a tag")?;
            by_name.entry(repository).or_default().push(built);
        }
        by_name.into_iter().map(|(name, built)| Ok((format!("{}/{name}", self.to).parse()?, built))).collect()
    }

    fn publish(
        &self,
        context: &Context,
        to: &Reference,
        built: &[&Built],
        report: &mut Report,
    ) -> Result<()> {
        let layouts: Vec<PathBuf> = built.iter().map(|built| built.layout.clone()).collect();
        if !self.dry_run {
            let pushed = registry::push(&layouts, to, &self.remote.options(context))?;
            report.sent += pushed.sent;
            report.bytes += pushed.bytes;
        }
        for built in built {
            let (_, tag) = built.reference.rsplit_once(':').context("a reference without a tag")?;
            report.published.push(Published {
                reference: format!("{}/{}:{tag}", to.host, to.repository),
                digest: built.digest.clone(),
                platforms: built.images.iter().map(|image| image.platform.clone()).collect(),
                sent: !self.dry_run,
            });
        }
        Ok(())
    }
}

/// A registry, and perhaps a path in it, that repositories' names can be put after.
fn registry_name(text: &str) -> Result<String> {
    let name = text.trim_end_matches('/');
    // What a tag or digest would be is not part of a repository's name.
    let good = format!("{name}/repository").parse::<Reference>().is_ok();
    let bad = || Fault::new(Kind::Usage, format!("{text:?} is not a registry: write HOST[:PORT][/PATH]"));
    if good { Ok(name.to_owned()) } else { Err(bad().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_a_host_and_perhaps_a_path() {
        for good in ["localhost:5000", "registry.example.org/edge", "registry.example.org/a/b/"] {
            assert_eq!(registry_name(good).unwrap(), good.trim_end_matches('/'));
        }
        for bad in
            ["", "edge", "registry.example.org/edge:v1", "https://registry.example.org", "a.b/c@d", ".", ".."]
        {
            assert!(registry_name(bad).is_err(), "{bad}");
        }
    }
}
