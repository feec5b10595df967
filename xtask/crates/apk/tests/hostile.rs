//! Packages and indexes that must be refused, each with the reason, and nothing of them placed anywhere.

use std::io::Write as _;
use std::sync::LazyLock;

use apk::index::Index;
use apk::install::Rootfs;
use apk::key::{Hash, Keyring};
use apk::package::Package;
use apk::record::Record;
use apk::testrepo::{ArchiveMember, PackageMaker, Parts, Signer, gzip};
use flate2::{Compression, GzBuilder};
use tar::EntryType;

const ARCH: &str = "x86_64";

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("good.rsa.pub", 1).unwrap());
static FOREIGN: LazyLock<Signer> = LazyLock::new(|| Signer::new("foreign.rsa.pub", 2).unwrap());

fn keyring() -> Keyring {
    let mut keyring = Keyring::new();
    keyring.trust(ARCH, SIGNER.key().unwrap());
    keyring.trust("aarch64", FOREIGN.key().unwrap());
    keyring
}

fn maker(items: Vec<ArchiveMember>) -> PackageMaker {
    PackageMaker::new("pkg", "1.0-r0", ARCH, items)
}

fn open(parts: &Parts) -> anyhow::Result<Package> {
    Package::open(&parts.file(), None, &parts.record, &keyring(), ARCH)
}

/// Opens a package with these items and installs it where another package has a few things; the refusal.
fn refusal(items: Vec<ArchiveMember>) -> String {
    let base = maker(vec![
        ArchiveMember::directory("etc"),
        ArchiveMember::file("etc/base", b"base"),
        ArchiveMember::directory("usr"),
        ArchiveMember::symlink("usr/etc", "../etc"),
        ArchiveMember::symlink("usr/abs", "/etc"),
    ]);
    let base = PackageMaker { name: "base".into(), ..base }.make(&SIGNER).unwrap();
    let rootfs = Rootfs::empty(ARCH).install(&open(&base).unwrap()).unwrap();
    let parts = maker(items).make(&SIGNER).unwrap();
    let error = match open(&parts) {
        Err(error) => error,
        Ok(package) => rootfs.install(&package).unwrap_err(),
    };
    assert_eq!(apk_kind(&error), Some(fault::Kind::Mismatch));
    // The same of all: which package it is.
    let text = format!("{error:#}");
    assert!(text.contains("pkg-1.0-r0"), "{text}");
    text.split_once(": ").unwrap().1.to_owned()
}

fn apk_kind(error: &anyhow::Error) -> Option<fault::Kind> {
    fault::of(error).map(fault::Fault::kind)
}

#[test]
fn names_that_lead_out() {
    let file = |path: &str| refusal(vec![ArchiveMember::directory("etc"), ArchiveMember::file(path, b"x")]);
    insta::assert_snapshot!(file("../x"), @"the path `../x` is refused: it holds `..`");
    insta::assert_snapshot!(file("etc/../../x"), @"the path `etc/../../x` is refused: it holds `..`");
    insta::assert_snapshot!(file("/etc/x"), @"the path `/etc/x` is refused: it is absolute");
    insta::assert_snapshot!(file("./etc/x"), @"the path `./etc/x` is refused: it holds `.`");
    insta::assert_snapshot!(file("etc//x"), @"the path `etc//x` is refused: it holds an empty name");
    insta::assert_snapshot!(file("etc/.."), @"the path `etc/..` is refused: it holds `..`");
    insta::assert_snapshot!(file("etc/x\nR:y"), @r"the path `etc/x\nR:y` is refused: it holds a control character");
    insta::assert_snapshot!(file("etc/x\0.conf"), @r"its data segment: `etc/x`: its header hides bytes behind a NUL");
    insta::assert_snapshot!(file(&format!("etc/{}\0y", "x".repeat(120))), @r"its data segment: `etc/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\0y`: a name holds a NUL");
    insta::assert_snapshot!(file(&format!("etc/{}", "x".repeat(300))).len() > 200, @"true");
    insta::assert_snapshot!(refusal(vec![ArchiveMember::directory("..")]), @"the path `..` is refused: it holds `..`");
}

#[test]
fn links_that_lead_out() {
    let link = |item: ArchiveMember| refusal(vec![ArchiveMember::directory("etc"), item]);
    insta::assert_snapshot!(link(ArchiveMember::symlink("etc/x", "../../etc/shadow")), @"the path `etc/x` is refused: its target `../../etc/shadow` leads out of the root");
    insta::assert_snapshot!(link(ArchiveMember::symlink("etc/x", "/../etc")), @"the path `etc/x` is refused: its target `/../etc` leads out of the root");
    insta::assert_snapshot!(link(ArchiveMember::hardlink("etc/x", "../../etc/shadow")), @"the path `../../etc/shadow` is refused: it holds `..`");
    insta::assert_snapshot!(link(ArchiveMember::hardlink("etc/x", "/etc/shadow")), @"the path `/etc/shadow` is refused: it is absolute");
    insta::assert_snapshot!(link(ArchiveMember::hardlink("etc/x", "etc/base")), @"placing `etc/x`: the path `etc/x` is refused: it links to something that is not a file of the package before it");
    insta::assert_snapshot!(link(ArchiveMember::hardlink("etc/x", "usr/etc/base")), @"placing `etc/x`: the path `etc/x` is refused: it links to something that is not a file of the package before it");
    let chain = refusal(vec![
        ArchiveMember::directory("etc"),
        ArchiveMember::symlink("etc/s", "base"),
        ArchiveMember::hardlink("etc/h", "etc/s"),
    ]);
    insta::assert_snapshot!(chain, @"placing `etc/h`: the path `etc/h` is refused: it links to `etc/s`, which is not a file");
}

#[test]
fn writing_through_links() {
    insta::assert_snapshot!(refusal(vec![ArchiveMember::directory("usr"), ArchiveMember::directory("usr/etc"), ArchiveMember::file("usr/etc/x", b"x")]), @"placing `usr/etc`: the path `usr/etc` is refused: something that is not a directory is there");
    insta::assert_snapshot!(refusal(vec![ArchiveMember::directory("usr/abs/new")]), @"placing `usr/abs/new`: the path `usr/abs/new` is refused: `usr/abs` above it is a symbolic link: nothing is written through one");
    insta::assert_snapshot!(refusal(vec![ArchiveMember::directory("a"), ArchiveMember::symlink("a/out", "/etc"), ArchiveMember::directory("a/out/d")]), @"placing `a/out/d`: the path `a/out/d` is refused: `a/out` above it is a symbolic link: nothing is written through one");
    insta::assert_snapshot!(refusal(vec![ArchiveMember::directory("a"), ArchiveMember::symlink("a/out", "/etc"), ArchiveMember::file("a/out/x", b"x")]), @"placing `a/out/x`: the path `a/out/x` is refused: its directory is not in the package before it");
    insta::assert_snapshot!(refusal(vec![ArchiveMember::file("nowhere/x", b"x")]), @"placing `nowhere/x`: the path `nowhere/x` is refused: its directory is not in the package before it");
    insta::assert_snapshot!(refusal(vec![ArchiveMember::file("etc", b"x")]), @"placing `etc`: the path `etc` is refused: a directory is there");
}

#[test]
fn things_that_are_twice() {
    let twice = |first: ArchiveMember, second: ArchiveMember| {
        refusal(vec![ArchiveMember::directory("etc"), first, second])
    };
    insta::assert_snapshot!(twice(ArchiveMember::file("etc/x", b"a"), ArchiveMember::file("etc/x", b"b")), @"the path `etc/x` is refused: the package has it twice");
    insta::assert_snapshot!(twice(ArchiveMember::symlink("etc/x", "/etc"), ArchiveMember::file("etc/x", b"b")), @"the path `etc/x` is refused: the package has it twice");
    insta::assert_snapshot!(twice(ArchiveMember::symlink("etc/x", "y"), ArchiveMember::directory("etc/x")), @"the path `etc/x` is refused: the package has it twice");
}

#[test]
fn names_that_differ_by_case_are_two_names() {
    let items = vec![
        ArchiveMember::directory("lib"),
        ArchiveMember::file("lib/libxt_MARK.so", b"a"),
        ArchiveMember::file("lib/libxt_mark.so", b"b"),
    ];
    let rootfs = Rootfs::empty(ARCH).install(&open(&maker(items).make(&SIGNER).unwrap()).unwrap()).unwrap();
    assert_eq!(rootfs.tree().read("lib/libxt_MARK.so"), Some(&b"a"[..]));
    assert_eq!(rootfs.tree().read("lib/libxt_mark.so"), Some(&b"b"[..]));
}

#[test]
fn what_belongs_to_apk() {
    let file = |dirs: &[&str], path: &str| {
        refusal(
            dirs.iter()
                .map(|dir| ArchiveMember::directory(dir))
                .chain([ArchiveMember::file(path, b"x")])
                .collect(),
        )
    };
    insta::assert_snapshot!(file(&["lib", "lib/apk", "lib/apk/db"], "lib/apk/db/installed"), @"placing `lib/apk/db/installed`: the path `lib/apk/db/installed` is refused: it belongs to apk itself");
    insta::assert_snapshot!(file(&["LIB", "LIB/apk", "LIB/apk/DB"], "LIB/apk/DB/installed"), @"placing `LIB/apk/DB/installed`: the path `LIB/apk/DB/installed` is refused: it belongs to apk itself");
    insta::assert_snapshot!(file(&["etc", "etc/apk"], "etc/apk/World"), @"placing `etc/apk/World`: the path `etc/apk/World` is refused: it belongs to apk itself");
    insta::assert_snapshot!(file(&[], ".post-install"), @"the path `.post-install` is refused: apk takes it for a control file even among the data");
    insta::assert_snapshot!(file(&[], ".PKGINFO"), @"the path `.PKGINFO` is refused: apk takes it for a control file even among the data");
}

#[test]
fn kinds_that_no_package_has() {
    let other =
        |kind: EntryType| refusal(vec![ArchiveMember::directory("dev"), ArchiveMember::other("dev/x", kind)]);
    insta::assert_snapshot!(other(EntryType::Char), @"its data segment: `dev/x`: a device");
    insta::assert_snapshot!(other(EntryType::Block), @"its data segment: `dev/x`: a device");
    insta::assert_snapshot!(other(EntryType::Fifo), @"its data segment: `dev/x`: a named pipe");
    insta::assert_snapshot!(other(EntryType::GNUSparse), @"its data segment: `dev/x`: entries of type 'S' are not supported");
}

#[test]
fn files_of_others() {
    insta::assert_snapshot!(refusal(vec![ArchiveMember::directory("etc"), ArchiveMember::file("etc/base", b"mine")]), @"placing `etc/base`: `etc/base` belongs to base-1.0-r0, which it does not replace");
}

#[test]
fn bombs() {
    let zeros = vec![0; 48 << 20];
    let bomb = gzip(&[zeros.clone(), zeros].concat()).unwrap();
    let signed = |content: &[u8]| [SIGNER.segment(Hash::Sha1, content).unwrap(), content.to_vec()].concat();
    let error = Index::open(&signed(&bomb), None, &keyring(), ARCH, "the index").unwrap_err();
    insta::assert_snapshot!(error, @"the content of the index unpacks to more than 67108864 bytes");
    let error = Index::open(&bomb, None, &keyring(), ARCH, "the index").unwrap_err();
    insta::assert_snapshot!(error, @"the signature of the index unpacks to more than 65536 bytes");
    let mut parts = maker(vec![]).make(&SIGNER).unwrap();
    parts.control = bomb;
    parts.record.size = parts.file().len() as u64;
    insta::assert_snapshot!(format!("{:#}", open(&parts).unwrap_err()), @"opening pkg-1.0-r0.apk: its control segment unpacks to more than 10485760 bytes");
}

fn lie(key: &str, value: &str) -> String {
    let mut maker = maker(vec![ArchiveMember::file("x", b"x")]);
    maker.lies.insert(key.into(), value.into());
    format!("{:#}", open(&maker.make(&SIGNER).unwrap()).unwrap_err())
}

#[test]
fn what_the_index_does_not_say() {
    insta::assert_snapshot!(lie("pkgname", "other"), @"
    opening pkg-1.0-r0.apk: its name is not what was expected
      expected pkg (the index)
      found    other (the package)
    ");
    insta::assert_snapshot!(lie("pkgver", "1.0-r1"), @"
    opening pkg-1.0-r0.apk: its version is not what was expected
      expected 1.0-r0 (the index)
      found    1.0-r1 (the package)
    ");
    insta::assert_snapshot!(lie("arch", "aarch64"), @"
    opening pkg-1.0-r0.apk: its architecture is not what was expected
      expected x86_64 (the index)
      found    aarch64 (the package)
    ");
    insta::assert_snapshot!(lie("datahash", &"0".repeat(64)).split("found").next().unwrap(), @"
    opening pkg-1.0-r0.apk: the SHA-256 of its data segment is not what was expected
      expected 0000000000000000000000000000000000000000000000000000000000000000 (.PKGINFO)
    ");
    let good = maker(vec![ArchiveMember::file("x", b"x")]).make(&SIGNER).unwrap();
    open(&good).unwrap();
    let with = |change: &dyn Fn(&mut Record)| {
        let mut parts = good.clone();
        change(&mut parts.record);
        format!("{:#}", open(&parts).unwrap_err())
    };
    assert!(with(&|record| record.size += 1).contains("the size of pkg-1.0-r0.apk is not"));
    assert!(
        with(&|record| record.checksum = apk::digest::Checksum::sha1_of(b""))
            .contains("the checksum of its control segment is not")
    );
    let wrong = digest::Expected::of(b"");
    assert!(Package::open(&good.file(), Some(&wrong), &good.record, &keyring(), ARCH).is_err());
}

#[test]
fn another_packages_segments() {
    let one = maker(vec![ArchiveMember::file("x", b"one")]).make(&SIGNER).unwrap();
    let two = maker(vec![ArchiveMember::file("x", b"two")]).make(&SIGNER).unwrap();
    let mut parts = Parts { data: two.data.clone(), ..one.clone() };
    parts.record.size = parts.file().len() as u64;
    assert!(format!("{:#}", open(&parts).unwrap_err()).contains("the SHA-256 of its data segment is not"));
    let mut parts = Parts { signature: two.signature.clone(), ..one.clone() };
    parts.record.size = parts.file().len() as u64;
    insta::assert_snapshot!(format!("{:#}", open(&parts).unwrap_err()), @"opening pkg-1.0-r0.apk: pkg-1.0-r0.apk is not what `good.rsa.pub` signed: it was changed, or made by someone else");
    // An older, signed package of the same name and version: only the index tells.
    let mut parts = two;
    parts.record = Record { size: parts.record.size, ..one.record };
    assert!(
        format!("{:#}", open(&parts).unwrap_err()).contains("the checksum of its control segment is not")
    );
}

#[test]
fn signatures_that_prove_nothing() {
    let items = vec![ArchiveMember::file("x", b"x")];
    let message = |parts: &Parts| format!("{:#}", open(parts).unwrap_err());
    insta::assert_snapshot!(message(&maker(items.clone()).make(&FOREIGN).unwrap()), @"opening pkg-1.0-r0.apk: pkg-1.0-r0.apk is signed by `foreign.rsa.pub`, a key for aarch64, not for x86_64");
    let unknown = Signer::new("who.rsa.pub", 3).unwrap();
    insta::assert_snapshot!(message(&maker(items.clone()).make(&unknown).unwrap()), @"opening pkg-1.0-r0.apk: pkg-1.0-r0.apk is signed by `who.rsa.pub`, which no key here is");
    let imposter = Signer::new("good.rsa.pub", 3).unwrap();
    insta::assert_snapshot!(message(&maker(items.clone()).make(&imposter).unwrap()), @"opening pkg-1.0-r0.apk: pkg-1.0-r0.apk is not what `good.rsa.pub` signed: it was changed, or made by someone else");
    let mut unsigned = maker(items.clone()).make(&SIGNER).unwrap();
    unsigned.signature.clear();
    unsigned.record.size = unsigned.file().len() as u64;
    insta::assert_snapshot!(message(&unsigned), @"opening pkg-1.0-r0.apk: pkg-1.0-r0.apk is not signed");
    let mut strong = maker(items).make(&SIGNER).unwrap();
    strong.signature = SIGNER.segment(Hash::Sha256, &strong.control).unwrap();
    strong.record.size = strong.file().len() as u64;
    open(&strong).unwrap();
}

#[test]
fn segments_after_the_last() {
    let good = maker(vec![ArchiveMember::file("x", b"x")]).make(&SIGNER).unwrap();
    // Signed with the extra segment, so that only the rule against it stands in the way.
    for extra in [gzip(b"").unwrap(), gzip(b"more").unwrap(), b"x".to_vec()] {
        let data = [good.data.clone(), extra.clone()].concat();
        let parts = PackageMaker { data: Some(data), ..maker(vec![]) }.make(&SIGNER).unwrap();
        let error = format!("{:#}", open(&parts).unwrap_err());
        assert_eq!(
            error,
            format!("opening pkg-1.0-r0.apk: it has {} bytes after its last segment", extra.len())
        );
    }
    let content = [gzip(b"").unwrap(), gzip(b"").unwrap()].concat();
    let index = [SIGNER.segment(Hash::Sha1, &content).unwrap(), content].concat();
    assert!(
        Index::open(&index, None, &keyring(), ARCH, "the index")
            .unwrap_err()
            .to_string()
            .contains("after its last segment")
    );
}

#[test]
fn a_file_whose_own_checksum_is_another() {
    let wrong = ArchiveMember { checksum: Some("0".repeat(40)), ..ArchiveMember::file("x", b"x") };
    insta::assert_snapshot!(refusal(vec![wrong]), @"
    the checksum of `x` is not what was expected
      expected Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=
      found    Q1EfatjsUqKYSrqv18O1FlA3hcIHI=
    ");
}

#[test]
fn indexes_that_are_refused() {
    let record = maker(vec![]).make(&SIGNER).unwrap().record;
    let message =
        |file: &[u8]| format!("{:#}", Index::open(file, None, &keyring(), ARCH, "the index").unwrap_err());
    let good = SIGNER.index("v1.0-1-gaa", std::slice::from_ref(&record)).unwrap();
    let opened = Index::open(&good, None, &keyring(), ARCH, "the index").unwrap();
    assert_eq!(
        (opened.packages, opened.freshness.description.as_str()),
        (vec![record.clone()], "v1.0-1-gaa")
    );
    insta::assert_snapshot!(message(&FOREIGN.index("v1", &[]).unwrap()), @"the index is signed by `foreign.rsa.pub`, a key for aarch64, not for x86_64");
    let older =
        Index::open(&SIGNER.index("v1.0-0-gaa", &[]).unwrap(), None, &keyring(), ARCH, "the index").unwrap();
    let error = older.freshness.check_not_older_than(&opened.freshness, "the index").unwrap_err();
    assert!(error.to_string().starts_with("the index was rolled back"));
}

/// A mirror could write what it likes there, as no signature covers it.
#[test]
fn a_signature_segment_costs_no_more_than_it_weighs() {
    let record = maker(vec![]).make(&SIGNER).unwrap().record;
    let good = SIGNER.index("v1", std::slice::from_ref(&record)).unwrap();
    let signature = apk::gzip::unpack(&good, 0, 65536, "signature").unwrap();
    let mut numbers = 7_u32;
    let junk: Vec<u8> = std::iter::repeat_with(|| {
        numbers = numbers.wrapping_mul(1_103_515_245).wrapping_add(12345);
        (numbers >> 16).to_le_bytes()[0] | 1
    })
    .take(60_000)
    .collect();
    let content = &good[signature.range.end..];
    let since = std::time::Instant::now();
    // Behind the archive's end, in its place, and in the name that gzip has for the file.
    let behind = [signature.data.as_slice(), &[0; 1024], &junk].concat();
    for segment in [&behind[..], &junk[..]] {
        let file = [&gzip(segment).unwrap(), content].concat();
        assert!(Index::open(&file, None, &keyring(), ARCH, "the index").is_err());
    }
    let mut named = GzBuilder::new().filename(junk).write(Vec::new(), Compression::fast());
    named.write_all(&signature.data).unwrap();
    let named = named.finish().unwrap();
    let opened =
        Index::open(&[named, content.to_vec()].concat(), None, &keyring(), ARCH, "the index").unwrap();
    assert_eq!(opened.packages, [record]);
    assert!(since.elapsed().as_secs() < 5, "{:?}", since.elapsed());
}
