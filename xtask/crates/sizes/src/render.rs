//! Sizes and differences for people: on a terminal, and in a pull request's comment.

use std::fmt::Write;

use crate::budget::{Cell, Ratio, Verdict};
use crate::diff::{Delta, Diff, LayerChange, PartChange};

/// How many changed parts of a layer, and modules of a program, are listed at most.
const LINES: usize = 12;

/// Bytes with thousands apart: `1,234,567`.
pub fn bytes(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes more or less, with their sign.
pub fn signed(change: i64) -> String {
    format!("{}{}", if change < 0 { '-' } else { '+' }, bytes(change.unsigned_abs()))
}

/// Bytes in MiB, as published sizes are given.
#[expect(clippy::cast_precision_loss, reason = "it is shown with two decimals")]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn percent(delta: Delta) -> String {
    if delta.before == 0 {
        return "new".to_owned();
    }
    if delta.after == 0 {
        return "gone".to_owned();
    }
    format!("{:+.2} %", (mib(delta.after) / mib(delta.before) - 1.0) * 100.0)
}

/// For a terminal.
pub fn text(diff: &Diff) -> String {
    let mut out = String::new();
    let width = diff.images.iter().map(|image| image.name.len()).max().unwrap_or(0);
    for image in &diff.images {
        let figure = |delta: Delta| {
            format!("{:>8.2} MiB {:>12} ({})", mib(delta.after), signed(delta.change()), percent(delta))
        };
        let (compressed, extracted) = (figure(image.compressed), figure(image.extracted));
        let _ = writeln!(out, "{:width$}  compressed {compressed}  extracted {extracted}", image.name);
    }
    for layer in &diff.layers {
        let images = if layer.images.len() > 1 {
            format!("  in {} images", layer.images.len())
        } else {
            String::new()
        };
        let _ = writeln!(out, "{}{images}", line(layer));
        lines(&mut out, layer, "  ");
    }
    let _ = match (diff.images.len(), diff.unchanged) {
        (0, unchanged) => writeln!(out, "no change; images compared: {unchanged}"),
        (_, 0) => Ok(()),
        (_, unchanged) => writeln!(out, "as they were: {unchanged} others"),
    };
    out.trim_end().to_owned()
}

/// A layer's change in one line.
pub fn line(layer: &LayerChange) -> String {
    let (compressed, extracted) = (signed(layer.compressed.change()), signed(layer.extracted.change()));
    format!("layer {}: {compressed} bytes compressed, {extracted} extracted", layer.name)
}

/// What changed in a layer, a line a part and module.
pub fn lines(out: &mut String, layer: &LayerChange, indent: &str) {
    for part in layer.parts.iter().take(LINES) {
        let _ = writeln!(out, "{indent}{:>12}  {}", signed(part.size.change()), named(part));
        for module in part.modules.iter().take(LINES) {
            let _ = writeln!(out, "{indent}  {:>12}  {}", signed(module.size.change()), module.name);
        }
        more(out, part.modules.len(), &format!("{indent}  "));
    }
    more(out, layer.parts.len(), indent);
}

fn more(out: &mut String, count: usize, indent: &str) {
    if count > LINES {
        let _ = writeln!(out, "{indent}and {} more, each of which changed less", count - LINES);
    }
}

fn named(part: &PartChange) -> String {
    match &part.component {
        Some(component) => format!("component {component}, {}", part.name),
        None => part.name.clone(),
    }
}

/// For a comment on a pull request: the images in a table, the layers to unfold.
pub fn markdown(diff: &Diff) -> String {
    if diff.images.is_empty() {
        return format!("**Image sizes**: no change; images compared: {}.", diff.unchanged);
    }
    let mut out = String::from(
        "**Image sizes**\n\n| image | compressed MiB | | extracted MiB | |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    for image in &diff.images {
        let figure = |delta: Delta| {
            format!("{:.2} | {} ({})", mib(delta.after), signed(delta.change()), percent(delta))
        };
        let (compressed, extracted) = (figure(image.compressed), figure(image.extracted));
        let _ = writeln!(out, "| {} | {compressed} | {extracted} |", code(&image.name));
    }
    if diff.unchanged > 0 {
        let _ = writeln!(out, "\nAs they were: {} others.", diff.unchanged);
    }
    for layer in &diff.layers {
        let images: Vec<_> = layer.images.iter().map(|image| code(image)).collect();
        let _ = writeln!(
            out,
            "\n<details><summary>{}</summary>\n\nIn {}.\n",
            escape(&line(layer)),
            images.join(", ")
        );
        out.push_str("| bytes | what |\n| ---: | --- |\n");
        for part in layer.parts.iter().take(LINES) {
            let component = part.component.as_ref().map(|name| format!("component {}, ", code(name)));
            let what = format!("{}{}", component.unwrap_or_default(), code(&part.name));
            let _ = writeln!(out, "| {} | {what} |", signed(part.size.change()));
            for module in part.modules.iter().take(LINES) {
                let _ = writeln!(out, "| {} | · {} |", signed(module.size.change()), code(&module.name));
            }
        }
        out.push_str("\n</details>\n");
    }
    out.trim_end().to_owned()
}

/// As code in a table's cell: nothing in it means anything.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Names come from images, which may be anyone's.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '@' | '#' | '~' => {
                _ = write!(out, "&#{};", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out
}

/// What was weighed beside what was published, a line each, and the means.
pub fn verdict(verdict: &Verdict) -> String {
    let width = verdict.cells.iter().map(|cell| cell.attribute.len()).max().unwrap_or(0);
    let mut out = String::new();
    for Cell { attribute, compressed, extracted, ratio, counted, over, .. } in &verdict.cells {
        let (compressed, extracted) = (mib(*compressed), mib(*extracted));
        let _ = write!(out, "{attribute:width$}  {compressed:7.2} / {extracted:7.2} MiB  {}", ratios(*ratio));
        out.push_str(if *counted { "" } else { "  not counted" });
        out.push_str(if over.is_empty() { "\n" } else { "  over\n" });
    }
    for mean in &verdict.means {
        let over = match (mean.over.is_empty(), mean.notes.is_empty()) {
            (false, _) => "  over",
            (true, false) => "  not held to its limit",
            (true, true) => "",
        };
        let what = format!("mean of {} images, {}", mean.cells, mean.name());
        let _ = writeln!(out, "{what:width$}  {:21}  {}{over}", "", ratios(Some(mean.ratio)));
    }
    let over = verdict.cells.iter().filter(|cell| !cell.over.is_empty()).count();
    let _ = write!(
        out,
        "{} images, {over} over their budget; ours / published, compressed and extracted",
        verdict.cells.len()
    );
    out
}

fn ratios(ratio: Option<Ratio>) -> String {
    ratio.map_or("  –       –  ".to_owned(), |ratio| {
        format!("{:.3} / {:.3}", ratio.compressed, ratio.extracted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::images;
    use crate::record::tests::{image, layer};

    fn diff() -> Diff {
        let base = || layer("micro", "aa", 10_000, 70_000);
        let before = [
            ("kubelet-a".to_owned(), image(vec![base(), layer("kubelet", "bb", 20_000, 80_000)])),
            ("kubelet-b".to_owned(), image(vec![base(), layer("kubelet", "bb", 20_000, 80_000)])),
            ("kubelet-c".to_owned(), image(vec![base()])),
            ("kubelet-gone".to_owned(), image(vec![base()])),
        ];
        let after = [
            ("kubelet-a".to_owned(), image(vec![base(), layer("kubelet", "cc", 22_000, 90_000)])),
            ("kubelet-b".to_owned(), image(vec![base(), layer("kubelet", "cc", 22_000, 90_000)])),
            ("kubelet-c".to_owned(), image(vec![base()])),
            ("kubelet-new".to_owned(), image(vec![base()])),
        ];
        images(&before.into(), &after.into())
    }

    #[test]
    fn a_terminal_is_told_what_changed_and_nothing_else() {
        insta::assert_snapshot!(text(&diff()));
        insta::assert_snapshot!(text(&Diff { unchanged: 3, ..Diff::default() }), @"no change; images compared: 3");
    }

    #[test]
    fn a_pull_request_is_told_the_same() {
        insta::assert_snapshot!(markdown(&diff()));
        insta::assert_snapshot!(markdown(&Diff { unchanged: 3, ..Diff::default() }), @"**Image sizes**: no change; images compared: 3.");
        assert_eq!(code("a|<b>`@c"), "<code>a&#124;&lt;b&gt;&#96;&#64;c</code>");
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(bytes), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [signed(0), signed(-1_000), signed(i64::MAX)],
            ["+0", "-1,000", "+9,223,372,036,854,775,807"]
        );
    }
}
