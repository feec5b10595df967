//! Alpine's packages: indexes read, and resolved.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use apk::database::Database;
use apk::depend::Dependency;
use apk::digest::Checksum;
use apk::index::{Index, parse};
use apk::install::Rootfs;
use apk::key::Keyring;
use apk::package::Package;
use apk::record::Record;
use apk::resolve::{Request, resolve};
use apk::tarball::{Entry, EntryKind};
use fault::{Fault, Kind};
use fstree::tree::Attributes;

use super::{HotPath, Numbers, Setup, Work};

const ARCH: &str = "x86_64";
/// What sets the names of a copy of an index apart, before its number.
const COPY: &str = "--copy";
/// What is asked for of a real index: the kubelet's world of the catalog, and of one that looks like it as much.
const REAL: &str = "util-linux coreutils findutils ca-certificates conntrack-tools iptables";
const MADE: &str = "package-90 package-91 package-92 package-93 package-94 package-95";

pub(super) const PATHS: &[HotPath] = &[
    HotPath {
        name: "index",
        unit: "packages",
        sizes: &[100, 400, 1_600, 6_400, 25_000],
        counted: Some(200),
        prepare: |setup, size| {
            let text: String = records(setup, size)?.iter().map(|record| record.to_lines() + "\n").collect();
            Ok(Box::new(move || parse(&text).map(drop)))
        },
    },
    // apk's list of what is installed, which any image may have.
    HotPath {
        name: "database",
        unit: "packages",
        sizes: &[100, 400, 1_600, 6_400, 25_000],
        counted: None,
        prepare: |_, size| {
            let records = made(usize::try_from(size)?)?;
            let text = |record: &Record| record.to_lines() + "F:usr/bin\nR:" + &record.name + "\n\n";
            let text: String = records.iter().map(text).collect();
            Ok(Box::new(move || Database::parse(&text, &[], "").map(drop)))
        },
    },
    HotPath {
        name: "resolver",
        unit: "packages",
        sizes: &[100, 400, 1_600, 6_400, 25_000],
        counted: Some(1_000),
        prepare: |setup, size| Ok(resolved(records(setup, size)?, Dependency::parse_all(world(setup))?)),
    },
    // What is asked for grows as well.
    HotPath {
        name: "resolver-world",
        unit: "packages, of which many are asked for",
        sizes: &[100, 400, 1_600, 6_400, 25_000],
        counted: None,
        prepare: |setup, size| {
            let records = records(setup, size)?;
            let world: Vec<Dependency> = Dependency::parse_all(world(setup))?;
            let real = setup.index.is_some();
            // Of a copy of a real index that is cut short, what is needed may be missing.
            let one = records.iter().take_while(|record| !record.name.contains(COPY)).count();
            let whole = if real { records.len() / one.max(1) * one } else { records.len() };
            let more =
                records.iter().enumerate().take(whole).filter(|(at, record)| wanted(real, *at, record));
            let more = more.map(|(_, record)| Dependency::parse_all(&record.name));
            let more = more.collect::<Result<Vec<_>>>()?;
            Ok(resolved(records, world.into_iter().chain(more.into_iter().flatten()).collect()))
        },
    },
    HotPath {
        name: "install",
        unit: "packages of 10 files",
        sizes: &[10, 30, 100, 300, 1_000],
        counted: Some(30),
        prepare: |_, size| {
            let packages = (0..size).map(|it| package(&format!("p{it}"), 1, &format!("p{it}"), 10));
            let packages = packages.collect::<Result<Vec<_>>>()?;
            Ok(Box::new(move || installed(&packages)))
        },
    },
    // One package, another version in its place, and one of another name that takes over all it has.
    HotPath {
        name: "install-over",
        unit: "files",
        sizes: &[100, 400, 1_600, 6_400, 25_000],
        counted: None,
        prepare: |_, size| {
            let packages =
                [package("a", 1, "d", size)?, package("a", 2, "d", size)?, package("b", 1, "d", size)?];
            Ok(Box::new(move || installed(&packages)))
        },
    },
];

fn installed(packages: &[Package]) -> Result<()> {
    packages.iter().try_fold(Rootfs::empty(ARCH), Rootfs::install).map(drop)
}

/// A package of so many files, ten in a directory; each second is another name of the one before.
fn package(name: &str, version: u32, prefix: &str, files: u64) -> Result<Package> {
    let checksum = Checksum::sha1_of(format!("{name}-{version}").as_bytes());
    let record = format!("C:{checksum}\nP:{name}\nV:{version}-r0\nA:{ARCH}\nS:1\nI:1\no:one\n");
    let entry = |path: String, kind: EntryKind| Entry {
        path,
        kind,
        attributes: Attributes { mode: 0o755, ..Attributes::default() },
        user: String::new(),
        group: String::new(),
        checksum: None,
    };
    let mut entries = Vec::new();
    for number in 0..files {
        let directory = format!("{prefix}-{}", number / 10);
        if number.is_multiple_of(10) {
            entries.push(entry(directory.clone(), EntryKind::Directory));
        }
        let kind = match number % 2 {
            0 => EntryKind::File(0..10),
            _ => EntryKind::HardLink(format!("{directory}/file-{}", number - 1)),
        };
        entries.push(entry(format!("{directory}/file-{number}"), kind));
    }
    let record = parse(&record)?.pop().context("no record")?;
    let (scripts, triggers, data) = (Vec::new(), Vec::new(), vec![b'x'; 10].into());
    Ok(Package { record, key: String::new(), scripts, triggers, entries, data })
}

fn world(setup: &Setup<'_>) -> &'static str {
    if setup.index.is_some() { REAL } else { MADE }
}

fn resolved(records: Vec<Record>, world: Vec<Dependency>) -> Work {
    Box::new(move || resolve(&Request { world: &world, repositories: &[&records], installed: &[] }).map(drop))
}

/// So many packages, those first that the world needs.
fn records(setup: &Setup<'_>, count: u64) -> Result<Vec<Record>> {
    let count = usize::try_from(count)?;
    let Some(index) = &setup.index else { return made(count) };
    let real = real(setup.root, index)?;
    let world = Dependency::parse_all(REAL)?;
    let mut all: Vec<Record> = resolve(&Request { world: &world, repositories: &[&real], installed: &[] })?
        .into_iter()
        .cloned()
        .collect();
    let needed: Vec<String> = all.iter().map(Record::id).collect();
    all.extend(real.iter().filter(|record| !needed.contains(&record.id())).cloned());
    for copy in 1.. {
        if all.len() >= count {
            break;
        }
        let copies = real.iter().map(|record| renamed(record, copy)).collect::<Vec<_>>();
        all.extend(copies);
    }
    all.truncate(count);
    Ok(all)
}

/// The packages of an index that Alpine signed.
fn real(root: &Path, index: &Path) -> Result<Vec<Record>> {
    let keys = Keyring::load(&root.join("images/keys/alpine"))?;
    let bytes = fs::read(index)
        .map_err(|error| Fault::new(Kind::NotFound, format!("cannot read {}: {error}", index.display())))?;
    Ok(Index::open(&bytes, None, &keys, ARCH, &index.display().to_string())?.packages)
}

/// The same package under other names, in a world of its own.
fn renamed(record: &Record, copy: u32) -> Record {
    let name = |name: &str| format!("{name}{COPY}{copy}");
    let each = |all: &[Dependency]| {
        let one = |it: &Dependency| Dependency { name: name(&it.name), ..it.clone() };
        all.iter().map(one).collect::<Vec<_>>()
    };
    let mut other = Record {
        name: name(&record.name),
        depends: each(&record.depends),
        install_if: each(&record.install_if),
        replaces: each(&record.replaces),
        ..record.clone()
    };
    other.provides.iter_mut().for_each(|it| it.name = name(&it.name));
    other.checksum = Checksum::sha1_of(other.id().as_bytes());
    other
}

/// Is it asked for in a world that grows? Of a real index, what is asked for is in each copy of it again: packages that stand in
/// for each other cannot be asked for together.
fn wanted(real: bool, at: usize, record: &Record) -> bool {
    let name = record.name.split(COPY).next().unwrap_or_default();
    if real { REAL.split(' ').any(|asked| asked == name) } else { at.is_multiple_of(10) }
}

/// Packages as v3.15/main has them: two needs and one or two provided things each, a third of all coming along with another.
fn made(count: usize) -> Result<Vec<Record>> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for number in 0..count {
        let checksum = Checksum::sha1_of(&number.to_le_bytes());
        text += &format!(
            "C:{checksum}\nP:package-{number}\nV:1.{number}-r0\nA:{ARCH}\nS:1000\nI:4096\nT:A package\nU:https://example.org/\nL:MIT\n"
        );
        // The same few libraries are needed by most, as of C; the rest by those near them.
        let mut needs = String::new();
        if number > 0 {
            let common = numbers.next().unwrap_or(0) % 20;
            let near = numbers.next().unwrap_or(0) % 50 + 1;
            for need in [common, (number as u64).saturating_sub(near)] {
                if need < number as u64 {
                    needs += &format!(" so:library-{need}.so.1");
                }
            }
        }
        if !needs.is_empty() {
            text += &format!("D:{}\n", needs.trim_start());
        }
        text += &format!("p:so:library-{number}.so.1=1.0 cmd:program-{number}=1.{number}-r0\n");
        if number % 3 == 2 {
            text += &format!("i:docs package-{}=1.{}-r0\n", number - 1, number - 1);
        }
        text += "\n";
    }
    parse(&text)
}
