//! Tests that cannot run here. The harness knows none that ends in the midst: such a test passes, so it says why on standard
//! error, past the harness's capture, and adds itself to the list of whoever runs all tests.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// The environment variable with the file of that list.
pub const LIST: &str = "SKIPPED_TESTS";

/// A test that did not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Its program, without cargo's hash.
    pub program: String,
    /// Its name, which is that of its thread.
    pub test: String,
    /// Why it did not run.
    pub why: String,
}

/// Says that the test that calls this does not run.
pub fn say(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    let Some(list) = std::env::var_os(LIST) else { return };
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let thread = std::thread::current();
    let skipped = Skipped {
        program: without_hash(&program).to_owned(),
        test: thread.name().unwrap_or("a thread of its own").to_owned(),
        why: why.to_owned(),
    };
    // A list that cannot be written to is not a reason to fail: what was said is on standard error.
    let _ = add(Path::new(&list), &skipped);
}

fn add(list: &Path, skipped: &Skipped) -> std::io::Result<()> {
    let line = [&skipped.program, &skipped.test, &skipped.why].map(|part| part.replace(['\t', '\n'], " "));
    let mut file = OpenOptions::new().append(true).create(true).open(list)?;
    // In one piece: other programs write to it, too.
    file.write_all(format!("{}\n", line.join("\t")).as_bytes())
}

/// The list in a file, sorted; empty where there is none, because no test was skipped.
pub fn read(list: &Path) -> Vec<Skipped> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let entry = |line: &str| {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        Some(Skipped { program: parts.next()?, test: parts.next()?, why: parts.next()? })
    };
    let mut all: Vec<Skipped> = text.lines().filter_map(entry).collect();
    all.sort();
    all.dedup();
    all
}

/// Cargo adds `-` and 16 hexadecimal digits to the names of test programs.
fn without_hash(program: &str) -> &str {
    match program.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_once_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("list");
        assert_eq!(read(&list), []);
        let skipped = |program: &str, why: &str| Skipped {
            program: program.to_owned(),
            test: "tests::one".to_owned(),
            why: why.to_owned(),
        };
        for (program, why) in [("vm", "no root"), ("apk", "two\nlines\tand a tab"), ("vm", "no root")] {
            add(&list, &skipped(program, why)).unwrap();
        }
        assert_eq!(read(&list), [skipped("apk", "two lines and a tab"), skipped("vm", "no root")]);
    }

    #[test]
    fn a_program_is_called_as_its_source() {
        assert_eq!(without_hash("source_ranges-0123456789abcdef"), "source_ranges");
        assert_eq!(without_hash("kube-proxy"), "kube-proxy");
    }
}
