//! The matrix: a table a base, a group of rows a release.

use maud::{Markup, html};

use crate::figures::{Measure, percent};
use crate::input::{Cell, Matrix};

/// The section of the page.
pub(super) fn section(matrix: &Matrix) -> Markup {
    html! {
        section aria-labelledby="matrix" {
            h2 #matrix { "Ours and published" }
            @if matrix.cells.iter().all(|cell| cell.ours.is_none()) {
                p { "No image was built: these are the published sizes alone." }
            }
            p.muted {
                "In each cell: ours, then what was published, and ours as a share of it, rounded up. "
                "▼ is smaller, ▲ is not; ○ does not count in the means."
            }
            (scale())
            @for base in matrix.bases() {
                @if matrix.cells.iter().any(|cell| cell.base == base && cell.ours.is_some()) {
                    h3 { "Base " (base) }
                    (table(matrix, base))
                } @else {
                    details {
                        summary { "Base " (base) ": none built" }
                        (table(matrix, base))
                    }
                }
            }
        }
    }
}

/// What the colours mean.
fn scale() -> Markup {
    html! {
        ul.scale aria-label="Scale of the cells" {
            @for (step, words) in ["up to 45 %", "up to 65 %", "up to 85 %", "up to 100 %", "more"].iter().enumerate() {
                li class=(format!("step-{step}")) { (words) }
            }
        }
    }
}

fn table(matrix: &Matrix, base: &str) -> Markup {
    let arches = matrix.arches();
    let has = |release: &str| matrix.cells.iter().any(|cell| cell.base == base && cell.release == release);
    html! {
        table.matrix role="table" {
            caption.hidden { "Sizes in MiB, base " (base) }
            thead role="rowgroup" {
                tr role="row" {
                    th rowspan="2" scope="col" role="columnheader" { "Variant" }
                    @for arch in &arches { th colspan="2" scope="colgroup" role="columnheader" { (arch) } }
                }
                tr role="row" {
                    @for _ in &arches {
                        @for measure in Measure::BOTH { th scope="col" role="columnheader" { (measure.word()) } }
                    }
                }
            }
            @for release in matrix.releases().into_iter().filter(|release| has(release)) {
                tbody role="rowgroup" {
                    tr role="row" {
                        th.release colspan=(1 + 2 * arches.len()) scope="rowgroup" role="rowheader" { (release) }
                    }
                    @for variant in matrix.variants() {
                        @if arches.iter().any(|arch| matrix.cell(release, variant, base, arch).is_some()) {
                            tr role="row" {
                                th scope="row" role="rowheader" { (variant) }
                                @for arch in &arches {
                                    @let cell = matrix.cell(release, variant, base, arch);
                                    @for measure in Measure::BOTH { (figures(cell, arch, measure)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One figure of a cell. On a phone its column's head is not seen, so it names itself.
fn figures(cell: Option<&Cell>, arch: &str, measure: Measure) -> Markup {
    let ours = cell.and_then(|cell| cell.ours).map(|size| measure.ours(size));
    let published = cell.and_then(|cell| cell.published).map(|size| measure.published(size));
    let ratio = cell.and_then(|cell| measure.ratio(cell));
    let counted = cell.is_some_and(|cell| cell.counted);
    let note = cell.and_then(|cell| cell.note.as_deref());
    let step = ratio.map_or("none", |ratio| match ratio {
        ratio if ratio <= 0.45 => "step-0",
        ratio if ratio <= 0.65 => "step-1",
        ratio if ratio <= 0.85 => "step-2",
        ratio if ratio <= 1.0 => "step-3",
        _ => "step-4",
    });
    html! {
        td role="cell" class=(step) data-label=(format!("{arch}, {}", measure.word())) {
            span.ours {
                @match ours { Some(mib) => (format!("{mib:.2}")), None => span.muted { "not built" } }
            }
            span.published {
                @match published { Some(mib) => (format!("{mib:.2}")), None => "not published" }
            }
            @if let Some(ratio) = ratio {
                (bar(ratio))
                span.ratio {
                    span aria-hidden="true" {
                        @if !counted { "○ " }
                        @if ratio < 1.0 { "▼ " } @else { "▲ " }
                    }
                    (percent(ratio))
                    @if !counted { span.hidden { ", does not count" } }
                }
            }
            @if let Some(note) = note { span.note { (note) } }
        }
    }
}

/// Ours as a part of what was published; the whole is where the bar's ground ends.
fn bar(ratio: f64) -> Markup {
    html! {
        svg.bar aria-hidden="true" viewBox="0 0 100 4" preserveAspectRatio="none" {
            rect.whole width="100" height="4" {}
            rect.part width=(format!("{:.1}", (ratio * 100.0).min(100.0))) height="4" {}
        }
    }
}
