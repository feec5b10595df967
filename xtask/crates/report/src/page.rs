//! The page of sizes.

mod contents;
mod history;
mod matrix;

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use crate::chart::Comparison;
use crate::document::document;
use crate::figures::{Measure, percent, summaries};
use crate::input::Input;
use crate::svg;

/// Width of one of the page's charts in pixels.
const WIDTH: u32 = 400;

/// Writes the page, as every [`document`] is. All names are escaped.
pub fn page(input: &Input) -> Result<String> {
    input.check()?;
    let body = html! {
        a.skip href="#matrix" { "Skip to the matrix" }
        (head(input))
        main {
            (means(input))
            (matrix::section(&input.matrix))
            (newest(input)?)
            (history::section(input)?)
            (contents::section(&input.images)?)
        }
    };
    let script = concat!(include_str!("page/squarify.js"), include_str!("page/page.js"));
    Ok(document("Sizes of the kubelet images", include_str!("page/page.css"), script, &body))
}

fn head(input: &Input) -> Markup {
    html! {
        header {
            div {
                h1 { "Sizes of the kubelet images" }
                p.muted {
                    "Ours against the images that were published before, in MiB (2" sup { "20" } " bytes)"
                    @if let Some(revision) = &input.revision { "; as of " strong { (revision) } }
                    "."
                }
            }
            fieldset.choice.theme {
                legend { "Colours" }
                @for (value, word) in [("auto", "Auto"), ("light", "Light"), ("dark", "Dark")] {
                    label {
                        input type="radio" name="theme" value=(value) checked[value == "auto"];
                        span { (word) }
                    }
                }
            }
        }
    }
}

/// The few figures that count.
fn means(input: &Input) -> Markup {
    html! {
        @let summaries = summaries(&input.matrix);
        @if !summaries.is_empty() {
            section aria-label="Means" {
                dl.means {
                    @for summary in &summaries {
                        @for (word, ratio) in [("compressed", summary.compressed), ("extracted", summary.extracted)] {
                            div {
                                dt { (summary.base) ", " (word) }
                                dd { (percent(ratio)) }
                                dd.muted {
                                    "of what was published: geometric mean over " (summary.cells)
                                    @if summary.cells == 1 { " image" } @else { " images" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The README's chart, its panels one by one so that they fit a phone.
fn newest(input: &Input) -> Result<Markup> {
    let Some(comparison) = Comparison::newest(input) else {
        return Ok(html! {});
    };
    let legend = svg::draw((WIDTH, 24), |area| comparison.legend(area, (2, 12)))?;
    let height = u32::try_from(comparison.height())?;
    let panel = |measure: Measure| -> Result<Markup> {
        let inner = svg::draw((WIDTH, height), |area| comparison.panel(area, measure))?;
        Ok(picture((WIDTH, height), &comparison.words(measure), &inner))
    };
    Ok(html! {
        section aria-labelledby="newest" {
            h2 #newest { (comparison.release) ", " (comparison.arch) }
            (picture((WIDTH, 24), "Legend", &legend))
            div.charts { @for measure in Measure::BOTH { (panel(measure)?) } }
        }
    })
}

/// A chart with its description.
fn picture((width, height): (u32, u32), words: &str, inner: &str) -> Markup {
    html! {
        svg.chart role="img" aria-label=(words) width=(width) height=(height)
            viewBox=(format!("0 0 {width} {height}")) { (PreEscaped(inner)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Kind, Node};

    fn input() -> Input {
        Input::parse(include_bytes!("../testdata/input.json"), "input.json").unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        assert_eq!(page(&input()).unwrap(), page(&input()).unwrap());
        assert_eq!(crate::chart(&input()).unwrap(), crate::chart(&input()).unwrap());
    }

    #[test]
    fn no_name_is_ever_markup() {
        let hostile = "</script><!--<script>\"'><img src=x onerror=alert(1)>\u{1}\u{2028}]]>&amp;";
        let mut input = input();
        input.revision = Some(hostile.into());
        for cell in &mut input.matrix.cells {
            cell.note = Some(hostile.into());
            for name in [&mut cell.release, &mut cell.variant, &mut cell.base, &mut cell.arch] {
                *name = format!("{name}{hostile}");
            }
        }
        for record in &mut input.history.records {
            record.name = hostile.into();
        }
        input.images = vec![Node {
            name: hostile.into(),
            kind: Kind::Image,
            bytes: 1,
            children: vec![Node { name: hostile.into(), kind: Kind::File, bytes: 1, children: vec![] }],
        }];
        let page = page(&input).unwrap();
        for bad in ["<img", "<!--", "alert(1)>\u{1}"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert_eq!(page.matches("</script").count(), 2, "the data and the script");
        let chart = crate::chart(&input).unwrap();
        assert!(!chart.contains("<img") && !chart.contains('\u{1}') && !chart.contains("<script"));
    }

    #[test]
    fn an_empty_matrix_has_a_page_and_no_chart() {
        let empty = Input {
            version: 1,
            revision: None,
            matrix: crate::Matrix::default(),
            history: crate::History::default(),
            images: vec![],
        };
        assert!(page(&empty).unwrap().contains("No image was built"));
        assert_eq!(fault::exit_code(&crate::chart(&empty).unwrap_err()), 4);
    }

    #[test]
    fn nothing_inline_escapes_the_policy() {
        let page = page(&input()).unwrap();
        for bad in [" style=", " onclick", "http://", "https://", "url(", "@import"] {
            let found = page.matches(bad).count();
            let allowed = usize::from(bad == "http://");
            assert!(found <= allowed, "{bad}: {found}");
        }
    }
}
