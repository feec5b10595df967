//! Inputs, trees and objects: right when written, checked when read.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Notes, names};
use progress::Silent;
use store::{Digest, Expected, Key, Store, TreeId};

/// Flips one bit of one byte.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    (dir, store)
}

fn message(error: &anyhow::Error, root: &Path) -> String {
    format!("{error:#}").replace(root.to_str().unwrap(), "ROOT")
}

fn expected(bytes: &[u8]) -> Expected {
    Expected { sha256: Digest::of(bytes), size: Some(bytes.len() as u64) }
}

#[test]
fn objects_of_a_kind_are_linked_into_another_store_and_verified_there() {
    let (dir, store) = open();
    let other = Store::open(dir.path().join("other")).unwrap();
    let key = |kind| Key::of(kind, &"a").unwrap();
    let make = |dir: &Path| Ok(fs::write(dir.join("file"), "content")?);
    for kind in ["fetched", "made"] {
        store.object(&key(kind), kind, &Silent, make).unwrap();
    }
    other.link_objects(&store, "fetched").unwrap();
    other.link_objects(&store, "fetched").unwrap();
    let linked = other.find_object(&key("fetched")).unwrap().unwrap();
    assert_eq!(fs::read(linked.file("file").unwrap()).unwrap(), b"content");
    assert!(other.find_object(&key("made")).unwrap().is_none());
    flip(&linked.dir.join("file"), 0);
    assert!(other.find_object(&key("fetched")).is_err());
}

#[test]
fn an_input_comes_back_whole() {
    let (_dir, store) = open();
    assert_eq!(store.input(&Digest::of(b"x")).unwrap(), None);
    let path = store.put_input("x.zip", &mut &b"x"[..], &expected(b"x")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"x");
    assert_eq!(store.input(&Digest::of(b"x")).unwrap(), Some(path));
}

#[test]
fn a_wrong_input_is_refused_and_not_kept() {
    let (_dir, store) = open();
    let want = expected(b"right");
    let refused = |bytes: &[u8]| {
        let error = store.put_input("x.zip", &mut &*bytes, &want).unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        error.to_string()
    };
    insta::assert_snapshot!(refused(b"wrong"), @r"
    `x.zip` is not what was expected
      expected 27042f4e6eca7d0b2a7ee4026df2ecfa51d3339e6d122aa099118ecd8563bad9, 5 bytes
      found    8810ad581e59f2bc3928b261707a71308f7e139eb04820366dc4d5c18d980225, 5 bytes
    ");
    assert!(refused(b"rig").contains("3 bytes"));
    assert!(refused(b"right and more").contains("more than"));
    assert!(names(&store.root().join("inputs/sha256")).is_empty());
}

#[test]
fn a_flipped_byte_of_an_input_is_found() {
    let (_dir, mut store) = open();
    let path = store.put_input("x", &mut &b"input"[..], &expected(b"input")).unwrap();
    flip(&path, 3);
    let error = store.input(&Digest::of(b"input")).unwrap_err();
    insta::assert_snapshot!(message(&error, store.root()), @r"
    `ROOT/inputs/sha256/c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20` in the store is not what was expected
      expected c96c6d5be8d08a12e7b5cdc1b207fa6b2430974c86803d8891675e76fd992c20
      found    815ce0652943cd23b4d720cad980a140958ac7aef6d8c1fb8145cd97ae385ad8
    ");
    insta::assert_snapshot!(fault::of(&error).unwrap().hint().unwrap(), @"remove what is corrupt with `cargo xtask gc --corrupt`, then run this again");
    let cleaning = store::Cleaning { corrupt: true, ..Default::default() };
    assert_eq!(store.gc(cleaning, &Silent).unwrap().removed.len(), 1);
    assert_eq!(store.input(&Digest::of(b"input")).unwrap(), None);
}

fn fill(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir(dir.join("bin"))?;
    fs::write(dir.join("bin/tool"), "#!")?;
    fs::set_permissions(dir.join("bin/tool"), fs::Permissions::from_mode(0o700))?;
    fs::write(dir.join("text"), "text")?;
    std::os::unix::fs::symlink("bin/tool", dir.join("link"))?;
    Ok(())
}

type Damage = fn(&Path);

/// Each way to damage what `fill` made, and a word of the message it must give.
fn damages() -> [(&'static str, Damage); 11] {
    [
        ("text", |dir| flip(&dir.join("text"), 0)),
        ("bin/tool", |dir| flip(&dir.join("bin/tool"), 1)),
        ("3 bytes", |dir| fs::write(dir.join("text"), "tex").unwrap()),
        ("nothing", |dir| fs::remove_file(dir.join("text")).unwrap()),
        ("bin/more", |dir| fs::write(dir.join("bin/more"), "").unwrap()),
        ("mode 0755", |dir| {
            fs::set_permissions(dir.join("bin/tool"), fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("a link to bin/tool", |dir| {
            fs::remove_file(dir.join("link")).unwrap();
            std::os::unix::fs::symlink("text", dir.join("link")).unwrap();
        }),
        ("a regular file", |dir| {
            fs::remove_file(dir.join("text")).unwrap();
            std::os::unix::fs::symlink("bin/tool", dir.join("text")).unwrap();
        }),
        (".manifest.json", |dir| fs::write(dir.join(store::SEAL), "{}").unwrap()),
        ("a directory", |dir| {
            fs::remove_file(dir.join(store::SEAL)).unwrap();
            fs::create_dir_all(dir.join(store::SEAL).join("x")).unwrap();
        }),
        ("names in UTF-8", |dir| fs::write(dir.join(OsStr::from_bytes(b"\xff")), "").unwrap()),
    ]
}

#[test]
fn every_damage_to_an_object_is_found_and_only_it_is_removed() {
    let (_dir, mut store) = open();
    let good = Key::of("test", &"good").unwrap();
    store.object(&good, "good", &Silent, fill).unwrap();
    let key = Key::of("test", &"bad").unwrap();
    for (word, damage) in damages() {
        let made = store.object(&key, "bad", &Silent, fill).unwrap();
        assert!(made.fresh && !store.object(&key, "bad", &Silent, |_| unreachable!()).unwrap().fresh);
        damage(&made.dir);
        let error = store.object(&key, "bad", &Silent, |_| unreachable!()).unwrap_err();
        assert_eq!(fault::exit_code(&error), 6, "{word}");
        assert!(message(&error, store.root()).contains(word), "{word}: {error:#}");
        let cleaning = store::Cleaning { corrupt: true, ..Default::default() };
        let report = store.gc(cleaning, &Silent).unwrap();
        assert_eq!((report.removed.len(), report.kept), (1, 1), "{word}");
        assert!(store.has_object(&good) && !store.has_object(&key));
    }
}

/// Left by a crash before seals were synced, or by an administrator.
#[test]
fn an_object_without_its_seal_is_replaced_before_the_work_and_removed_as_corrupt() {
    let (_dir, mut store) = open();
    let key = Key::of("test", &"unsealed").unwrap();
    let unseal = |store: &Store| {
        store.object(&key, "object", &Silent, fill).unwrap();
        fs::remove_file(store.object_path(&key).join(store::SEAL)).unwrap();
    };
    unseal(&store);
    let notes = Notes::default();
    let path = store.object_path(&key);
    let made = store.object(&key, "object", &notes, |dir| {
        assert!(!path.exists(), "it would be found only at the end");
        fill(dir)
    });
    assert!(made.unwrap().fresh && store.find_object(&key).unwrap().is_some());
    let notes = notes.0.into_inner().unwrap().join("\n");
    assert!(notes.contains("is not sealed: replacing it"), "{notes}");
    // A file in its place, too.
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "x").unwrap();
    assert!(store.object(&key, "object", &Silent, fill).unwrap().fresh);
    fs::remove_file(path.join(store::SEAL)).unwrap();
    let report = store.gc(store::Cleaning { corrupt: true, ..Default::default() }, &Silent).unwrap();
    assert_eq!((report.removed.len(), report.kept), (1, 0));
    assert!(matches!(&report.removed[0].why, store::Why::Corrupt(why) if why.contains("no manifest")));
}

#[test]
fn what_is_astray_in_the_store_stops_no_cleaning_and_goes() {
    let (dir, mut store) = open();
    let good = Key::of("test", &"good").unwrap();
    store.object(&good, "good", &Silent, fill).unwrap();
    let input = store.put_input("x", &mut &b"input"[..], &expected(b"input")).unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "kept").unwrap();
    let at = |path: &str| store.root().join(path);
    fs::create_dir_all(at("trees")).unwrap();
    let zeros = "0".repeat(64);
    fs::write(at("objects/stray"), "x").unwrap();
    fs::write(at("objects/test/stray"), "x").unwrap();
    fs::write(at("trees/stray"), "x").unwrap();
    fs::write(at("inputs/sha256/stray"), "x").unwrap();
    fs::create_dir_all(at(&format!("inputs/sha256/{zeros}/x"))).unwrap();
    for link in ["objects/link", "objects/test/link", "trees/link", "inputs/sha256/link"] {
        std::os::unix::fs::symlink(&outside, at(link)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", at("objects/test/dangling")).unwrap();
    let report = store.gc(store::Cleaning { corrupt: true, ..Default::default() }, &Silent).unwrap();
    assert_eq!((report.removed.len(), report.kept), (10, 2), "{:?}", report.removed);
    assert!(store.has_object(&good) && input.is_file());
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept", "a link was followed");
    // Nor does it stop the others.
    fs::write(store.root().join("objects/stray"), "x").unwrap();
    for cleaning in [
        store::Cleaning { unused_for: Some(std::time::Duration::ZERO), ..Default::default() },
        store::Cleaning { all: true, ..Default::default() },
    ] {
        store.gc(cleaning, &Silent).unwrap();
    }
    assert!(!store.root().join("objects/stray").exists());
}

#[test]
fn every_damage_to_a_tree_is_found() {
    let (_dir, mut store) = open();
    let id = TreeId { name: "tool", version: "1.0", sha256: &Digest::of(b"zip") };
    for (word, damage) in damages() {
        // Without a seal it is not a tree that `find_tree` would find.
        if word == "a directory" {
            continue;
        }
        let tree = store.tree(&id, &Silent, fill).unwrap();
        assert!(tree.dir.ends_with(format!("trees/tool-1.0-{}", Digest::of(b"zip").short())));
        tree.verify().unwrap();
        damage(&tree.dir);
        let error = store.find_tree(&id).unwrap().unwrap().verify().unwrap_err();
        assert!(message(&error, store.root()).contains(word), "{word}: {error:#}");
        assert_eq!(fault::exit_code(&error), 6, "{word}");
        store.gc(store::Cleaning { corrupt: true, ..Default::default() }, &Silent).unwrap();
        assert!(store.find_tree(&id).unwrap().is_none());
    }
}

#[test]
fn an_unsealed_tree_is_sealed_in_place_if_it_is_right_and_replaced_if_not() {
    let (_dir, store) = open();
    let id = TreeId { name: "tool", version: "1.0", sha256: &Digest::of(b"zip") };
    let dir = store.tree_path(&id).unwrap();
    fs::create_dir(&dir).unwrap();
    fill(&dir).unwrap();
    let before = fs::metadata(dir.join("text")).unwrap();
    let notes = Notes::default();
    store.tree(&id, &notes, fill).unwrap().verify().unwrap();
    let after = fs::metadata(dir.join("text")).unwrap();
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    assert!(notes.0.lock().unwrap().is_empty());

    fs::remove_file(dir.join(store::SEAL)).unwrap();
    flip(&dir.join("text"), 0);
    store.tree(&id, &notes, fill).unwrap().verify().unwrap();
    assert_eq!(fs::read(dir.join("text")).unwrap(), b"text");
    assert!(notes.0.lock().unwrap()[0].contains("replacing"));
}

#[test]
fn names_of_tools_cannot_lead_out_of_the_store() {
    let (_dir, store) = open();
    for (name, version) in [("..", "1"), ("a/b", "1"), ("a", ""), ("a", "/etc"), (".a", "1")] {
        let error = store.tree_path(&TreeId { name, version, sha256: &Digest::of(b"") }).unwrap_err();
        assert_eq!(fault::exit_code(&error), 3, "{name} {version}");
    }
}

#[test]
fn a_maker_that_fails_or_panics_leaves_nothing() {
    let (_dir, store) = open();
    let key = Key::of("test", &1).unwrap();
    let failed = store.object(&key, "it", &Silent, |dir| {
        fs::write(dir.join("half"), "x")?;
        anyhow::bail!("no more")
    });
    assert!(format!("{:#}", failed.unwrap_err()).contains("no more"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = store.object(&key, "it", &Silent, |dir| {
            fs::write(dir.join("half"), "x").unwrap();
            panic!("on purpose")
        });
    }));
    assert!(panicked.is_err() && !store.has_object(&key));
    for temp in fs::read_dir(store.root().join("tmp")).unwrap() {
        let temp = temp.unwrap().path();
        assert!(!temp.is_dir() || names(&temp).is_empty());
    }
    assert!(store.object(&key, "it", &Silent, fill).unwrap().fresh);
    let root = store.root().to_owned();
    drop(store);
    assert!(names(&root.join("tmp")).is_empty());
}

#[test]
fn objects_do_not_depend_on_modes_that_the_umask_gives() {
    let (_dir, store) = open();
    let made = |name: &str, mode: u32| {
        let key = Key::of("test", &name).unwrap();
        let object = store.object(&key, "it", &Silent, |dir| {
            fs::create_dir(dir.join("sub"))?;
            fs::write(dir.join("sub/file"), "x")?;
            fs::set_permissions(dir.join("sub/file"), fs::Permissions::from_mode(mode))?;
            fs::set_permissions(dir.join("sub"), fs::Permissions::from_mode(0o700))?;
            Ok(())
        });
        let object = object.unwrap();
        assert_eq!(fs::metadata(object.dir.join("sub")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(object.file("sub/file").unwrap(), object.dir.join("sub/file"));
        assert!(object.file("other").is_err());
        object.manifest
    };
    assert_eq!(made("a", 0o600), made("b", 0o664));
    assert_ne!(made("c", 0o700), made("d", 0o644));
}

#[test]
fn gc_keeps_what_was_used_lately_and_all_goes_with_all() {
    let (_dir, mut store) = open();
    let (old, new) = (Key::of("test", &"old").unwrap(), Key::of("test", &"new").unwrap());
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(40 * 24);
    for key in [&old, &new] {
        let object = store.object(key, &key.to_string(), &Silent, fill).unwrap();
        fs::File::open(object.dir.join(store::SEAL)).unwrap().set_modified(long_ago).unwrap();
    }
    store.find_object(&new).unwrap().unwrap();
    let days = |days: u64| Some(std::time::Duration::from_hours(days * 24));
    let report = store.gc(store::Cleaning { unused_for: days(30), ..Default::default() }, &Silent).unwrap();
    assert_eq!((report.removed.len(), report.kept, report.freed()), (1, 1, 6));
    assert_eq!(report.removed[0].why, store::Why::Unused);
    assert!(store.has_object(&new) && !store.has_object(&old));
    store.tool_cache("zig").unwrap();
    let report = store.gc(store::Cleaning { all: true, ..Default::default() }, &Silent).unwrap();
    assert_eq!((report.removed.len(), report.kept), (2, 0));
    assert!(!store.root().join("zig").exists());
}
