//! How long it takes to make an image of a tree of files, how much memory, and how small its layer becomes: ours beside what
//! people use instead, in one run.

mod peers;
mod report;
mod tree;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use exec::Run;
use fault::{Fault, Kind};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use oci::compress::{Compression, Gzip};
use oci::image::{Image, LayerBlob, Spec};
use oci::layer::{self, Options};
use oci::layout::{Contents, Names};
use progress::{Progress, Silent};
use serde::{Deserialize, Serialize};
use sizes::render::mib;

pub use report::{Report, replaced};
pub use tree::small_files;

use peers::Assembler;
use report::{Row, TreeReport};

use crate::stats::Summary;

/// The time of all entries of ours.
const MTIME: u64 = 1;

/// How to measure.
#[derive(Debug)]
pub struct Plan<'a> {
    /// This program, which makes ours and which measures.
    pub program: &'a Path,
    /// For trees and images; it grows by several times the trees' size.
    pub scratch: &'a Path,
    /// crane, if it is somewhere else than in PATH.
    pub crane: Option<PathBuf>,
    /// How often everything is done.
    pub repeat: usize,
}

/// A directory of files that images are made of, and its name.
#[derive(Clone, Debug)]
pub struct Tree {
    /// What reports call it.
    pub name: String,
    /// Where it is.
    pub dir: PathBuf,
}

/// What a program took once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// From its start to its end, in seconds.
    pub wall: f64,
    /// User and system time of it and of what it started, in seconds.
    pub cpu: f64,
    /// The most that was resident of any one process, in bytes.
    pub peak: u64,
}

impl Sample {
    /// What several of them come to.
    pub(crate) fn summary(all: &[Self], of: impl Fn(&Self) -> f64) -> Summary {
        Summary::of(&all.iter().map(of).collect::<Vec<_>>())
    }

    /// Three cells of a table: time, CPU, and the peak of memory.
    pub(crate) fn cells(all: &[Self]) -> String {
        let Summary { median, min, max } = Self::summary(all, |it| it.wall);
        let cpu = Self::summary(all, |it| it.cpu).median;
        let peak = Self::summary(all, |it| mib(it.peak)).max;
        format!("{median:.2} ({min:.2} .. {max:.2}) | {cpu:.2} | {peak:.0}")
    }
}

/// Measures all programs that are here on all trees: each tree by each program in turn, again and again, so that what slows
/// the machine for a while slows all of them.
///
/// # Errors
/// A program fails, or the file system does.
pub fn measure(plan: &Plan<'_>, trees: &[Tree], progress: &dyn Progress) -> Result<Report> {
    let mut report = Report::new(plan.repeat);
    for (number, tree) in trees.iter().enumerate() {
        let task = progress.task(&tree.name, None);
        let scratch = plan.scratch.join(number.to_string());
        std::fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let (assemblers, missing) = peers::all(plan, &scratch, &tree.dir, &*task)?;
        report.missing = missing;
        let (files, bytes) = tree::size(&tree.dir)?;
        let mut rows: Vec<Row> = assemblers.iter().map(|it| Row::new(it.name)).collect();
        for round in 0..plan.repeat {
            for (assembler, row) in assemblers.iter().zip(&mut rows) {
                task.detail(&format!("round {} of {}: {}", round + 1, plan.repeat, assembler.name));
                let (sample, layer) = run(plan, assembler, round)?;
                row.add(sample, layer);
            }
        }
        for assembler in &assemblers {
            assembler.clean()?;
        }
        report.trees.push(TreeReport { tree: tree.name.clone(), files, bytes, rows });
        // The next tree may need the room.
        std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    Ok(report)
}

fn run(plan: &Plan<'_>, assembler: &Assembler, round: usize) -> Result<(Sample, u64)> {
    let run = Run::new(plan.program).inherit("PATH").inherit("HOME").env("TMPDIR", plan.scratch);
    let words = (assembler.command)(round);
    let done = run.args(["bench", "once", "--"]).args(&words).grace(Duration::ZERO).run()?;
    let sample = serde_json::from_slice(&done.stdout).context("a measurement is not JSON")?;
    let layer = (assembler.layer)(round)?;
    ensure!(layer > 0, "{} made no layer", assembler.name);
    Ok((sample, layer))
}

/// Runs a program to its end, in a process that has had no other child.
///
/// # Errors
/// [`Kind::ToolFailed`] where it fails.
pub fn once(command: &[String]) -> Result<Sample> {
    let [program, args @ ..] = command else {
        return Err(Fault::new(Kind::Usage, "no program to measure").into());
    };
    let mut child = Command::new(program);
    child.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let since = Instant::now();
    let status = child.status().with_context(|| format!("cannot start {program}"))?;
    let wall = since.elapsed().as_secs_f64();
    if !status.success() {
        return Err(Fault::new(Kind::ToolFailed, format!("`{}` failed ({status})", command.join(" "))).into());
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).context("the kernel does not say what a child used")?;
    let micros = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    let cpu = Duration::from_micros(u64::try_from(micros)?).as_secs_f64();
    // getrusage(2): in kibibytes.
    Ok(Sample { wall, cpu, peak: u64::try_from(used.max_rss())? << 10 })
}

/// Makes an OCI layout of one layer of all that is in a directory, as a build does.
///
/// # Errors
/// [`Kind::InvalidData`] for what no layer of ours can hold, such as a device.
pub fn assemble(dir: &Path, out: &Path, fast: bool) -> Result<()> {
    let gzip = if fast { Gzip::Fast } else { Gzip::Best };
    let options = Options { mtime: MTIME, compression: Compression::Gzip(gzip) };
    let tree = tree::read(dir)?;
    let mut blob = tempfile::NamedTempFile::new_in(out.parent().context("a layout needs a directory")?)?;
    let layer = layer::write(&tree, &options, &mut blob, &Silent)?;
    let spec = Spec {
        platform: "linux/amd64".parse()?,
        created: MTIME,
        env: [].into(),
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        healthcheck: None,
        labels: [].into(),
        annotations: [].into(),
    };
    let layer = LayerBlob { layer, path: blob.path().to_owned(), created_by: "files".to_owned() };
    let names = Names { reference: Some("v0".to_owned()), containerd: None };
    oci::layout::write(out, &Contents::image(&Image::new(&spec, vec![layer])?, &names)?, &Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_takes_is_measured_and_a_failure_is_none() {
        let sh = |script: &str| once(&["sh".to_owned(), "-c".to_owned(), script.to_owned()]);
        let idle = sh("sleep 0.2").unwrap();
        assert!(idle.wall >= 0.2 && idle.cpu < idle.wall && idle.peak > 0, "{idle:?}");
        assert!(sh("exit 3").is_err() && once(&[]).is_err());
    }

    #[test]
    fn a_directory_becomes_a_layout_and_the_best_is_smaller() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("tree");
        small_files(&dir, 300).unwrap();
        let size = |fast| {
            let out = scratch.path().join(format!("out-{fast}"));
            assemble(&dir, &out, fast).unwrap();
            peers::layer_of(&out, "v0").unwrap()
        };
        let (best, fast) = (size(false), size(true));
        assert!(best > 0 && best < fast, "{best} {fast}");
    }
}
