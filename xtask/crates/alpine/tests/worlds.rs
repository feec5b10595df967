//! The catalog's worlds on Alpine's own signed indexes of v3.15/main.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use apk::depend::Dependency;
use apk::index::Index;
use apk::key::Keyring;
use apk::record::Record;
use apk::resolve::{Request, resolve};
use catalog::{Catalog, Name};

/// What Alpine's root filesystems have in `etc/apk/world`.
const ROOTFS: [&str; 5] = ["alpine-baselayout", "alpine-keys", "apk-tools", "busybox", "libc-utils"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// A file of Alpine's that is kept beside the repository, or a line that says the test is skipped.
fn published(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("ALPINE_TEST_DATA")
        .map_or_else(|| repository().join("../shared/data/alpine"), PathBuf::from);
    let file = fs::read(root.join(path)).ok();
    if file.is_none() {
        skip::say(&format!("no {path} in {} (ALPINE_TEST_DATA sets another place)", root.display()));
    }
    file
}

/// The closure was made by other rules and hands: name, version, size and checksum of every package that the worlds of
/// all products and the root filesystem's come to.
#[test]
fn the_worlds_come_to_what_a_second_opinion_says() {
    let Some(closure) = published("v3.15-closure.tsv") else { return };
    let closure = String::from_utf8(closure).unwrap();
    let catalog = Catalog::read(&repository().join("images/catalog.toml")).unwrap();
    let alpine = catalog.bases.iter().find_map(|base| base.alpine.as_ref()).unwrap();
    let keyring = Keyring::load(&repository().join("images/keys/alpine")).unwrap();
    for arch in ["x86_64", "armv7"] {
        let Some(file) = published(&format!("v3.15/main/{arch}/APKINDEX.tar.gz")) else { return };
        let index = Index::open(&file, None, &keyring, arch, "the index").unwrap();
        assert_eq!(index.skipped, []);
        let worlds = alpine.worlds.values().flatten().map(Name::as_str).chain(ROOTFS);
        let worlds: Vec<Dependency> = worlds.map(|name| Dependency::parse(name).unwrap()).collect::<Vec<_>>();
        let request = Request { world: &worlds, repositories: &[&index.packages], installed: &[] };
        let line = |record: &Record| {
            format!("{arch}\t{}\t{}\t{}\t{}", record.name, record.version, record.size, record.checksum)
        };
        let found: BTreeSet<String> = resolve(&request).unwrap().into_iter().map(line).collect();
        let expected: BTreeSet<String> = closure
            .lines()
            .filter(|line| line.starts_with(&format!("{arch}\t")))
            .map(str::to_owned)
            .collect();
        assert!(expected.len() > 60);
        assert_eq!(found, expected);
    }
}

/// What apk would run when the packages of the closure are added, by Alpine's build recipes (aports, 3.15): scripts of
/// upgrades and removals, and those of the root filesystem's packages but triggers, have no part in it.
const SCRIPTS: [(&str, &str); 4] =
    [("busybox", "trigger"), ("ca-certificates", "trigger"), ("kmod", "trigger"), ("utmps", "pre-install")];

#[test]
fn the_catalog_knows_each_script_of_the_closure() {
    let catalog = Catalog::read(&repository().join("images/catalog.toml")).unwrap();
    let alpine = catalog.bases.iter().find_map(|base| base.alpine.as_ref()).unwrap();
    let known: Vec<(&str, &str)> =
        alpine.scripts.iter().map(|script| (script.package.as_str(), script.kind.as_str())).collect();
    assert_eq!(known, SCRIPTS);
    let Some(closure) = published("v3.15-closure.tsv") else { return };
    let closure = String::from_utf8(closure).unwrap();
    for (package, _) in SCRIPTS {
        assert!(closure.contains(&format!("\t{package}\t")), "{package} is in no closure");
    }
}
