//! Holds images to their budget: what they weighed at the last release, and what was published before.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use catalog::{Attribute, Attributes, BaseBudget, Catalog, Figures};
use fault::{Fault, Kind};
use oci::compress::Compression;
use serde::Serialize;

use crate::diff::{self, Delta, LayerChange};
use crate::image::{Image, Layer};
use crate::published::{Mib, Published};
use crate::record::Record;
use crate::render::{bytes, line, lines, mib};

/// What images are compared with.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The budget, and what attributes mean.
    pub catalog: &'a Catalog,
    /// The last release.
    pub record: &'a Record,
    /// The images to beat.
    pub published: &'a Published,
}

/// One of the two sets of manifests that images have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// What is released and recorded.
    Gzip,
    /// The same images with zstd layers, under names of their own.
    Zstd,
}

impl Set {
    /// The set of a weighed image, and its attribute, by its name.
    pub fn of(name: &str) -> (Self, &str) {
        match name.strip_suffix(Self::Zstd.suffix()) {
            Some(attribute) => (Self::Zstd, attribute),
            None => (Self::Gzip, name),
        }
    }

    /// What its names have more than the attribute.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => Compression::default().suffix(),
            Self::Zstd => Compression::Zstd.suffix(),
        }
    }
}

/// How images stand.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Those that were weighed, by name.
    pub cells: Vec<Cell>,
    /// The bases' means: with gzip over these and all others that are recorded, with zstd over these.
    pub means: Vec<Mean>,
}

/// How one image stands.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The attribute; with zstd layers, and [`Set::suffix`].
    pub attribute: String,
    /// How it is compressed.
    pub set: Set,
    /// In bytes.
    pub compressed: u64,
    /// In bytes.
    pub extracted: u64,
    /// Ours / published, if one was.
    pub ratio: Option<Ratio>,
    /// Does it count against the published one? Not if something was left out of it.
    pub counted: bool,
    /// Why it is over its budget: a paragraph each.
    pub over: Vec<String>,
    /// What it was not compared with, and why.
    pub notes: Vec<String>,
}

/// Ours / published.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Of what is pulled.
    pub compressed: f64,
    /// Of what is kept.
    pub extracted: f64,
}

impl Ratio {
    /// Ours / published.
    pub fn of(image: &Image, published: Mib) -> Self {
        Self {
            compressed: mib(image.compressed) / published.compressed,
            extracted: mib(image.extracted) / published.extracted,
        }
    }
}

/// How the images of one base and set stand together.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// The base.
    pub base: String,
    /// How they are compressed.
    pub set: Set,
    /// How many images count.
    pub cells: usize,
    /// The geometric mean of their ratios.
    pub ratio: Ratio,
    /// Is it held to its limit? Not if images are missing that would count.
    pub held: bool,
    /// Why it is over its budget.
    pub over: Vec<String>,
    /// What is missing.
    pub notes: Vec<String>,
}

/// Judges images that were just weighed, by attribute and [`Set::suffix`].
///
/// # Errors
/// [`Kind::NotFound`] for one that the catalog does not have.
pub fn judge(rules: Rules<'_>, weighed: &BTreeMap<String, Image>) -> Result<Verdict> {
    let attributes = Attributes::of(rules.catalog);
    let mut cells = Vec::new();
    for (name, image) in weighed {
        let (set, attribute) = Set::of(name);
        cells.push(rules.cell(attributes.get(attribute)?, set, image));
    }
    let sets = |base| [(base, Set::Gzip), (base, Set::Zstd)];
    let means = rules.catalog.budget.bases.iter().flat_map(sets);
    let means = means.filter_map(|(base, set)| rules.mean(base, set, weighed, &attributes));
    Ok(Verdict { cells, means: means.collect() })
}

impl Rules<'_> {
    fn cell(self, attribute: &Attribute<'_>, set: Set, image: &Image) -> Cell {
        let mut cell = Cell {
            attribute: name(attribute, set),
            set,
            compressed: image.compressed,
            extracted: image.extracted,
            ratio: self.published.of(attribute).map(|published| Ratio::of(image, published)),
            counted: image.omitted.is_empty(),
            over: Vec::new(),
            notes: Vec::new(),
        };
        match self.record.images.get(&attribute.name) {
            _ if set == Set::Zstd => {
                cell.notes.push("not compared with the record: only gzip images are recorded".to_owned());
            }
            None => {
                cell.notes.push(format!("not recorded yet: `cargo xtask size record {}`", attribute.name));
            }
            Some(recorded) if recorded.omitted != image.omitted => {
                let list = |image: &Image| {
                    if image.omitted.is_empty() { "nothing".into() } else { image.omitted.join(", ") }
                };
                let (then, now) = (list(recorded), list(image));
                cell.notes.push(format!("not compared with the record: it lacks {then}, this one {now}"));
            }
            Some(recorded) => cell.over.extend(growth(recorded, image, self.catalog.budget.growth)),
        }
        let Some(ratio) = cell.ratio else {
            if let Some(said) =
                self.published.unpublished.iter().find(|x| attribute.product.name == *x.product)
            {
                cell.notes.push(format!("no size of {} was published, only: {}", said.product, said.said));
            }
            return cell;
        };
        if !cell.counted {
            cell.notes
                .push(format!("without {}: not counted against the published one", image.omitted.join(", ")));
            return cell;
        }
        for budget in self.catalog.budget.bases.iter().filter(|budget| is_for(budget, attribute)) {
            cell.over
                .extend(exceeded(ratio, budget.cell).map(|over| format!("{over}, of the published image")));
        }
        cell
    }

    fn mean(
        self,
        budget: &BaseBudget,
        set: Set,
        weighed: &BTreeMap<String, Image>,
        attributes: &Attributes<'_>,
    ) -> Option<Mean> {
        let ratio = |attribute: &Attribute<'_>, set| {
            // All gzip images that are not weighed now are known from the record.
            let recorded = || self.record.images.get(&attribute.name).filter(|_| set == Set::Gzip);
            let image = weighed.get(&name(attribute, set)).or_else(recorded)?;
            let published = self.published.of(attribute)?;
            image.omitted.is_empty().then(|| Ratio::of(image, published))
        };
        let mut ratios = Vec::new();
        let mut missing = Vec::new();
        for attribute in attributes.iter().filter(|attribute| is_for(budget, attribute)) {
            match ratio(attribute, set) {
                Some(ratio) => ratios.push(ratio),
                None if ratio(attribute, Set::Gzip).is_some() => missing.push(name(attribute, set)),
                None => {}
            }
        }
        if ratios.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few dozen images")]
        let mean = |figure: fn(&Ratio) -> f64| {
            (ratios.iter().map(|ratio| figure(ratio).ln()).sum::<f64>() / ratios.len() as f64).exp()
        };
        let ratio =
            Ratio { compressed: mean(|ratio| ratio.compressed), extracted: mean(|ratio| ratio.extracted) };
        let limit = match set {
            Set::Gzip => budget.mean,
            Set::Zstd => budget.zstd_mean,
        };
        let mut mean = Mean {
            base: budget.base.to_string(),
            set,
            cells: ratios.len(),
            ratio,
            held: limit != catalog::Ratios::default() && missing.is_empty(),
            over: Vec::new(),
            notes: Vec::new(),
        };
        if mean.held {
            let over = exceeded(ratio, limit);
            mean.over = over.map(|over| format!("{over}, in the mean of {} images", mean.cells)).collect();
        } else if !missing.is_empty() {
            // Some images are above the mean, rightly: alone they do not show it.
            let of = mean.cells + missing.len();
            let first = missing.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            let rest = if missing.len() > 3 { ", ..." } else { "" };
            mean.notes.push(format!(
                "the mean is held to its limit once all {of} images are weighed; missing: {first}{rest}"
            ));
        }
        Some(mean)
    }
}

/// What a weighed image of this set is called.
fn name(attribute: &Attribute<'_>, set: Set) -> String {
    format!("{}{}", attribute.name, set.suffix())
}

fn is_for(budget: &BaseBudget, attribute: &Attribute<'_>) -> bool {
    budget.is_for(attribute.base.name.as_str(), attribute.release.version.as_str())
}

/// What of a ratio is over its limit.
fn exceeded(ratio: Ratio, limit: catalog::Ratios) -> impl Iterator<Item = String> {
    let figures =
        [("compressed", ratio.compressed, limit.compressed), ("extracted", ratio.extracted, limit.extracted)];
    figures.into_iter().filter_map(|(figure, ratio, limit)| {
        let limit = limit.filter(|limit| ratio > *limit)?;
        Some(format!("{figure} is {ratio:.3}, more than {limit:.2}"))
    })
}

/// Says what grew by more than is allowed, if anything did: the image as a whole or one of its layers, for nothing that
/// shrinks elsewhere makes up for it.
fn growth(recorded: &Image, image: &Image, allowed: Figures<u64>) -> Option<String> {
    let image = image.coarse(Some(recorded));
    let whole = [
        ("compressed", Delta { before: recorded.compressed, after: image.compressed }, allowed.compressed),
        ("extracted", Delta { before: recorded.extracted, after: image.extracted }, allowed.extracted),
    ];
    let mut over: Vec<String> = Vec::new();
    for (figure, delta, allowed) in whole {
        if delta.growth() > allowed {
            over.push(format!(
                "{} bytes more {figure} than recorded, {} allowed",
                bytes(delta.growth()),
                bytes(allowed)
            ));
        }
    }
    let before: BTreeMap<&str, &Layer> =
        recorded.layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
    let changes = image
        .layers
        .iter()
        .map(|layer| diff::layer(&layer.name, before.get(&*layer.name).copied(), Some(layer)));
    let grown: Vec<LayerChange> =
        changes.filter(|layer| layer.compressed.growth() > 0 || layer.extracted.growth() > 0).collect();
    for layer in &grown {
        let too_much =
            layer.compressed.growth() > allowed.compressed || layer.extracted.growth() > allowed.extracted;
        if too_much && over.is_empty() {
            over.push("one layer grew by more than is allowed, whatever shrank elsewhere".to_owned());
        }
    }
    if over.is_empty() {
        return None;
    }
    let mut text = over.join("; ");
    for layer in &grown {
        let _ = write!(text, "\n  {}\n", line(layer));
        lines(&mut text, layer, "  ");
        text.truncate(text.trim_end().len());
    }
    Some(text)
}

impl Mean {
    /// What it is of.
    pub fn name(&self) -> String {
        match self.set {
            Set::Gzip => format!("base {}", self.base),
            Set::Zstd => format!("base {}, zstd", self.base),
        }
    }
}

impl Verdict {
    /// Is everything within its budget?
    ///
    /// # Errors
    /// [`Kind::Budget`] naming what is not, and where it grew.
    pub fn check(&self) -> Result<()> {
        let mut text = String::new();
        let mut count = 0;
        let cells = self.cells.iter().map(|cell| (cell.attribute.clone(), &cell.over));
        let means = self.means.iter().map(|mean| (mean.name(), &mean.over));
        for (name, over) in cells.chain(means) {
            for paragraph in over {
                count += 1;
                let _ = write!(text, "\n{name}: {paragraph}");
            }
        }
        if count == 0 {
            return Ok(());
        }
        let message = format!("over the budget, {count} times:{}", text.replace('\n', "\n  "));
        Err(Fault::new(Kind::Budget, message)
            .help(
                "what grew for a reason: `cargo xtask size record ATTR...`, and say why in the commit; \
                 [budget] of images/catalog.toml has the limits",
            )
            .into())
    }
}

#[cfg(test)]
mod tests;
