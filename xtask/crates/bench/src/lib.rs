//! Measures: two kubelets side by side, and the build's own code.
//!
//! Of kubelets, A is the baseline, and B the candidate. Each lives on a fresh stand-in host with a containerd of its own,
//! one after the other, in the order A B B A: a machine that grows slower or faster for a while does so for both. Of the
//! code, [`hot`] has the paths that matter, with inputs of any size; [`growth`] and [`instructions`] measure them; and
//! [`assemble`] has it make images beside the programs of others, [`matrix`] all images of a release.
//! docs/bench.md says what is measured and how to read it.

pub mod assemble;
mod exec_time;
mod fit;
mod goal;
pub mod growth;
pub mod hot;
pub mod instructions;
mod life;
pub mod matrix;
mod pods;
mod process;
mod report;
mod stats;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;
use serde::Serialize;
use standin::image;

pub use fit::Exponent;
pub use life::Sample;
pub use report::{Comparison, Report};
pub use stats::{Ratio, Summary, Verdict};

/// A kubelet to be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// What it is called in reports.
    pub name: String,
    /// The OCI layout that it is in, or, with `program`, that it runs in.
    pub layout: PathBuf,
    /// A kubelet that takes the place of the layout's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// Variables of its environment, each `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Static pods.
    pub pods: usize,
    /// Pairs of an A and a B. Six are the least that give an interval.
    pub rounds: usize,
    /// How often all pods are started and removed in each life.
    pub cycles: usize,
    /// How long each rests.
    pub rest: Duration,
    /// How often `--version` is run in each life.
    pub starts: usize,
    /// How many times A's value B's may be.
    pub limit: f64,
}

/// Fails unless this machine can be measured on.
pub fn check_machine() -> Result<()> {
    let programs = [&standin::host::PROGRAMS[..], &standin::containerd::PROGRAMS[..]].concat();
    let lacks = standin::lacks(&programs);
    if lacks.is_empty() {
        return Ok(());
    }
    let help =
        "it needs root and the Debian packages containerd, runc, umoci, iproute2, util-linux, busybox-static";
    Err(Fault::new(Kind::Tool, format!("kubelets cannot be measured here: {}", lacks.join(", ")))
        .help(help)
        .into())
}

/// Fails unless a directory is an OCI layout of one image that starts something.
pub fn check_layout(layout: &Path) -> Result<()> {
    let read = image::tag(layout).and_then(|_| image::entrypoint(layout));
    read.map(|_| ()).map_err(|error| {
        let message =
            format!("{} is not an OCI layout of one image with a name: {error:#}", layout.display());
        Fault::new(Kind::InvalidData, message).into()
    })
}

/// Fails unless a file is an ELF program, which a kubelet is.
pub fn check_program(file: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let mut open = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    if open.read_exact(&mut magic).is_ok() && magic == elf::MAGIC {
        return Ok(());
    }
    Err(Fault::new(
        Kind::InvalidData,
        format!("{} is not a program: it does not begin as an ELF file does", file.display()),
    )
    .into())
}

/// Measures both, `options.rounds` times.
///
/// What ends it early does not lose the rounds that were whole by then: with them comes the error. Without any, the error
/// is all there is.
pub fn compare(
    a: &Side,
    b: &Side,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(Report, Option<anyhow::Error>)> {
    check_machine()?;
    let live = |round: usize, letter: &str, side: &Side| {
        let title = format!("round {} of {}: {letter}, {}", round + 1, options.rounds, side.name);
        let sample = life::live(side, options, &*progress.task(&title, None))?;
        progress.note(&format!("{letter} used {}", report::brief(&sample)));
        Ok::<_, anyhow::Error>(sample)
    };
    let pair = |round: usize| {
        if round.is_multiple_of(2) {
            let of_a = live(round, "A", a)?;
            Ok((of_a, live(round, "B", b)?))
        } else {
            let of_b = live(round, "B", b)?;
            Ok((live(round, "A", a)?, of_b))
        }
    };
    let (pairs, ended) = until_error((0..options.rounds).map(pair));
    match ended {
        Some(error) if pairs.is_empty() => Err(error),
        _ => {
            let (of_a, of_b) = pairs.into_iter().unzip();
            Ok((Report::new(a, b, options, of_a, of_b), ended))
        }
    }
}

/// All values before the first error, and that error.
fn until_error<T>(results: impl Iterator<Item = Result<T>>) -> (Vec<T>, Option<anyhow::Error>) {
    let mut values = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => return (values, Some(error)),
        }
    }
    (values, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_an_error_is_kept_and_nothing_is_done_after_it() {
        let mut asked = 0;
        let results = (0..5).map(|round| {
            asked += 1;
            if round == 3 { Err(anyhow::anyhow!("round 3")) } else { Ok(round) }
        });
        let (values, error) = until_error(results);
        assert_eq!((values, asked), (vec![0, 1, 2], 4));
        assert_eq!(error.unwrap().to_string(), "round 3");
    }

    #[test]
    fn only_programs_are_run() {
        assert!(check_program(&std::env::current_exe().unwrap()).is_ok());
        let error = check_program(Path::new("Cargo.toml")).unwrap_err();
        assert_eq!(fault::exit_code(&error), Kind::InvalidData.exit_code());
        assert!(check_layout(Path::new("src")).is_err());
    }
}
