//! A small Alpine in a directory: a root filesystem, signed packages and an index, as its servers have them.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod serve;

use std::fs;
use std::path::{Path, PathBuf};

use apk::install::Rootfs;
use apk::key::Keyring;
use apk::record::Record;
use apk::testrepo::{ArchiveMember, PackageMaker, Parts, Signer};
use catalog::{Alpine, Arch};
use progress::Silent;
use store::Store;
use tempfile::TempDir;

use alpine::fetch::{Fetcher, Mirror};
use alpine::lock::Lock;
use alpine::relock::{self, Request};

pub(crate) const ROOTFS: &str = "v3.15/releases/x86_64/rootfs.tar.gz";
pub(crate) const MAIN: &str = "v3.15/main/x86_64";

/// A root filesystem with a directory, apk's database and nothing else.
pub(crate) fn rootfs(arch: &str) -> Vec<u8> {
    let tree = Rootfs::empty(arch).finish(&[], 0).unwrap();
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (path, entry) in tree.iter() {
        let mut header = tar::Header::new_ustar();
        header.set_mode(entry.attributes.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content = tree.read(path);
        if content.is_none() {
            header.set_entry_type(tar::EntryType::Directory);
        }
        let bytes = content.unwrap_or_default();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) signer: Signer,
    pub(crate) keyring: Keyring,
    pub(crate) mirrors: Vec<Mirror>,
}

/// An architecture with Alpine's name for it; other names do not matter here.
pub(crate) fn arch(name: &str, alpine: &str) -> Arch {
    let text = format!(
        "name = '{name}'\nalpine = '{alpine}'\narchitecture = '{name}'\ngo-level = ['', '']\nzig = ''\nrust = ''\n\
         elf-machine = 0\nqemu = ''\n"
    );
    toml::from_str(&text).unwrap()
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let signer = Signer::new("test.rsa.pub", 3).unwrap();
        let mut keyring = Keyring::new();
        keyring.trust("x86_64", signer.key().unwrap());
        let mirrors = vec![Mirror::Directory(dir.path().join("mirror"))];
        let place = Self { dir, store, signer, keyring, mirrors };
        place.file(ROOTFS, &rootfs("x86_64"));
        place.publish("v3.15.0-2-gabc", &place.packages());
        place
    }

    /// The path of a file of the mirror.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("mirror").join(path)
    }

    pub(crate) fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// `tool`, which needs `lib`; and `extra`.
    pub(crate) fn packages(&self) -> Vec<Parts> {
        let items = |name: &str| {
            vec![
                ArchiveMember::directory("bin"),
                ArchiveMember::file(&format!("bin/{name}"), name.as_bytes()).mode(0o755),
                ArchiveMember::hardlink(&format!("bin/{name}-too"), &format!("bin/{name}")).mode(0o755),
                ArchiveMember::symlink(&format!("bin/{name}-link"), name),
            ]
        };
        let maker = |name: &str| PackageMaker::new(name, "1.0-r0", "x86_64", items(name));
        let mut tool = maker("tool");
        tool.index = "o:origin\nt:100\nD:so:lib.so.1\n".into();
        let mut lib = maker("lib");
        lib.index = "p:so:lib.so.1=1\n".into();
        [tool, lib, maker("extra")].iter().map(|maker| maker.make(&self.signer).unwrap()).collect()
    }

    /// Puts packages and their index into the mirror.
    pub(crate) fn publish(&self, description: &str, packages: &[Parts]) {
        let records: Vec<Record> = packages.iter().map(|parts| parts.record.clone()).collect();
        let index = self.signer.index(description, &records).unwrap();
        self.file(&format!("{MAIN}/APKINDEX.tar.gz"), &index);
        for parts in packages {
            self.file(&format!("{MAIN}/{}", parts.record.file_name()), &parts.file());
        }
    }

    pub(crate) fn alpine(&self) -> Alpine {
        let rootfs = fs::read(self.path(ROOTFS)).unwrap();
        let text = format!(
            "branch = 'v3.15'\nurl = 'https://alpine.invalid/alpine'\nrepositories = ['main']\n\
             [worlds]\nkubelet = ['tool']\nkube-proxy = ['extra', 'tool']\n\
             [rootfs.amd64]\npath = '{ROOTFS}'\nsize = {}\nsha256 = '{}'\n",
            rootfs.len(),
            store::Digest::of(&rootfs)
        );
        toml::from_str(&text).unwrap()
    }

    pub(crate) fn arch(&self) -> Arch {
        arch("amd64", "x86_64")
    }

    pub(crate) fn fetcher<'a>(&'a self, alpine: &'a Alpine) -> Fetcher<'a> {
        let (store, mirrors, url) = (&self.store, self.mirrors.as_slice(), alpine.url.as_str());
        Fetcher { store, mirrors, url, offline: true, progress: &Silent }
    }

    pub(crate) fn request<'a>(
        &'a self,
        alpine: &'a Alpine,
        arches: &'a [Arch],
        previous: Option<&'a Lock>,
    ) -> Request<'a> {
        Request { alpine, arches, keyring: &self.keyring, previous, index_only: false }
    }

    pub(crate) fn lock(&self, alpine: &Alpine, previous: Option<&Lock>) -> anyhow::Result<Lock> {
        relock::make(&self.request(alpine, &[self.arch()], previous), &self.fetcher(alpine))
    }

    /// The files that the store has as inputs.
    pub(crate) fn inputs(&self) -> Vec<PathBuf> {
        let dir: &Path = &self.dir.path().join("store/inputs/sha256");
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}
