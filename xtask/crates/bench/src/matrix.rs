//! How long it takes to make all images of a release of programs that were compiled before, and how long where nothing
//! has changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use exec::Run;
use progress::Progress;
use serde::Serialize;
use store::{Key, Store};

use crate::assemble::Sample;
use crate::goal::{self, Goal};
use crate::report::Machine;

/// The marks in a page between which the table is.
const MARKS: [&str; 2] = ["<!-- cargo xtask bench matrix -->", "<!-- end -->"];
/// How many seconds all images may take.
const MADE: f64 = 60.0;
/// How many seconds a build may take that has nothing to do.
const UNCHANGED: f64 = 2.0;

/// What to measure.
#[derive(Debug)]
pub struct Plan<'a> {
    /// This program.
    pub program: &'a Path,
    /// The checkout.
    pub root: &'a Path,
    /// Where all components are.
    pub store: &'a Store,
    /// What kinds of objects those are.
    pub kinds: BTreeSet<String>,
    /// The layers that are made of them.
    pub layers: Vec<Key>,
    /// What `build` is told: attributes and flags.
    pub args: Vec<String>,
    /// How many images those are, how many layers they have, and how many of these differ.
    pub size: Size,
    /// How often everything is done.
    pub repeat: usize,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// How many images.
    pub images: usize,
    /// How many layers all of them have.
    pub layers: usize,
    /// How many of those layers differ.
    pub distinct: usize,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    version: u32,
    machine: Machine,
    args: Vec<String>,
    size: Size,
    /// How many layers were compressed, each time.
    compressed: Vec<usize>,
    /// Of components alone.
    made: Vec<Sample>,
    /// Once more, with nothing changed.
    unchanged: Vec<Sample>,
}

/// Builds all of it in a new store that has the components, and then again, so many times.
///
/// # Errors
/// A build fails, or the file system does.
pub fn measure(plan: &Plan<'_>, progress: &dyn Progress) -> Result<Report> {
    let (mut compressed, mut made, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
    let task = progress.task("matrix", None);
    for round in 0..plan.repeat {
        task.detail(&format!("round {} of {}", round + 1, plan.repeat));
        // On the store's file system: components are linked.
        let dir = plan.store.scratch_dir()?;
        let store = Store::open(dir.path().join("store"))?;
        store.link_inputs(plan.store)?;
        for kind in &plan.kinds {
            store.link_objects(plan.store, kind)?;
        }
        let out = dir.path().join("out");
        made.push(build(plan, &store, &out)?);
        compressed.push(plan.layers.iter().filter(|key| store.has_object(key)).count());
        unchanged.push(build(plan, &store, &out)?);
    }
    let (machine, args) = (Machine::this(), plan.args.clone());
    Ok(Report { version: 1, machine, args, size: plan.size, compressed, made, unchanged })
}

fn build(plan: &Plan<'_>, store: &Store, out: &Path) -> Result<Sample> {
    let run = Run::new(plan.program).inherit("PATH").inherit("HOME").inherit("TMPDIR").cwd(plan.root);
    let run = run.env("KUBELET_IMAGES_STORE", store.root()).args(["bench", "once", "--"]).arg(plan.program);
    let done = run.args(["build", "--offline"]).args(&plan.args).arg("--out").arg(out).run()?;
    serde_json::from_slice(&done.stdout).context("a measurement is not JSON")
}

impl Report {
    fn goals(&self) -> [Goal; 3] {
        let goal = |what: &str, found, limit| Goal { what: what.to_owned(), found, limit, at_most: true };
        let median = |samples: &[Sample]| Sample::summary(samples, |it| it.wall).median;
        let most = self.compressed.iter().max().copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "there are few layers")]
        let each = most as f64 / self.size.distinct.max(1) as f64;
        [
            goal("of components, seconds", median(&self.made), MADE),
            goal("nothing changed, seconds", median(&self.unchanged), UNCHANGED),
            goal("times that each layer is compressed", each, 1.0),
        ]
    }

    /// For people, and for a page.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("{}; {} rounds, median (min .. max).\n\n", self.machine.described(), self.made.len());
        let Size { images, layers, distinct } = self.size;
        let _ = writeln!(
            text,
            "{images} images, `{}` and so on, of {layers} layers, {distinct} of which differ.\n",
            self.args.first().map_or("", String::as_str)
        );
        text += "| | time, s | CPU, s | peak, MiB |\n| --- | ---: | ---: | ---: |\n";
        for (name, samples) in [("of components", &self.made), ("nothing changed", &self.unchanged)] {
            let _ = writeln!(text, "| {name} | {} |", Sample::cells(samples));
        }
        text.push('\n');
        text += &self.goals().map(|goal| goal.line()).join("\n");
        text
    }

    /// Fails where something aimed at is missed.
    ///
    /// # Errors
    /// [`fault::Kind::ToolFailed`].
    pub fn check(&self) -> Result<()> {
        goal::check(self.goals().into_iter())
    }
}

/// A page with the table in place of the one that it has.
///
/// # Errors
/// [`fault::Kind::InvalidData`] for a page without a place for it.
pub fn replaced(page: &str, file: &str, table: &str) -> Result<String> {
    files::replace_marked(page, file, MARKS, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(unchanged: f64, compressed: usize) -> Report {
        let sample = |wall| Sample { wall, cpu: 2.0 * wall, peak: 90 << 20 };
        Report {
            version: 1,
            machine: Machine::example(),
            args: vec!["kubelet-v9_9_9-amd64".to_owned()],
            size: Size { images: 15, layers: 39, distinct: 24 },
            compressed: vec![24, compressed],
            made: [40.0, 44.0, 42.0].map(sample).to_vec(),
            unchanged: vec![sample(unchanged)],
        }
    }

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!(report(0.5, 24).markdown(), @r"
        2 x Some CPU, Linux 6.1, load 1.00 2.00 3.00; 3 rounds, median (min .. max).

        15 images, `kubelet-v9_9_9-amd64` and so on, of 39 layers, 24 of which differ.

        | | time, s | CPU, s | peak, MiB |
        | --- | ---: | ---: | ---: |
        | of components | 42.00 (40.00 .. 44.00) | 84.00 | 90 |
        | nothing changed | 0.50 (0.50 .. 0.50) | 1.00 | 90 |

        - of components, seconds: 42.000, at most 60 is aimed at
        - nothing changed, seconds: 0.500, at most 2 is aimed at
        - times that each layer is compressed: 1.000, at most 1 is aimed at
        ");
    }

    #[test]
    fn what_is_missed_fails_and_is_named() {
        assert!(report(0.5, 24).check().is_ok());
        let text = report(2.5, 48).check().unwrap_err().to_string();
        assert!(text.contains("nothing changed, seconds: 2.500, at most 2 is aimed at: missed"), "{text}");
        assert!(text.contains("compressed: 2.000") && !text.contains("of components"), "{text}");
    }
}
