//! `bench matrix`: all images of a release, of programs that were compiled before.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bench::matrix::{self, Plan, Size, measure};
use project::matrix::micro;
use project::{BuildOptions, Selection, Session};

use crate::context::Context;

/// Measure how long all images of a release take of programs that were compiled before, and how long where nothing has changed.
///
/// Everything is built once, and what is missing compiled. Then, again and again, into a store that has the programs and no
/// layer, and into the same once more.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench matrix --release v1.26.0 --omit crictl --check
  cargo xtask bench matrix --release v1.26.0 --arch amd64 --omit crictl --repeat 1
  cargo xtask bench matrix --release v1.26.0 --omit crictl --record     write the table of docs/performance.md")]
pub(super) struct Matrix {
    /// The release [default: the newest].
    #[arg(long, value_name = "vX.Y.Z")]
    release: Option<String>,
    /// These architectures [default: all].
    #[arg(long = "arch", value_name = "ARCH")]
    arches: Vec<String>,
    /// Leave out a program or component, such as crictl.
    #[arg(long, value_name = "COMPONENT")]
    omit: Vec<String>,
    /// How often everything is done.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// Write what was measured to docs/performance.md.
    #[arg(long)]
    record: bool,
    /// Fail if something that is aimed at is missed.
    #[arg(long)]
    check: bool,
}

impl Matrix {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let session = Session::open(&context.checkout, BuildOptions::default())?;
        let names = micro(&session.catalog, self.release.as_deref(), &self.arches)?;
        let mut what = Selection::of(names.clone());
        what.omit.clone_from(&self.omit);
        let out = session.store.scratch_dir()?;
        let planned = session.plan(&what)?;
        let built = session.executor()?.build(&planned, out.path())?;
        let layers: Vec<&str> = built
            .iter()
            .flat_map(|built| &built.images)
            .flat_map(|image| image.layers.iter().map(|layer| &*layer.digest))
            .collect();
        let distinct: BTreeSet<_> = layers.iter().collect();
        let omitted = self.omit.iter().flat_map(|name| ["--omit".to_owned(), name.clone()]);
        let plan = Plan {
            program: &program,
            root: &context.checkout.root,
            store: &session.store,
            kinds: planned.components.keys().map(|key| key.kind().to_owned()).collect(),
            layers: planned.layers.keys().cloned().collect(),
            size: Size { images: names.len(), layers: layers.len(), distinct: distinct.len() },
            args: names.into_iter().chain(omitted).collect(),
            repeat: self.repeat.into(),
        };
        let report = measure(&plan, &*context.checkout.progress)?;
        let replaced = self.record.then_some(matrix::replaced as super::Replaced);
        super::show(context, &report, &report.markdown(), replaced)?;
        if self.check { report.check() } else { Ok(()) }
    }
}
