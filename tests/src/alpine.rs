//! A checkout that builds on Alpine without Alpine's servers: its real root filesystems, and packages that a key of the
//! tests' signs, in a mirror of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apk::testrepo::{ArchiveMember, PackageMaker, Signer};
use tempfile::TempDir;

use crate::{debian, measured, scratch, skip, xtask};

/// The catalog's names of architectures, and Alpine's.
pub const ARCHES: [(&str, &str); 3] = [("amd64", "x86_64"), ("arm64", "aarch64"), ("arm32v7", "armv7")];
/// What is said where the lock is missing, by xtask and by Nix.
pub const MISSING: &str = "images/locks/alpine-3.15.json is missing: `cargo xtask lock alpine` makes it from Alpine's \
                           servers, or a mirror of them, in about a minute";
/// What of a kubelet's image is compiled, and the links to it, as flags of `build`.
pub const OMITTED: [&str; 9] = [
    "--allow-incomplete",
    "--omit",
    "kubelet",
    "--omit",
    "entrypoint",
    "--omit",
    "host-programs",
    "--omit",
    "kubelet-iptables",
];
/// The lock, in a checkout.
pub const LOCK: &str = "images/locks/alpine-3.15.json";

/// Alpine's real files: beside the repository, or where `ALPINE_TEST_MIRROR` says, as the `apk` crate's tests have it.
pub fn real() -> Option<PathBuf> {
    match std::env::var_os("ALPINE_TEST_MIRROR") {
        Some(dir) => Some(dir.into()),
        None => skip::beside("shared").map(|dir| dir.join("mirror/alpine")),
    }
}

/// A checkout that trusts a key of the tests', and a mirror that has all it needs.
#[derive(Debug)]
pub struct Place {
    /// Its own directory.
    pub dir: TempDir,
    /// In the checkout, with the mirror.
    pub xtask: xtask::Xtask,
}

impl Place {
    /// Images have two small packages of the tests': `test-tool` and `test-libs`.
    pub fn new(real: &Path) -> Result<Self> {
        Self::with(real, &[])
    }

    /// With more in both of them.
    pub fn with(real: &Path, more: &[ArchiveMember]) -> Result<Self> {
        Self::make(real, Some("test-tool"), |mirror, arch, signer| {
            let packages = ["test-tool", "test-libs"].map(|name| {
                let mut package = test_package(name, arch);
                package.items.extend_from_slice(more);
                package
            });
            publish(mirror, arch, signer, "v3.15.11-1-gtest", &packages)
        })
    }

    /// Images have the packages that the catalog names, made to measure of what Alpine published.
    pub fn made_to_measure(real: &Path, data: &Path) -> Result<Self> {
        Self::make(real, None, |mirror, arch, signer| {
            let made = measured::make(data, &mirror.join(rootfs(arch)), arch, signer)?;
            serve_measured(&mirror.join("v3.15/main").join(arch), signer, &made)
        })
    }

    /// Images have the packages that the catalog names, made of this machine's programs.
    pub fn of_this_machine(real: &Path) -> Result<Self> {
        Self::make(real, None, |mirror, arch, signer| {
            publish(mirror, arch, signer, "v3.15.11-1-gtest", &debian::packages(arch)?)
        })
    }

    fn make(
        real: &Path,
        only: Option<&str>,
        fill: impl Fn(&Path, &str, &Signer) -> Result<()>,
    ) -> Result<Self> {
        let dir = scratch::dir()?;
        let [checkout, mirror] = ["checkout", "mirror"].map(|name| dir.path().join(name));
        scratch::checkout(&checkout)?;
        // That of the real packages, should they be locked by now.
        let _ = fs::remove_file(checkout.join(LOCK));
        if let Some(only) = only {
            let catalog = checkout.join("images/catalog.toml");
            let text = fs::read_to_string(&catalog)?;
            let worlds = |line: &str| {
                let product =
                    ["kubelet = [", "kube-proxy = ["].into_iter().find(|product| line.starts_with(product));
                product.map_or_else(|| line.to_owned(), |product| format!("{product}\"{only}\"]"))
            };
            fs::write(&catalog, text.lines().map(worlds).collect::<Vec<_>>().join("\n"))?;
        }
        let signer = Signer::new("test.rsa.pub", 9)?;
        for (_, arch) in ARCHES {
            fs::write(checkout.join("images/keys/alpine").join(arch).join(signer.name()), signer.pem())?;
            let name = rootfs(arch);
            put(&mirror.join(&name), &fs::read(real.join(&name)).with_context(|| format!("no {name}"))?)?;
            fill(&mirror, arch, &signer)?;
        }
        let xtask = xtask::Xtask::new()?.cwd(&checkout).env("KUBELET_IMAGES_MIRROR", &mirror);
        Ok(Self { dir, xtask })
    }

    /// Gives the mirror an index with this description, over these of the tests' packages.
    pub fn publish(&self, description: &str, packages: &[&str]) -> Result<()> {
        let signer = Signer::new("test.rsa.pub", 9)?;
        let mirror = self.dir.path().join("mirror");
        ARCHES.iter().try_for_each(|(_, arch)| {
            let packages: Vec<_> = packages.iter().map(|name| test_package(name, arch)).collect();
            publish(&mirror, arch, &signer, description, &packages)
        })
    }

    /// Where the checkout's lock is.
    pub fn lock(&self) -> PathBuf {
        self.dir.path().join("checkout").join(LOCK)
    }
}

/// Where Alpine has the root filesystem of an architecture.
pub fn rootfs(arch: &str) -> String {
    format!("v3.15/releases/{arch}/alpine-minirootfs-3.15.11-{arch}.tar.gz")
}

/// Puts packages made to measure, and their index, into a directory of a mirror.
pub fn serve_measured(dir: &Path, signer: &Signer, made: &measured::Measured) -> Result<()> {
    for parts in &made.packages {
        put(&dir.join(parts.record.file_name()), &parts.file())?;
    }
    put(&dir.join("APKINDEX.tar.gz"), &signer.index(&made.description, &made.records)?)
}

/// Puts packages of an architecture, and an index of them, into a mirror.
fn publish(
    mirror: &Path,
    arch: &str,
    signer: &Signer,
    description: &str,
    packages: &[PackageMaker],
) -> Result<()> {
    let main = mirror.join("v3.15/main").join(arch);
    let mut records = Vec::new();
    for package in packages {
        let parts = package.make(signer)?;
        put(&main.join(parts.record.file_name()), &parts.file())?;
        records.push(parts.record);
    }
    put(&main.join("APKINDEX.tar.gz"), &signer.index(description, &records)?)
}

/// Writes a file, and the directories it is in.
pub fn put(to: &Path, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(to.parent().context("no directory")?)?;
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))
}

/// `test-tool` needs `test-libs`; its files try what layers can hold, and it takes the place of a link to busybox.
fn test_package(name: &str, arch: &str) -> PackageMaker {
    let mut items = vec![
        ArchiveMember::directory("usr"),
        ArchiveMember::directory("usr/share"),
        ArchiveMember::directory("usr/share/test"),
    ];
    items.push(ArchiveMember::file(&format!("usr/share/test/{name}"), name.as_bytes()));
    if name == "test-tool" {
        items.extend([
            ArchiveMember::directory("bin"),
            ArchiveMember::file("bin/test-tool", b"#!/bin/sh\necho a tool\n").mode(0o755),
            ArchiveMember::hardlink("bin/test-tool-too", "bin/test-tool").mode(0o755),
            ArchiveMember::file("bin/rev", b"#!/bin/sh\necho not busybox\n").mode(0o755),
            ArchiveMember {
                group: (42, "shadow".into()),
                ..ArchiveMember::file("usr/share/test/shadowed", b"s").mode(0o2640)
            },
        ]);
    }
    let mut maker = PackageMaker::new(name, "1.0-r0", arch, items);
    if name == "test-tool" {
        maker.index = "D:test-libs /bin/sh\n".into();
    }
    maker
}
