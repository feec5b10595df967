//! A lock in steps: packages pinned by what the signed index says of them, and by their SHA-256 once they are there.

mod common;

use std::fs;

use alpine::complete::complete;
use alpine::lock::Lock;
use alpine::relock::{self, Request};
use alpine::rootfs::Recipe;
use apk::testrepo::{ArchiveMember, PackageMaker};
use catalog::Alpine;
use common::{MAIN, Place, arch, rootfs};

const TOOL: &str = "v3.15/main/x86_64/tool-1.0-r0.apk";

/// A lock for which no package was fetched.
fn index_only(place: &Place, alpine: &Alpine, previous: Option<&Lock>) -> Lock {
    let arches = [place.arch()];
    let request = Request { index_only: true, ..place.request(alpine, &arches, previous) };
    relock::make(&request, &place.fetcher(alpine)).unwrap()
}

fn recipe(place: &Place, alpine: &Alpine, lock: &Lock) -> Recipe {
    Recipe::of(lock, alpine, &place.arch(), "kubelet", &place.keyring).unwrap()
}

fn pinned_by_index(lock: &Lock) -> Vec<&str> {
    let packages = &lock.arches["amd64"].packages;
    packages.iter().filter(|package| package.sha256.is_none()).map(|package| package.name.as_str()).collect()
}

/// All messages of an error, and its exit code.
fn refusal<T>(result: anyhow::Result<T>) -> (u8, String) {
    let error = result.err().expect("it is accepted");
    (fault::exit_code(&error), format!("{error:#}"))
}

#[test]
fn what_the_index_pins_gives_the_same_root_filesystem() {
    let place = Place::new();
    let alpine = place.alpine();
    let hidden = place.dir.path().join("hidden");
    for name in ["tool", "lib", "extra"] {
        fs::create_dir_all(&hidden).unwrap();
        fs::rename(place.path(&format!("{MAIN}/{name}-1.0-r0.apk")), hidden.join(name)).unwrap();
    }
    let lock = index_only(&place, &alpine, None);
    assert_eq!(pinned_by_index(&lock), ["extra", "lib", "tool"]);
    assert_eq!(lock.arches["amd64"].pinned_by_index("kubelet").count(), 2);
    assert!(!lock.to_text().unwrap().contains("\"sha256\": null"));
    assert_eq!(Lock::parse(&lock.to_text().unwrap(), "lock").unwrap(), lock);
    let (code, message) =
        refusal(recipe(&place, &alpine, &lock).fetch(&place.fetcher(&alpine), &place.keyring));
    assert_eq!(code, 5, "{message}");
    for name in ["tool", "lib", "extra"] {
        fs::rename(hidden.join(name), place.path(&format!("{MAIN}/{name}-1.0-r0.apk"))).unwrap();
    }

    // Fetched, it is in the store.
    recipe(&place, &alpine, &lock).fetch(&place.fetcher(&alpine), &place.keyring).unwrap();
    let whole = place.lock(&alpine, None).unwrap();
    fs::remove_dir_all(place.path("v3.15/main")).unwrap();
    let tree = |lock| recipe(&place, &alpine, lock).make(&place.fetcher(&alpine), &place.keyring, 7).unwrap();
    assert_eq!(tree(&lock), tree(&whole));
}

#[test]
fn it_is_completed_by_what_is_at_hand_and_is_the_lock_that_was_made_at_once() {
    let place = Place::new();
    let alpine = place.alpine();
    let arches = [place.arch()];
    let complete = |lock: &Lock| {
        complete(lock, &place.request(&alpine, &arches, Some(lock)), &place.fetcher(&alpine)).unwrap()
    };
    let lock = index_only(&place, &alpine, None);
    let tool = fs::read(place.path(TOOL)).unwrap();
    fs::remove_file(place.path(TOOL)).unwrap();
    let done = complete(&lock);
    assert_eq!((done.added, done.missing.len()), (2, 1));
    assert!(done.missing[0].to_string().contains(TOOL), "{}", done.missing[0]);
    assert_eq!(pinned_by_index(&done.lock), ["tool"]);
    // What was completed stays so.
    assert_eq!(pinned_by_index(&index_only(&place, &alpine, Some(&done.lock))), ["tool"]);
    place.file(TOOL, &tool);
    let whole = complete(&done.lock);
    assert_eq!((whole.added, whole.missing.len()), (1, 0));
    assert_eq!(whole.lock, place.lock(&alpine, None).unwrap());
    assert_eq!(complete(&whole.lock).added, 0);
}

#[test]
fn both_hashes_are_verified() {
    let place = Place::new();
    let alpine = place.alpine();
    let lock = index_only(&place, &alpine, None);
    let other = |content: &[u8]| {
        let mut tool =
            PackageMaker::new("tool", "1.0-r0", "x86_64", vec![ArchiveMember::file("bin-tool", content)]);
        tool.index = "D:so:lib.so.1\n".into();
        tool.make(&place.signer).unwrap()
    };
    let good = place.packages()[0].clone();
    let locked = usize::try_from(lock.arches["amd64"].package("tool-1.0-r0").unwrap().size).unwrap();
    // Of the locked size, as a gzip member without compression can be made.
    let padded = |mut file: Vec<u8>| {
        file.resize(locked, 0);
        file
    };
    let swapped = [good.signature.as_slice(), &good.control, &other(b"another").data].concat();
    for (file, words) in [
        (padded(other(b"another").file()), "the checksum of its control segment"),
        (padded(swapped), "the SHA-256 of its data segment"),
        (good.file()[1..].to_vec(), "the size of tool-1.0-r0.apk"),
    ] {
        place.file(TOOL, &file);
        let found = refusal(recipe(&place, &alpine, &lock).fetch(&place.fetcher(&alpine), &place.keyring));
        assert_eq!(found.0, 6, "{words}: {}", found.1);
        assert!(found.1.contains(words) && found.1.contains("tool-1.0-r0.apk"), "{words}: {}", found.1);
        let made = recipe(&place, &alpine, &lock).make(&place.fetcher(&alpine), &place.keyring, 7);
        assert_eq!(refusal(made).0, 6, "{words}");
    }
    let arches = [place.arch()];
    let done = complete(&lock, &place.request(&alpine, &arches, Some(&lock)), &place.fetcher(&alpine));
    assert_eq!(refusal(done.map(|_| ())).0, 6);
}

#[test]
fn a_package_that_was_rebuilt_under_the_same_version_is_refused() {
    let place = Place::new();
    let alpine = place.alpine();
    let whole = place.lock(&alpine, None).unwrap();
    let mut packages = place.packages();
    let mut extra =
        PackageMaker::new("extra", "1.0-r0", "x86_64", vec![ArchiveMember::file("again", b"again")]);
    extra.info = "builddate = 7\n".into();
    packages[2] = extra.make(&place.signer).unwrap();
    place.publish("v3.15.0-3-gabc", &packages);
    for index_only in [false, true] {
        let arches = [place.arch()];
        let request = Request { index_only, ..place.request(&alpine, &arches, Some(&whole)) };
        let (code, message) = refusal(relock::make(&request, &place.fetcher(&alpine)));
        assert_eq!(code, 6);
        let locked = &whole.arches["amd64"].package("extra-1.0-r0").unwrap().checksum;
        let message = message.replace(locked, "LOCKED");
        let message = message.replace(&packages[2].record.checksum.to_string(), "FOUND");
        insta::allow_duplicates! {
            insta::assert_snapshot!(message, @"
            locking Alpine for amd64: the packages of kube-proxy: v3.15/main/x86_64/extra-1.0-r0.apk was rebuilt under the same version: the checksum of its control segment is not what was expected
              expected LOCKED (locked)
              found    FOUND (the index)
            ");
        }
    }
    // Without a lock there is nothing to compare with; with another revision it is another package.
    place.lock(&alpine, None).unwrap();
}

#[test]
fn an_index_that_lacks_an_architecture_is_refused() {
    let place = Place::new();
    let mut alpine = place.alpine();
    let rootfs = rootfs("aarch64");
    let path = "v3.15/releases/aarch64/rootfs.tar.gz";
    place.file(path, &rootfs);
    let (size, sha256) = (rootfs.len(), store::Digest::of(&rootfs));
    let text = format!("path = '{path}'\nsize = {size}\nsha256 = '{sha256}'");
    alpine.rootfs.insert("arm64".into(), toml::from_str(&text).unwrap());
    let arches = [place.arch(), arch("arm64", "aarch64")];
    let made = relock::make(&place.request(&alpine, &arches, None), &place.fetcher(&alpine));
    let (code, message) = refusal(made);
    assert_eq!(code, 5);
    let message = message.replace(&place.dir.path().display().to_string(), "PLACE");
    insta::assert_snapshot!(message, @"
    locking Alpine for arm64: the index of main for aarch64: architectures are locked together, or not at all: v3.15/main/aarch64/APKINDEX.tar.gz is not available
      PLACE/mirror/v3.15/main/aarch64/APKINDEX.tar.gz: not there
      PLACE/mirror/alpine/v3.15/main/aarch64/APKINDEX.tar.gz: not there
      https://alpine.invalid/alpine/v3.15/main/aarch64/APKINDEX.tar.gz: not asked: --offline
    ");
}
