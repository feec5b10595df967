//! Zip archives made to do harm.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use store::unzip::{Limits, unzip};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, bytes) in files {
        let options = SimpleFileOptions::default()
            .unix_permissions(*mode)
            .compression_method(CompressionMethod::Deflated);
        if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

struct Unpacked {
    dir: tempfile::TempDir,
    result: anyhow::Result<()>,
}

impl Unpacked {
    fn at(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("to").join(name)
    }

    fn refusal(&self) -> String {
        let error = self.result.as_ref().unwrap_err();
        assert_eq!(fault::exit_code(error), 6, "{error:#}");
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 2, "something was written elsewhere");
        format!("{error:#}").replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

fn unpack(bytes: &[u8], prefix: &str, limits: Limits) -> Unpacked {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("a.zip"), dir.path().join("to"));
    fs::write(&from, bytes).unwrap();
    fs::create_dir(&to).unwrap();
    let result = unzip(&from, &to, prefix, limits);
    Unpacked { dir, result }
}

fn refused(bytes: &[u8]) -> String {
    unpack(bytes, "", Limits::default()).refusal()
}

/// The archive with one name put for another of the same length, which the library would not write.
fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

#[test]
fn a_good_archive_unpacks_with_two_modes_only() {
    let files: [(&str, u32, &[u8]); 4] = [
        ("m@v1/bin/", 0o777, b""),
        ("m@v1/bin/go", 0o4711, b"go"),
        ("m@v1/a/b/c", 0o600, b"c"),
        ("m@v1/empty", 0o666, b""),
    ];
    let done = unpack(&archive(&files), "m@v1/", Limits::default());
    done.result.as_ref().unwrap();
    let mode = |name: &str| fs::metadata(done.at(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/go"), mode("a/b/c"), mode("empty")), (0o755, 0o644, 0o644));
    assert_eq!(fs::read(done.at("bin/go")).unwrap(), b"go");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let one = archive(&[("aa/bb/cc", 0o644, b"x")]);
    for bad in [
        "../bb/cc",
        "aa/../cc",
        "/a/bb/cc",
        "aa/bb/..",
        "aa//b/cc",
        "./a/bb/c",
        "aa\\bb\\cc",
        "aa/b\n/cc",
        "aa/b\0/cc",
    ] {
        let text = refused(&renamed(&one, "aa/bb/cc", bad));
        assert!(text.contains(": it holds ") || text.contains(": it is absolute"), "{bad:?}: {text}");
    }
    insta::assert_snapshot!(refused(&renamed(&one, "aa/bb/cc", "../bb/cc")), @"`DIR/a.zip` is refused: `../bb/cc`: it holds `..`");
    insta::assert_snapshot!(unpack(&one, "m@v1/", Limits::default()).refusal(), @"`DIR/a.zip` is refused: `aa/bb/cc`: is outside of the directory that all should be in");
}

#[test]
fn links_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("aa", "/etc", SimpleFileOptions::default()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    insta::assert_snapshot!(refused(&bytes), @"`DIR/a.zip` is refused: `aa`: not a plain file or directory");
}

#[test]
fn a_name_twice_or_a_file_as_directory_is_refused() {
    let twice = archive(&[("aaaa", 0o644, b"1"), ("bbbb", 0o644, b"2")]);
    let done = unpack(&renamed(&twice, "bbbb", "aaaa"), "", Limits::default());
    assert!(done.result.is_err(), "the second must not win silently");
    let parent = archive(&[("a", 0o644, b"1"), ("a/b", 0o644, b"2")]);
    assert!(unpack(&parent, "", Limits::default()).result.is_err());
}

#[test]
fn bombs_are_refused_before_they_are_written() {
    let zeros = vec![0; 5 << 20];
    let bomb = archive(&[("a", 0o644, &zeros), ("b", 0o644, &zeros)]);
    assert!(bomb.len() < 50_000);
    let done = unpack(&bomb, "", Limits { bytes: 8 << 20, ..Limits::default() });
    insta::assert_snapshot!(done.refusal(), @"`DIR/a.zip` is refused: `b`: unpacks to more than 8388608 bytes in all");
    assert!(!done.at("b").exists());
    let done = unpack(&bomb, "", Limits { entries: 1, ..Limits::default() });
    insta::assert_snapshot!(done.refusal(), @"`DIR/a.zip` is refused: 2 entries, more than 1");
}

#[test]
fn a_lie_about_the_size_is_refused() {
    let bytes = archive(&[("a", 0o644, &[b'x'; 1000])]);
    let (from, to) = (1000_u32.to_le_bytes(), 10_u32.to_le_bytes());
    let mut lying = bytes.clone();
    let mut changed = 0;
    for at in 0..lying.len() - 4 {
        if lying[at..at + 4] == from {
            lying[at..at + 4].copy_from_slice(&to);
            changed += 1;
        }
    }
    assert!(changed > 0);
    let done = unpack(&lying, "", Limits::default());
    done.refusal();
    assert!(fs::metadata(done.at("a")).map_or(0, |meta| meta.len()) <= 1000);
}

#[test]
fn what_is_no_archive_or_cut_short_is_refused() {
    let good = archive(&[("a", 0o644, b"some text"), ("b", 0o644, b"other text")]);
    refused(b"");
    refused(b"PK");
    for length in 0..good.len() {
        assert!(unpack(&good[..length], "", Limits::default()).result.is_err(), "cut at {length}");
    }
}

fn files_below(dir: &Path) -> usize {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_archive_never_panics_nor_leaves_its_directory(at in 0usize..400, byte: u8) {
        let mut bytes = archive(&[("a/b", 0o644, b"some text, some text, some text"), ("c", 0o755, b"other")]);
        let at = at % bytes.len();
        bytes[at] = byte;
        let done = unpack(&bytes, "", Limits::default());
        prop_assert_eq!(fs::read_dir(done.dir.path()).unwrap().count(), 2);
        prop_assert!(files_below(&done.dir.path().join("to")) <= 2);
    }
}
