//! Lines: how sizes went over releases of Kubernetes, or over what was recorded.

use anyhow::Result;
use plotters::prelude::{Circle, Cross, PathElement, Polygon, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use crate::chart::series;
use crate::palette::{INK, MUTED, RULE, Tone};
use crate::svg::{Area, clean, draw, text, ticks};

/// Size of a chart in pixels.
pub(crate) const SIZE: (u32, u32) = (400, 290);
/// Pixels around the plot: left, right, above, below.
const LEFT: i32 = 40;
const RIGHT: i32 = 164;
const TOP: i32 = 34;
const BELOW: i32 = 34;
/// Pixels between the labels of two lines.
const APART: i32 = 16;

/// A line: a value in MiB for each place of the axis where there is one.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) values: Vec<Option<f64>>,
    /// What it is compared with: drawn thin and dashed, in the same tone, without a label.
    pub(crate) published: Vec<Option<f64>>,
}

/// Draws lines over named places, each with marks of its own shape and its name and last value at its end.
pub(crate) fn chart(title: &str, places: &[String], lines: &[Line]) -> Result<String> {
    draw(SIZE, |area| plot(area, title, places, lines))
}

fn plot(area: &Area<'_>, title: &str, places: &[String], lines: &[Line]) -> Result<()> {
    let (width, height) = (i32::try_from(SIZE.0)?, i32::try_from(SIZE.1)?);
    let all = lines.iter().flat_map(|line| line.values.iter().chain(&line.published)).flatten();
    let highest = all.copied().fold(f64::MIN_POSITIVE, f64::max);
    let (bottom, room) = (height - BELOW, height - BELOW - TOP);
    #[expect(clippy::cast_possible_truncation, reason = "at most `room`")]
    let y = |mib: f64| bottom - (mib / highest * f64::from(room)).round() as i32;
    let gaps = i32::try_from(places.len())?.saturating_sub(1).max(1);
    let x = |index: usize| LEFT + 8 + i32::try_from(index).unwrap_or(0) * (width - LEFT - RIGHT - 16) / gaps;

    let style = text(14.0, INK, true, (HPos::Left, VPos::Center));
    area.draw(&Text::new(clean(title), (LEFT, 12), style))?;
    for tick in ticks(highest, 5) {
        area.draw(&PathElement::new([(LEFT, y(tick)), (width - RIGHT, y(tick))], RULE.rgb()))?;
        let style = text(12.0, MUTED, false, (HPos::Right, VPos::Center));
        area.draw(&Text::new(format!("{tick}"), (LEFT - 8, y(tick)), style))?;
    }
    // Names of places only as often as there is room for them, the last one always.
    let every = places.len().div_ceil(3).max(1);
    for (index, place) in
        places.iter().enumerate().filter(|(at, _)| (places.len() - 1 - at).is_multiple_of(every))
    {
        let style = text(12.0, MUTED, false, (HPos::Center, VPos::Center));
        area.draw(&Text::new(clean(place), (x(index), bottom + 18), style))?;
    }
    let points = |values: &[Option<f64>]| -> Vec<(i32, i32)> {
        values.iter().enumerate().filter_map(|(at, value)| Some((x(at), y((*value)?)))).collect()
    };
    let mut labels = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let tone = series(index);
        dashed(area, &points(&line.published), tone)?;
        let points = points(&line.values);
        area.draw(&PathElement::new(points.clone(), tone.rgb().stroke_width(2)))?;
        points.iter().try_for_each(|at| mark(area, index, *at, tone))?;
        if let (Some(last), Some(value)) = (points.last(), line.values.iter().flatten().last()) {
            labels.push((last.1, format!("{} {value:.1}", line.name), tone, index));
        }
    }
    labels.sort_by_key(|(at, _, _, index)| (*at, *index));
    let wanted: Vec<i32> = labels.iter().map(|(at, ..)| *at).collect();
    for (at, (_, label, tone, index)) in spread(&wanted, TOP, bottom).into_iter().zip(labels) {
        mark(area, index, (width - RIGHT + 12, at), tone)?;
        let style = text(13.0, tone, true, (HPos::Left, VPos::Center));
        area.draw(&Text::new(clean(&label), (width - RIGHT + 22, at), style))?;
    }
    Ok(())
}

/// Moves labels apart, none above `top` or below `bottom` while there is room. They are given, and stay, in order.
fn spread(wanted: &[i32], top: i32, bottom: i32) -> Vec<i32> {
    let mut placed = Vec::with_capacity(wanted.len());
    let mut least = top;
    for at in wanted {
        placed.push((*at).max(least));
        least = placed.last().map_or(top, |last| last + APART);
    }
    let mut most = bottom;
    for at in placed.iter_mut().rev() {
        *at = (*at).min(most);
        most = *at - APART;
    }
    placed
}

/// A mark, of a shape for each line.
fn mark(area: &Area<'_>, index: usize, at: (i32, i32), tone: Tone) -> Result<()> {
    let (x, y) = at;
    let filled = tone.rgb().filled();
    match index % 5 {
        0 => area.draw(&Circle::new(at, 4, filled))?,
        1 => area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], filled))?,
        2 => area.draw(&Polygon::new([(x, y - 5), (x + 5, y + 4), (x - 5, y + 4)], filled))?,
        3 => area.draw(&Polygon::new([(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)], filled))?,
        _ => area.draw(&Cross::new(at, 4, tone.rgb().stroke_width(2)))?,
    }
    Ok(())
}

/// A dashed line. Dashes are drawn one by one: the SVG backend has no other way to them.
fn dashed(area: &Area<'_>, points: &[(i32, i32)], tone: Tone) -> Result<()> {
    const DASH: f64 = 5.0;
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let (across, down) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = across.hypot(down);
        #[expect(clippy::cast_possible_truncation, reason = "inside the picture")]
        let at = |along: f64| {
            let share = (along / length).min(1.0);
            let step = |distance: f64| (distance * share).round() as i32;
            (from.0 + step(across), from.1 + step(down))
        };
        let mut along = 0.0;
        while along < length {
            area.draw(&PathElement::new([at(along), at(along + DASH)], tone.rgb()))?;
            along += 2.0 * DASH;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_stay_apart_in_order_and_inside(mut wanted in prop::collection::vec(34..256, 0..12)) {
            wanted.sort_unstable();
            let placed = spread(&wanted, 34, 256);
            prop_assert_eq!(placed.len(), wanted.len());
            prop_assert!(placed.windows(2).all(|pair| pair[1] - pair[0] >= APART));
            prop_assert!(placed.iter().all(|at| (34..=256).contains(at)));
        }
    }
}
