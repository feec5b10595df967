//! Reads a layer that may have been made by anyone: a list of its entries, its digests and sizes.
//!
//! Stricter than a runtime has to be. What two readers could understand differently is refused: sparse files,
//! data after the end, sizes on entries that have no data, one path twice unless both times a directory, something below a
//! file or a symlink, `..`. Where they agree it is read as they do: each path begins at the image's root.

mod limited;
mod padded;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::rc::Rc;

use ::digest::Hashing;
use anyhow::{Context, Result};
use fault::{Fault, Kind};
use flate2::bufread::MultiGzDecoder;
use fstree::path::rooted;
use fstree::pax;
use oci_spec::image::MediaType;
use tar::{Archive, EntryType, Header};

use crate::digest::{self, CHUNK, Digest, hash_reader};
use crate::tree::{Attributes, Entry, Solid, Tree};
use limited::Limited;
use padded::Padded;

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
    /// [`Kind::Data`] for any other media type.
    pub fn of(media_type: &str) -> Result<Self> {
        match MediaType::from(media_type) {
            MediaType::ImageLayer => Ok(Self::Tar),
            MediaType::ImageLayerGzip => Ok(Self::Gzip),
            MediaType::ImageLayerZstd => Ok(Self::Zstd),
            _ => Err(Fault::new(
                Kind::Data,
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
pub enum What {
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
pub struct Item {
    /// What it is.
    pub what: What,
    /// Mode, owner and extended attributes as the header says; a hard link's own are without meaning.
    pub attributes: Attributes,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// A layer's entries and what all of it amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The entries by normalized path; an entry for the root itself is not listed.
    pub items: BTreeMap<String, Item>,
    /// The digest of the archive.
    pub diff_id: Digest,
    /// The size of the archive, in bytes.
    pub tar_size: u64,
    /// The bytes of all regular files.
    pub unpacked_size: u64,
}

impl Listing {
    /// The entries without content: for questions of place and mode, as [`check_stack`](crate::tree::check_stack) asks
    /// them.
    ///
    /// # Errors
    /// [`Kind::Data`] for what no layer made from a [`Tree`] has: a device, a pipe, a name that deletes from layers below.
    pub fn outline(&self) -> Result<Tree> {
        let mut tree = Tree::new();
        for (path, Item { what, attributes, .. }) in &self.items {
            let entry = match what {
                What::Directory => Entry::directory(attributes.mode),
                What::File { .. } => Entry::file(attributes.mode, &[][..]),
                What::HardLink(target) => Entry::hard_link(target),
                What::Symlink(target) => Entry::symlink(target),
                What::Special(_) => return Err(malformed(&format!("{path:?}: a device or a pipe"))),
            };
            let entry = entry.owner(attributes.uid, attributes.gid);
            let add = |entry: Entry, (name, value): (&String, &Vec<u8>)| entry.xattr(name, value.clone());
            tree.insert(path, attributes.xattrs.iter().fold(entry, add))?;
        }
        Ok(tree)
    }
}

/// Reads a layer to its end.
///
/// # Errors
/// [`Kind::Data`] for anything that is not a well-formed layer or is over a limit, [`Kind::Interrupted`], and what
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
/// [`Kind::Data`] if it is over the limit or cannot be decompressed.
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
    let data_end = Rc::new(Cell::new(0));
    let mut archive = Archive::new(Padded::new(Hashing::new(from), Rc::clone(&data_end)));
    let mut reader = Reader {
        limits,
        items: BTreeMap::new(),
        solid: Solid::default(),
        seen: 0,
        unpacked_size: 0,
        extended: BTreeMap::new(),
        headers: 0,
        see,
    };
    // Raw: the extended headers are read here, within a limit, see `pax`.
    for entry in archive.entries().map_err(limited::fault)?.raw(true) {
        exec::interrupt::check()?;
        let mut entry = entry.map_err(limited::fault)?;
        let (header, size) = (entry.header().clone(), entry.size());
        data_end.set(entry.raw_file_position().saturating_add(size));
        reader.entry(&header, size, &mut entry)?;
    }
    if !reader.extended.is_empty() {
        return Err(malformed("an extended header is followed by nothing"));
    }
    let mut rest = archive.into_inner().inner;
    check_end(&mut rest)?;
    let (diff_id, tar_size) = digest::finish(rest.hasher);
    if tar_size == 0 {
        return Err(malformed("it is empty, and no archive"));
    }
    Ok(Listing { items: reader.items, diff_id, tar_size, unpacked_size: reader.unpacked_size })
}

/// One empty block of the two at the end was read, unless the archive just stops behind an entry; all that follows is empty
/// too.
fn check_end(rest: &mut dyn Read) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        exec::interrupt::check()?;
        match rest.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) if buffer[..read].iter().all(|byte| *byte == 0) => {}
            Ok(_) => return Err(malformed("data follows the end of the archive")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(limited::fault(error)),
        }
    }
}

struct Reader<'a, 's> {
    limits: &'a Limits,
    items: BTreeMap<String, Item>,
    solid: Solid,
    seen: usize,
    unpacked_size: u64,
    /// What extended headers said of the entry to come, by PAX key.
    extended: BTreeMap<String, Vec<u8>>,
    /// The bytes of all extended headers.
    headers: u64,
    see: &'a mut FileVisitor<'s>,
}

impl Reader<'_, '_> {
    fn entry(&mut self, header: &Header, size: u64, data: &mut dyn Read) -> Result<()> {
        self.seen += 1;
        if self.seen > self.limits.entries {
            return Err(malformed(&format!("it has more than {} entries", self.limits.entries)));
        }
        match header.entry_type() {
            EntryType::XHeader => {
                let records = pax::decode(&self.read_extended(size, data)?).map_err(|why| malformed(&why))?;
                if records.keys().any(|key| key.starts_with("GNU.sparse.")) {
                    return Err(malformed("sparse files are not supported"));
                }
                self.extended.extend(records);
                Ok(())
            }
            EntryType::XGlobalHeader => {
                let records = pax::decode(&self.read_extended(size, data)?).map_err(|why| malformed(&why))?;
                match records.keys().find(|key| *key != "comment") {
                    Some(key) => Err(malformed(&format!("global extended header {key:?} is not supported"))),
                    None => Ok(()),
                }
            }
            EntryType::GNULongName => self.long(pax::PATH, size, data),
            EntryType::GNULongLink => self.long(pax::LINK_PATH, size, data),
            kind => self.item(kind, header, size, data),
        }
    }

    fn read_extended(&mut self, size: u64, data: &mut dyn Read) -> Result<Vec<u8>> {
        if size > self.limits.extended_header {
            return Err(malformed(&format!(
                "extended header of {size} bytes, limit {}",
                self.limits.extended_header
            )));
        }
        self.headers += size;
        if self.headers > self.limits.extended_headers {
            let limit = self.limits.extended_headers;
            return Err(malformed(&format!("extended headers of more than {limit} bytes together")));
        }
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).map_err(limited::fault)?;
        if bytes.len() as u64 != size {
            return Err(malformed("it ends inside an extended header"));
        }
        Ok(bytes)
    }

    /// A path in GNU's way, ending with a NUL.
    fn long(&mut self, key: &str, size: u64, data: &mut dyn Read) -> Result<()> {
        let mut bytes = self.read_extended(size, data)?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        self.extended.insert(key.to_owned(), bytes);
        Ok(())
    }

    fn item(&mut self, kind: EntryType, header: &Header, size: u64, data: &mut dyn Read) -> Result<()> {
        let extended = std::mem::take(&mut self.extended);
        let raw = text(extended.get(pax::PATH).cloned().unwrap_or_else(|| header.path_bytes().into_owned()))?;
        let link = extended.get(pax::LINK_PATH).cloned().or_else(|| header.link_name_bytes().map(Into::into));
        let attributes =
            attributes(header, &extended, size).map_err(|error| malformed(&format!("{raw:?}: {error}")))?;
        let Some(path) = rooted(&raw)? else {
            if kind == EntryType::Directory && size == 0 {
                return Ok(());
            }
            return Err(malformed(&format!(
                "{raw:?}: it names the root, and is not an empty directory's entry"
            )));
        };
        let refuse = |why: &str| Err(malformed(&format!("{path:?}: {why}")));
        // Of two directories there is one, as the later entry says.
        if let Some(before) = self.items.get(&path)
            && (before.what != What::Directory || kind != EntryType::Directory)
        {
            return refuse("there are two entries for this path");
        }
        if self
            .solid
            .above(&path)
            .filter_map(|above| self.items.get(above))
            .any(|it| it.what != What::Directory)
        {
            return refuse("it lies under something that is not a directory");
        }
        if kind != EntryType::Regular && size != 0 {
            return refuse("it has data, but is not a regular file");
        }
        let what = match kind {
            EntryType::Regular if raw.ends_with('/') => return refuse("a regular file's name ends with `/`"),
            EntryType::Regular => self.file(&path, size, data)?,
            EntryType::Directory => What::Directory,
            EntryType::Symlink => match link.map(text).transpose()? {
                Some(target) if !target.is_empty() && !target.contains('\0') => What::Symlink(target),
                _ => return refuse("a symlink without a target"),
            },
            EntryType::Link => {
                let target = link.map(text).transpose()?.unwrap_or_default();
                let found = rooted(&target)?;
                let what = found.as_deref().and_then(|path| self.items.get(path)).map(|item| &item.what);
                match (what, &found) {
                    (Some(What::File { .. }), Some(file)) | (Some(What::HardLink(file)), _) => {
                        What::HardLink(file.clone())
                    }
                    _ => {
                        return refuse(&format!(
                            "a hard link to {target:?}, which is not a regular file before it"
                        ));
                    }
                }
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => What::Special(kind.as_byte()),
            _ => {
                return refuse(&format!(
                    "entries of type {:?} are not supported",
                    char::from(kind.as_byte())
                ));
            }
        };
        let directory = what == What::Directory;
        if !directory && self.has_below(&path) {
            return refuse("it is not a directory, but something lies under it");
        }
        self.solid.insert(&path, directory);
        let mtime = header.mtime().map_err(limited::fault)?;
        self.items.insert(path, Item { what, attributes, mtime });
        Ok(())
    }

    fn has_below(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.items.range(prefix.clone()..).next().is_some_and(|(next, _)| next.starts_with(&prefix))
    }

    fn file(&mut self, path: &str, size: u64, data: &mut dyn Read) -> Result<What> {
        let mut hashing = Hashing::new(data);
        (self.see)(path, size, &mut hashing).map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => limited::fault(error),
            Err(error) => error,
        })?;
        io::copy(&mut hashing, &mut io::sink()).map_err(limited::fault)?;
        let (digest, found) = digest::finish(hashing.hasher);
        if found != size {
            return Err(malformed(&format!("it ends inside {path:?}, {found} of {size} bytes in")));
        }
        self.unpacked_size += size;
        Ok(What::File { size, digest })
    }
}

fn attributes(
    header: &Header,
    extended: &BTreeMap<String, Vec<u8>>,
    size: u64,
) -> Result<Attributes, String> {
    let number = |key: &str, in_header: io::Result<u64>| match extended.get(key) {
        Some(value) => {
            std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(format!("PAX {key}"))
        }
        None => in_header.map_err(|error| error.to_string()),
    };
    // The data was delimited by the header's size; one that says otherwise would be read differently by others.
    if number("size", Ok(size))? != size {
        return Err("PAX size differs from the header's".to_owned());
    }
    let id =
        |key, value| number(key, value).and_then(|id| u32::try_from(id).map_err(|_| format!("{key} {id}")));
    let xattrs = extended
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(pax::XATTR)?.to_owned(), value.clone())));
    Ok(Attributes {
        mode: header.mode().map_err(|error| error.to_string())? & 0o7777,
        uid: id("uid", header.uid())?,
        gid: id("gid", header.gid())?,
        xattrs: xattrs.collect(),
    })
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        malformed(&format!("the path {:?} is not UTF-8", String::from_utf8_lossy(error.as_bytes())))
    })
}

fn malformed(why: &str) -> anyhow::Error {
    Fault::new(Kind::Data, format!("the layer cannot be read: {why}")).into()
}

#[cfg(test)]
mod tests;
