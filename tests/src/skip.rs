//! Tests that cannot run here say so and pass; in CI they fail, so that nothing is lost there unnoticed.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

fn set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0" && value != "false")
}

pub use ::skip::say;

/// Must this test be skipped, because it needs root or programs that are not installed? An error in CI.
pub fn without(programs: &[&str]) -> Result<bool> {
    let lacks = standin::lacks(programs);
    if lacks.is_empty() {
        return Ok(false);
    }
    let why = lacks.join(", ");
    if set("CI") {
        bail!("{why}; in CI no test is skipped for that");
    }
    say(&why);
    Ok(true)
}

/// A test that is skipped because something is missing that only a network has. An error in CI.
pub fn for_want_of(what: &str) -> Result<()> {
    if set("CI") {
        bail!("{what}; in CI no test is skipped for that");
    }
    say(what);
    Ok(())
}

/// Must this test be skipped, because the machine swaps, which a kubelet with default settings refuses? An error in CI.
pub fn with_swap() -> Result<bool> {
    // One line is the table's head.
    if std::fs::read_to_string("/proc/swaps").is_ok_and(|table| table.lines().count() > 1) {
        let why = "swap is on";
        if set("CI") {
            bail!("{why}; in CI no test is skipped for that");
        }
        say(why);
        return Ok(true);
    }
    Ok(false)
}

/// Does somebody ask for the long tests?
pub fn full() -> bool {
    set("FULL")
}

/// Must this test be skipped, because it is one of the long ones and nobody asked for them?
pub fn unless_full(what: &str) -> bool {
    let skipped = !full();
    if skipped {
        say(&format!("{what} (FULL=1 runs it)"));
    }
    skipped
}

/// A directory beside the repository that not every machine has; says that the test is skipped where it is missing.
pub fn beside(name: &str) -> Option<PathBuf> {
    let dir = crate::root().join("..").join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    say(&format!("no `../{name}` here"));
    None
}

/// The full path of a program in PATH.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}
