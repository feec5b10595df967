//! The fuzz targets: compiled, run, and what libFuzzer says of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use files::Room;
use serde::Serialize;

/// The crate of the targets, which is a workspace of its own.
pub const MANIFEST: &str = "xtask/fuzz/Cargo.toml";
/// What libFuzzer needs of the compiler: it counts the branches that an input takes and sees what is compared. All of
/// it is in the pinned stable compiler; sanitizers are not, but code without `unsafe` needs none.
const RUSTFLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
];
/// An input that takes longer is a finding.
const TIMEOUT: &str = "-timeout=10";
/// So is one that takes more memory, in MiB.
const MEMORY: &str = "-rss_limit_mb=2048";
/// Files of the repository to begin with, besides xtask/fuzz/seeds: a target, a directory, and how their names begin.
const REAL: [(&str, &str, &str); 5] = [
    ("catalog", "images", "catalog.toml"),
    ("go-mod", "images/go/cni-plugins-v0.9.1", "go.mod"),
    ("go-sum", "images/go/cni-plugins-v0.9.1", "go.sum"),
    ("lock-alpine", "images/locks", "alpine-"),
    ("lock-toolchains", "images/locks", "toolchains.json"),
];

/// How a target's run went.
#[derive(Serialize)]
pub struct Outcome {
    /// The target.
    pub target: String,
    /// Inputs tried.
    pub inputs: u64,
    /// Branches seen, in libFuzzer's count.
    pub coverage: u64,
}

/// Compiles and runs targets.
pub struct Fuzzer<'a> {
    /// The top of the repository.
    root: &'a Path,
    /// Where programs, corpora and findings are.
    dir: PathBuf,
}

impl<'a> Fuzzer<'a> {
    /// Of a repository.
    pub fn new(root: &'a Path) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        // Absolute as cargo takes it: from the current directory.
        let target = target.and_then(|dir| std::path::absolute(dir).ok());
        Self { root, dir: target.unwrap_or_else(|| root.join("target")).join("fuzz") }
    }

    /// The targets there are, a file each.
    pub fn targets(&self) -> Result<Vec<String>> {
        let dir = self.root.join("xtask/fuzz/fuzz_targets");
        let files = fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
        let mut names = Vec::new();
        for file in files {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Compiles targets; returns the program of each.
    pub fn build(&self, targets: &[String]) -> Result<BTreeMap<String, PathBuf>> {
        let host = host()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--locked", "--manifest-path", MANIFEST]);
        // With a target named, flags are for it alone and not for build scripts.
        command.args(["--target", &host]).args(targets.iter().flat_map(|target| ["--bin", target]));
        command.env("CARGO_TARGET_DIR", &self.dir).env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"));
        command.env_remove("RUSTFLAGS").env("CARGO_INCREMENTAL", "0").current_dir(self.root);
        let room = Room::new()?;
        let status = exec::status(command.env("TMPDIR", room.path()).stdin(Stdio::null()))?;
        if !status.success() {
            return Err(Fault::new(Kind::ToolFailed, format!("compiling the fuzz targets: {status}"))
                .help("libFuzzer is C++: is a C++ compiler (`c++`, Debian's g++) there?")
                .into());
        }
        let program = |target: &String| (target.clone(), self.dir.join(&host).join("release").join(target));
        Ok(targets.iter().map(program).collect())
    }

    /// Runs a target for some seconds, from seeds and what earlier runs found.
    pub fn run(&self, target: &str, program: &Path, seconds: u32, seed: Option<u32>) -> Result<Outcome> {
        let [corpus, artifacts] = ["corpus", "artifacts"].map(|what| self.dir.join(what).join(target));
        for dir in [&corpus, &artifacts] {
            fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        for (_, directory, start) in REAL.iter().filter(|(of, ..)| *of == target) {
            let directory = self.root.join(directory);
            let entries =
                fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))?;
            for entry in entries {
                let name = entry.with_context(|| format!("reading {}", directory.display()))?.file_name();
                if name.to_string_lossy().starts_with(start) {
                    let from = directory.join(&name);
                    fs::copy(&from, corpus.join(&name))
                        .with_context(|| format!("copying {}", from.display()))?;
                }
            }
        }
        let scratch = scratch()?;
        let mut run = exec::Run::new(program).env("TMPDIR", scratch.path());
        run = run.arg(format!("-max_total_time={seconds}")).args([TIMEOUT, MEMORY]);
        run = run.args(["-print_final_stats=1", "-verbosity=1"]);
        run = run.args(seed.map(|seed| format!("-seed={seed}")));
        run = run.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&corpus);
        // What failed before comes first.
        run = run.arg(&artifacts);
        run = run.args(Some(self.root.join("xtask/fuzz/seeds").join(target)).filter(|dir| dir.is_dir()));
        let mut seen = Seen::default();
        let finished = run.on_line(|line| seen.line(line)).finish()?;
        if finished.status.success() {
            return Ok(Outcome { target: target.to_owned(), inputs: seen.inputs, coverage: seen.coverage });
        }
        Err(seen.fault(target, finished.status, &finished.stderr_tail).into())
    }
}

/// What libFuzzer says, as far as it matters.
#[derive(Default)]
struct Seen {
    inputs: u64,
    coverage: u64,
    seed: Option<String>,
    panic: Vec<String>,
    artifact: Option<String>,
}

impl Seen {
    fn line(&mut self, line: &str) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.inputs = count.trim().parse().unwrap_or(0);
        } else if let Some((_, rest)) = line.split_once(" cov: ") {
            self.coverage =
                rest.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(self.coverage);
        } else if let Some(seed) = line.strip_prefix("INFO: Seed: ") {
            self.seed = Some(seed.to_owned());
        } else if let Some((_, file)) = line.split_once("Test unit written to ") {
            self.artifact = Some(file.to_owned());
        } else if line.contains(" panicked at ") || (self.panic.len() == 1 && !line.is_empty()) {
            self.panic.push(line.to_owned());
        }
    }

    fn fault(&self, target: &str, status: std::process::ExitStatus, tail: &str) -> Fault {
        let what = if self.panic.is_empty() { tail.to_owned() } else { self.panic.join("\n") };
        let message =
            format!("fuzz target `{target}` failed ({status})\n  | {}", what.replace('\n', "\n  | "));
        let Some(file) = &self.artifact else {
            let seed = self.seed.as_deref().unwrap_or("N");
            return Fault::new(Kind::ToolFailed, message).help(format!(
                "the input was not written; again: `cargo xtask fuzz {target} --seed {seed}`"
            ));
        };
        Fault::new(Kind::ToolFailed, format!("{message}\n  input: {file}"))
            .help(format!("again: `cargo xtask fuzz {target} --input {file}`"))
    }
}

/// A directory for what targets write: in memory where that is possible, for it is written thousands of times a second.
/// Targets end without cleaning up.
fn scratch() -> Result<tempfile::TempDir> {
    let mut new = tempfile::Builder::new();
    new.prefix("xtask-fuzz-");
    new.tempdir_in("/dev/shm").or_else(|_| new.tempdir()).context("no temporary directory")
}

/// The target that the compiler itself runs on.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let said = Command::new(rustc).arg("-vV").output().context("starting rustc")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

/// Runs one input with all the target has to say on the terminal.
pub fn replay(target: &str, program: &Path, input: &Path) -> Result<()> {
    if !input.is_file() {
        return Err(Fault::new(Kind::NotFound, format!("there is no file {}", input.display())).into());
    }
    let scratch = scratch()?;
    let mut command = Command::new(program);
    command.env("TMPDIR", scratch.path());
    command.args([TIMEOUT, MEMORY]).arg(input).env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    let status = exec::status(&mut command)?;
    if status.success() {
        return Ok(());
    }
    Err(Fault::new(Kind::ToolFailed, format!("{target} fails on {}: {status}", input.display())).into())
}
