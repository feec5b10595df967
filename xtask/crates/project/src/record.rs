//! What images weigh, as it is written down, and what is held to it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use catalog::{Attributes, Catalog};
use fault::{Fault, Kind};
use sizes::budget::{self, Rules, Verdict};
use sizes::diff::Diff;
use sizes::published::Published;
use sizes::record::Record;

use crate::generated::{Generated, GeneratedFile};
use crate::weigh::{self, Request};
use crate::{BuildOptions, Checkout};

/// What images weighed at the last release.
pub const RECORD: &str = "images/sizes.json";
/// The images to beat.
const PUBLISHED: &str = "images/published-sizes.toml";
/// The page with the table of both.
const PAGE: &str = "README.md";

/// What the record, the table and the chart are made of, in words.
pub const SIZES: &str = "the sizes give";

/// The record of the last release.
pub fn read(checkout: &Checkout) -> Result<Record> {
    let path = checkout.root.join(RECORD);
    if !path.exists() {
        let fault = Fault::new(Kind::NotFound, format!("there is no {RECORD}"));
        return Err(fault.help("`cargo xtask size record ATTR...` makes it").into());
    }
    Record::parse(&files::read_text(&path, files::DOCUMENT)?, RECORD)
}

/// What was published.
pub fn published(checkout: &Checkout, catalog: &Catalog) -> Result<Published> {
    let path = checkout.root.join(PUBLISHED);
    Published::parse(&files::read_text(&path, files::DOCUMENT)?, PUBLISHED, catalog)
}

/// Weighs images, writes the record, and says what is different in it.
pub fn write(checkout: &Checkout, request: &Request, options: &BuildOptions) -> Result<(Generated, Diff)> {
    let catalog = checkout.catalog()?;
    let mut record = match read(checkout) {
        Err(error) if fault::is(&error, Kind::NotFound) => Record::default(),
        read => read?,
    };
    let weighed = weigh::weigh(checkout, request, options, &record)?;
    let before = record.images.clone();
    let attributes = Attributes::of(&catalog);
    let known = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
    for (name, image) in weighed {
        if known(&name) {
            record.images.insert(name, image.coarse(None));
        } else {
            checkout.progress.note(&format!(
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
    let file = GeneratedFile { path: RECORD, of: SIZES, command: "cargo xtask size record" };
    let written = file.write(checkout, &record.text()?, false)?;
    Ok((written, sizes::diff::images(&before, &record.images)))
}

/// Makes README's table of what is recorded, or with `check` demands that it is what is recorded.
pub fn write_table(checkout: &Checkout, check: bool) -> Result<Generated> {
    let catalog = checkout.catalog()?;
    let record = read(checkout)?;
    let published = published(checkout, &catalog)?;
    let path = checkout.root.join(PAGE);
    let page = files::read_text(&path, files::DOCUMENT)?;
    let new = sizes::table::replaced(&page, PAGE, &sizes::table::markdown(&catalog, &record, &published))?;
    let file = GeneratedFile { path: PAGE, of: SIZES, command: "cargo xtask size table" };
    file.write(checkout, &new, check)
}

/// Demands that the images of these layouts, which are the catalog's, are within their budget.
pub fn check_layouts(checkout: &Checkout, layouts: &[&Path]) -> Result<()> {
    let catalog = checkout.catalog()?;
    let mut weighed = weigh::Weighed::new();
    for layout in layouts {
        weighed.extend(weigh::layout(checkout, &catalog, layout)?);
    }
    let verdict = judge(checkout, &catalog, &read(checkout)?, &weighed)?;
    for note in notes(&verdict) {
        checkout.progress.note(&note);
    }
    verdict.check()
}

/// Compares what was weighed with the record and with what was published.
pub fn judge(
    checkout: &Checkout,
    catalog: &catalog::Catalog,
    record: &Record,
    weighed: &weigh::Weighed,
) -> Result<Verdict> {
    let published = published(checkout, catalog)?;
    budget::judge(Rules { catalog, record, published: &published }, weighed)
}

/// The notes on images and means; what is said of many images is said once.
pub fn notes(verdict: &Verdict) -> Vec<String> {
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
