//! Writes a [`Tree`] as a layer: a deterministic archive, compressed.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use ::digest::{Hasher, Hashing};
use anyhow::{Context, Result};
use fault::{Fault, Kind};
use fstree::header::{self, MAX_OCTAL_11};
use fstree::tree::{Attributes, Resolved, Source, Tree};
use progress::Task;
use serde::{Deserialize, Serialize};

use crate::compress::{Compression, Encoder};
use crate::digest::{self, CHUNK, Digest};

/// What a layer's bytes depend on beside its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The time of every entry, in seconds since 1970: the release's date.
    pub mtime: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// What is known of a layer once it is written: all that configs, manifests and size reports need, so that it can be
/// cached beside the blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The media type, such as `application/vnd.oci.image.layer.v1.tar+gzip`.
    pub media_type: String,
    /// The digest of the blob: the compressed archive.
    pub digest: Digest,
    /// The size of the blob, in bytes.
    pub size: u64,
    /// The digest of the archive itself, which the config lists.
    pub diff_id: Digest,
    /// The size of the archive, in bytes.
    pub tar_size: u64,
    /// The bytes of all regular files, a hard-linked file counted once: what Docker shows as the size.
    pub unpacked_size: u64,
    /// What compressed it: [`Compression::encoder`].
    pub encoder: String,
}

/// Writes a layer to `out`. May take seconds a hundred megabytes; calls for different layers run well in parallel.
/// `task` is told the bytes of the archive as they are compressed.
///
/// # Errors
/// [`Kind::InvalidData`] for a tree that cannot be resolved or a time or file too large for an archive, [`Kind::Mismatch`] for a
/// file that changes while it is read, [`Kind::Interrupted`], and what reading and writing give.
pub fn write<W: Write>(tree: &Tree, options: &Options, out: W, task: &dyn Task) -> Result<Layer> {
    if options.mtime > MAX_OCTAL_11 {
        let message = format!("time {} of a layer is too large for an archive", options.mtime);
        return Err(Fault::new(Kind::InvalidData, message).into());
    }
    let mut archive = Archive {
        pending: Vec::with_capacity(CHUNK),
        hasher: Hasher::default(),
        encoder: options.compression.start(Hashing::new(out), task)?,
    };
    let mut unpacked_size = 0;
    for (path, (resolved, attributes)) in tree.resolve()? {
        let (mut content, size): (Box<dyn Read + '_>, u64) = match resolved {
            Resolved::File(Source::Bytes(bytes)) => (Box::new(&**bytes), bytes.len() as u64),
            Resolved::File(Source::Path(file)) => {
                let (file, size) = files::open_named(file)?;
                (Box::new(file), size)
            }
            _ => (Box::new(io::empty()), 0),
        };
        if size > MAX_OCTAL_11 {
            return Err(invalid(path, &format!("{size} bytes are over 8 GiB")));
        }
        header::write(&mut archive, path, resolved, &attributes, size, options.mtime).map_err(unwrap)?;
        copy(&mut content, size, &mut archive, path)?;
        archive.write_all(header::padding(size)).map_err(unwrap)?;
        unpacked_size += size;
    }
    archive.write_all(&header::END).map_err(unwrap)?;
    archive.emit()?;
    let (diff_id, tar_size) = digest::finish(archive.hasher);
    let mut out = archive.encoder.finish()?;
    out.flush()?;
    let (digest, size) = digest::finish(out.hasher);
    Ok(Layer {
        media_type: options.compression.media_type().to_string(),
        digest,
        size,
        diff_id,
        tar_size,
        unpacked_size,
        encoder: options.compression.encoder(),
    })
}

/// Copies exactly `size` bytes and makes sure that there are no more.
fn copy<W>(from: &mut dyn Read, size: u64, archive: &mut Archive<'_, W>, path: &str) -> Result<()> {
    let copied = archive.read(from, size).with_context(|| format!("adding {path:?}"))?;
    let mut more = [0];
    if copied < size || from.read(&mut more)? > 0 {
        let found = if copied < size { format!("{copied} bytes") } else { "more bytes".to_owned() };
        return Err(Fault::mismatch(format!("the file for {path:?}"), format!("{size} bytes"), found)
            .help("it changed while it was read: build again when nothing writes to it")
            .into());
    }
    Ok(())
}

/// Faults travel through `io::Error` inside [`Archive`]; this takes them out again.
fn unwrap(error: io::Error) -> anyhow::Error {
    match error.downcast::<Carried>() {
        Ok(Carried(error)) => error,
        Err(error) => error.into(),
    }
}

#[derive(Debug)]
struct Carried(anyhow::Error);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Carried {}

/// Cuts what is written into pieces of [`CHUNK`] bytes, so that the encoder's input does not depend on how much a
/// read gives, and hashes them.
struct Archive<'a, W> {
    pending: Vec<u8>,
    hasher: Hasher,
    encoder: Box<dyn Encoder<W> + 'a>,
}

impl<W> Archive<'_, W> {
    /// Takes at most `most` bytes, read to where they are needed; how many there were.
    fn read(&mut self, from: &mut dyn Read, most: u64) -> Result<u64> {
        let mut left = most;
        while left > 0 {
            let room = (CHUNK - self.pending.len()) as u64;
            let read = from.take(room.min(left)).read_to_end(&mut self.pending)? as u64;
            if self.pending.len() == CHUNK {
                self.emit()?;
            }
            if read == 0 {
                break;
            }
            left -= read;
        }
        Ok(most - left)
    }

    fn emit(&mut self) -> Result<()> {
        exec::interrupt::check()?;
        self.hasher.update(&self.pending);
        self.encoder.piece(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

impl<W> Write for Archive<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == CHUNK {
            self.emit().map_err(|error| io::Error::other(Carried(error)))?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses layers that undo each other by accident when unpacked one over the other, lowest first: a directory
/// (explicit or not) that gives another mode or owner to a lower layer's directory, such as a 0755 `tmp` made for a file
/// in it, and one that replaces a lower layer's file or symlink, such as `bin` over a link to `usr/bin`.
///
/// # Errors
/// [`Kind::InvalidData`], naming the path.
pub fn check_stack(layers: &[&Tree]) -> Result<()> {
    let mut below: BTreeMap<&str, (bool, Attributes)> = BTreeMap::new();
    for layer in layers {
        for (path, (resolved, attributes)) in layer.resolve()? {
            let directory = resolved == Resolved::Directory;
            match below.get(path) {
                Some((was_directory, _)) if *was_directory != directory => {
                    return Err(invalid(path, "is a directory in one layer and not in another"));
                }
                Some((_, lower)) if directory && *lower != attributes => {
                    return Err(invalid(
                        path,
                        &format!(
                            "is a directory of mode {:o}, owner {}:{} in a lower layer, and of mode {:o}, owner {}:{} above it",
                            lower.mode, lower.uid, lower.gid, attributes.mode, attributes.uid, attributes.gid
                        ),
                    ));
                }
                _ => {}
            }
            below.insert(path, (directory, attributes));
        }
    }
    Ok(())
}

fn invalid(path: &str, why: &str) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("layer entry {path:?}: {why}")).into()
}

#[cfg(test)]
mod tests;
