//! Files that a command line names and that are not there, or not what they should be: each has the exit code of what is
//! wrong with it, and is named. None is the disk's fault (10) or a bug (1), and none is waited for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fault::Kind;
use rustix::fs::{CWD, FileType, Mode};
use tests::{made, scratch, wait_for, xtask};

/// Things that are no such file, and the code where one is read.
const THINGS: [(&str, Kind); 9] = [
    ("missing", Kind::Unknown),
    ("missing/below", Kind::Unknown),
    ("file/below", Kind::Unknown),
    ("directory", Kind::Data),
    ("fifo", Kind::Data),
    ("link-to-fifo", Kind::Data),
    ("not-utf-8", Kind::Data),
    ("empty", Kind::Data),
    ("/dev/null", Kind::Data),
];

/// Command lines with `@` for the thing, and `LAYOUT` for one that is good.
const READ: [&str; 7] = [
    "verify LAYOUT --no-rebuild --key @",
    "attest LAYOUT --key @",
    "push LAYOUT --to localhost:1/kubelet --retries 0 --ca @",
    "verify localhost:1/kubelet:v1 --retries 0 --ca @",
    "upstream --today 2026-01-01 --versions @",
    "size chart --check --input @",
    "size report --input @",
];

/// Where a layout is expected; nothing of the list is one.
const LAYOUTS: [&str; 6] = [
    "push @ --to localhost:1/kubelet --retries 0",
    "attest @",
    "sbom @",
    "verify @ --no-rebuild",
    "size check --layouts @",
    "size diff LAYOUT @",
];

fn things(dir: &Path) -> Result<()> {
    fs::create_dir(dir.join("directory"))?;
    for (name, bytes) in [("file", &b"x"[..]), ("empty", b""), ("not-utf-8", b"caf\xe9\n")] {
        fs::write(dir.join(name), bytes)?;
    }
    rustix::fs::mknodat(CWD, dir.join("fifo"), FileType::Fifo, Mode::RWXU, 0)?;
    Ok(symlink("fifo", dir.join("link-to-fifo"))?)
}

/// Runs one, and says what is wrong with how it ends.
fn judge(line: &str, thing: &str, dir: &Path, codes: &[Kind]) -> Result<Vec<String>> {
    let path = dir.join(thing);
    let (path, layout) = (path.to_string_lossy(), dir.join("layout/v1"));
    let layout = layout.to_string_lossy();
    let words: Vec<String> =
        line.split(' ').map(|word| word.replace('@', &path).replace("LAYOUT", &layout)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = xtask::Xtask::new()?
        .command(&words)?
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let ended = wait_for("the verb's end", Duration::from_mins(1), || Ok(child.try_wait()?));
    let Ok(status) = ended else {
        child.kill()?;
        child.wait()?;
        return Ok(vec![format!("{words:?} does not end")]);
    };
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().context("no standard error")?, &mut said)?;
    let code = status.code();
    let mut wrong = Vec::new();
    if !codes.iter().any(|kind| code == Some(i32::from(kind.exit_code()))) {
        wrong.push(format!("{words:?}: exit code {code:?}, expected {codes:?}: {said}"));
    }
    if !said.contains(&*path) {
        wrong.push(format!("{words:?} does not name {path}: {said}"));
    }
    Ok(wrong)
}

#[test]
fn what_is_not_the_file_it_should_be_is_named_with_its_code() -> Result<()> {
    let dir = scratch::dir()?;
    things(dir.path())?;
    made::image(&dir.path().join("layout"), "v1", &[made::layer(1, 1000)?], 0)?;
    let mut wrong = Vec::new();
    for line in READ {
        for (thing, kind) in THINGS {
            let kinds = match (line, thing) {
                // No releases at all are none that are new.
                ("upstream --today 2026-01-01 --versions @", "empty") => continue,
                _ => [kind],
            };
            wrong.extend(judge(line, thing, dir.path(), &kinds)?);
        }
    }
    for line in LAYOUTS {
        for (thing, _) in THINGS {
            wrong.extend(judge(line, thing, dir.path(), &[Kind::Unknown, Kind::Data, Kind::Usage])?);
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn what_cannot_be_written_is_named_with_its_code() -> Result<()> {
    let dir = scratch::dir()?;
    things(dir.path())?;
    made::image(&dir.path().join("layout"), "v1", &[made::layer(1, 1000)?], 0)?;
    let mut wrong = Vec::new();
    for thing in ["directory", "missing/below", "file/below", "link-to-fifo"] {
        wrong.extend(judge("sbom LAYOUT --out @", thing, dir.path(), &[Kind::Usage])?);
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
