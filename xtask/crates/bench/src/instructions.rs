//! How many instructions the hot paths take. Callgrind counts them: the same number whatever else the machine does, and for
//! whatever processor, for it passes itself off as one of few abilities.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::hot::{self, HotPath};

/// Where counts are recorded, from the top of the repository.
pub const RECORD: &str = "tests/instructions.toml";
/// What records them.
const COMMAND: &str = "cargo xtask bench instructions --record";
/// How much more than recorded fails, in percent.
const LIMIT: f64 = 10.0;
/// What is counted: [`hot`]'s function of that name, and all that it calls.
const COLLECTED: &str = "*bench*hot*collected*";

/// Counts by architecture and path.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Record(BTreeMap<String, BTreeMap<String, u64>>);

/// One path's.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// Which one.
    pub path: &'static str,
    /// What it took.
    pub found: u64,
    /// What is recorded.
    pub recorded: Option<u64>,
}

/// All counts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    version: u32,
    /// Each path's.
    pub counts: Vec<Count>,
}

/// The paths that are counted.
pub fn counted() -> impl Iterator<Item = &'static HotPath> {
    hot::all().filter(|path| path.counted.is_some())
}

/// Counts what a path does on an input of this size, run by this program with these arguments.
///
/// # Errors
/// [`Kind::ToolFailed`] where the program fails, or valgrind.
pub fn count(path: &HotPath, program: &Path, args: &[&str]) -> Result<u64> {
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let out = dir.path().join("out");
    let mut run = Run::new("valgrind").inherit("PATH").inherit("HOME").env("TMPDIR", dir.path());
    run = run.args(["--tool=callgrind", "--collect-atstart=no"]);
    run = run.arg(format!("--toggle-collect={COLLECTED}"));
    run = run.arg(format!("--callgrind-out-file={}", out.display()));
    run.arg(program).args(args).grace(Duration::ZERO).run()?;
    let text = fs::read_to_string(&out).with_context(|| format!("cannot read {}", out.display()))?;
    total(&text).filter(|found| *found > 0).ok_or_else(|| {
        Fault::new(Kind::ToolFailed, format!("callgrind counted no instructions of `{}`", path.name)).into()
    })
}

/// Fails where counts are not those that are recorded: of another profile than `cargo xtask` is compiled with.
///
/// # Errors
/// [`Kind::Usage`].
pub fn check_profile() -> Result<()> {
    if cfg!(debug_assertions) {
        return Ok(());
    }
    let message = "instructions are recorded of what `cargo xtask` is by default, not of another profile";
    Err(Fault::new(Kind::Usage, message).help("leave out `--release`").into())
}

/// Fails unless instructions can be counted here.
///
/// # Errors
/// [`Kind::Tool`].
pub fn check_machine() -> Result<()> {
    if exec::which("valgrind").is_none() {
        return Err(Fault::new(Kind::Tool, "valgrind is missing").help("apt-get install valgrind").into());
    }
    Ok(())
}

/// The last line of callgrind's file that begins with `totals:`; without a dump in between there is one.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

impl Record {
    fn read(root: &Path) -> Result<Self> {
        let path = root.join(RECORD);
        if !path.exists() {
            return Ok(Self::default());
        }
        toml::from_str(&files::read_text(&path, files::DOCUMENT)?).map_err(|error| {
            Fault::new(Kind::InvalidData, format!("{RECORD}: {error}"))
                .help(format!("`{COMMAND}` makes it again"))
                .into()
        })
    }

    fn text(&self) -> String {
        let mut text = format!("# Instructions that hot paths take, by architecture. Made by `{COMMAND}`.\n");
        for (arch, counts) in &self.0 {
            let _ = writeln!(text, "\n[{arch}]");
            for (path, count) in counts {
                let _ = writeln!(text, "{path} = {count}");
            }
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
impl Count {
    /// A path's, and what the repository's record says of it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a record that is none.
    pub fn new(root: &Path, path: &'static HotPath, found: u64) -> Result<Self> {
        let record = Record::read(root)?.0;
        let recorded = record.get(std::env::consts::ARCH).and_then(|all| all.get(path.name)).copied();
        Ok(Self { path: path.name, found, recorded })
    }

    /// How much more than recorded, in percent.
    fn more(&self) -> Option<f64> {
        Some((self.found as f64 / self.recorded? as f64 - 1.0) * 100.0)
    }

    fn is_over(&self) -> bool {
        self.more().is_none_or(|more| more > LIMIT)
    }
}

impl Report {
    /// Of these.
    #[must_use]
    pub fn new(counts: Vec<Count>) -> Self {
        Self { version: 1, counts }
    }

    /// For people.
    pub fn table(&self) -> String {
        let line = |count: &Count| {
            let more = count.more().map_or("not recorded".to_owned(), |more| format!("{more:+.1} %"));
            format!("{:<16} {:>14}  {more}", count.path, count.found)
        };
        self.counts.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Fails where a path takes more than is recorded, or nothing is recorded of it.
    ///
    /// # Errors
    /// [`Kind::Stale`] for what is not recorded, else [`Kind::ToolFailed`].
    pub fn check(&self) -> Result<()> {
        let over: Vec<&Count> = self.counts.iter().filter(|count| count.is_over()).collect();
        if over.is_empty() {
            return Ok(());
        }
        let kind =
            if over.iter().any(|count| count.recorded.is_none()) { Kind::Stale } else { Kind::ToolFailed };
        let mut message =
            format!("more instructions than {RECORD} allows, which is {LIMIT} % more than it records");
        for count in over {
            let _ = match (count.recorded, count.more()) {
                (Some(recorded), Some(more)) => {
                    write!(
                        message,
                        "\n  {}: {more:+.1} %, recorded {recorded}, found {}",
                        count.path, count.found
                    )
                }
                _ => write!(message, "\n  {}: not recorded, found {}", count.path, count.found),
            };
        }
        let help = format!("make it cheaper; if more is meant, `{COMMAND}`, and the commit says why");
        Err(Fault::new(kind, message).help(help).into())
    }

    /// Records these counts for this machine's architecture, and keeps all others.
    ///
    /// # Errors
    /// What reading and writing give.
    pub fn record(&self, root: &Path) -> Result<()> {
        let mut record = Record::read(root)?;
        let own = record.0.entry(std::env::consts::ARCH.to_owned()).or_default();
        own.extend(self.counts.iter().map(|count| (count.path.to_owned(), count.found)));
        own.retain(|name, _| counted().any(|path| path.name == *name));
        files::write(&root.join(RECORD), record.text().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(found: u64, recorded: Option<u64>) -> Report {
        Report::new(vec![
            Count { path: "hash", found: 1000, recorded: Some(1000) },
            Count { path: "plan", found, recorded },
        ])
    }

    #[test]
    fn a_tenth_more_fails_and_says_which_path_and_what_to_do() {
        assert!(report(1099, Some(1000)).check().is_ok() && report(1, Some(1000)).check().is_ok());
        let error = report(1110, Some(1000)).check().unwrap_err();
        assert_eq!(fault::exit_code(&error), Kind::ToolFailed.exit_code());
        let text = error.to_string();
        assert!(
            text.contains("plan: +11.0 %, recorded 1000, found 1110") && !text.contains("hash"),
            "{text}"
        );
        let error = report(1, None).check().unwrap_err();
        assert_eq!(fault::exit_code(&error), Kind::Stale.exit_code());
    }

    #[test]
    fn what_is_recorded_is_read_and_other_architectures_stay() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("tests")).unwrap();
        fs::write(root.path().join(RECORD), "[other]\nhash = 5\n[none]\n").unwrap();
        report(7, None).record(root.path()).unwrap();
        let record = Record::read(root.path()).unwrap();
        assert_eq!(record.0["other"]["hash"], 5);
        let own = &record.0[std::env::consts::ARCH];
        assert_eq!((own["hash"], own["plan"], own.len()), (1000, 7, 2));
        fs::write(root.path().join(RECORD), "x").unwrap();
        assert!(Record::read(root.path()).is_err());
    }

    #[test]
    fn totals_are_read_from_callgrind_s_file() {
        assert_eq!(total("version: 1\nsummary: 3\n\ntotals: 42\n"), Some(42));
        assert_eq!(total("version: 1\n"), None);
    }
}
