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

/// Things that are not such files, and the code where one is read.
const THINGS: [(&str, Kind); 9] = [
    ("missing", Kind::NotFound),
    ("missing/below", Kind::NotFound),
    ("file/below", Kind::NotFound),
    ("directory", Kind::InvalidData),
    ("fifo", Kind::InvalidData),
    ("link-to-fifo", Kind::InvalidData),
    ("not-utf-8", Kind::InvalidData),
    ("empty", Kind::InvalidData),
    ("/dev/null", Kind::InvalidData),
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
const LAYOUTS: [&str; 9] = [
    "push @ --to localhost:1/kubelet --retries 0",
    "attest @",
    "sbom @",
    "verify @ --no-rebuild",
    "size check --layouts @",
    "size diff LAYOUT @",
    "size diff @ LAYOUT",
    "advisories --db DATABASE @",
    "load @",
];

fn things(dir: &Path) -> Result<()> {
    fs::create_dir(dir.join("directory"))?;
    for (name, bytes) in [("file", &b"x"[..]), ("empty", b""), ("not-utf-8", b"caf\xe9\n")] {
        fs::write(dir.join(name), bytes)?;
    }
    fs::create_dir_all(dir.join("vulndb/index"))?;
    fs::write(dir.join("vulndb/index/db.json"), "{}")?;
    rustix::fs::mknodat(CWD, dir.join("fifo"), FileType::Fifo, Mode::RWXU, 0)?;
    Ok(symlink("fifo", dir.join("link-to-fifo"))?)
}

/// The program, where a docker runs that takes all.
fn runtime(dir: &Path) -> Result<xtask::Xtask> {
    let path = scratch::path_with(&dir.join("bin"), "docker", "#!/bin/sh\nexit 0\n")?;
    Ok(xtask::Xtask::new()?.env("PATH", path))
}

/// Runs one, and says what is wrong with how it ends.
fn judge(line: &str, thing: &str, dir: &Path, codes: &[Kind]) -> Result<Vec<String>> {
    let path = dir.join(thing);
    let (path, layout) = (path.to_string_lossy(), dir.join("layout/v1"));
    let (layout, database) = (layout.to_string_lossy(), dir.join("vulndb"));
    let given = [("@", &*path), ("LAYOUT", &*layout), ("DATABASE", &*database.to_string_lossy())]
        .map(|(word, thing)| (word, thing.to_owned()));
    let word = |word: &str| given.iter().fold(word.to_owned(), |text, (from, to)| text.replace(from, to));
    let words: Vec<String> = line.split(' ').map(word).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = runtime(dir)?
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
            let absent = THINGS.contains(&(thing, Kind::NotFound));
            let kinds: &[Kind] =
                if absent { &[Kind::NotFound] } else { &[Kind::NotFound, Kind::InvalidData] };
            wrong.extend(judge(line, thing, dir.path(), kinds)?);
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

/// An index of its own; no image is in any.
const EMPTY: [(&str, &str); 3] = [
    ("nothing", r#"{"schemaVersion":2,"manifests":[]}"#),
    ("no entries", r#"{"schemaVersion":2}"#),
    ("an empty index", r#"{"schemaVersion":2,"manifests":[INDEX]}"#),
];

#[test]
fn no_verb_is_content_with_a_layout_without_images() -> Result<()> {
    let dir = scratch::dir()?;
    things(dir.path())?;
    let layout = dir.path().join("layout/v1");
    let mut wrong = Vec::new();
    for (name, index) in EMPTY {
        made::image(&dir.path().join("layout"), "v1", &[made::layer(1, 1000)?], 0)?;
        let inner =
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        let file = dir.path().join("inner");
        fs::write(&file, inner)?;
        let hex = scratch::sha256(&file)?;
        fs::copy(&file, layout.join("blobs/sha256").join(&hex))?;
        let entry = format!(
            r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:{hex}","size":{}}}"#,
            inner.len()
        );
        fs::write(layout.join("index.json"), index.replace("INDEX", &entry))?;
        for line in LAYOUTS.iter().filter(|line| !line.starts_with("push")) {
            let found = judge(line, "layout/v1", dir.path(), &[Kind::InvalidData])?;
            wrong.extend(found.iter().map(|found| format!("{name}: {found}")));
        }
        fs::remove_dir_all(&layout)?;
    }
    // Images, but none that has a budget.
    made::image(&dir.path().join("layout"), "v1", &[made::layer(1, 1000)?], 0)?;
    let done = xtask::Xtask::new()?.output(&["size", "check", "--layouts", &layout.to_string_lossy()])?;
    let nothing = Some(i32::from(Kind::NotFound.exit_code()));
    if done.code() != nothing || !done.stderr.contains("nothing to check") {
        wrong.push(format!("size check of a stranger's image: {}{}", done.stdout, done.stderr));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What is not the name of anything in a registry.
const REFERENCES: [&str; 14] = [
    "localhost:99999/x",
    "localhost:0/x",
    "localhost:-1/x",
    "localhost:5000a/x",
    "a.b:99999999999/x",
    "[::1/x",
    "::1/x",
    "a.b c/x",
    "me:word@a.b/x",
    "http://a.b/x",
    "a.b/X",
    "a.b/x:",
    "a.b/x@sha256:0",
    "a.b/../x",
];

#[test]
fn what_is_no_reference_is_asked_of_nobody_and_named() -> Result<()> {
    let dir = scratch::dir()?;
    things(dir.path())?;
    made::image(&dir.path().join("layout"), "v1", &[made::layer(1, 1000)?], 0)?;
    let layout = dir.path().join("layout/v1").to_string_lossy().into_owned();
    let mut wrong = Vec::new();
    for reference in REFERENCES {
        for verb in [
            &["verify", "@", "--retries", "0"][..],
            &["size", "diff", "@", &layout, "--retries", "0"],
            &["size", "diff", &layout, "docker://@", "--retries", "0"],
            &["push", &layout, "--to", "@", "--retries", "0"],
            &["release", "--to", "@"],
        ] {
            let words: Vec<String> = verb.iter().map(|word| word.replace('@', reference)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let done = xtask::Xtask::new()?.output(&words)?;
            if done.code() != Some(i32::from(Kind::Usage.exit_code())) || !done.stderr.contains(reference) {
                wrong.push(format!("{words:?}: {:?} {}", done.code(), done.stderr));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
