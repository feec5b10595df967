//! Packages in Alpine's format of this machine's own programs, by the names that Alpine has them under: so that images
//! hold programs that work, where Alpine's are not available.
//!
//! What they cannot show is Alpine's own packages: musl, their versions, and who needs which library of whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use apk::testrepo::{ArchiveMember, PackageMaker};

use crate::cmd;

/// What lists the files of installed packages, what tells which libraries a program loads, and a program of each package
/// that not every machine has.
pub const PROGRAMS: [&str; 7] =
    ["dpkg-query", "ldd", "iptables-nft", "conntrack", "ebtables-legacy", "ipset", "kmod"];
/// All of them have this one.
pub const VERSION: &str = "1.0-r0";
/// The package of the libraries, and of the loader.
const LIBRARIES: &str = "debian-libraries";
/// What all programs need of it. Names of single libraries would be taken for Alpine's own of the same name.
const LIBC: &str = "so:libc.so.6";
/// Alpine's architecture that this machine's programs are for.
const NATIVE: &str = "x86_64";
/// Alpine's names of packages, and Debian's.
const NAMES: [(&str, &[&str]); 10] = [
    ("util-linux", &["util-linux", "mount"]),
    ("coreutils", &["coreutils"]),
    ("findutils", &["findutils"]),
    ("ca-certificates", &["ca-certificates"]),
    ("conntrack-tools", &["conntrack"]),
    ("iptables", &["iptables"]),
    ("ip6tables", &["iptables"]),
    ("ebtables", &["ebtables"]),
    ("ipset", &["ipset"]),
    ("kmod", &["kmod"]),
];
/// What is taken of Debian's packages: programs, and what they load or read besides libraries.
const TAKEN: [&str; 7] = [
    "/bin/",
    "/sbin/",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/lib/x86_64-linux-gnu/xtables/",
    "/usr/lib/ebtables/",
    "/usr/share/ca-certificates/",
];
/// Alpine's script that remakes the bundle of certificates, and the directories whose changes it is run for.
const TRIGGER: &[u8] = b"#!/bin/sh\nexec /usr/sbin/update-ca-certificates --fresh\n";
const TRIGGERS: &str = "triggers = /usr/share/ca-certificates /usr/local/share/ca-certificates\n";

/// Packages for an architecture: real for this machine's own, for another one of a text file each.
pub fn packages(arch: &str) -> Result<Vec<PackageMaker>> {
    if arch != NATIVE {
        let text = |(name, _): &(&str, _)| {
            let files = BTreeMap::from([(
                format!("usr/share/test/{name}"),
                ArchiveMember::file("", name.as_bytes()),
            )]);
            maker(name, arch, files)
        };
        return Ok(NAMES.iter().map(text).collect());
    }
    let mut loaded = BTreeSet::new();
    let mut packages = Vec::new();
    for (name, debian) in NAMES {
        let files = files(name, debian, &mut loaded).with_context(|| format!("making {name}"))?;
        let mut package = maker(name, arch, files);
        package.index = format!("D:{LIBC}\n");
        match name {
            "ip6tables" => package.index = format!("D:iptables={VERSION} {LIBC}\n"),
            "ca-certificates" => {
                package.index = "D:/bin/sh\n".into();
                package.scripts = vec![(".trigger".into(), TRIGGER.to_vec())];
                package.info = TRIGGERS.into();
            }
            _ => {}
        }
        packages.push(package);
    }
    let mut libraries = BTreeMap::new();
    for path in loaded {
        let content = fs::read(&path).with_context(|| path.clone())?;
        // Where Debian's loader looks, and where programs look for the loader.
        let (_, name) = path.rsplit_once('/').context("a library without a directory")?;
        let to = if name.starts_with("ld-linux") { "lib64" } else { "usr/lib/x86_64-linux-gnu" };
        libraries.insert(format!("{to}/{name}"), ArchiveMember::file("", &content).mode(0o755));
    }
    let mut package = maker(LIBRARIES, arch, libraries);
    package.index = format!("p:{LIBC}=6\n");
    packages.push(package);
    Ok(packages)
}

/// A package of these files, with the directories they are in.
fn maker(name: &str, arch: &str, files: BTreeMap<String, ArchiveMember>) -> PackageMaker {
    let mut items = BTreeMap::new();
    for (path, item) in files {
        for parent in Path::new(&path).ancestors().skip(1) {
            let parent = parent.to_string_lossy().into_owned();
            if !parent.is_empty() {
                items.entry(parent.clone()).or_insert_with(|| ArchiveMember::directory(&parent));
            }
        }
        items.insert(path.clone(), ArchiveMember { path, ..item });
    }
    PackageMaker::new(name, VERSION, arch, items.into_values().collect())
}

/// The files of Debian's packages that Alpine's has, by path; the libraries they load are noted down.
fn files(
    name: &str,
    debian: &[&str],
    loaded: &mut BTreeSet<String>,
) -> Result<BTreeMap<String, ArchiveMember>> {
    let mut files = BTreeMap::new();
    for path in cmd::ok(Command::new("dpkg-query").arg("--listfiles").args(debian))?.lines() {
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        if meta.is_dir() || !TAKEN.iter().any(|dir| path.starts_with(dir)) {
            continue;
        }
        let Some(to) = place(name, path) else { continue };
        let item = if meta.is_symlink() {
            let target = fs::read_link(path)?;
            ArchiveMember::symlink("", target.to_str().context("a link's target is not UTF-8")?)
        } else {
            let content = fs::read(path)?;
            if content.starts_with(&elf::MAGIC) {
                loaded.extend(libraries(path)?);
            }
            ArchiveMember::file("", &content).mode(meta.permissions().mode() & 0o7777)
        };
        files.insert(to, item);
    }
    // Debian's are made when it is installed; Alpine's are in the packages, and legacy.
    if let "iptables" | "ip6tables" = name {
        for link in ["", "-save", "-restore"].map(|end| format!("sbin/{name}{end}")) {
            files.insert(link, ArchiveMember::symlink("", "xtables-legacy-multi"));
        }
    }
    ensure!(!files.is_empty(), "none of its files is on this machine: is {debian:?} installed?");
    Ok(files)
}

/// Where Alpine has it, relative to the root; none for what another package has.
fn place(name: &str, path: &str) -> Option<String> {
    let (dir, file) = path.rsplit_once('/')?;
    let ipv6 = file.starts_with("ip6") || file.starts_with("libip6t_");
    let dir = match name {
        "iptables" if ipv6 => return None,
        "ip6tables" if !ipv6 => return None,
        "iptables" | "ip6tables" if dir == "/usr/sbin" => "/sbin",
        // Debian's name for it where its iptables has an ebtables, too.
        "ebtables" if path == "/usr/sbin/ebtables-legacy" => return Some("sbin/ebtables".into()),
        _ => dir,
    };
    Some(format!("{}/{file}", dir.trim_start_matches('/')))
}

/// What it loads, and its loader.
fn libraries(program: &str) -> Result<Vec<String>> {
    let told = cmd::output(Command::new("ldd").arg(program))?;
    // Its own directory's are taken with the package.
    let others = testimage::loaded(&told.stdout).filter(|path| !path.starts_with("/usr/lib/ebtables/"));
    Ok(others.map(str::to_owned).collect())
}
