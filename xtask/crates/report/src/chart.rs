//! Bars: ours against what was published, variant by variant, for the newest release.

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use plotters::prelude::{PathElement, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use crate::figures::{Measure, distinct, percent};
use crate::input::{Cell, Input};
use crate::palette::{self, INK, MUTED, PAPER, PUBLISHED, RULE, SERIES, Tone};
use crate::svg::{Area, TEXT, clean, draw, text, ticks};

/// Width of the README's chart in pixels: of the column that it is shown in.
const WIDTH: u32 = 840;
/// Heights in pixels: of a bar, of the gap between variants, of what is above and below the bars.
const BAR: i32 = 17;
const GAP: i32 = 16;
const HEAD: i32 = 30;
const FOOT: i32 = 28;
/// Width of the variants' names, and of the figures right of the longest bar.
const NAMES: i32 = 116;
const FIGURES: i32 = 100;

/// What is compared: a release, an architecture, its variants, and the bases of which there is something.
pub(crate) struct Comparison<'a> {
    pub(crate) release: &'a str,
    pub(crate) arch: &'a str,
    rows: Vec<Row<'a>>,
    bases: Vec<&'a str>,
    notes: Vec<&'a str>,
}

struct Row<'a> {
    variant: &'a str,
    published: Option<&'a Cell>,
    ours: Vec<Option<&'a Cell>>,
}

impl<'a> Comparison<'a> {
    /// The newest release of which anything was built and published, else built, on the first architecture that has it.
    pub(crate) fn newest(input: &'a Input) -> Option<Self> {
        let matrix = &input.matrix;
        let built = || matrix.cells.iter().filter(|cell| cell.ours.is_some());
        let same = |cell: &Cell, other: &Cell| cell.release == other.release && cell.arch == other.arch;
        let published =
            |cell: &&Cell| matrix.cells.iter().any(|other| same(cell, other) && other.published.is_some());
        let first = built().find(published).or_else(|| built().next())?;
        let (release, arch) = (first.release.as_str(), first.arch.as_str());
        let of = |variant, base| matrix.cell(release, variant, base, arch);
        let cells = || matrix.cells.iter().filter(|cell| cell.release == release && cell.arch == arch);
        let bases = distinct(cells().filter(|cell| cell.ours.is_some()).map(|cell| cell.base.as_str()));
        let rows: Vec<Row<'_>> = distinct(cells().map(|cell| cell.variant.as_str()))
            .into_iter()
            .map(|variant| Row {
                variant,
                published: cells().find(|cell| cell.variant == variant && cell.published.is_some()),
                ours: bases.iter().map(|base| of(variant, base)).collect(),
            })
            .collect();
        let notes = distinct(rows.iter().flat_map(Row::notes));
        Some(Self { release, arch, rows, bases, notes })
    }

    /// Height of a panel in pixels.
    pub(crate) fn height(&self) -> i32 {
        let bars = i32::try_from(self.bases.len() + 1).unwrap_or(i32::MAX / 1024);
        let rows = i32::try_from(self.rows.len()).unwrap_or(1024);
        HEAD + rows.saturating_mul(bars * BAR + GAP) + FOOT
    }

    /// In words, for those who do not see it.
    pub(crate) fn words(&self, measure: Measure) -> String {
        let value = |value: Option<f64>| value.map_or("none".to_owned(), |mib| format!("{mib:.2} MiB"));
        let row = |row: &Row<'_>| {
            let ours = row.ours.iter().zip(&self.bases).map(|(cell, base)| {
                let mib = cell.and_then(|cell| cell.ours).map(|size| measure.ours(size));
                format!("{base} {}", value(mib))
            });
            let published = row.published.and_then(|cell| cell.published).map(|size| measure.published(size));
            format!(
                "{}: {}, published {}",
                row.variant,
                ours.collect::<Vec<_>>().join(", "),
                value(published)
            )
        };
        let rows: Vec<_> = self.rows.iter().map(row).collect();
        clean(&format!("{} {}, {}. {}.", self.release, self.arch, measure.word(), rows.join("; ")))
    }

    /// What colours and signs mean, in a line.
    pub(crate) fn legend(&self, area: &Area<'_>, at: (i32, i32)) -> Result<()> {
        let mut left = at.0;
        let entries = [("published", PUBLISHED)].into_iter();
        let ours = self.bases.iter().enumerate().map(|(index, base)| (*base, series(index)));
        for (name, tone) in entries.chain(ours) {
            let square = [(left, at.1 - 6), (left + 12, at.1 + 6)];
            area.draw(&Rectangle::new(square, tone.rgb().filled()))?;
            let style = text(TEXT, INK, false, (HPos::Left, VPos::Center));
            area.draw(&Text::new(clean(name), (left + 18, at.1), style))?;
            left += 18 + width(name) + 24;
        }
        for (index, note) in self.notes.iter().enumerate() {
            let note = format!("{} {note}", mark(index));
            let style = text(TEXT, MUTED, false, (HPos::Left, VPos::Center));
            area.draw(&Text::new(clean(&note), (left, at.1), style))?;
            left += width(&note) + 24;
        }
        Ok(())
    }

    /// One measure's bars.
    pub(crate) fn panel(&self, area: &Area<'_>, measure: Measure) -> Result<()> {
        let (width, height) = area.dim_in_pixel();
        let (width, height) = (i32::try_from(width)?, i32::try_from(height)?);
        let values = self.rows.iter().flat_map(|row| row.values(measure));
        let highest = values.map(|(mib, _)| mib).fold(f64::MIN_POSITIVE, f64::max);
        let room = width - NAMES - FIGURES;
        #[expect(clippy::cast_possible_truncation, reason = "at most `room`")]
        let x = |mib: f64| NAMES + (mib / highest * f64::from(room)).round() as i32;

        let title = format!("{}, MiB", measure.word());
        let style = text(TEXT, INK, true, (HPos::Left, VPos::Center));
        area.draw(&Text::new(title, (NAMES, 12), style))?;
        for tick in ticks(highest, 4) {
            let line = [(x(tick), HEAD), (x(tick), height - FOOT)];
            area.draw(&PathElement::new(line, RULE.rgb()))?;
            let style = text(12.0, MUTED, false, (HPos::Center, VPos::Center));
            area.draw(&Text::new(format!("{tick}"), (x(tick), height - FOOT + 13), style))?;
        }
        let mut top = HEAD + GAP / 2;
        for row in &self.rows {
            let bars = i32::try_from(row.ours.len() + 1)?;
            let marks = row.notes().filter_map(|note| self.notes.iter().position(|known| *known == note));
            let name = format!("{}{}", row.variant, distinct(marks.map(mark)).concat());
            let style = text(TEXT, INK, false, (HPos::Right, VPos::Center));
            area.draw(&Text::new(clean(&name), (NAMES - 10, top + bars * BAR / 2), style))?;
            for (index, (mib, ratio)) in row.bars(measure).into_iter().enumerate() {
                let tone = if index == 0 { PUBLISHED } else { series(index - 1) };
                let bar = [(NAMES, top + 1), (x(mib).max(NAMES + 1), top + BAR - 1)];
                let middle = top + BAR / 2 + 1;
                top += BAR;
                if mib == 0.0 {
                    continue;
                }
                area.draw(&Rectangle::new(bar, tone.rgb().filled()))?;
                let figure = match ratio {
                    Some(ratio) => format!("{mib:.1}  ({})", percent(ratio)),
                    None => format!("{mib:.1}"),
                };
                let style =
                    text(13.0, if index == 0 { MUTED } else { INK }, index > 0, (HPos::Left, VPos::Center));
                area.draw(&Text::new(figure, (bar[1].0 + 6, middle), style))?;
            }
            top += GAP;
        }
        Ok(())
    }
}

impl<'a> Row<'a> {
    fn notes(&self) -> impl Iterator<Item = &'a str> {
        self.ours.iter().flatten().filter_map(|cell| cell.note.as_deref())
    }

    /// What was published, then ours base by base: MiB (0: none) and its share of what was published.
    fn bars(&self, measure: Measure) -> Vec<(f64, Option<f64>)> {
        let published = self.published.and_then(|cell| cell.published).map(|size| measure.published(size));
        let ours = self.ours.iter().map(|cell| {
            let mib = cell.and_then(|cell| cell.ours).map(|size| measure.ours(size));
            (mib.unwrap_or(0.0), cell.and_then(|cell| measure.ratio(cell)))
        });
        [(published.unwrap_or(0.0), None)].into_iter().chain(ours).collect()
    }

    fn values(&self, measure: Measure) -> Vec<(f64, Option<f64>)> {
        self.bars(measure)
    }
}

/// The tone of a base or variant, by its place.
pub(crate) fn series(index: usize) -> Tone {
    SERIES[index % SERIES.len()]
}

/// About how wide a text of a legend is, in pixels.
fn width(name: &str) -> i32 {
    i32::try_from(name.chars().count()).unwrap_or(1024).saturating_mul(8)
}

/// The sign that leads to a note.
fn mark(index: usize) -> &'static str {
    ["*", "†", "‡", "§"][index % 4]
}

/// The README's chart: the newest release's variants against what was published, as an SVG file.
///
/// It has a ground of its own, which follows the reader's colour scheme where that is known, so that it can be read on
/// light and dark pages alike.
pub fn chart(input: &Input) -> Result<String> {
    let comparison = Comparison::newest(input).ok_or_else(|| {
        Fault::new(Kind::NotFound, "there is nothing to draw: no cell of the matrix was built")
            .help("build an image, and record its sizes")
    })?;
    let panel = comparison.height();
    let (top, foot) = (64, 16);
    let height = u32::try_from(top + panel + foot).context("too many variants for a chart")?;
    let title = format!("Kubelet images {} {}: ours and published", comparison.release, comparison.arch);
    let inner = draw((WIDTH, height), |area| {
        let style = text(16.0, INK, true, (HPos::Left, VPos::Center));
        area.draw(&Text::new(clean(&title), (20, 24), style))?;
        comparison.legend(area, (20, 50))?;
        let panels = area.margin(top, foot, 6, 6).split_evenly((1, 2));
        for (area, measure) in panels.iter().zip(Measure::BOTH) {
            comparison.panel(area, measure)?;
        }
        Ok(())
    })?;
    let dark = palette::replace(|tone| format!("#{:06X}", tone.dark));
    let (paper, night, rule) = (PAPER.light, PAPER.dark, RULE.light);
    let words = Measure::BOTH.map(|measure| comparison.words(measure)).join(" ");
    let [title, words] = [clean(&title), words].map(|text| maud::html! { (text) }.into_string());
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">{title}</title>\n<desc id=\"d\">{words}</desc>\n\
         <style>text{{font-family:system-ui,-apple-system,\"Segoe UI\",Helvetica,Arial,sans-serif;\
         paint-order:stroke;stroke:#{paper:06X};stroke-width:3px}}\
         @media(prefers-color-scheme:dark){{{dark}text{{stroke:#{night:06X}}}}}</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#{paper:06X}\" stroke=\"#{rule:06X}\"/>\n\
         {inner}</svg>\n",
        WIDTH - 1,
        height - 1
    ))
}
