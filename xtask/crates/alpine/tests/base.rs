//! From an index to a lock to a root filesystem, and what is refused on the way.

mod common;

use std::fs;

use alpine::lock::Lock;
use alpine::rootfs::Recipe;
use apk::testrepo::{ArchiveMember, PackageMaker, Signer};
use common::{MAIN, Place, ROOTFS};
use fstree::tree::Resolved;

/// All messages of an error, and its exit code.
fn refusal<T>(result: anyhow::Result<T>) -> (u8, String) {
    let error = result.err().expect("it is accepted");
    (fault::exit_code(&error), format!("{error:#}"))
}

#[test]
fn a_lock_has_every_file_and_gives_the_root_filesystem() {
    let place = Place::new();
    let alpine = place.alpine();
    let lock = place.lock(&alpine, None).unwrap();
    let locked = &lock.arches["amd64"];
    assert_eq!(locked.worlds["kubelet"].install, ["lib-1.0-r0", "tool-1.0-r0"]);
    assert_eq!(locked.worlds["kube-proxy"].install.len(), 3);
    assert_eq!(
        locked.packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(),
        ["extra", "lib", "tool"]
    );
    let tool = locked.package("tool-1.0-r0").unwrap();
    let file = fs::read(place.path(&tool.path)).unwrap();
    assert_eq!((tool.size, tool.sha256), (file.len() as u64, Some(store::Digest::of(&file))));
    assert_eq!((tool.origin.as_deref(), tool.license.as_str()), (Some("origin"), "MIT"));
    assert_eq!(
        (locked.indexes[0].description.as_str(), locked.indexes[0].newest_build),
        ("v3.15.0-2-gabc", 100)
    );
    // The same again, and as it is read.
    assert_eq!(place.lock(&alpine, Some(&lock)).unwrap(), lock);
    assert_eq!(Lock::parse(&lock.to_text().unwrap(), "lock").unwrap(), lock);

    // From the store alone.
    fs::remove_dir_all(place.path("v3.15")).unwrap();
    let recipe = Recipe::of(&lock, &alpine, &place.arch(), "kubelet", &place.keyring).unwrap();
    let make = || recipe.make(&place.fetcher(&alpine), &place.keyring, 7).unwrap();
    let tree = make();
    assert_eq!(tree, make());
    let entries = tree.resolve().unwrap();
    assert_eq!(entries["bin/tool-too"].0, Resolved::HardLink("bin/tool"));
    assert_eq!(entries["bin/tool-link"].0, Resolved::Symlink("tool"));
    assert_eq!(entries["bin/tool"].1.mode, 0o755);
    assert!(entries.contains_key("bin/lib") && !entries.contains_key("bin/extra"));
    let Resolved::File(fstree::tree::Source::Bytes(world)) = entries["etc/apk/world"].0 else {
        panic!("no world")
    };
    assert_eq!(&**world, b"tool\n");
    assert_eq!(recipe.packages().len(), 2);
}

#[test]
fn an_older_index_is_refused() {
    let place = Place::new();
    let alpine = place.alpine();
    let lock = place.lock(&alpine, None).unwrap();
    place.publish("v3.15.0-1-gabc", &place.packages());
    let (code, message) = refusal(place.lock(&alpine, Some(&lock)));
    assert_eq!(code, 6);
    assert!(message.contains("v3.15/main/x86_64/APKINDEX.tar.gz was rolled back"), "{message}");
    place.publish("v3.15.0-3-gabc", &place.packages());
    place.lock(&alpine, Some(&lock)).unwrap();
}

/// Alpine's keys sign the indexes of several branches.
#[test]
fn an_index_of_another_branch_is_refused() {
    let place = Place::new();
    place.publish("v3.16.3-13-gabc", &place.packages());
    let (code, message) = refusal(place.lock(&place.alpine(), None));
    assert_eq!(code, 6);
    let message = message.replace(&place.dir.path().display().to_string(), "PLACE");
    insta::assert_snapshot!(message, @"
    locking Alpine for amd64: PLACE/mirror/v3.15/main/x86_64/APKINDEX.tar.gz: the branch of v3.15/main/x86_64/APKINDEX.tar.gz is not what was expected
      expected v3.15
      found    v3.16.3-13-gabc
    ");
}

#[test]
fn a_file_that_nobody_has_is_named_with_its_url_and_what_helps() {
    let place = Place::new();
    let alpine = place.alpine();
    fs::remove_file(place.path(ROOTFS)).unwrap();
    let error = place.lock(&alpine, None).unwrap_err();
    assert_eq!(fault::exit_code(&error), 5);
    let message = fault::of(&error).unwrap().to_string();
    for word in [
        "https://alpine.invalid/alpine/v3.15/releases",
        "SHA-256 ",
        &alpine.rootfs["amd64"].sha256.to_string(),
        "offline",
    ] {
        assert!(message.contains(word), "{message}");
    }
    assert!(fault::of(&error).unwrap().hint().unwrap().contains("--mirror"));
}

#[test]
fn a_mirror_is_not_trusted() {
    let place = Place::new();
    let alpine = place.alpine();
    let lock = place.lock(&alpine, None).unwrap();
    let other = Place::new();
    // Not what is locked, though well signed.
    let mut changed = other.packages();
    let items = vec![ArchiveMember::file("bin-tool", b"another")];
    changed[0] = PackageMaker::new("tool", "1.0-r0", "x86_64", items).make(&other.signer).unwrap();
    other.publish("v3.15.0-2-gabc", &changed);
    let recipe = Recipe::of(&lock, &alpine, &other.arch(), "kubelet", &other.keyring).unwrap();
    let (code, message) = refusal(recipe.make(&other.fetcher(&alpine), &other.keyring, 7));
    assert_eq!(code, 6, "{message}");
    assert!(message.contains("tool-1.0-r0.apk"), "{message}");
    let sha256 = lock.arches["amd64"].package("tool-1.0-r0").unwrap().sha256.unwrap().to_string();
    assert!(other.inputs().iter().all(|input| !input.ends_with(&sha256)));

    // Not what the signed index says, before there is a lock; then a root filesystem that was cut off.
    let place = Place::new();
    let path = format!("{MAIN}/tool-1.0-r0.apk");
    place.file(&path, &changed[0].file());
    assert_eq!(refusal(place.lock(&alpine, None)).0, 6);
    let bytes = fs::read(place.path(ROOTFS)).unwrap();
    let fresh = Place::new();
    fresh.file(ROOTFS, &bytes[..bytes.len() / 2]);
    assert_eq!(refusal(fresh.lock(&alpine, None)).0, 6);
    assert!(fresh.inputs().is_empty());
}

#[test]
fn who_is_not_trusted_signs_nothing() {
    let mut place = Place::new();
    let alpine = place.alpine();
    place.signer = Signer::new("other.rsa.pub", 4).unwrap();
    place.publish("v3.15.0-2-gabc", &place.packages());
    let (code, message) = refusal(place.lock(&alpine, None));
    assert_eq!(code, 6);
    assert!(message.contains("signed by `other.rsa.pub`, which no key here is"), "{message}");
}

#[test]
fn a_script_that_nothing_is_known_about_is_refused_until_the_catalog_knows_it() {
    let place = Place::new();
    let mut alpine = place.alpine();
    let mut tool = PackageMaker::new("tool", "1.1-r0", "x86_64", vec![ArchiveMember::file("tool", b"x")]);
    tool.scripts = vec![(".post-install".into(), b"#!/bin/sh\nadduser tool\n".to_vec())];
    let mut packages = place.packages();
    packages.push(tool.make(&place.signer).unwrap());
    place.publish("v3.15.0-4-gabc", &packages);
    let (code, message) = refusal(place.lock(&alpine, None));
    assert_eq!(code, 3);
    assert!(message.contains("tool-1.1-r0 post-install (SHA-256 "), "{message}");
    let known = |sha256: &str| {
        toml::from_str(&format!("package = 'tool'\nkind = 'post-install'\n{sha256}done = 'x'")).unwrap()
    };
    alpine.scripts = vec![known("sha256 = 'another'\n")];
    assert_eq!(refusal(place.lock(&alpine, None)).0, 3);
    alpine.scripts = vec![known("")];
    place.lock(&alpine, None).unwrap();
}

#[test]
fn a_lock_of_another_catalog_is_stale() {
    let place = Place::new();
    let mut alpine = place.alpine();
    let lock = place.lock(&alpine, None).unwrap();
    let of = |alpine: &catalog::Alpine| Recipe::of(&lock, alpine, &place.arch(), "kubelet", &place.keyring);
    let extra = alpine.worlds["kube-proxy"].clone();
    alpine.worlds.insert("kubelet".into(), extra);
    let (code, message) = refusal(of(&alpine));
    assert_eq!(code, 9);
    insta::assert_snapshot!(message, @r"
    what kubelet has for amd64 in images/locks/alpine-3.15.json is not the catalog's
      expected extra tool
      found    tool
    ");
    let mut alpine = place.alpine();
    alpine.rootfs.get_mut("amd64").unwrap().size += 1;
    assert_eq!(refusal(of(&alpine)).0, 9);
}
