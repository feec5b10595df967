//! `bench`: measures what was built, and the build.

mod assemble;
mod growth;
mod instructions;
mod kubelet;
mod layout;
mod matrix;
mod once;
mod path;

use anyhow::Result;
use serde::Serialize;

use crate::context::{Context, write_out};

/// The page that `--record` writes to.
const PAGE: &str = "docs/performance.md";

/// Measure what was built, and the code that builds it.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask bench kubelet old/layout new/layout
  cargo xtask bench growth --quick
  cargo xtask bench instructions --check
  cargo xtask bench assemble rootfs
  cargo xtask bench matrix --release v1.26.0 --omit crictl")]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: Subject,
}

#[derive(clap::Subcommand)]
enum Subject {
    Kubelet(kubelet::Kubelet),
    Growth(growth::Growth),
    Instructions(instructions::Instructions),
    Assemble(assemble::Assemble),
    Matrix(matrix::Matrix),
    #[command(hide = true)]
    Layout(layout::Layout),
    #[command(hide = true)]
    Once(once::Once),
    #[command(hide = true)]
    Path(path::HotPath),
}

impl Bench {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        match &self.what {
            Subject::Kubelet(kubelet) => kubelet.run(context),
            Subject::Growth(growth) => growth.run(context),
            Subject::Instructions(instructions) => instructions.run(context),
            Subject::Assemble(assemble) => assemble.run(context),
            Subject::Matrix(matrix) => matrix.run(context),
            Subject::Layout(layout) => layout.run(),
            Subject::Once(once) => once.run(context),
            Subject::Path(path) => path.run(context),
        }
    }
}

/// Puts a table into a page, by its own marks: the page, what messages call it, the table.
type Replaced = fn(&str, &str, &str) -> Result<String>;

/// Says what was measured, for people or machines, and with `replaced` writes it to the page.
fn show(
    context: &Context,
    report: &impl Serialize,
    markdown: &str,
    replaced: Option<Replaced>,
) -> Result<()> {
    if let Some(replaced) = replaced {
        let path = context.checkout.root.join(PAGE);
        let page = files::read_text(&path, files::DOCUMENT)?;
        files::write(&path, replaced(&page, PAGE, markdown)?.as_bytes())?;
    }
    if context.json { context.print_json(report) } else { write_out(markdown) }
}
