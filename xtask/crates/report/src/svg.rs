//! What all charts share: text, areas, and the SVG around what is drawn.

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, IntoFont, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, TextStyle};

use crate::palette::Tone;

/// A part of a picture to draw on, in pixels.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels of text: what plotters calls a font's size is its line's height.
pub(crate) const TEXT: f64 = 14.0;
const LINE: f64 = 1.24;

/// Draws a picture; returns its elements without the `svg` around them.
pub(crate) fn draw(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    let inner = text.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    let (inner, _) = inner.context("the plotting library wrote no svg element")?;
    Ok(inner.trim_start().to_owned())
}

/// A style of text: its size in pixels, colour, and which point of it is placed.
pub(crate) fn text(size: f64, tone: Tone, bold: bool, pos: (HPos, VPos)) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = ("sans-serif", size * LINE, style).into_font();
    TextStyle { font, color: tone.rgb().to_backend_color(), pos: Pos::new(pos.0, pos.1) }
}

/// A name as it can be drawn: XML has no way to write control characters.
pub(crate) fn clean(name: &str) -> String {
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    name.chars().map(|c| if forbidden(c) { '\u{FFFD}' } else { c }).collect()
}

/// A step between an axis's lines that is 1, 2 or 5 times a power of ten and gives at most `most` of them.
pub(crate) fn step(highest: f64, most: u32) -> f64 {
    let rough = (highest / f64::from(most)).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let of = |times: f64| times * power;
    [1.0, 2.0, 5.0].map(of).into_iter().find(|step| *step >= rough).unwrap_or_else(|| of(10.0))
}

/// The values of an axis's lines, 0 first.
pub(crate) fn ticks(highest: f64, most: u32) -> Vec<f64> {
    let step = step(highest, most);
    (0..=most).map(|index| f64::from(index) * step).take_while(|value| *value <= highest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(ticks(66.0, 5), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(ticks(1.3, 5), [0.0, 0.5, 1.0]);
        assert_eq!(clean("a\u{1}<b>"), "a\u{FFFD}<b>");
    }

    proptest! {
        #[test]
        fn an_axis_has_lines_whatever_its_end(highest in 1e-6..1e10_f64, most in 2..9_u32) {
            let ticks = ticks(highest, most);
            prop_assert!((1..=most as usize + 1).contains(&ticks.len()));
            prop_assert!(ticks.iter().all(|tick| (0.0..=highest).contains(tick)));
        }
    }
}
