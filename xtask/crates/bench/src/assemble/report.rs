//! What came out, and whether it is what was aimed at.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;
use sizes::render::{bytes, mib};

use super::Sample;
use super::peers::{BEST, FAST, GZIP};
use crate::goal::{self, Goal};
use crate::report::Machine;

/// The marks in a page between which the table is.
const BEGIN: &str = "<!-- cargo xtask bench assemble -->";
const END: &str = "<!-- end -->";

/// How many times as fast as the fastest of the others.
const FASTER: f64 = 2.0;
/// How large a layer may be beside the smallest of the others'.
const SMALLER: f64 = 0.92;
/// How much memory ours may take, in MiB.
const MEMORY: f64 = 200.0;

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    version: u32,
    machine: Machine,
    repeat: usize,
    pub(super) trees: Vec<TreeReport>,
    pub(super) missing: Vec<&'static str>,
}

/// Of one tree.
#[derive(Debug, Serialize)]
pub(super) struct TreeReport {
    pub(super) tree: String,
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) rows: Vec<Row>,
}

/// What one program took.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    program: &'static str,
    /// The bytes of the layer.
    layer: u64,
    samples: Vec<Sample>,
}

impl Row {
    pub(super) fn new(program: &'static str) -> Self {
        Self { program, layer: 0, samples: Vec::new() }
    }

    pub(super) fn add(&mut self, sample: Sample, layer: u64) {
        self.samples.push(sample);
        self.layer = layer;
    }

    fn wall(&self) -> f64 {
        Sample::summary(&self.samples, |it| it.wall).median
    }

    fn peak(&self) -> f64 {
        Sample::summary(&self.samples, |it| mib(it.peak)).max
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^52")]
impl TreeReport {
    fn row(&self, program: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.program == program)
    }

    /// Others that make an image.
    fn peers(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| ![FAST, BEST, GZIP].contains(&row.program))
    }

    fn goals(&self) -> Vec<Goal> {
        let (Some(fast), Some(best), Some(gzip)) = (self.row(FAST), self.row(BEST), self.row(GZIP)) else {
            return Vec::new();
        };
        let goal = |what: &str, found, limit, at_most| Goal {
            what: format!("{}: {what}", self.tree),
            found,
            limit,
            at_most,
        };
        let mut goals = Vec::new();
        if let Some(peer) = self.peers().min_by(|a, b| a.wall().total_cmp(&b.wall())) {
            let what = format!("time of {}, the fastest, by that of --fast", peer.program);
            goals.push(goal(&what, peer.wall() / fast.wall(), FASTER, false));
            let what = format!("layer of --fast by that of {}", peer.program);
            goals.push(goal(&what, fast.layer as f64 / peer.layer as f64, 1.0, true));
        }
        if let Some(peer) = self.peers().min_by_key(|row| row.layer) {
            let what = format!("layer as released by that of {}, the smallest", peer.program);
            goals.push(goal(&what, best.layer as f64 / peer.layer as f64, SMALLER, true));
        }
        goals.push(goal("time as released by that of gzip -9", best.wall() / gzip.wall(), 1.0, true));
        goals.push(goal("peak of memory as released, MiB", best.peak(), MEMORY, true));
        goals
    }
}

impl Report {
    pub(super) fn new(repeat: usize) -> Self {
        Self { version: 1, machine: Machine::this(), repeat, trees: Vec::new(), missing: Vec::new() }
    }

    /// For people, and for a page.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("{}; {} rounds, median (min .. max).\n", self.machine.described(), self.repeat);
        for tree in &self.trees {
            let size = mib(tree.bytes);
            let _ = writeln!(text, "\n**{}**: {} files, {size:.1} MiB\n", tree.tree, tree.files);
            text +=
                "| | layer, bytes | time, s | CPU, s | peak, MiB |\n| --- | ---: | ---: | ---: | ---: |\n";
            for row in &tree.rows {
                let (layer, cells) = (bytes(row.layer), Sample::cells(&row.samples));
                let _ = writeln!(text, "| {} | {layer} | {cells} |", row.program);
            }
            text.push('\n');
            for goal in tree.goals() {
                text += &goal.line();
                text.push('\n');
            }
        }
        if !self.missing.is_empty() {
            let _ = writeln!(text, "\nNot installed, so not measured: {}.", self.missing.join(", "));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Fails where something aimed at is missed.
    ///
    /// # Errors
    /// [`fault::Kind::ToolFailed`].
    pub fn check(&self) -> Result<()> {
        goal::check(self.trees.iter().flat_map(TreeReport::goals))
    }
}

/// A page with the table in place of the one that it has.
///
/// # Errors
/// [`fault::Kind::InvalidData`] for a page without a place for it.
pub fn replaced(page: &str, file: &str, table: &str) -> Result<String> {
    files::replace_marked(page, file, [BEGIN, END], table)
}

#[cfg(test)]
mod tests {
    use fault::Kind;

    use super::*;

    fn report(fast: f64, best: f64) -> Report {
        let row = |program, wall, layer| {
            let mut row = Row::new(program);
            for factor in [0.9, 1.0, 1.1] {
                row.add(Sample { wall: wall * factor, cpu: wall, peak: 30 << 20 }, layer);
            }
            row
        };
        let rows = vec![
            row(FAST, fast, 1_100_000),
            row(BEST, best, 1_000_000),
            row(GZIP, 5.0, 1_050_000),
            row("umoci repack", 2.0, 1_120_000),
            row("buildah commit", 3.0, 1_110_000),
        ];
        let mut report = Report::new(3);
        report.machine = Machine::example();
        report.trees = vec![TreeReport { tree: "files".to_owned(), files: 7, bytes: 3 << 20, rows }];
        report.missing = vec!["crane"];
        report
    }

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!(report(1.0, 6.0).markdown(), @r"
        2 x Some CPU, Linux 6.1, load 1.00 2.00 3.00; 3 rounds, median (min .. max).

        **files**: 7 files, 3.0 MiB

        | | layer, bytes | time, s | CPU, s | peak, MiB |
        | --- | ---: | ---: | ---: | ---: |
        | ours, --fast | 1,100,000 | 1.00 (0.90 .. 1.10) | 1.00 | 30 |
        | ours, as released | 1,000,000 | 6.00 (5.40 .. 6.60) | 6.00 | 30 |
        | gzip -9, of the archive alone | 1,050,000 | 5.00 (4.50 .. 5.50) | 5.00 | 30 |
        | umoci repack | 1,120,000 | 2.00 (1.80 .. 2.20) | 2.00 | 30 |
        | buildah commit | 1,110,000 | 3.00 (2.70 .. 3.30) | 3.00 | 30 |

        - files: time of umoci repack, the fastest, by that of --fast: 2.000, at least 2 is aimed at
        - files: layer of --fast by that of umoci repack: 0.982, at most 1 is aimed at
        - files: layer as released by that of buildah commit, the smallest: 0.901, at most 0.92 is aimed at
        - files: time as released by that of gzip -9: 1.200, at most 1 is aimed at: missed
        - files: peak of memory as released, MiB: 30.000, at most 200 is aimed at

        Not installed, so not measured: crane.
        ");
    }

    #[test]
    fn what_is_missed_fails_and_is_named() {
        assert!(report(1.0, 4.9).check().is_ok());
        let error = report(1.1, 6.0).check().unwrap_err();
        assert_eq!(fault::exit_code(&error), Kind::ToolFailed.exit_code());
        let text = error.to_string();
        assert!(text.contains("by that of --fast: 1.818, at least 2 is aimed at: missed"), "{text}");
        assert!(
            text.contains("time as released by that of gzip -9: 1.200") && !text.contains("MiB"),
            "{text}"
        );
    }

    #[test]
    fn a_page_keeps_what_is_around_the_table() {
        let page = format!("# A\n\n{BEGIN}\nold\n{END}\nmore\n");
        assert_eq!(replaced(&page, "f", "new").unwrap(), format!("# A\n\n{BEGIN}\nnew\n{END}\nmore\n"));
        assert!(replaced("# A", "f", "new").is_err());
    }
}
