//! Alpine's real files, which lie beside the repository where it is developed.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod real_apk;

use std::path::{Path, PathBuf};

use apk::key::Keyring;
use apk::tree::Tree;

pub(crate) const ARCHES: [&str; 3] = ["x86_64", "aarch64", "armv7"];

pub(crate) fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

pub(crate) fn keyring() -> Keyring {
    Keyring::load(&repository_root().join("images/keys/alpine")).unwrap()
}

/// A file of the mirror, or a line that says the test is skipped.
pub(crate) fn mirror(path: &str) -> Option<Vec<u8>> {
    file("ALPINE_TEST_MIRROR", "mirror/alpine", path)
}

/// A file of what Alpine published beside its releases: indexes of 3.15 and packages of 3.13; or a line that says the test
/// is skipped.
pub(crate) fn published(path: &str) -> Option<Vec<u8>> {
    file("ALPINE_TEST_DATA", "data/alpine", path)
}

fn file(variable: &str, beside: &str, path: &str) -> Option<Vec<u8>> {
    // In a worktree, `..` of the checkout need not be where the shared files lie.
    let beside = repository_root().join("../shared").join(beside);
    let root = std::env::var_os(variable).map_or(beside, PathBuf::from);
    let file = std::fs::read(root.join(path)).ok();
    if file.is_none() {
        skip::say(&format!("no {path} in {} ({variable} sets another place)", root.display()));
    }
    file
}

pub(crate) fn minirootfs(arch: &str) -> Option<Tree> {
    let path = format!("v3.15/releases/{arch}/alpine-minirootfs-3.15.11-{arch}.tar.gz");
    let file = mirror(&path)?;
    let sum = String::from_utf8(mirror(&format!("{path}.sha256"))?).unwrap();
    let sha256 = sum.split_whitespace().next().unwrap().parse().unwrap();
    let expected = digest::Expected { sha256, size: None };
    Some(Tree::from_tar_gz(&file, Some(&expected), &path).unwrap())
}

pub(crate) const INDEX: &str = "v3.16/main/x86_64/APKINDEX.tar.gz";
pub(crate) const PACKAGE: &str = "v3.16/main/aarch64/alpine-baselayout-3.2.0-r23.apk";

/// Numbers that look random and are the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub(crate) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
