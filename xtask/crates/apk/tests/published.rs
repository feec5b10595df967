//! What Alpine itself published: its signed indexes of v3.15/main, and packages as abuild made them, beside the real apk.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use apk::depend::Dependency;
use apk::digest::Checksum;
use apk::index::Index;
use apk::install::Rootfs;
use apk::package::Package;
use apk::record::Record;
use apk::resolve::{Request, resolve};
use apk::testrepo::Signer;
use common::real_apk::{RealApk, installing, list, write};
use common::{keyring, published};

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A package of v3.13/main for aarch64, and what Alpine's index says of it: made by `apk index --rewrite-arch`, so that a
/// package for all architectures is said to be for this one.
fn package(name: &str, version: &str) -> Option<(Vec<u8>, Record)> {
    let file = published(&format!("packages/{name}-{version}.apk"))?;
    let signature = apk::gzip::unpack(&file, 0, 65536, "signature").unwrap();
    let control = apk::gzip::unpack(&file, signature.range.end, 1 << 20, "control").unwrap();
    let checksum = Checksum::sha1_of(&file[control.range]);
    let lines = format!(
        "C:{checksum}\nP:{name}\nV:{version}\nA:aarch64\nS:{}\nI:4096\nT:t\nU:u\nL:MIT\n",
        file.len()
    );
    Some((file, apk::index::parse(&lines).unwrap().remove(0)))
}

/// One is for all architectures, the other empty but for the `.dummy` that abuild before 3.14 puts there.
#[test]
fn packages_of_alpine_are_installed_as_by_apk() {
    let Some(apk) = RealApk::new() else { return };
    let names = [("libc-utils", "0.7.2-r3"), ("ncurses-terminfo-base", "6.2_p20210109-r0")];
    let signer = Signer::new("test.rsa.pub", 5).unwrap();
    let keys = apk.dir().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("test.rsa.pub"), signer.pem()).unwrap();
    for key in keyring().keys("aarch64") {
        let there = apk.root().join("usr/share/apk/keys").join(key.name());
        fs::copy(there, keys.join(key.name())).unwrap();
    }
    let repository = apk.dir().join("repository");
    fs::create_dir_all(repository.join("aarch64")).unwrap();
    let mut ours = Rootfs::empty("aarch64");
    let mut records = Vec::new();
    for (name, version) in names {
        let Some((file, record)) = package(name, version) else { return };
        fs::write(repository.join("aarch64").join(record.file_name()), &file).unwrap();
        let package = Package::open(&file, None, &record, &keyring(), "aarch64").unwrap();
        ours = ours.install(&package).unwrap();
        records.push(record);
    }
    fs::write(repository.join("aarch64/APKINDEX.tar.gz"), signer.index("test", &records).unwrap()).unwrap();
    let theirs = apk.dir().join("theirs");
    let (root, keys, repository) = (path(&theirs), path(&keys), path(&repository));
    let flags =
        ["--root", &root, "--arch", "aarch64", "--keys-dir", &keys, "--repositories-file", "/dev/null"];
    let add = ["-X", &repository, "--initdb", "add", names[0].0, names[1].0];
    apk.run(&[&flags[..], &add].concat()).unwrap();
    let world = Dependency::parse_all("ncurses-terminfo-base libc-utils").unwrap();
    let tree = ours.finish(&world, 0).unwrap();
    let root = apk.dir().join("ours");
    write(&tree, &root);
    let installed = |root: &Path| fs::read_to_string(root.join(apk::database::INSTALLED)).unwrap();
    assert_eq!(installed(&root), installed(&theirs));
    let files = |root: &Path| list(&root.join("etc/terminfo"));
    let (ours, theirs) = (files(&root), files(&theirs));
    assert!(theirs.len() > 20);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours == theirs, "the files differ");
}

/// Every package of the index alone is refused by both or comes to the same packages.
#[test]
fn every_package_of_an_index_resolves_as_in_apk() {
    let Some(apk) = RealApk::new() else { return };
    // All of them take minutes.
    let step = if std::env::var_os("FULL").is_some() { 1 } else { 59 };
    for arch in ["x86_64", "armv7"] {
        let Some(file) = published(&format!("v3.15/main/{arch}/APKINDEX.tar.gz")) else { return };
        let index = Index::open(&file, None, &keyring(), arch, "the index").unwrap();
        assert!(index.packages.len() > 4700 && index.skipped.is_empty());
        let repository = apk.dir().join("repository");
        fs::create_dir_all(repository.join(arch)).unwrap();
        fs::write(repository.join(arch).join("APKINDEX.tar.gz"), &file).unwrap();
        let keys = apk.root().join("usr/share/apk/keys").join(arch);
        let empty = apk.dir().join(arch);
        let (root, keys, repository) = (path(&empty), path(&keys), path(&repository));
        let flags =
            ["--root", &root, "--arch", arch, "--keys-dir", &keys, "--repositories-file", "/dev/null"];
        apk.run(&[&flags[..], &["--initdb", "add"]].concat()).unwrap();
        let mut counts = BTreeMap::new();
        for record in index.packages.iter().step_by(step) {
            let theirs = apk.run(&[&flags[..], &["-X", &repository, "add", "-s", &record.name]].concat());
            let theirs = theirs.map(|text| installing(&text).into_iter().collect::<BTreeSet<_>>());
            let world = Dependency::parse_all(&record.name).unwrap();
            let ours = resolve(&Request { world: &world, repositories: &[&index.packages], installed: &[] });
            let ours = ours.map(|found| found.into_iter().map(Record::id).collect::<BTreeSet<_>>());
            let verdict = match (theirs, ours) {
                (Ok(theirs), Ok(ours)) => {
                    assert_eq!(ours, theirs, "{} for {arch}", record.name);
                    "the same"
                }
                (Err(_), Err(_)) => "refused by both",
                (Err(_), Ok(_)) => "found only here",
                (Ok(_), Err(error)) => panic!("only apk finds packages for {}: {error:#}", record.name),
            };
            *counts.entry(verdict).or_insert(0) += 1;
        }
        eprintln!("{arch}: {counts:?}");
        assert!(counts["the same"] > 60);
    }
}
