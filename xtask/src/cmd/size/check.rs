//! `size check`: are images within their budget?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use fault::{Fault, Kind};
use serde::Serialize;
use sizes::budget::{self, Cell, Ratio, Rules, Verdict};
use sizes::record::Record;
use sizes::render::mib;

use super::{Which, weigh};
use crate::cmd::session::How;
use crate::context::{Context, write_out};

/// Compare images with the last release and with the published ones; fail if one is over its budget.
///
/// An image is over it if it, or one of its layers, grew by more than [budget] in images/catalog.toml allows, or if it is
/// too large beside the published one; the message names layer, component, file and Go modules. Exit code 11. Images with
/// zstd layers, in layouts that are here, are compared with the published ones alone.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask size check                                    all recorded images that are built here
  cargo xtask size check kubelet-v1_26_0-cni-amd64    builds it first
  cargo xtask size check --layouts target/images")]
pub(crate) struct Check {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl Check {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.catalog()?;
        let record = super::record(context)?;
        let mut weighed = weigh::weigh(context, &self.which, &self.how, &record)?;
        let attributes = catalog::Attributes::of(&catalog);
        let any = !weighed.is_empty();
        weighed.retain(|name, _| {
            let (attribute, suffix) = plan::split_name(name);
            let known = attributes.iter().any(|known| known.name == attribute);
            let why = match (known, suffix.starts_with(plan::UNEDITED)) {
                (true, false) => return true,
                (true, true) => "unedited: the budget is of edited images, so there is none for it",
                (false, _) => "not an image of the catalog, so there is no budget for it",
            };
            context.progress.note(&format!("{name}: {why}"));
            false
        });
        if any && weighed.is_empty() {
            let message = "no image that was weighed has a budget: there was nothing to check";
            let help = "`cargo xtask list` names the images that have a budget";
            return Err(Fault::new(Kind::Unknown, message).help(help).into());
        }
        let verdict = judge(context, &catalog, &record, &weighed)?;
        if context.json {
            context.print_json(&Answer { version: 1, verdict: &verdict })?;
        } else {
            for note in notes(&verdict) {
                context.progress.note(&note);
            }
            write_out(&table(&verdict))?;
        }
        verdict.check()
    }
}

/// Demands that the images of these layouts, which are the catalog's, are within their budget.
pub(crate) fn check_layouts(context: &Context, layouts: &[&Path]) -> Result<()> {
    let catalog = context.catalog()?;
    let mut weighed = weigh::Weighed::new();
    for layout in layouts {
        weighed.extend(weigh::layout(context, &catalog, layout)?);
    }
    let verdict = judge(context, &catalog, &super::record(context)?, &weighed)?;
    for note in notes(&verdict) {
        context.progress.note(&note);
    }
    verdict.check()
}

fn judge(
    context: &Context,
    catalog: &catalog::Catalog,
    record: &Record,
    weighed: &weigh::Weighed,
) -> Result<Verdict> {
    let published = super::published(context, catalog)?;
    budget::judge(Rules { catalog, record, published: &published }, weighed)
}

/// The notes on images and means; what is said of many images is said once.
fn notes(verdict: &Verdict) -> Vec<String> {
    let mut by_note: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for cell in &verdict.cells {
        cell.notes.iter().for_each(|note| by_note.entry(note).or_default().push(&cell.attribute));
    }
    let cells = by_note.into_iter().map(|(note, names)| match names[..] {
        [first, _, _, ..] => format!("{first} and {} others: {note}", names.len() - 1),
        _ => format!("{}: {note}", names.join(", ")),
    });
    let means = verdict.means.iter();
    let means = means.flat_map(|mean| mean.notes.iter().map(|note| format!("{}: {note}", mean.name())));
    cells.chain(means).collect()
}

fn table(verdict: &Verdict) -> String {
    let width = verdict.cells.iter().map(|cell| cell.attribute.len()).max().unwrap_or(0);
    let mut out = String::new();
    for Cell { attribute, compressed, extracted, ratio, counted, over, .. } in &verdict.cells {
        let (compressed, extracted) = (mib(*compressed), mib(*extracted));
        let _ = write!(out, "{attribute:width$}  {compressed:7.2} / {extracted:7.2} MiB  {}", ratios(*ratio));
        out.push_str(if *counted { "" } else { "  not counted" });
        out.push_str(if over.is_empty() { "\n" } else { "  over\n" });
    }
    for mean in &verdict.means {
        let over = match (mean.over.is_empty(), mean.notes.is_empty()) {
            (false, _) => "  over",
            (true, false) => "  not held to its limit",
            (true, true) => "",
        };
        let what = format!("mean of {} images, {}", mean.cells, mean.name());
        let _ = writeln!(out, "{what:width$}  {:21}  {}{over}", "", ratios(Some(mean.ratio)));
    }
    let over = verdict.cells.iter().filter(|cell| !cell.over.is_empty()).count();
    let _ = write!(
        out,
        "{} images, {over} over their budget; ours / published, compressed and extracted",
        verdict.cells.len()
    );
    out
}

fn ratios(ratio: Option<Ratio>) -> String {
    ratio.map_or("  –       –  ".to_owned(), |ratio| {
        format!("{:.3} / {:.3}", ratio.compressed, ratio.extracted)
    })
}
