//! How time and memory of the hot paths grow with their inputs. Each size is measured in a process of its own, whose peak of
//! memory no other input has had a part in.

use std::fmt::Write as _;

use anyhow::Result;
use progress::Progress;
use serde::Serialize;

use crate::fit::Exponent;
use crate::hot::{HotPath, Measured};

/// Memory below this, in bytes, is not taken for the input's.
const NOISE: u64 = 1 << 20;
/// How many of the largest sizes a quick look leaves out.
const LEFT_OUT: usize = 2;

/// A path at all sizes.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// Which one.
    pub path: &'static str,
    /// What sizes count.
    pub unit: &'static str,
    /// What it took, the smallest size first.
    pub points: Vec<Measured>,
    /// How time grows.
    pub time: Option<Exponent>,
    /// How memory grows; none where it hardly takes any.
    pub memory: Option<Exponent>,
    /// How instructions do, where those are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Exponent>,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    version: u32,
    /// The greatest exponent that is meant.
    limit: f64,
    /// Each path.
    pub curves: Vec<Curve>,
}

/// Measures paths by what `measure` gives for each size; `quick` leaves out the largest.
///
/// # Errors
/// What `measure` gives.
pub fn measure(
    paths: &[&'static HotPath],
    limit: f64,
    quick: bool,
    progress: &dyn Progress,
    measure: impl Fn(&HotPath, u64) -> Result<Measured>,
) -> Result<Report> {
    let mut curves = Vec::new();
    for path in paths {
        let sizes = &path.sizes[..path.sizes.len() - if quick { LEFT_OUT } else { 0 }];
        let task = progress.task(path.name, None);
        let mut points = Vec::new();
        for size in sizes {
            exec::interrupt::check()?;
            task.detail(&format!("{size} {}", path.unit));
            points.push(measure(path, *size)?);
        }
        curves.push(Curve::of(path, points));
    }
    Ok(Report { version: 1, limit, curves })
}

#[expect(clippy::cast_precision_loss, reason = "sizes and bytes are far below 2^52")]
impl Curve {
    fn of(path: &HotPath, points: Vec<Measured>) -> Self {
        let time: Vec<_> = points.iter().map(|it| (it.size as f64, it.cpu)).collect();
        let memory = points.iter().filter(|it| it.memory >= NOISE);
        let memory: Vec<_> = memory.map(|it| (it.size as f64, it.memory as f64)).collect();
        let counted = points.iter().filter_map(|it| Some((it.size as f64, it.instructions? as f64)));
        let instructions = Exponent::of(&counted.collect::<Vec<_>>());
        let (time, memory) = (Exponent::of(&time), Exponent::of(&memory));
        Self { path: path.name, unit: path.unit, points, time, memory, instructions }
    }

    /// What grows faster than this: memory, and instructions where those are counted, else time, in which caches have a part.
    fn over(&self, limit: f64) -> impl Iterator<Item = (&'static str, f64)> {
        let work = self.instructions.map_or(("time", self.time), |it| ("instructions", Some(it)));
        let both = [work, ("memory", self.memory)];
        let worst = both.into_iter().filter_map(|(what, it)| Some((what, it?.worst())));
        worst.filter(move |(_, exponent)| *exponent > limit)
    }
}

impl Report {
    /// What grows faster than is meant, such as `plan: time by n^1.30`.
    pub fn over(&self) -> Vec<String> {
        let of = |curve: &Curve| {
            let path = curve.path;
            let over = curve.over(self.limit);
            over.map(|(what, exponent)| format!("{path}: {what} by n^{exponent:.2}")).collect::<Vec<_>>()
        };
        self.curves.iter().flat_map(of).collect()
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for curve in &self.curves {
            let _ = writeln!(text, "{} ({})", curve.path, curve.unit);
            for Measured { size, cpu, memory, instructions } in &curve.points {
                let (milliseconds, kibibytes) = (cpu * 1000.0, memory / 1024);
                let counted = instructions.map(|count| format!(" {count:>14} instructions"));
                let counted = counted.unwrap_or_default();
                let _ = writeln!(text, "{size:>14} {milliseconds:>12.2} ms {kibibytes:>10} KiB{counted}");
            }
            let over: Vec<_> = curve.over(self.limit).map(|(what, _)| what).collect();
            let counted = curve.instructions.map(|it| ("instructions", Some(it)));
            for (what, exponent) in
                [("time", curve.time), ("memory", curve.memory)].into_iter().chain(counted)
            {
                let _ = match exponent {
                    Some(Exponent { all, top }) => {
                        let mark = if over.contains(&what) { "  too fast" } else { "" };
                        writeln!(text, "{what:>14} n^{all:.2}, at the top n^{top:.2}{mark}")
                    }
                    None => writeln!(text, "{what:>14} hardly any"),
                };
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
mod tests {
    use progress::Silent;

    use super::*;

    #[test]
    fn what_grows_too_fast_is_named() {
        let paths = crate::hot::named(&["plan".to_owned(), "hash".to_owned()]).unwrap();
        let square = |path: &HotPath, size: u64| {
            let cpu = if path.name == "plan" { (size * size) as f64 } else { size as f64 };
            Ok(Measured { size, cpu, memory: size << 22, instructions: None })
        };
        let report = measure(&paths, 1.15, false, &Silent, square).unwrap();
        assert_eq!(report.over(), ["plan: time by n^2.00"]);
        let table = report.table();
        assert!(table.contains("n^2.00, at the top n^2.00  too fast"), "{table}");
        assert!(table.contains("        memory n^1.00"), "{table}");
        let quick = measure(&paths, 1.15, true, &Silent, square).unwrap();
        assert_eq!(quick.curves[0].points.last().unwrap().size, 16);
    }

    #[test]
    fn memory_that_is_hardly_any_has_no_exponent() {
        let paths = crate::hot::named(&["plan".to_owned()]).unwrap();
        let little = |_: &HotPath, size| Ok(Measured { size, cpu: 1.0, memory: size, instructions: None });
        let report = measure(&paths, 1.15, false, &Silent, little).unwrap();
        assert_eq!((report.curves[0].memory, report.over()), (None, Vec::new()));
        assert!(report.table().ends_with("memory hardly any"));
    }

    /// As where a cache is too small for the largest inputs.
    #[test]
    fn where_instructions_are_counted_time_is_not_judged() {
        let paths = crate::hot::named(&["plan".to_owned()]).unwrap();
        let counted = |power: u32| {
            let one = move |_: &HotPath, size: u64| {
                let instructions = Some(size.pow(power));
                Ok(Measured { size, cpu: (size * size) as f64, memory: 0, instructions })
            };
            measure(&paths, 1.15, false, &Silent, one).unwrap().over()
        };
        assert_eq!(counted(1), Vec::<String>::new());
        assert_eq!(counted(2), ["plan: instructions by n^2.00"]);
    }
}
