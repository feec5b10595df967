//! Debian's iptables, with all that they load: what an image of kube-proxy needs beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use exec::Run;
use fault::{Fault, Kind};
use toolchain::Host;

use crate::image::ImageEntry;

/// The program that is all of them, and its names.
const PROGRAM: &str = "/usr/sbin/xtables-nft-multi";
const NAMES: [&str; 6] =
    ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];

/// By architecture: what loads programs of Debian's, and where it finds libraries.
const LOADERS: [(&str, &str, &str); 2] = [
    ("amd64", "lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
    ("arm64", "lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
];

/// The files, by path in an image.
pub(crate) fn iptables() -> Result<BTreeMap<String, ImageEntry>> {
    let list = run(Path::new("dpkg-query"), &["--listfiles", "iptables"])?;
    let extension = |path: &&str| {
        path.contains("/xtables/") && Path::new(path).extension().is_some_and(|kind| kind == "so")
    };
    let mut files: BTreeSet<PathBuf> = list.lines().filter(extension).map(PathBuf::from).collect();
    ensure!(!files.is_empty(), "Debian's package iptables has no extensions");
    files.insert(PathBuf::from(PROGRAM));
    let mut items = BTreeMap::new();
    for file in &files {
        if let Ok(target) = fs::read_link(file) {
            let target = target.to_str().context("a link's target is not UTF-8")?.to_owned();
            items.insert(place(file), ImageEntry::Link(target));
            continue;
        }
        for library in libraries(file)? {
            items.insert(place(&library), ImageEntry::File(library));
        }
        items.insert(place(file), ImageEntry::File(file.clone()));
    }
    for name in NAMES {
        items.insert(format!("usr/sbin/{name}"), ImageEntry::Link("xtables-nft-multi".to_owned()));
    }
    Ok(items)
}

/// Debian's busybox, which is static.
pub(crate) fn busybox() -> Result<PathBuf> {
    exec::which("busybox").ok_or_else(|| Fault::new(Kind::Tool, "`busybox` is not installed").into())
}

/// What a file of a system in a directory loads, by its path in an image; the loader itself, too.
pub(crate) fn closure(root: &Path, file: &Path) -> Result<BTreeMap<String, ImageEntry>> {
    let arch = Host::current()?.arch();
    let (loader, libraries) = LOADERS
        .iter()
        .find_map(|(name, loader, libraries)| (*name == arch).then_some((loader, libraries)))
        .context("no loader is known of this machine's")?;
    let program = root.join(loader);
    let told = Run::new(&program)
        .args(["--inhibit-cache", "--library-path", &root.join(libraries).display().to_string(), "--list"])
        .arg(file)
        .env("LC_ALL", "C")
        .run()?;
    let told = String::from_utf8_lossy(&told.stdout);
    let mut items = BTreeMap::from([((*loader).to_owned(), ImageEntry::File(program.clone()))]);
    for path in loaded(&told).map(Path::new).filter(|path| path.starts_with(root.join(libraries))) {
        // The name that is asked for, with the bytes behind it.
        items.insert(place_in(root, path)?, ImageEntry::File(path.canonicalize()?));
    }
    Ok(items)
}

/// Where a file of a system in a directory is in an image.
pub(crate) fn place_in(root: &Path, file: &Path) -> Result<String> {
    let path = file.strip_prefix(root).with_context(|| format!("{} is elsewhere", file.display()))?;
    Ok(path.to_string_lossy().into_owned())
}

/// What a file loads, and its loader.
fn libraries(file: &Path) -> Result<Vec<PathBuf>> {
    let told = run(Path::new("ldd"), &[file.to_str().context("a path is not UTF-8")?])?;
    Ok(loaded(&told).map(PathBuf::from).collect())
}

/// The libraries, and the loader, that `ldd` lists for a program: their paths.
pub fn loaded(told: &str) -> impl Iterator<Item = &str> {
    told.lines().filter_map(|line| {
        let path = line.split_once("=> ").map_or(line, |(_, path)| path);
        path.trim().split(" (").next().filter(|path| path.starts_with('/'))
    })
}

fn place(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

fn run(program: &Path, args: &[&str]) -> Result<String> {
    let out = Run::new(program).args(args).inherit("PATH").env("LC_ALL", "C").run()?;
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
