//! Layers: trees of files to archives, and back.

use std::fs::File;
use std::io::{self, Write};

use anyhow::Result;
use fstree::pax;
use fstree::tree::{Entry, Source, Tree};
use oci::compress::{Compression, Gzip};
use oci::digest::Digest;
use oci::layer::{Layer, Options, write};
use oci::read::{Encoding, Limits, list};
use progress::Silent;
use tar::{EntryType, Header};

use super::{DEPTHS, FILES, HotPath, Setup, Work, bytes};

/// A mebibyte.
const MIB: u64 = 1 << 20;
/// How many files lie deep.
const DEEP: u64 = 2_000;

pub(super) const PATHS: &[HotPath] = &[
    HotPath {
        name: "hash",
        unit: "MiB",
        sizes: &[1, 4, 16, 64, 256],
        counted: Some(2),
        prepare: |_, size| {
            let bytes = bytes(usize::try_from(size * MIB)?, 1);
            Ok(Box::new(move || {
                std::hint::black_box(Digest::of(&bytes));
                Ok(())
            }))
        },
    },
    // As it is released.
    HotPath {
        name: "layer-bytes",
        unit: "MiB in one file",
        sizes: &[1, 4, 16, 64, 256, 1024],
        counted: None,
        prepare: |setup, size| one_file(setup, size, Compression::default()),
    },
    HotPath {
        name: "layer-bytes-fast",
        unit: "MiB in one file",
        sizes: &[1, 4, 16, 64, 256, 1024],
        counted: Some(1),
        prepare: |setup, size| one_file(setup, size, Compression::Gzip(Gzip::Fast)),
    },
    HotPath {
        name: "layer-files",
        unit: "files",
        sizes: FILES,
        counted: Some(1_000),
        prepare: |_, size| {
            Ok(Box::new(move || compress(&tree((0..size).map(spread))?, &mut io::sink()).map(drop)))
        },
    },
    // Each a name of the one before.
    HotPath {
        name: "layer-links",
        unit: "hard links",
        sizes: FILES,
        counted: None,
        prepare: |_, size| {
            let mut links = Tree::new();
            links.insert("link-0", Entry::file(0o644, &b"content"[..]))?;
            for number in 1..size {
                links.insert(&format!("link-{number}"), Entry::hard_link(format!("link-{}", number - 1)))?;
            }
            Ok(Box::new(move || compress(&links, &mut io::sink()).map(drop)))
        },
    },
    HotPath {
        name: "layer-deep",
        unit: "names in each path",
        sizes: DEPTHS,
        counted: None,
        prepare: |_, size| {
            Ok(Box::new(move || {
                let paths = (0..DEEP).map(|number| deep(size, number));
                compress(&tree(paths)?, &mut io::sink()).map(drop)
            }))
        },
    },
    HotPath {
        name: "read-bytes",
        unit: "MiB in one file",
        sizes: &[1, 4, 16, 64, 256],
        counted: None,
        prepare: |_, size| {
            let mut one = Tree::new();
            one.insert("file", Entry::file(0o644, &*bytes(usize::try_from(size * MIB)?, 3)))?;
            read(&one)
        },
    },
    HotPath {
        name: "read-files",
        unit: "files",
        sizes: FILES,
        counted: Some(1_000),
        prepare: |_, size| read(&tree((0..size).map(spread))?),
    },
    HotPath {
        name: "read-deep",
        unit: "names in each path",
        sizes: DEPTHS,
        counted: None,
        prepare: |_, size| {
            let archive = without_directories((0..DEEP).map(|number| deep(size, number)))?;
            Ok(Box::new(move || list(&*archive, Encoding::Tar, &Limits::default()).map(drop)))
        },
    },
];

fn one_file(setup: &Setup<'_>, size: u64, compression: Compression) -> Result<Work> {
    let path = setup.scratch.join("file");
    let mut file = File::create(&path)?;
    for part in 0..size {
        file.write_all(&bytes(usize::try_from(MIB)?, part))?;
    }
    let mut tree = Tree::new();
    tree.insert("usr/bin/program", Entry::file(0o755, Source::Path(path)))?;
    Ok(Box::new(move || {
        let options = Options { mtime: 1, compression };
        write(&tree, &options, io::sink(), &Silent).map(drop)
    }))
}

fn read(tree: &Tree) -> Result<Work> {
    let mut blob = Vec::new();
    compress(tree, &mut blob)?;
    Ok(Box::new(move || list(&*blob, Encoding::Gzip, &Limits::default()).map(drop)))
}

/// Quickly: what is looked at is all else.
pub(super) fn compress(tree: &Tree, out: &mut dyn Write) -> Result<Layer> {
    write(tree, &Options { mtime: 1, compression: Compression::Gzip(Gzip::Fast) }, out, &Silent)
}

pub(super) fn tree(paths: impl Iterator<Item = String>) -> Result<Tree> {
    let mut tree = Tree::new();
    for (number, path) in paths.enumerate() {
        tree.insert(&path, Entry::file(0o644, format!("content {number}").as_bytes()))?;
    }
    Ok(tree)
}

/// The path of a file among many: a hundred in a directory.
pub(super) fn spread(number: u64) -> String {
    format!("usr/share/packages-{}/file-{number}", number / 100)
}

/// A path of so many names, of which each file shares all but its own.
pub(super) fn deep(names: u64, number: u64) -> String {
    format!("{}file-{number}", "d/".repeat(usize::try_from(names).unwrap_or(1).saturating_sub(1)))
}

/// An archive of empty files without an entry for any directory, which runtimes unpack all the same.
pub(super) fn without_directories(paths: impl Iterator<Item = String>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let header = |kind, size: usize| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_path("name").map(|()| header.set_cksum()).map(|()| header)
    };
    for path in paths {
        let records = pax::encode(&[(pax::PATH.to_owned(), path.into_bytes())].into());
        archive.append(&header(EntryType::XHeader, records.len())?, &*records)?;
        archive.append(&header(EntryType::Regular, 0)?, io::empty())?;
    }
    Ok(archive.into_inner()?)
}
