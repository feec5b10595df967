//! `size report`: the figures as a page, as JSON, or in a few lines.

use std::path::PathBuf;

use anyhow::Result;
use project::pictures;

use crate::context::{Context, write_out};

/// Report the sizes: the means in a few lines, or everything as a page.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size report --html             one page, for any browser: matrix, history, treemap of each image
  cargo xtask size report --json > all.json  all that the page shows
  cargo xtask size report --html --input all.json --out then.html")]
pub(crate) struct Report {
    /// Write one self-contained HTML page.
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Where to write the page [default: target/sizes.html].
    #[arg(long, value_name = "FILE", requires = "html")]
    out: Option<PathBuf>,
    /// Figures that `size report --json` wrote before, instead of those of images/sizes.json.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

impl Report {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let input = pictures::input(&context.checkout, self.input.as_deref())?;
        if self.html {
            let page = report::page(&input)?;
            let out = match &self.out {
                Some(out) => out.clone(),
                None => context.checkout.root.join("target/sizes.html"),
            };
            files::write(&out, page.as_bytes())?;
            return write_out(&out.display().to_string());
        }
        if context.json {
            return context.print_json(&input);
        }
        let line = |mean: &report::Summary| {
            let report::Summary { base, cells, built, compressed, extracted } = mean;
            format!(
                "{base}: {compressed:.3} compressed, {extracted:.3} extracted of what was published \
                 (geometric mean over {cells} images of {built} built)"
            )
        };
        let lines: Vec<String> = report::summaries(&input.matrix).iter().map(line).collect();
        write_out(
            if lines.is_empty() { "no image to compare was built".to_owned() } else { lines.join("\n") }
                .as_str(),
        )
    }
}
