//! What pictures are made from: the record, its history, and what was published.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use catalog::{Attribute, Attributes, Catalog, Scope};
use report::{Cell, History, Input, Matrix, Node, Published, Recorded, Size};
use sizes::record::Record;
use sizes::{Image, Layer};

use crate::Checkout;
use crate::record::{self, RECORD};

/// How many earlier records are shown.
const RECORDS: usize = 40;

/// The figures of pictures: saved ones, or those of the record and of what git has of it.
pub fn input(checkout: &Checkout, saved: Option<&Path>) -> Result<Input> {
    if let Some(file) = saved {
        let json = files::read_required(file, files::DOCUMENT)?;
        return Input::parse(&json, &file.display().to_string()).context("reading saved sizes");
    }
    let catalog = checkout.catalog()?;
    let record = record::read(checkout)?;
    let attributes = Attributes::of(&catalog);
    let input = Input {
        version: 1,
        revision: None,
        matrix: matrix(&record, &record::published(checkout, &catalog)?, &attributes),
        history: history(checkout, &catalog)?,
        images: record.images.iter().map(|(name, image)| tree(name, image)).collect(),
    };
    input.check().context(RECORD)?;
    Ok(input)
}

/// Every image that was published or is recorded.
fn matrix(record: &Record, published: &sizes::published::Published, all: &Attributes<'_>) -> Matrix {
    let cell = |attribute: &Attribute<'_>| {
        let Scope::Image(arch) = attribute.scope else { return None };
        let image = record.images.get(&attribute.name);
        let theirs = published.of(attribute);
        if image.is_none() && theirs.is_none() {
            return None;
        }
        let omitted = image.map_or(&[][..], |image| &image.omitted);
        Some(Cell {
            release: attribute.release.version.to_string(),
            variant: attribute.variant.name.to_string(),
            base: attribute.base.name.to_string(),
            arch: arch.name.to_string(),
            ours: image.map(size),
            published: theirs.map(|mib| Published { compressed: mib.compressed, extracted: mib.extracted }),
            counted: omitted.is_empty(),
            note: (!omitted.is_empty()).then(|| format!("without {}", omitted.join(", "))),
        })
    };
    Matrix { cells: all.iter().filter_map(cell).collect() }
}

/// The records that git has, oldest first; none where there is no git.
fn history(checkout: &Checkout, catalog: &Catalog) -> Result<History> {
    let count = format!("--max-count={RECORDS}");
    let log = checkout.git(&["log", &count, "--format=%h %cs", "--", RECORD])?.unwrap_or_default();
    let attributes = Attributes::of(catalog);
    let mut records = Vec::new();
    for (revision, date) in log.lines().filter_map(|line| line.split_once(' ')) {
        // A record in a format of before, or of images that the catalog has no more, is not part of the picture.
        let text = checkout.git(&["show", &format!("{revision}:{RECORD}")])?;
        let Some(record) = text.and_then(|text| Record::parse(&text, RECORD).ok()) else { continue };
        let cells = record.images.iter().filter_map(|(name, image)| {
            let attribute = attributes.get(name).ok()?;
            let Scope::Image(arch) = attribute.scope else { return None };
            Some(Recorded {
                release: attribute.release.version.to_string(),
                variant: attribute.variant.name.to_string(),
                base: attribute.base.name.to_string(),
                arch: arch.name.to_string(),
                size: size(image),
            })
        });
        records.push(report::Record { name: format!("{date} {revision}"), cells: cells.collect() });
    }
    records.reverse();
    Ok(History { records })
}

fn size(image: &Image) -> Size {
    Size { compressed: image.compressed, extracted: image.extracted }
}

/// What an image consists of, down to the modules of its Go programs.
fn tree(name: &str, image: &Image) -> Node {
    node(name, report::Kind::Image, image.layers.iter().map(layer).collect())
}

fn layer(layer: &Layer) -> Node {
    let mut components: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
    let mut parts = Vec::new();
    for part in &layer.parts {
        let module = |(name, bytes): (&String, &u64)| {
            let kind = if name.starts_with('(') { report::Kind::Section } else { report::Kind::Module };
            Node { bytes: *bytes, ..node(name, kind, Vec::new()) }
        };
        let modules = part.modules.iter().map(module).collect();
        let file = Node { bytes: part.size, ..node(&part.name, report::Kind::File, modules) };
        match &part.component {
            Some(component) => components.entry(component).or_default().push(file),
            None => parts.push(file),
        }
    }
    parts.extend(components.into_iter().map(|(name, files)| node(name, report::Kind::Component, files)));
    Node { bytes: layer.extracted, ..node(&layer.name, report::Kind::Layer, parts) }
}

/// A node of as many bytes as its parts.
fn node(name: &str, kind: report::Kind, children: Vec<Node>) -> Node {
    let bytes = children.iter().map(|child| child.bytes).sum();
    Node { name: name.to_owned(), kind, bytes, children }
}
