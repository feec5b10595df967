//! Reads a layer that may have been made by anyone: a list of its entries, its digests and sizes.
//!
//! Stricter than a runtime has to be. What two readers could understand differently is refused: sparse files,
//! data after the end, sizes on entries that have no data, one path twice unless both times a directory, something below a
//! file or a symlink, `..`. Where they agree it is read as they do: each path begins at the image's root.

mod limited;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use ::digest::Hashing;
use anyhow::{Context, Result};
use fault::{Fault, Kind};
use flate2::bufread::MultiGzDecoder;
use fstree::archive::{self, Member, Policy, Reader};
use fstree::path::rooted;
use fstree::paths::{Paths, Thing};
use fstree::tree::{Attributes, Entry, Node, Tree};
use oci_spec::image::MediaType;

use crate::digest::{self, CHUNK, Digest, hash_reader};
use limited::Limited;

/// How a layer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A bare archive.
    Tar,
    /// gzip, of any number of members.
    Gzip,
    /// zstd, of any number of frames.
    Zstd,
}

/// The base-2 logarithm of the largest window that a zstd layer may ask its reader to keep in memory: 128 MiB, the
/// limit of zstd's own tools unless they are told otherwise.
const MAX_ZSTD_WINDOW: u32 = 27;

impl Encoding {
    /// The encoding that a layer's media type names.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for any other media type.
    pub fn of(media_type: &str) -> Result<Self> {
        match MediaType::from(media_type) {
            MediaType::ImageLayer => Ok(Self::Tar),
            MediaType::ImageLayerGzip => Ok(Self::Gzip),
            MediaType::ImageLayerZstd => Ok(Self::Zstd),
            _ => Err(Fault::new(
                Kind::InvalidData,
                format!(
                    "layer of media type {media_type:?}: expected {}, {} or {}",
                    MediaType::ImageLayer,
                    MediaType::ImageLayerGzip,
                    MediaType::ImageLayerZstd
                ),
            )
            .into()),
        }
    }
}

/// How much of a layer is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive once decompressed.
    pub tar_size: u64,
    /// Entries.
    pub entries: usize,
    /// Bytes of one extended header; it is held in memory.
    pub extended_header: u64,
    /// Bytes of all extended headers together: what they say of entries is kept.
    pub extended_headers: u64,
}

impl Default for Limits {
    /// 16 GiB, a million entries, 1 MiB, 128 MiB.
    fn default() -> Self {
        Self { tar_size: 16 << 30, entries: 1_000_000, extended_header: 1 << 20, extended_headers: 128 << 20 }
    }
}

/// What an entry of a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// In bytes.
        size: u64,
        /// Of its bytes.
        digest: Digest,
    },
    /// Another name of a file that came earlier in the layer.
    HardLink(String),
    /// A symbolic link.
    Symlink(String),
    /// A device or a pipe, with the type flag of its header.
    Special(u8),
}

/// An entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// What it is.
    pub what: EntryKind,
    /// Mode, owner and extended attributes as the header says; a hard link's own are without meaning.
    pub attributes: Attributes,
    /// Seconds since 1970.
    pub mtime: u64,
}

impl Thing for EntryInfo {
    fn is_directory(&self) -> bool {
        self.what == EntryKind::Directory
    }
}

/// A layer's entries and what all of it amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The entries by normalized path; an entry for the root itself is not listed.
    pub items: BTreeMap<String, EntryInfo>,
    /// The digest of the archive.
    pub diff_id: Digest,
    /// The size of the archive, in bytes.
    pub tar_size: u64,
    /// The bytes of all regular files.
    pub unpacked_size: u64,
}

impl Listing {
    /// The entries without content: for questions of place and mode, as [`check_stack`](crate::layer::check_stack) asks
    /// them.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for what no layer made from a [`Tree`] has: a device, a pipe, a name that deletes from layers below.
    pub fn outline(&self) -> Result<Tree> {
        let mut tree = Tree::new();
        for (path, EntryInfo { what, attributes, .. }) in &self.items {
            let node = match what {
                EntryKind::Directory => Node::Directory,
                EntryKind::File { .. } => Node::File(Vec::new().into()),
                EntryKind::HardLink(target) => Node::HardLink(target.clone()),
                EntryKind::Symlink(target) => Node::Symlink(target.clone()),
                EntryKind::Special(_) => return Err(malformed(&format!("{path:?}: a device or a pipe"))),
            };
            let link = matches!(node, Node::HardLink(_));
            let attributes = if link { Attributes::default() } else { attributes.clone() };
            tree.insert(path, Entry { node, attributes })?;
        }
        Ok(tree)
    }
}

/// Reads a layer to its end.
///
/// # Errors
/// [`Kind::InvalidData`] for anything that is not a well-formed layer or is over a limit, [`Kind::Interrupted`], and what
/// `from` gives.
pub fn list(from: impl Read, encoding: Encoding, limits: &Limits) -> Result<Listing> {
    list_with(from, encoding, limits, &mut |_, _, _| Ok(()))
}

/// Is shown each regular file of a layer as it is read: its path, size and content, of which it may leave any part
/// unread.
pub type FileVisitor<'a> = dyn FnMut(&str, u64, &mut dyn Read) -> Result<()> + 'a;

/// As [`list`], and shows the content of regular files to `see` on the way.
///
/// # Errors
/// As [`list`], and what `see` gives.
pub fn list_with(
    from: impl Read,
    encoding: Encoding,
    limits: &Limits,
    see: &mut FileVisitor<'_>,
) -> Result<Listing> {
    list_tar(decoded(from, encoding, limits)?, limits, see)
}

/// The digest and size of the archive inside a layer, without a look at its entries.
///
/// # Errors
/// [`Kind::InvalidData`] if it is over the limit or cannot be decompressed.
pub fn diff_id(from: impl Read, encoding: Encoding, limits: &Limits) -> Result<(Digest, u64)> {
    hash_reader(&mut decoded(from, encoding, limits)?, u64::MAX).map_err(|error| {
        match error.downcast::<io::Error>() {
            Ok(error) => limited::fault(error),
            Err(error) => error,
        }
    })
}

/// Writes the archive inside a layer, without a look at its entries; returns its digest and size.
///
/// # Errors
/// As [`diff_id`], and what `out` gives.
pub fn copy(
    from: impl Read,
    encoding: Encoding,
    limits: &Limits,
    out: &mut dyn Write,
) -> Result<(Digest, u64)> {
    let mut hashing = Hashing::new(decoded(from, encoding, limits)?);
    let mut buffer = vec![0; CHUNK];
    loop {
        exec::interrupt::check()?;
        let read = hashing.read(&mut buffer).map_err(limited::fault)?;
        if read == 0 {
            return Ok(digest::finish(hashing.hasher));
        }
        out.write_all(&buffer[..read]).context("writing a layer's archive")?;
    }
}

/// The archive inside a layer, up to its limit.
fn decoded<'a>(
    from: impl Read + 'a,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Limited<Box<dyn Read + 'a>>> {
    let from = BufReader::with_capacity(CHUNK, from);
    let from: Box<dyn Read + 'a> = match encoding {
        Encoding::Tar => Box::new(from),
        Encoding::Gzip => Box::new(MultiGzDecoder::new(from)),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    };
    Ok(Limited::new(from, limits.tar_size))
}

fn list_tar(from: impl Read, limits: &Limits, see: &mut FileVisitor<'_>) -> Result<Listing> {
    let mut from = Hashing::new(from);
    let mut reader = Reader::new(
        &mut from,
        Policy {
            entries: limits.entries,
            extended_header: limits.extended_header,
            extended_headers: limits.extended_headers,
            takes: |key| !key.starts_with("GNU.sparse."),
        },
    );
    let mut layer = Layer { items: Paths::default(), unpacked_size: 0, see };
    while let Some(member) = reader.next_member().map_err(limited::fault)? {
        exec::interrupt::check()?;
        layer.add(member, &mut reader)?;
    }
    let (diff_id, tar_size) = digest::finish(from.hasher);
    if tar_size == 0 {
        return Err(malformed("it is empty, and no archive"));
    }
    Ok(Listing { items: layer.items.into_map(), diff_id, tar_size, unpacked_size: layer.unpacked_size })
}

/// What was read of a layer.
struct Layer<'a, 's> {
    items: Paths<EntryInfo>,
    unpacked_size: u64,
    see: &'a mut FileVisitor<'s>,
}

impl Layer<'_, '_> {
    fn add(&mut self, member: Member, data: &mut dyn Read) -> Result<()> {
        let Some(path) = rooted(&member.path)? else {
            if member.kind == archive::Kind::Directory {
                return Ok(());
            }
            return Err(malformed(&format!(
                "{:?}: it names the root, and is not a directory's entry",
                member.path
            )));
        };
        let mtime = member.mtime().map_err(limited::fault)?;
        let what = match member.kind {
            archive::Kind::Directory => EntryKind::Directory,
            archive::Kind::File => self.file(&path, member.size, data)?,
            archive::Kind::Symlink(target) => EntryKind::Symlink(target),
            archive::Kind::Special(kind) => EntryKind::Special(kind),
            archive::Kind::HardLink(target) => {
                let found = rooted(&target)?;
                let what =
                    found.as_deref().and_then(|path| self.items.map().get(path)).map(|item| &item.what);
                match (what, &found) {
                    (Some(EntryKind::File { .. }), Some(file)) | (Some(EntryKind::HardLink(file)), _) => {
                        EntryKind::HardLink(file.clone())
                    }
                    _ => {
                        return Err(malformed(&format!(
                            "{path:?}: a hard link to {target:?}, which is not a regular file before it"
                        )));
                    }
                }
            }
        };
        let item = EntryInfo { what, attributes: member.attributes, mtime };
        // Of two directories there is one, as the later entry says.
        if item.is_directory()
            && let Some(there) = self.items.directory(&path)
        {
            *there = item;
            return Ok(());
        }
        self.items.insert(path, item).map_err(|why| malformed(&why))
    }

    /// What is cut off is found when the next entry is asked for.
    fn file(&mut self, path: &str, size: u64, data: &mut dyn Read) -> Result<EntryKind> {
        let mut hashing = Hashing::new(data);
        (self.see)(path, size, &mut hashing).map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => limited::fault(error),
            Err(error) => error,
        })?;
        io::copy(&mut hashing, &mut io::sink()).map_err(limited::fault)?;
        let (digest, _) = digest::finish(hashing.hasher);
        self.unpacked_size += size;
        Ok(EntryKind::File { size, digest })
    }
}

fn malformed(why: &str) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("the layer cannot be read: {why}")).into()
}

#[cfg(test)]
mod tests;
