//! Unpacks zip archives (module zips, wheels) without trusting them, though their hash was checked: a lock can be
//! wrong, too.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use zip::ZipArchive;

use crate::disk::{self, OnDisk};

/// How much an archive may unpack to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many files and directories.
    pub entries: usize,
    /// All files together, in bytes.
    pub bytes: u64,
}

impl Default for Limits {
    /// Several times the largest toolchain.
    fn default() -> Self {
        Self { entries: 100_000, bytes: 2 << 30 }
    }
}

/// Unpacks `archive` into the existing directory `to`: regular files only, mode 0755 or 0644.
///
/// `prefix` must begin every name and is taken off. Names that are absolute, empty, repeated, not UTF-8, or hold
/// `.`, `..`, a backslash or NUL are refused; so are links, devices, encrypted files, and more than `limits`.
pub fn unzip(archive: &Path, to: &Path, prefix: &str, limits: Limits) -> Result<()> {
    let file = File::open(archive).on("read", archive)?;
    let refuse = |why: &str| refuse(archive, why);
    let mut zip =
        ZipArchive::new(BufReader::new(file)).map_err(|error| refuse(&format!("not a zip file: {error}")))?;
    // The library keeps the last of several entries of one name; another reader of the same file may not.
    if listed(archive)? != Some(zip.len()) {
        return Err(refuse("its directory lists a name twice, or more than is in it"));
    }
    if zip.len() > limits.entries {
        return Err(refuse(&format!("{} entries, more than {}", zip.len(), limits.entries)));
    }
    let mut left = limits.bytes;
    let mut buffer = vec![0; 128 << 10];
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| refuse(&error.to_string()))?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let about = |why: &str| refuse(&format!("`{}`: {why}", name.escape_debug()));
        let path = safe_path(entry.name_raw(), prefix).map_err(about)?;
        let mode = entry.unix_mode().unwrap_or(0o644);
        // 0 where the maker kept no type.
        let kind = mode & 0o170_000;
        if entry.encrypted() || !matches!(kind, 0 | 0o100_000 | 0o040_000) {
            return Err(about("not a plain file or directory"));
        }
        let path = to.join(path);
        if entry.is_dir() {
            disk::make_dir(&path)?;
            continue;
        }
        if entry.size() > left {
            return Err(about(&format!("unpacks to more than {} bytes in all", limits.bytes)));
        }
        left -= entry.size();
        let size = entry.size();
        if let Some(parent) = path.parent() {
            disk::make_dir(parent)?;
        }
        let mut out = match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(about("is there twice")),
            other => other.on("create", &path)?,
        };
        let mut got = 0;
        loop {
            exec::interrupt::check()?;
            // The stated size bounds what is written; reading to the end checks the CRC.
            let n = entry.read(&mut buffer).map_err(|error| about(&error.to_string()))?;
            got += n as u64;
            if got > size || (n == 0 && got < size) {
                return Err(about(&format!("is not of the {size} bytes it says")));
            }
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n]).on("write to", &path)?;
        }
        disk::set_mode(&path, if mode & 0o111 == 0 { 0o644 } else { 0o755 })?;
    }
    Ok(())
}

/// How many entries the archive's own directory says that it lists; none where it says so in no plain way.
fn listed(archive: &Path) -> Result<Option<usize>> {
    /// The directory's end: its fixed part, without the comment.
    const END: usize = 22;
    let mut file = File::open(archive).on("read", archive)?;
    let length = file.metadata().on("read", archive)?.len();
    let most = (END + usize::from(u16::MAX)) as u64;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(most))).on("read", archive)?;
    file.read_to_end(&mut tail).on("read", archive)?;
    let number = |at: usize| tail.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let ends = (0..tail.len().saturating_sub(END - 1)).rev();
    let end = ends.into_iter().find(|&at| {
        tail[at..].starts_with(b"PK\x05\x06")
            && number(at + 20).is_some_and(|comment| at + END + comment == tail.len())
    });
    Ok(end.and_then(|at| number(at + 10)))
}

/// The path below the target for a name in the archive, or what is wrong with the name.
fn safe_path(name: &[u8], prefix: &str) -> Result<PathBuf, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?;
    let name = name.strip_prefix(prefix).ok_or("is outside of the directory that all should be in")?;
    if name.contains('\\') {
        return Err("it holds a backslash");
    }
    let plain = name.strip_suffix('/').unwrap_or(name);
    fstree::path::check(plain)?;
    Ok(PathBuf::from(plain))
}

fn refuse(archive: &Path, why: &str) -> anyhow::Error {
    let message = format!("`{}` is refused: {why}", archive.display());
    Fault::new(Kind::Mismatch, message)
        .help("nothing was unpacked; if its hash is the locked one, the lock names a bad archive")
        .into()
}
