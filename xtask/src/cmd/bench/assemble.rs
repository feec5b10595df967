//! `bench assemble`: a tree of files to an image, ours beside what people use instead.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bench::assemble::{self, Plan, Tree, measure, small_files};
use fault::{Fault, Kind};

use crate::context::Context;

/// Compare how images are made of trees of files: time, memory, and the size of the layer.
///
/// Ours with `--fast` and as released, beside `umoci repack`, `buildah commit`, and tar with `crane append`, where they are
/// installed; and `gzip -9` of the archive alone. The trees are those given, and one of many small files. As root.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench assemble                        small files alone
  cargo xtask bench assemble rootfs --check         a root filesystem too; fail if an aim is missed
  cargo xtask bench assemble rootfs --record        write the table of docs/performance.md

What is measured and how: docs/performance.md.")]
pub(super) struct Assemble {
    /// Directories to make images of.
    #[arg(value_name = "DIR")]
    trees: Vec<PathBuf>,
    /// How many small files the tree has that is made; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    files: usize,
    /// How often everything is done.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
    /// crane, where it is not in PATH.
    #[arg(long, value_name = "PROGRAM")]
    crane: Option<PathBuf>,
    /// Write what was measured to docs/performance.md.
    #[arg(long)]
    record: bool,
    /// Fail if something that is aimed at is missed.
    #[arg(long)]
    check: bool,
}

impl Assemble {
    pub(super) fn run(&self, context: &Context) -> Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let scratch = tempfile::tempdir().context("no temporary directory")?;
        let mut trees = Vec::new();
        for dir in &self.trees {
            if !dir.is_dir() {
                return Err(
                    Fault::new(Kind::NotFound, format!("{} is not a directory", dir.display())).into()
                );
            }
            let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
            trees.push(Tree { name, dir: std::path::absolute(dir)? });
        }
        if self.files > 0 {
            let dir = scratch.path().join("small-files");
            small_files(&dir, self.files)?;
            trees.push(Tree { name: "small files".to_owned(), dir });
        }
        let plan = Plan {
            program: &program,
            scratch: scratch.path(),
            crane: self.crane.clone(),
            repeat: self.repeat.into(),
        };
        let report = measure(&plan, &trees, &*context.checkout.progress)?;
        let replaced = self.record.then_some(assemble::replaced as super::Replaced);
        super::show(context, &report, &report.markdown(), replaced)?;
        if self.check { report.check() } else { Ok(()) }
    }
}
