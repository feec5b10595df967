//! Several processes, `kill -9`, a full disk, a disk that cannot be written to.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Notes, names};
use progress::Silent;
use store::{Cleaning, Digest, Expected, Key, Store};

const ROOT: &str = "STORE_TEST_ROOT";
const ROLE: &str = "STORE_TEST_ROLE";

fn key() -> Key {
    Key::of("test", &"shared").unwrap()
}

/// Not a test of its own: what the other processes of these tests do.
#[test]
fn child() {
    let (Some(root), Ok(role)) = (std::env::var_os(ROOT), std::env::var(ROLE)) else { return };
    let root = Path::new(&root);
    let store = Store::open(root.join("store")).unwrap();
    let made = store.object(&key(), "it", &Silent, |dir| {
        let mut log = fs::File::options().create(true).append(true).open(root.join("makers"))?;
        writeln!(log, "{}", std::process::id())?;
        fs::write(dir.join("file"), "half")?;
        // Until it is told to go on, or killed.
        until("the word", || root.join("go").exists() && role != "stuck");
        fs::write(dir.join("file"), "whole")?;
        Ok(())
    });
    assert_eq!(fs::read(made.unwrap().file("file").unwrap()).unwrap(), b"whole");
}

fn spawn(root: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROOT, root)
        .env(ROLE, role)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn many_processes_and_threads_make_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut children: Vec<_> = (0..4).map(|_| spawn(root, "maker")).collect();
    until("a maker", || root.join("makers").exists());
    let store = Store::open(root.join("store")).unwrap();
    let notes = Notes::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let made = store.object(&key(), "it", &notes, |_| unreachable!("made twice")).unwrap();
                assert!(!made.fresh);
            });
        }
        until("waiting threads", || notes.0.lock().unwrap().len() == 3);
        fs::write(root.join("go"), "").unwrap();
    });
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(fs::read_to_string(root.join("makers")).unwrap().lines().count(), 1);
    let notes = notes.0.into_inner().unwrap();
    assert_eq!(notes, ["waiting for it: another build is making it"; 3]);
}

#[test]
fn what_was_killed_in_mid_build_is_never_used_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut child = spawn(root, "stuck");
    until("the maker", || root.join("makers").exists());
    let held = |root: &Path| names(&root.join("store/tmp")).len();
    assert_eq!(held(root), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(held(root), 2, "kill -9 runs no clean-up, or this tests nothing");
    let store = Store::open(root.join("store")).unwrap();
    assert_eq!(held(root), 2, "only the new owner's are there");
    let made = store.object(&key(), "it", &Silent, |dir| Ok(fs::write(dir.join("file"), "whole")?));
    assert!(made.unwrap().fresh);
    drop(store);
    assert_eq!(held(root), 0);
}

#[test]
fn gc_waits_for_builds() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut child = spawn(root, "maker");
    until("the maker", || root.join("makers").exists());
    let notes = Notes::default();
    let mut store = Store::open(root.join("store")).unwrap();
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            until("a waiting gc", || !notes.0.lock().unwrap().is_empty());
            fs::write(root.join("go"), "").unwrap();
        });
        store.gc(Cleaning { all: true, ..Cleaning::default() }, &notes).unwrap()
    });
    assert!(child.wait().unwrap().success(), "its object was there until it ended");
    assert_eq!(report.removed.len(), 1);
    assert_eq!(notes.0.into_inner().unwrap(), ["waiting for the builds that use the store to end"]);
}

/// Mounts a small disk at `dir`; none where that is not allowed.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(dir: &'a Path, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        skip::say("no right to mount a tmpfs");
        None
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path(), "size=1m") else { return };
    let store = Store::open(disk.0.join("store")).unwrap();
    let big = vec![7; 3 << 20];
    let check = |error: anyhow::Error| {
        assert_eq!(fault::exit_code(&error), 10, "{error:#}");
        let fault = fault::of(&error).unwrap();
        assert!(fault.to_string().contains(store.root().to_str().unwrap()), "{error:#}");
        assert!(fault.hint().unwrap().contains("cargo xtask gc"));
    };
    let expected = Expected { sha256: Digest::of(&big), size: None };
    check(store.put_input("big", &mut &*big, &expected).unwrap_err());
    check(store.object(&key(), "it", &Silent, |dir| Ok(fs::write(dir.join("file"), &big)?)).unwrap_err());
    // A tool of ours that fails for it: only its message tells.
    check(
        store
            .object(&key(), "it", &Silent, |dir| {
                let to = format!("of={}/file", dir.display());
                let dd =
                    exec::Run::new("dd").args(["if=/dev/zero", &to, "bs=64k", "count=64"]).env("LC_ALL", "C");
                dd.run().map(|_| ())
            })
            .unwrap_err(),
    );
    assert!(names(&store.root().join("inputs/sha256")).is_empty() && !store.has_object(&key()));
    // All room is free again.
    let half = vec![7; 600 << 10];
    let expected = Expected { sha256: Digest::of(&half), size: None };
    store.put_input("half", &mut &*half, &expected).unwrap();
}

#[test]
fn a_disk_that_cannot_be_written_to_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(dir.path(), "ro,size=1m") else { return };
    let error = Store::open(disk.0.join("store")).unwrap_err();
    assert_eq!(fault::exit_code(&error), 10);
    let text = format!("{error:#}").replace(disk.0.to_str().unwrap(), "DISK");
    insta::assert_snapshot!(text, @"cannot make directory `DISK/store/inputs/sha256`: Read-only file system (os error 30)");
    assert!(fault::of(&error).unwrap().hint().unwrap().contains("KUBELET_IMAGES_STORE"));
}
