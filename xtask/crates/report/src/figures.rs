//! Figures derived from the input: MiB, ratios, means.

use crate::input::{Cell, Matrix, Published, Size};

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// Bytes in MiB, as published sizes are given.
#[expect(clippy::cast_precision_loss, reason = "the input is checked to be below 2^53")]
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// One of an image's two sizes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Compressed,
    Extracted,
}

impl Measure {
    pub(crate) const BOTH: [Measure; 2] = [Measure::Compressed, Measure::Extracted];

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Measure::Compressed => "compressed",
            Measure::Extracted => "extracted",
        }
    }

    /// Ours, in MiB.
    pub(crate) fn ours(self, size: Size) -> f64 {
        mib(match self {
            Measure::Compressed => size.compressed,
            Measure::Extracted => size.extracted,
        })
    }

    /// What was published, in MiB.
    pub(crate) const fn published(self, size: Published) -> f64 {
        match self {
            Measure::Compressed => size.compressed,
            Measure::Extracted => size.extracted,
        }
    }

    /// Ours / published, if there are both.
    pub(crate) fn ratio(self, cell: &Cell) -> Option<f64> {
        Some(self.ours(cell.ours?) / self.published(cell.published?))
    }
}

/// What a base comes to: geometric means of ours / published over the cells that count and have both.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The base.
    pub base: String,
    /// How many cells count.
    pub cells: usize,
    /// How many have been built, counted or not.
    pub built: usize,
    /// The mean of the compressed sizes.
    pub compressed: f64,
    /// The mean of the extracted sizes.
    pub extracted: f64,
}

/// A summary for each base of which at least one cell counts.
pub fn summaries(matrix: &Matrix) -> Vec<Summary> {
    let of = |base: String| {
        let cells = || matrix.cells.iter().filter(|cell| cell.base == base);
        let mean = |measure: Measure| {
            let ratios = cells().filter(|cell| cell.counted).filter_map(|cell| measure.ratio(cell));
            let logs: Vec<f64> = ratios.map(f64::ln).collect();
            #[expect(clippy::cast_precision_loss, reason = "a matrix has some hundred cells")]
            let count = logs.len() as f64;
            (logs.len(), (logs.iter().sum::<f64>() / count).exp())
        };
        let (count, compressed) = mean(Measure::Compressed);
        let (_, extracted) = mean(Measure::Extracted);
        let built = cells().filter(|cell| cell.ours.is_some()).count();
        (count > 0).then_some(Summary { base, cells: count, built, compressed, extracted })
    };
    matrix.bases().into_iter().filter_map(|base| of(base.to_owned())).collect()
}

impl Matrix {
    pub(crate) fn releases(&self) -> Vec<&str> {
        distinct(self.cells.iter().map(|cell| cell.release.as_str()))
    }

    pub(crate) fn variants(&self) -> Vec<&str> {
        distinct(self.cells.iter().map(|cell| cell.variant.as_str()))
    }

    pub(crate) fn bases(&self) -> Vec<&str> {
        distinct(self.cells.iter().map(|cell| cell.base.as_str()))
    }

    pub(crate) fn arches(&self) -> Vec<&str> {
        distinct(self.cells.iter().map(|cell| cell.arch.as_str()))
    }

    pub(crate) fn cell(&self, release: &str, variant: &str, base: &str, arch: &str) -> Option<&Cell> {
        let is_it = |cell: &&Cell| {
            cell.release == release && cell.variant == variant && cell.base == base && cell.arch == arch
        };
        self.cells.iter().find(is_it)
    }
}

/// Each once, in order of appearance.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// A ratio as a percentage. It is rounded up, so that what is shown is never better than what is.
pub(crate) fn percent(ratio: f64) -> String {
    format!("{:.0} %", (ratio * 100.0 - 1e-9).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(base: &str, variant: &str, ours: Option<u64>, counted: bool) -> Cell {
        Cell {
            release: "v1".into(),
            variant: variant.into(),
            base: base.into(),
            arch: "amd64".into(),
            ours: ours.map(|mib| Size { compressed: mib << 20, extracted: mib << 21 }),
            published: Some(Published { compressed: 16.0, extracted: 16.0 }),
            counted,
            note: None,
        }
    }

    #[test]
    fn means_are_geometric_and_of_what_counts() {
        let cells = vec![
            cell("micro", "a", Some(4), true),
            cell("micro", "b", Some(16), true),
            cell("micro", "c", Some(1), false),
            cell("micro", "d", None, true),
            cell("none", "a", None, true),
        ];
        let [micro] = &summaries(&Matrix { cells })[..] else { panic!("one base counts") };
        assert_eq!((micro.base.as_str(), micro.cells, micro.built), ("micro", 2, 3));
        assert!((micro.compressed - 0.5).abs() < 1e-12);
        assert!((micro.extracted - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_percentage_flatters_nobody() {
        assert_eq!(percent(0.47), "47 %");
        assert_eq!(percent(0.4701), "48 %");
        assert_eq!(percent(1.0001), "101 %");
    }
}
