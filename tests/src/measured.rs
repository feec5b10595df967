//! Packages made to measure: each one that images on Alpine have, by what Alpine's own signed index of v3.15 says of it. Names,
//! versions, dependencies, `provides`, `install_if`, sizes and the kinds of scripts are Alpine's; programs and libraries lie
//! where Alpine has them, in place of busybox's links too. Their bytes are noise, as many as Alpine's packages have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apk::depend;
use apk::index::Index;
use apk::key::Keyring;
use apk::record::Record;
use apk::testrepo::{ArchiveMember, PackageMaker, Parts, Signer};
use apk::tree::Tree;
use fstree::tree::Node;
use sha2::{Digest, Sha256};

use crate::skip;

/// Packages with `arch = noarch`, whose index says the repository's architecture.
const NOARCH: [&str; 1] = ["ncurses-terminfo-base"];
/// Scripts that apk would run when packages are installed, and the directories that triggers wait for (aports, 3.15-stable).
const SCRIPTS: [(&str, &str, &str); 3] = [
    ("ca-certificates", ".trigger", "/usr/share/ca-certificates /usr/local/share/ca-certificates"),
    ("kmod", ".trigger", "/lib/modules"),
    ("utmps", ".pre-install", ""),
];
/// Files that are neither programs nor libraries: `/etc/ssl` is ca-certificates-bundle's, of the root filesystem.
const FILES: [(&str, &str); 5] = [
    ("ca-certificates", "etc/ca-certificates.conf"),
    ("ca-certificates", "usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt"),
    ("linux-pam", "etc/pam.d/other"),
    ("ncurses-terminfo-base", "etc/terminfo/x/xterm"),
    ("libeconf", "usr/share/licenses/libeconf/LICENSE"),
];
/// Beginnings of the names of programs in `sbin` that the root filesystem has no link for.
const SBIN: [&str; 9] =
    ["iptables", "ip6tables", "ebtables", "arptables", "xtables", "nfnl_osf", "fsck.", "mkfs.", "mkswap"];
/// Alpine's abuild of 3.15 writes a licence that goes on in the next line as it is; its index has the first line.
const NEXT_LINE: &str = "\t\tBSD-3-Clause AND Public-Domain\n";

/// An index to make, and the packages of it that there are.
#[derive(Debug)]
pub struct Measured {
    /// `DESCRIPTION`, as Alpine's has it.
    pub description: String,
    /// The index's records, those of the packages made here among them.
    pub records: Vec<Record>,
    /// The packages.
    pub packages: Vec<Parts>,
}

/// Alpine's published files: beside the repository, or where `ALPINE_TEST_DATA` says.
pub fn data() -> Option<PathBuf> {
    match std::env::var_os("ALPINE_TEST_DATA") {
        Some(dir) => Some(dir.into()),
        None => skip::beside("shared").map(|dir| dir.join("data/alpine")),
    }
}

/// The names of what images and the root filesystem need, by a closure made by other rules.
pub fn closure(data: &Path, arch: &str) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(data.join("v3.15-closure.tsv"))?;
    let of = |line: &str| {
        let mut fields = line.split('\t');
        (fields.next() == Some(source(arch))).then(|| fields.next().map(str::to_owned)).flatten()
    };
    Ok(text.lines().filter_map(of).collect())
}

/// Whose index there is: of aarch64 none was found, and `x86_64`'s has the same packages.
fn source(arch: &str) -> &str {
    if arch == "aarch64" { "x86_64" } else { arch }
}

/// Makes the packages of an architecture, and their index. `rootfs` is Alpine's root filesystem.
pub fn make(data: &Path, rootfs: &Path, arch: &str, signer: &Signer) -> Result<Measured> {
    let (description, records) = index(data, arch)?;
    Ok(Measured { description, ..packages(records, &closure(data, arch)?, rootfs, signer)? })
}

/// `DESCRIPTION` and the records of Alpine's own index, for an architecture.
pub fn index(data: &Path, arch: &str) -> Result<(String, Vec<Record>)> {
    let from = source(arch);
    let keyring = Keyring::load(&crate::root().join("images/keys/alpine"))?;
    let path = format!("v3.15/main/{from}/APKINDEX.tar.gz");
    let index = Index::open(&fs::read(data.join(&path))?, None, &keyring, from, &path)?;
    let records = index.packages.into_iter();
    let records = records.map(|record| if arch == from { Ok(record) } else { renamed(&record, from, arch) });
    Ok((index.freshness.description, records.collect::<Result<_>>()?))
}

/// Makes those packages of an index that have these names.
pub fn packages(
    mut records: Vec<Record>,
    names: &BTreeSet<String>,
    rootfs: &Path,
    signer: &Signer,
) -> Result<Measured> {
    let rootfs = Tree::from_tar_gz(&fs::read(rootfs)?, None, "the root filesystem")?;
    let mut packages = Vec::new();
    for record in records.iter_mut().filter(|record| names.contains(&record.name)) {
        let parts = maker(record, &rootfs).make(signer).with_context(|| record.id())?;
        (record.checksum, record.size) = (parts.record.checksum, parts.file().len() as u64);
        packages.push(Parts { record: record.clone(), ..parts });
    }
    Ok(Measured { description: String::new(), records, packages })
}

/// The same package for another architecture: what it needs of musl has the architecture in its name.
fn renamed(record: &Record, from: &str, to: &str) -> Result<Record> {
    let lines = record.to_lines().replace(&format!(".musl-{from}."), &format!(".musl-{to}."));
    let lines = lines.replace(&format!("\nA:{from}\n"), &format!("\nA:{to}\n")) + "\n";
    apk::index::parse(&lines)?.pop().context("a record was written")
}

fn maker(record: &Record, rootfs: &Tree) -> PackageMaker {
    let Record { name, version, arch, .. } = record;
    let mut paths: Vec<(String, u32)> = Vec::new();
    let mut links = Vec::new();
    for provide in &record.provides {
        let text = provide.to_string();
        let (what, version) = text.split_once('=').unwrap_or((&text, ""));
        if let Some(program) = what.strip_prefix("cmd:") {
            paths.push((place(program, rootfs), 0o755));
        } else if let Some(library) = what.strip_prefix("so:") {
            let base = library.split_once(".so.").map_or(library, |(base, _)| base);
            let file = format!("{base}.so.{version}");
            if file != library {
                links.push((format!("usr/lib/{library}"), file.clone()));
            }
            paths.push((format!("usr/lib/{file}"), 0o755));
        }
    }
    let more = FILES.iter().filter(|(package, _)| package == name);
    paths.extend(more.map(|(_, path)| ((*path).to_owned(), 0o644)));
    paths.sort();
    paths.dedup();
    let mut items = directories(paths.iter().map(|(path, _)| path).chain(links.iter().map(|(path, _)| path)));
    for (at, (path, mode)) in paths.iter().enumerate() {
        // All that the package weighs is in its first file.
        let content = if at == 0 { noise(record) } else { path.clone().into_bytes() };
        items.push(ArchiveMember::file(path, &content).mode(*mode));
    }
    items.extend(links.iter().map(|(path, target)| ArchiveMember::symlink(path, target)));
    if items.is_empty() {
        items.push(ArchiveMember::file(".dummy", b""));
    }
    let arch = if NOARCH.contains(&name.as_str()) { "noarch" } else { arch };
    let mut maker = PackageMaker::new(name, version.as_str(), arch, items);
    maker.info = info(record);
    for (_, kind, triggers) in SCRIPTS.iter().filter(|(package, ..)| package == name) {
        maker.scripts.push(((*kind).to_owned(), b"#!/bin/sh\nexit 1\n".to_vec()));
        if !triggers.is_empty() {
            maker.info += &format!("triggers = {triggers}\n");
        }
    }
    maker
}

/// Where Alpine has a program: in place of the root filesystem's link to busybox, or in a directory for it.
fn place(program: &str, rootfs: &Tree) -> String {
    let link = |dir: &&str| {
        let entry = rootfs.get(&format!("{dir}/{program}"));
        entry.is_some_and(|entry| entry.node == Node::Symlink("/bin/busybox".to_owned()))
    };
    let known = ["bin", "sbin", "usr/bin", "usr/sbin"].into_iter().find(link);
    let sbin = SBIN.iter().any(|start| program.starts_with(start));
    format!("{}/{program}", known.unwrap_or(if sbin { "sbin" } else { "usr/bin" }))
}

/// The directories that paths are in, each once, before what is in it.
fn directories<'a>(paths: impl Iterator<Item = &'a String>) -> Vec<ArchiveMember> {
    let mut found = BTreeSet::new();
    for path in paths {
        found.extend(path.match_indices('/').map(|(end, _)| path[..end].to_owned()));
    }
    found.iter().map(|path| ArchiveMember::directory(path)).collect()
}

/// What cannot be compressed, as much as the package has, and what can be to next to nothing, up to what it installs.
fn noise(record: &Record) -> Vec<u8> {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or_default();
    let packed = size(record.size);
    let mut bytes = Vec::with_capacity(packed + 32);
    let mut block = Sha256::digest(record.id());
    while bytes.len() < packed {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(packed);
    bytes.resize(size(record.installed_size).max(packed), 0);
    bytes
}

/// `.PKGINFO` as abuild writes it, after what every package has.
fn info(record: &Record) -> String {
    let mut lines = format!(
        "pkgdesc = {}\nurl = {}\nbuilddate = {}\npackager = Buildozer <alpine-devel@lists.alpinelinux.org>\nsize = {}\n",
        record.description,
        record.url,
        record.build_time.unwrap_or_default(),
        record.installed_size,
    );
    for (key, value) in
        [("origin", &record.origin), ("commit", &record.commit), ("maintainer", &record.maintainer)]
    {
        lines.extend(value.iter().map(|value| format!("{key} = {value}\n")));
    }
    lines += &format!("license = {}\n", record.license);
    if record.license.ends_with(" AND") {
        lines += NEXT_LINE;
    }
    for (key, list) in
        [("depend", depend::join(&record.depends)), ("provides", depend::join(&record.provides))]
    {
        lines.extend(list.split_whitespace().map(|value| format!("{key} = {value}\n")));
    }
    if !record.install_if.is_empty() {
        lines += &format!("install_if = {}\n", depend::join(&record.install_if));
    }
    lines
}
