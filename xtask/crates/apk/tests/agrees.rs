//! What this crate decides and what the real apk does, side by side.

mod common;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use apk::database;
use apk::depend::Dependency;
use apk::index::Index;
use apk::install::{Rootfs, WORLD};
use apk::key::Keyring;
use apk::package::{Package, ScriptKind};
use apk::record::Record;
use apk::resolve::{Request, resolve};
use apk::testrepo::{ArchiveMember, PackageMaker, Signer};
use apk::version::Version;
use common::real_apk::{RealApk, installing, list, write};
use common::{INDEX, Numbers, keyring, minirootfs, mirror};

#[test]
fn versions_compare_as_in_apk() {
    let (Some(apk), Some(file)) = (RealApk::new(), mirror(INDEX)) else { return };
    let index = Index::open(&file, None, &keyring(), "x86_64", "the index").unwrap();
    let real: Vec<String> = index.packages.iter().map(|package| package.version.to_string()).collect();
    let parts = [
        "0",
        "1",
        "2",
        "10",
        "01",
        "00",
        "4294967297",
        ".0",
        ".1",
        ".01",
        ".",
        "a",
        "b",
        "_rc",
        "_alpha1",
        "_p",
        "_p2",
        "_cvs",
        "_",
        "-r0",
        "-r1",
        "-r10",
        "_foo",
        "-",
    ];
    let mut numbers = Numbers(7);
    let invented =
        |numbers: &mut Numbers| (0..=numbers.below(5)).map(|_| *numbers.pick(&parts)).collect::<String>();
    let mut compared = 0;
    for round in 0..600 {
        let (a, b) = if round % 3 == 0 {
            (numbers.pick(&real).clone(), numbers.pick(&real).clone())
        } else {
            let a = invented(&mut numbers);
            let b =
                if round % 3 == 1 { invented(&mut numbers) } else { format!("{a}{}", numbers.pick(&parts)) };
            (a, b)
        };
        // Those apk takes for options.
        if a.starts_with('-') || b.starts_with('-') {
            continue;
        }
        for text in [&a, &b] {
            let valid = apk.run(&["version", "-c", text]).is_ok();
            assert_eq!(Version::parse(text).is_ok(), valid, "{text:?}");
        }
        let (Ok(one), Ok(two)) = (Version::parse(&a), Version::parse(&b)) else { continue };
        let found = match one.cmp(&two) {
            Ordering::Less => "<",
            Ordering::Equal => "=",
            Ordering::Greater => ">",
        };
        assert_eq!(found, apk.run(&["version", "-t", &a, &b]).unwrap().trim(), "{a:?} {b:?}");
        compared += 1;
    }
    assert!(compared > 250, "{compared}");
}

#[test]
fn worlds_resolve_as_in_apk() {
    let (Some(apk), Some(file)) = (RealApk::new(), mirror(INDEX)) else { return };
    let index = Index::open(&file, None, &keyring(), "x86_64", "the index").unwrap();
    let repository = apk.dir().join("repository");
    fs::create_dir_all(repository.join("x86_64")).unwrap();
    fs::write(repository.join("x86_64/APKINDEX.tar.gz"), &file).unwrap();
    let empty = apk.dir().join("empty");
    let keys = apk.root().join("usr/share/apk/keys/x86_64");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (empty, keys, repository) = (path(&empty), path(&keys), path(&repository));
    let base =
        ["--root", &empty, "--arch", "x86_64", "--keys-dir", &keys, "--repositories-file", "/dev/null"];
    apk.run(&[&base[..], &["--initdb", "add"]].concat()).unwrap();
    let names: Vec<&str> = index.packages.iter().map(|package| package.name.as_str()).collect();
    let mut numbers = Numbers(11);
    let mut worlds = vec![
        "alpine-baselayout alpine-keys apk-tools busybox libc-utils util-linux coreutils findutils ca-certificates conntrack-tools iptables".to_owned(),
        "iptables ip6tables ebtables ipset kmod conntrack-tools".to_owned(),
        "git docs zsh bash-completion".to_owned(),
        "musl<1.3 !bash so:libcrypto.so.1.1 cmd:iptables-nft".to_owned(),
    ];
    worlds.extend(
        (0..80).map(|_| (0..=numbers.below(6)).map(|_| *numbers.pick(&names)).collect::<Vec<_>>().join(" ")),
    );
    let (mut agreed, mut ordered, mut found_more, mut refused) = (0, 0, Vec::new(), 0);
    for world in &worlds {
        let asked: Vec<&str> = world.split(' ').collect();
        let theirs = apk.run(&[&base[..], &["-X", &repository, "add", "-s"], &asked[..]].concat());
        let dependencies = Dependency::parse_all(world).unwrap();
        let ours =
            resolve(&Request { world: &dependencies, repositories: &[&index.packages], installed: &[] });
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => {
                let (theirs, ours): (Vec<String>, Vec<String>) =
                    (installing(&theirs), ours.into_iter().map(Record::id).collect());
                let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<String>>();
                assert_eq!(set(&ours), set(&theirs), "{world}");
                // apk's order of what comes along is that of its hash table.
                let along = |id: &String| {
                    index.packages.iter().any(|record| record.id() == *id && !record.install_if.is_empty())
                };
                if !ours.iter().any(along) {
                    assert_eq!(ours, theirs, "the order of {world}");
                    ordered += 1;
                }
                agreed += 1;
            }
            (Ok(_), Err(error)) => panic!("only apk finds packages for {world}: {error}"),
            (Err(_), Ok(_)) => found_more.push(world),
            (Err(_), Err(_)) => refused += 1,
        }
    }
    eprintln!(
        "{agreed} worlds agreed, {ordered} of them in order too, {refused} refused by both, {} found only here: {found_more:?}",
        found_more.len()
    );
    assert!(agreed > 70 && ordered > 15 && found_more.len() * 20 < worlds.len());
}

fn packages(signer: &Signer) -> Vec<apk::testrepo::Parts> {
    let library = vec![
        ArchiveMember::directory("lib"),
        ArchiveMember::file("lib/libtest.so.1.2", b"library").mode(0o755),
        ArchiveMember::symlink("lib/libtest.so.1", "libtest.so.1.2"),
        ArchiveMember::directory("usr"),
        ArchiveMember::directory("usr/share"),
        ArchiveMember::directory("usr/share/test"),
        ArchiveMember::file("usr/share/test/both", b"of the library"),
        ArchiveMember::file("usr/share/test/main", b"of the library"),
    ];
    let mut library = PackageMaker::new("test-libs", "1.2-r0", "x86_64", library);
    library.index = "p:so:libtest.so.1=1.2\n".into();
    library.info = "replaces = test-tool\nreplaces_priority = 10\n".into();
    let long = format!("usr/share/test/{}/{}", "long".repeat(20), "name".repeat(20));
    let shared = ArchiveMember {
        group: (42, "shadow".into()),
        ..ArchiveMember::file("usr/share/test/shadowed", b"s").mode(0o2640)
    };
    // In the order of their names in the database's checksum, and with a line feed, which ends other records.
    let xattrs = BTreeMap::from([
        ("user.b".to_owned(), b"1\n2".to_vec()),
        ("user.a".to_owned(), b"x".to_vec()),
        ("security.capability".to_owned(), b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
    ]);
    let tool = vec![
        ArchiveMember::directory("bin"),
        ArchiveMember::file("bin/test-tool", b"#!/bin/sh\n").mode(0o4755),
        ArchiveMember::hardlink("bin/test-tool-too", "bin/test-tool").mode(0o4755),
        ArchiveMember::file("bin/ls", b"another ls").mode(0o755),
        ArchiveMember::directory("etc"),
        ArchiveMember::file("etc/test-tool.conf", b"conf"),
        ArchiveMember::directory("tmp"),
        ArchiveMember::directory("usr"),
        ArchiveMember::directory("usr/share"),
        ArchiveMember::directory("usr/share/test").mode(0o750),
        ArchiveMember::file("usr/share/test/.keep_dir", b""),
        ArchiveMember::file("usr/share/test/both", b"of the tool"),
        ArchiveMember::file("usr/share/test/Főtanúsítvány", b"utf-8"),
        shared,
        ArchiveMember { xattrs, ..ArchiveMember::file("usr/share/test/attributes", b"a").mode(0o755) },
        ArchiveMember::directory(long.rsplit_once('/').unwrap().0),
        ArchiveMember::file(&long, b"long"),
    ];
    let mut tool = PackageMaker::new("test-tool", "2.0-r3", "x86_64", tool);
    tool.index = "o:test\nm:Me <me@example.org>\nt:1700000000\nc:0123\nD:test-libs so:libtest.so.1 /bin/sh\np:cmd:test-tool=2.0-r3\n".into();
    tool.info = "triggers = /usr/share/test /lib/none-*\n".into();
    tool.scripts = vec![
        (".trigger".into(), b"#!/bin/sh\nexit 0\n".to_vec()),
        (".post-install".into(), b"#!/bin/sh\nexit 0\n".to_vec()),
    ];
    let extra = vec![
        ArchiveMember::directory("usr"),
        ArchiveMember::directory("usr/share"),
        ArchiveMember::directory("usr/share/test"),
        ArchiveMember::file("usr/share/test/main", b"of the extra"),
    ];
    let mut extra = PackageMaker::new("test-extra", "1-r0", "x86_64", extra);
    extra.index = "D:test-tool\n".into();
    extra.info = "replaces = test-libs<2\n".into();
    [library, tool, extra].iter().map(|maker| maker.make(signer).unwrap()).collect()
}

/// The same files, and the same database but for the time in the scripts' archive.
fn assert_same(ours: &Path, theirs: &Path) {
    let (mut theirs_list, ours_list) = (list(theirs), list(ours));
    theirs_list.retain(|path, _| path != "etc/apk/keys/test.rsa.pub" && path != database::SCRIPTS);
    for (path, found) in &theirs_list {
        let there = ours_list.get(path).unwrap_or_else(|| panic!("only apk has {path}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&there.content), text(&found.content), "{path}");
        assert_eq!((there.mode, there.owner, there.links), (found.mode, found.owner, found.links), "{path}");
    }
    let more: Vec<&String> = ours_list
        .keys()
        .filter(|path| !theirs_list.contains_key(*path) && *path != database::SCRIPTS)
        .collect();
    assert_eq!(more, Vec::<&String>::new());
    let scripts = |root: &Path| {
        let bytes = fs::read(root.join(database::SCRIPTS)).unwrap();
        let entries = apk::tarball::entries(&bytes, "scripts").unwrap();
        entries.into_iter().map(|entry| (entry.path, entry.attributes.mode)).collect::<Vec<_>>()
    };
    assert_eq!(scripts(ours), scripts(theirs));
}

#[test]
fn packages_are_installed_as_by_apk_and_it_agrees_with_the_database() {
    let Some(apk) = RealApk::new() else { return };
    let signer = Signer::new("test.rsa.pub", 5).unwrap();
    let parts = packages(&signer);
    let repository = apk.dir().join("repository");
    fs::create_dir_all(repository.join("x86_64")).unwrap();
    let records: Vec<Record> = parts.iter().map(|parts| parts.record.clone()).collect();
    let index = signer.index("test", &records).unwrap();
    fs::write(repository.join("x86_64/APKINDEX.tar.gz"), &index).unwrap();
    for parts in &parts {
        fs::write(repository.join("x86_64").join(parts.record.file_name()), parts.file()).unwrap();
    }
    // Theirs.
    let theirs = apk.dir().join("theirs");
    let base = minirootfs("x86_64").unwrap();
    write(&base, &theirs);
    fs::write(theirs.join("etc/apk/keys/test.rsa.pub"), signer.pem()).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let flags = ["--root", &path(&theirs), "--repositories-file", "/dev/null", "-X", &path(&repository)];
    let output = apk.run(&[&flags[..], &["add", "test-extra"]].concat()).unwrap();
    for parts in &parts {
        let file = path(&repository.join("x86_64").join(parts.record.file_name()));
        assert!(apk.run(&[&flags[..], &["verify", &file]].concat()).unwrap().contains("OK"));
    }
    // Ours.
    let mut keyring = Keyring::new();
    keyring.trust("x86_64", signer.key().unwrap());
    let index = Index::open(&index, None, &keyring, "x86_64", "the index").unwrap();
    let mut rootfs = Rootfs::from_base(base.clone(), "x86_64").unwrap();
    let world = String::from_utf8(base.read(WORLD).unwrap().to_vec()).unwrap() + "test-extra";
    let world = Dependency::parse_all(&world).unwrap();
    let installed: Vec<Record> =
        rootfs.database().packages.iter().map(|package| package.record.clone()).collect();
    let installed: Vec<&Record> = installed.iter().collect();
    let chosen =
        resolve(&Request { world: &world, repositories: &[&index.packages], installed: &installed }).unwrap();
    let added: Vec<String> =
        chosen.iter().filter(|record| record.name.starts_with("test-")).map(|record| record.id()).collect();
    assert_eq!(added, installing(&output));
    for record in chosen {
        if let Some(parts) = parts.iter().find(|parts| parts.record == *record) {
            let package = Package::open(&parts.file(), None, record, &keyring, "x86_64").unwrap();
            rootfs = rootfs.install(&package).unwrap();
        }
    }
    let pending: Vec<(String, ScriptKind)> =
        rootfs.pending_scripts().into_iter().map(|script| (script.package, script.kind)).collect();
    assert_eq!(
        pending,
        [
            ("test-tool", ScriptKind::PostInstall),
            ("busybox", ScriptKind::Trigger),
            ("test-tool", ScriptKind::Trigger)
        ]
        .map(|(name, kind)| (name.to_owned(), kind))
    );
    let error = rootfs.check_scripts(|script| script.package == "busybox").unwrap_err().to_string();
    assert!(
        error.contains("test-tool-2.0-r3 post-install") && error.contains("test-tool-2.0-r3 trigger"),
        "{error}"
    );
    rootfs.check_scripts(|_| true).unwrap();
    assert_eq!(rootfs.privileged(), ["bin/test-tool", "bin/test-tool-too", "usr/share/test/shadowed"]);
    let tree = rootfs.finish(&world, 0).unwrap();
    let ours = apk.dir().join("ours");
    write(&tree, &ours);
    assert_same(&ours, &theirs);
    // apk inside the tree that was made here.
    let inside = |args: &[&str]| {
        let finished =
            exec::Run::new("/usr/sbin/chroot").arg(&ours).arg("/sbin/apk").args(args).run().unwrap();
        String::from_utf8(finished.stdout).unwrap()
    };
    let listed: BTreeSet<String> = inside(&["info", "-v"]).lines().map(str::to_owned).collect();
    let expected: BTreeSet<String> =
        installed.iter().map(|record| record.id()).chain(records.iter().map(Record::id)).collect();
    assert_eq!((listed.len(), &listed), (17, &expected));
    assert_eq!(
        inside(&["info", "-W", "/usr/share/test/main"]).trim(),
        "/usr/share/test/main is owned by test-extra-1-r0"
    );
    assert_eq!(
        inside(&["info", "-W", "/usr/share/test/both"]).trim(),
        "/usr/share/test/both is owned by test-libs-1.2-r0"
    );
    for more in [&[][..], &["--check-permissions"]] {
        let audit = inside(&[&["audit", "--system"], more].concat());
        assert!(!audit.contains("usr/share/test") && !audit.contains("bin/test-tool"), "{audit}");
    }
    inside(&["add", "--no-network", "--repositories-file", "/dev/null"]);
}
