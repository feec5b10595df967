//! What images weigh, as it is written down, and what is held to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use catalog::{Attributes, Catalog};
use fault::{Fault, Kind};
use sizes::budget::{self, Rules, Verdict};
use sizes::published::Published;
use sizes::record::Record;

use super::session::How;
use super::weigh;
use crate::context::Context;

/// What images weighed at the last release.
pub(crate) const RECORD: &str = "images/sizes.json";
/// The images to beat.
const PUBLISHED: &str = "images/published-sizes.toml";
/// The page with the table of both.
const PAGE: &str = "README.md";

/// The record of the last release.
pub(crate) fn read(context: &Context) -> Result<Record> {
    let path = context.root.join(RECORD);
    if !path.exists() {
        let fault = Fault::new(Kind::Unknown, format!("there is no {RECORD}"));
        return Err(fault.help("`cargo xtask size record ATTR...` makes it").into());
    }
    Record::parse(&files::read_text(&path, files::DOCUMENT)?, RECORD)
}

/// What was published.
pub(crate) fn published(context: &Context, catalog: &Catalog) -> Result<Published> {
    let path = context.root.join(PUBLISHED);
    Published::parse(&files::read_text(&path, files::DOCUMENT)?, PUBLISHED, catalog)
}

/// Which images to weigh.
#[derive(clap::Args)]
pub(crate) struct Which {
    /// Images and indexes; they are built if needed [default: those of images/sizes.json that are built already].
    #[arg(value_name = "ATTR")]
    pub(crate) attributes: Vec<String>,
    /// Weigh layouts that are here, in directories named like their attributes, and build nothing.
    #[arg(long, value_name = "DIR")]
    pub(crate) layouts: Option<PathBuf>,
    /// Build without this program or component [default: what the recorded image lacks].
    #[arg(long, value_name = "COMPONENT", conflicts_with = "layouts")]
    pub(crate) omit: Vec<String>,
}

/// Makes sure that a generated file of the repository is `new`: writes it, whole or not at all, or with `check` fails
/// and names the command that makes it.
pub(crate) fn generated(context: &Context, file: &str, new: &str, check: bool, command: &str) -> Result<()> {
    let path = context.root.join(file);
    let found = files::read_named(&path, files::DOCUMENT)?;
    let told = |words: &str, state: &str| {
        if context.json {
            return context.print_json(&serde_json::json!({"version": 1, "file": file, "state": state}));
        }
        context.progress.note(&format!("{file} {words}"));
        Ok(())
    };
    if found.as_deref() == Some(new.as_bytes()) {
        return told("is up to date", "unchanged");
    }
    if check {
        let state = if found.is_some() { "is not what the sizes give" } else { "is missing" };
        let fault = Fault::new(Kind::Stale, format!("{file} {state}"));
        return Err(fault.help(format!("`{command}` makes it")).into());
    }
    files::write(&path, new.as_bytes())?;
    told("was written", "written")
}

/// Weighs images, writes the record, and says what is different in it.
pub(crate) fn write(context: &Context, which: &Which, how: &How) -> Result<sizes::diff::Diff> {
    let catalog = context.catalog()?;
    let mut record = match read(context) {
        Err(error) if fault::is(&error, Kind::Unknown) => Record::default(),
        read => read?,
    };
    let weighed = weigh::weigh(context, which, how, &record)?;
    let before = record.images.clone();
    let attributes = Attributes::of(&catalog);
    let known = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
    for (name, image) in weighed {
        if known(&name) {
            record.images.insert(name, image.coarse(None));
        } else {
            context.progress.note(&format!(
                "{name}: not recorded: the record is of the catalog's gzip images, and of no unedited ones"
            ));
        }
    }
    record.images.retain(|name, _| known(name));
    if record.images.is_empty() {
        return Err(Fault::new(Kind::Usage, "there is nothing to record")
            .help("name images: `cargo xtask size record ATTR...`")
            .into());
    }
    generated(context, RECORD, &record.text()?, false, "cargo xtask size record")?;
    Ok(sizes::diff::images(&before, &record.images))
}

/// Builds an image, and writes down what it weighs.
pub(crate) fn add(context: &Context, attribute: &str, how: &How) -> Result<()> {
    let which = Which { attributes: vec![attribute.to_owned()], layouts: None, omit: Vec::new() };
    write(context, &which, how).map(drop)
}

/// Makes README's table of what is recorded, or with `check` demands that it is what is recorded.
pub(crate) fn write_table(context: &Context, check: bool) -> Result<()> {
    let catalog = context.catalog()?;
    let record = read(context)?;
    let published = published(context, &catalog)?;
    let path = context.root.join(PAGE);
    let page = files::read_text(&path, files::DOCUMENT)?;
    let new = sizes::table::replaced(&page, PAGE, &sizes::table::markdown(&catalog, &record, &published))?;
    generated(context, PAGE, &new, check, "cargo xtask size table")
}

/// Demands that the images of these layouts, which are the catalog's, are within their budget.
pub(crate) fn check_layouts(context: &Context, layouts: &[&Path]) -> Result<()> {
    let catalog = context.catalog()?;
    let mut weighed = weigh::Weighed::new();
    for layout in layouts {
        weighed.extend(weigh::layout(context, &catalog, layout)?);
    }
    let verdict = judge(context, &catalog, &read(context)?, &weighed)?;
    for note in notes(&verdict) {
        context.progress.note(&note);
    }
    verdict.check()
}

/// Compares what was weighed with the record and with what was published.
pub(crate) fn judge(
    context: &Context,
    catalog: &catalog::Catalog,
    record: &Record,
    weighed: &weigh::Weighed,
) -> Result<Verdict> {
    let published = published(context, catalog)?;
    budget::judge(Rules { catalog, record, published: &published }, weighed)
}

/// The notes on images and means; what is said of many images is said once.
pub(crate) fn notes(verdict: &Verdict) -> Vec<String> {
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
