//! How sizes went: over releases of Kubernetes, and over what was recorded.

use anyhow::Result;
use maud::{Markup, html};

use super::picture;
use crate::figures::{Measure, distinct};
use crate::input::{Input, Record, Recorded};
use crate::lines::{self, Line, SIZE};

/// A pair of charts that can be chosen.
struct Choice {
    name: String,
    charts: Vec<Markup>,
}

/// The section of the page.
pub(super) fn section(input: &Input) -> Result<Markup> {
    let (releases, records) = (over_releases(input)?, over_records(input)?);
    if releases.is_empty() && records.is_empty() {
        return Ok(html! {});
    }
    Ok(html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            @if !releases.is_empty() {
                h3 { "Over releases of Kubernetes" }
                p.muted { "Solid with marks: ours. Dashed: published." }
                (choices("releases", "Image", &releases))
            }
            @if !records.is_empty() {
                h3 { "Over what was recorded" }
                (choices("records", "Image", &records))
                (table(&input.history.records))
            }
        }
    })
}

/// A list to choose from, and what is chosen: the first, until the script knows better.
fn choices(id: &str, label: &str, choices: &[Choice]) -> Markup {
    html! {
        p {
            label { (label) " "
                select data-choice=(id) {
                    @for (index, choice) in choices.iter().enumerate() { option value=(index) { (choice.name) } }
                }
            }
        }
        @for (index, choice) in choices.iter().enumerate() {
            div.charts data-chosen=(id) hidden[index > 0] { @for chart in &choice.charts { (chart) } }
        }
    }
}

/// Two charts, one a measure.
fn charts(name: &str, places: &[String], lines: impl Fn(Measure) -> Vec<Line>) -> Result<Vec<Markup>> {
    let chart = |measure: Measure| -> Result<Markup> {
        let lines = lines(measure);
        let inner = lines::chart(&format!("{}, MiB", measure.word()), places, &lines)?;
        Ok(picture(SIZE, &words(&format!("{name}, {}", measure.word()), places, &lines), &inner))
    };
    Measure::BOTH.into_iter().map(chart).collect()
}

/// A chart in words.
fn words(title: &str, places: &[String], lines: &[Line]) -> String {
    let line = |line: &Line| {
        let values = places.iter().zip(&line.values).filter_map(|(place, value)| {
            let value = (*value)?;
            Some(format!("{place} {value:.2}"))
        });
        format!("{}: {}", line.name, values.collect::<Vec<_>>().join(", "))
    };
    format!("{title}, MiB. {}.", lines.iter().map(line).collect::<Vec<_>>().join("; "))
}

/// By base and architecture, from the matrix: oldest release first.
fn over_releases(input: &Input) -> Result<Vec<Choice>> {
    let matrix = &input.matrix;
    let places: Vec<String> = matrix.releases().into_iter().rev().map(str::to_owned).collect();
    let mut choices = Vec::new();
    for base in matrix.bases() {
        for arch in matrix.arches() {
            let of = |release: &str, variant: &str| matrix.cell(release, variant, base, arch);
            let built = |variant: &&str| {
                places.iter().any(|release| of(release, variant).is_some_and(|cell| cell.ours.is_some()))
            };
            let variants: Vec<&str> = matrix.variants().into_iter().filter(built).collect();
            if variants.is_empty() || places.len() < 2 {
                continue;
            }
            let lines = |measure: Measure| {
                let line = |variant: &&str| Line {
                    name: (*variant).to_owned(),
                    values: places
                        .iter()
                        .map(|release| Some(measure.ours(of(release, variant)?.ours?)))
                        .collect(),
                    published: places
                        .iter()
                        .map(|release| Some(measure.published(of(release, variant)?.published?)))
                        .collect(),
                };
                variants.iter().map(line).collect()
            };
            let name = format!("{base}, {arch}");
            let charts = charts(&name, &places, lines)?;
            choices.push(Choice { name, charts });
        }
    }
    Ok(choices)
}

/// By release, base and architecture, wherever there are two records to draw a line between.
fn over_records(input: &Input) -> Result<Vec<Choice>> {
    let records = &input.history.records;
    let places: Vec<String> = records.iter().map(|record| record.name.clone()).collect();
    let all = || records.iter().flat_map(|record| &record.cells);
    let mut choices = Vec::new();
    for release in newest_first(input) {
        for base in distinct(all().map(|cell| cell.base.as_str())) {
            for arch in distinct(all().map(|cell| cell.arch.as_str())) {
                let here =
                    |cell: &&Recorded| cell.release == release && cell.base == base && cell.arch == arch;
                let has = |record: &&Record| record.cells.iter().any(|cell| here(&cell));
                if records.iter().filter(has).count() < 2 {
                    continue;
                }
                let variants = distinct(all().filter(here).map(|cell| cell.variant.as_str()));
                let value = |record: &Record, variant: &str, measure: Measure| {
                    let found = record.cells.iter().find(|cell| here(cell) && cell.variant == variant);
                    found.map(|cell| measure.ours(cell.size))
                };
                let lines = |measure: Measure| {
                    let line = |variant: &&str| Line {
                        name: (*variant).to_owned(),
                        values: records.iter().map(|record| value(record, variant, measure)).collect(),
                        published: Vec::new(),
                    };
                    variants.iter().map(line).collect()
                };
                let name = format!("{release}, {base}, {arch}");
                let charts = charts(&name, &places, lines)?;
                choices.push(Choice { name, charts });
            }
        }
    }
    Ok(choices)
}

/// The recorded releases in the matrix's order, then those that it does not have any more.
fn newest_first(input: &Input) -> Vec<&str> {
    let recorded = input.history.records.iter().rev().flat_map(|record| &record.cells);
    let recorded = distinct(recorded.map(|cell| cell.release.as_str()));
    let known = input.matrix.releases();
    let first = known.iter().copied().filter(|release| recorded.contains(release));
    distinct(first.chain(recorded.iter().copied()))
}

/// Every recorded figure, newest record first.
fn table(records: &[Record]) -> Markup {
    html! {
        details {
            summary { "All records as a table" }
            div.scroll tabindex="0" role="region" aria-label="All records" {
                table.plain {
                    thead {
                        tr {
                            @for head in ["Record", "Release", "Variant", "Base", "Arch"] { th scope="col" { (head) } }
                            @for measure in Measure::BOTH { th.number scope="col" { (measure.word()) } }
                        }
                    }
                    tbody {
                        @for record in records.iter().rev() {
                            @for cell in &record.cells {
                                tr {
                                    th scope="row" { (record.name) }
                                    td { (cell.release) } td { (cell.variant) } td { (cell.base) } td { (cell.arch) }
                                    @for measure in Measure::BOTH {
                                        td.number { (format!("{:.2}", measure.ours(cell.size))) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
