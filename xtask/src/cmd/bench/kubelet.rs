//! `bench kubelet`: two kubelets side by side.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use fault::{Fault, Kind};
use project::Selection;

use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

/// How often `--version` is run in each life.
const STARTS: usize = 20;

/// Compare two kubelets, running pods: CPU, memory and start.
///
/// Each of A and B is an OCI layout, an attribute (which is built), or a kubelet's binary. They live one after the other,
/// in the order A B B A, each with a containerd of its own. As root.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench kubelet kubelet-v1_26_0-amd64 ./kubelet     an image's kubelet against one of your own
  cargo xtask bench kubelet old/layout new/layout --rounds 20 --check
  cargo xtask bench kubelet ./kubelet ./kubelet --env-b GOGC=20       the same one, with another environment

How it is measured and how to read it: docs/bench.md.")]
pub(super) struct Kubelet {
    /// The baseline.
    #[arg(value_name = "A")]
    a: String,
    /// The candidate.
    #[arg(value_name = "B")]
    b: String,
    /// Static pods.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pods: u16,
    /// How often all pods are started and removed in each life.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    cycles: u16,
    /// Pairs of an A and a B; six are the least to judge by.
    #[arg(long, value_name = "R", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How long each rests with its pods.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(5..))]
    rest: u16,
    /// How much more than A's B's may be.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    limit: f64,
    /// Fail unless CPU per pod started and CPU per sync are shown to be within the limit.
    #[arg(long)]
    check: bool,
    /// The image that binaries run in: a layout or an attribute [default: the other side's, else the newest micro kubelet].
    #[arg(long, value_name = "LAYOUT|ATTR")]
    image: Option<String>,
    /// Set a variable for A.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env_a: Vec<String>,
    /// Set a variable for B.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env_b: Vec<String>,
    #[command(flatten)]
    how: BuildFlags,
}

impl Kubelet {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        bench::check_machine()?;
        let (a, b) = (self.source(context, &self.a)?, self.source(context, &self.b)?);
        let side = |source: &SideSource, other: &SideSource, env: &[String]| {
            let layout = match (&source.layout, &self.image, &other.layout) {
                (Some(layout), ..) | (None, None, Some(layout)) => layout.clone(),
                (None, Some(image), _) => self.image(context, image)?,
                (None, None, None) => self.build(context, Vec::new())?,
            };
            let SideSource { name, program, .. } = source.clone();
            Ok::<_, anyhow::Error>(bench::Side { name, layout, program, env: env.to_vec() })
        };
        let (a, b) = (side(&a, &b, &self.env_a)?, side(&b, &a, &self.env_b)?);
        let options = bench::Options {
            pods: self.pods.into(),
            cycles: self.cycles.into(),
            rounds: self.rounds.into(),
            rest: Duration::from_secs(self.rest.into()),
            starts: STARTS,
            limit: 1.0 + self.limit / 100.0,
        };
        let (report, ended) = bench::compare(&a, &b, &options, &*context.checkout.progress)?;
        if context.json {
            context.print_json(&report)?;
        } else {
            write_out(&report.table())?;
        }
        if let Some(error) = ended {
            return Err(error);
        }
        let failed = report.not_within();
        if self.check && !failed.is_empty() {
            let message = format!("not shown to be at most {} % more: {}", self.limit, failed.join(", "));
            return Err(Fault::new(Kind::ToolFailed, message).help("more --rounds are less noisy").into());
        }
        Ok(())
    }

    /// A layout or a binary, whichever the words name.
    fn source(&self, context: &Context, words: &str) -> Result<SideSource> {
        let path = Path::new(words);
        if path.is_file() {
            bench::check_program(path)?;
            return Ok(SideSource { name: words.to_owned(), layout: None, program: Some(path.to_owned()) });
        }
        Ok(SideSource { name: words.to_owned(), layout: Some(self.image(context, words)?), program: None })
    }

    /// A layout, whichever the words name.
    fn image(&self, context: &Context, words: &str) -> Result<PathBuf> {
        let path = Path::new(words);
        if path.is_dir() {
            bench::check_layout(path)?;
            return Ok(path.to_owned());
        }
        self.build(context, vec![words.to_owned()])
    }

    /// Builds an image.
    fn build(&self, context: &Context, attributes: Vec<String>) -> Result<PathBuf> {
        let layout = context.checkout.build_one(&Selection::of(attributes), self.how.options())?;
        bench::check_layout(&layout)?;
        Ok(layout)
    }
}

/// What a side's words name: a layout, or a program that has yet to be given one.
#[derive(Clone)]
struct SideSource {
    name: String,
    layout: Option<PathBuf>,
    program: Option<PathBuf>,
}

fn variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
