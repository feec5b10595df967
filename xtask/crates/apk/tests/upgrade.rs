//! Replacing a version of a package by another, and what people's own files become.

use std::sync::LazyLock;

use apk::database::Database;
use apk::depend::Dependency;
use apk::install::Rootfs;
use apk::key::Keyring;
use apk::package::{Package, ScriptKind};
use apk::testrepo::{ArchiveMember, PackageMaker, Signer};
use apk::tree::Tree;
use fstree::tree::{Entry, Node};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("test.rsa.pub", 1).unwrap());

fn package(name: &str, version: &str, items: Vec<ArchiveMember>) -> Package {
    let mut keyring = Keyring::new();
    keyring.trust("x86_64", SIGNER.key().unwrap());
    let mut maker = PackageMaker::new(name, version, "x86_64", items);
    maker.scripts = vec![(".post-upgrade".into(), version.into()), (".post-install".into(), b"x".to_vec())];
    let parts = maker.make(&SIGNER).unwrap();
    Package::open(&parts.file(), None, &parts.record, &keyring, "x86_64").unwrap()
}

fn old() -> Package {
    package(
        "a",
        "1-r0",
        vec![
            ArchiveMember::directory("etc"),
            ArchiveMember::file("etc/changed", b"1"),
            ArchiveMember::file("etc/gone", b"1"),
            ArchiveMember::file("etc/gone-but-changed", b"1"),
            ArchiveMember::file("etc/same", b"1"),
            ArchiveMember::directory("usr"),
            ArchiveMember::directory("usr/old"),
            ArchiveMember::file("usr/old/x", b"1"),
            ArchiveMember::file("usr/x", b"1"),
        ],
    )
}

fn new() -> Package {
    package(
        "a",
        "2-r0",
        vec![
            ArchiveMember::directory("etc"),
            ArchiveMember::file("etc/changed", b"2"),
            ArchiveMember::file("etc/local", b"2"),
            ArchiveMember::file("etc/same", b"2"),
            ArchiveMember::directory("usr"),
            ArchiveMember::file("usr/x", b"2"),
        ],
    )
}

/// A root filesystem with the old version, in which someone changed files since.
fn changed() -> Rootfs {
    let rootfs = Rootfs::empty("x86_64").install(&old()).unwrap();
    let mut tree = rootfs.finish(&Dependency::parse_all("a").unwrap(), 7).unwrap();
    for path in ["etc/changed", "etc/gone-but-changed", "etc/local"] {
        tree.put(path, Entry::file(0o600, &b"mine"[..])).unwrap();
    }
    Rootfs::from_base(tree, "x86_64").unwrap()
}

#[test]
fn an_upgrade_takes_the_old_away_and_keeps_what_people_changed() {
    let rootfs = changed().install(&new()).unwrap();
    let tree = rootfs.tree();
    let read = |path: &str| tree.read(path).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let found: Vec<(&str, Option<String>)> = tree
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("etc/") && !path.starts_with("etc/apk") || path.starts_with("usr/"))
        .map(|path| (path, read(path)))
        .collect();
    let expected = [
        ("etc/changed", "mine"),
        ("etc/changed.apk-new", "2"),
        ("etc/gone-but-changed", "mine"),
        ("etc/local", "mine"),
        ("etc/local.apk-new", "2"),
        ("etc/same", "2"),
        ("usr/x", "2"),
    ];
    assert_eq!(found, expected.map(|(path, text)| (path, Some(text.to_owned()))));
    assert_eq!(rootfs.database().packages.len(), 1);
    let pending: Vec<ScriptKind> = rootfs.pending_scripts().into_iter().map(|script| script.kind).collect();
    assert_eq!(pending, [ScriptKind::PostUpgrade]);
}

#[test]
fn the_same_package_again_changes_nothing() {
    let before = changed();
    let rootfs = before.clone().install(&old()).unwrap();
    assert_eq!(rootfs.tree(), before.tree());
    assert_eq!(rootfs.pending_scripts(), []);
}

#[test]
fn the_result_does_not_depend_on_how_it_came_about() {
    let finish =
        |rootfs: Rootfs| -> Tree { rootfs.finish(&Dependency::parse_all("b a").unwrap(), 7).unwrap() };
    let build = || {
        let rootfs = Rootfs::empty("x86_64").install(&new()).unwrap();
        let b =
            package("b", "1-r0", vec![ArchiveMember::directory("usr"), ArchiveMember::symlink("usr/b", "x")]);
        rootfs.install(&b).unwrap()
    };
    let tree = finish(build());
    assert_eq!(tree, finish(build()));
    assert_eq!(tree.read("etc/apk/world"), Some(&b"a\nb\n"[..]));
    assert_eq!(tree.get("usr/b").unwrap().node, Node::Symlink("x".into()));
    let text = |path: &str| String::from_utf8(tree.read(path).unwrap().to_vec()).unwrap();
    let scripts = tree.read("lib/apk/db/scripts.tar").unwrap();
    let database =
        Database::parse(&text("lib/apk/db/installed"), scripts, &text("lib/apk/db/triggers")).unwrap();
    assert_eq!(
        database.packages.iter().map(|package| package.record.id()).collect::<Vec<_>>(),
        ["a-2-r0", "b-1-r0"]
    );
    assert_eq!(database.packages[0].scripts.len(), 2);
}
