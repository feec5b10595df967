//! `upstream`: which Kubernetes releases are new, and which have ended.

use std::path::PathBuf;

use anyhow::Result;
use fault::{Fault, Kind};
use jiff::civil::Date;
use project::Session;
use project::support::{self, Numbers, ReleaseStatus, Support, numbers};
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

/// Say which Kubernetes releases are new, and which of the catalog's have reached their end of life.
///
/// The versions are those that the module proxy knows (`GOPROXY`), or those in a file; the dates of support are in
/// images/support.toml.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask upstream
  cargo xtask upstream --check                                      exit code 9 if something is new
  cargo xtask upstream --versions versions.txt --today 2026-01-01   what `go list -m -versions` wrote, on a day")]
pub(crate) struct Upstream {
    /// Read the versions from a file, separated by space: nothing is asked then.
    #[arg(long, value_name = "FILE")]
    versions: Option<PathBuf>,
    /// The day to compare with [default: today, in UTC].
    #[arg(long, value_name = "DATE")]
    today: Option<Date>,
    /// Fail if the catalog is not as it should be.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    how: BuildFlags,
}

/// The answer for machines.
#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    today: Date,
    #[serde(flatten)]
    news: &'a ReleaseStatus,
}

impl Upstream {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.checkout.catalog()?;
        let table = Support::read(&context.checkout.root)?;
        let today = self.today.unwrap_or_else(support::today);
        let have: Vec<Numbers> = catalog.releases.iter().map(catalog::Release::numbers).collect();
        let news = if let Some(file) = &self.versions {
            let text = files::read_text(file, files::DOCUMENT)?;
            table.news(&have, &numbers(text.split_whitespace(), &file.display().to_string())?, today)
        } else {
            let session = Session::open(&context.checkout, self.how.options())?;
            table.asked(&session, &have, today)?
        };
        if context.json {
            context.print_json(&Answer { version: 1, today, news: &news })?;
        } else {
            write_out(&render_text(&news, &table.source))?;
        }
        if self.check && !news.is_empty() {
            return Err(Fault::new(
                Kind::Stale,
                "the catalog's releases are not those that Kubernetes supports",
            )
            .help("`cargo xtask add-release vX.Y.Z`; a minor that is unknown goes into images/support.toml")
            .into());
        }
        Ok(())
    }
}

/// For people: a line each.
fn render_text(news: &ReleaseStatus, source: &str) -> String {
    let mut lines = Vec::new();
    for newer in news.patches.iter().chain(&news.minors) {
        let what =
            newer.have.as_ref().map_or("a new minor release".to_owned(), |have| format!("newer than {have}"));
        let day = newer.date.as_deref().and_then(|date| date.get(..10));
        let made = day.map_or(String::new(), |day| format!(", of {day}"));
        let ends = newer.ends.map_or(String::new(), |ends| format!(", support until {ends}"));
        lines.push(format!("{}: {what}{made}{ends}", newer.version));
    }
    for ended in &news.ended {
        lines.push(format!("{}: in the catalog, its support ended on {}", ended.minor, ended.ended));
    }
    for minor in &news.unknown {
        lines.push(format!("{minor}: not in {}; its dates are in {source}", support::PATH));
    }
    if lines.is_empty() { "nothing is new".to_owned() } else { lines.join("\n") }
}
