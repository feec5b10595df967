//! Writes a layout, all of it or nothing.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Task;

use super::{Blob, Bytes, Contents, MARK, MARK_FILE};
use crate::digest::{Digest, hash_reader};

/// Writes a layout to `to`, making directories above it as needed. It is built beside `to` and renamed when it is
/// complete and every blob verified, so `to` is at all times absent, the old layout or the new one. Files are 0644 and
/// directories 0755 whatever the umask; blobs are copies, so nothing that is done to a layout reaches the store.
///
/// `task` is told the bytes copied, [`Contents::size`] in all.
///
/// # Errors
/// [`Kind::Usage`] if something other than a layout is at `to` (nothing of it is touched), [`Kind::Mismatch`] for a blob that
/// is not what its digest says, [`Kind::Interrupted`], and what the file system gives.
pub fn write(to: &Path, contents: &Contents, task: &dyn Task) -> Result<()> {
    // A link to a layout is followed: what it leads to is replaced, not the link.
    let to = fs::canonicalize(to).unwrap_or_else(|_| to.to_owned());
    check_replaceable(&to)?;
    let (parent, name) = match (to.parent(), to.file_name()) {
        (Some(parent), Some(name)) => {
            (if parent.as_os_str().is_empty() { Path::new(".") } else { parent }, name)
        }
        _ => return Err(Fault::new(Kind::Usage, format!("{} cannot become a layout", to.display())).into()),
    };
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let mut prefix = OsStr::new(".").to_owned();
    prefix.push(name);
    prefix.push(".");
    let dir = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .tempdir_in(parent)
        .with_context(|| format!("cannot write to {}", parent.display()))?;
    fill(dir.path(), contents, task).with_context(|| format!("writing the layout {}", to.display()))?;
    files::exchange(dir.path(), &to).with_context(|| format!("cannot move the layout to {}", to.display()))
}

fn fill(dir: &Path, contents: &Contents, task: &dyn Task) -> Result<()> {
    let blobs = dir.join("blobs").join("sha256");
    fs::create_dir_all(&blobs)?;
    for (digest, blob) in &contents.blobs {
        exec::interrupt::check()?;
        let to = blobs.join(digest.hex());
        match &blob.bytes {
            Bytes::Memory(bytes) => write_file(&to, bytes)?,
            Bytes::Path(from) => copy(from, &to, blob)?,
        }
        // The copy is verified, not the source: it is what counts from now on.
        verify(&to, digest, blob.size)?;
        task.advance(blob.size);
    }
    write_file(&dir.join("index.json"), &contents.index_json)?;
    write_file(&dir.join(MARK_FILE), MARK)?;
    for made in [&blobs, &dir.join("blobs"), dir] {
        fs::set_permissions(made, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn write_file(to: &Path, bytes: &[u8]) -> io::Result<()> {
    File::create_new(to)?.write_all(bytes)?;
    fs::set_permissions(to, Permissions::from_mode(0o644))
}

fn copy(from: &Path, to: &Path, blob: &Blob) -> Result<()> {
    let found =
        fs::metadata(from).with_context(|| format!("cannot read the layer {}", from.display()))?.len();
    if found != blob.size {
        let what = format!("the layer {}", from.display());
        return Err(Fault::mismatch(what, format!("{} bytes", blob.size), format!("{found} bytes")).into());
    }
    fs::copy(from, to).with_context(|| format!("cannot copy the layer {}", from.display()))?;
    fs::set_permissions(to, Permissions::from_mode(0o644))?;
    Ok(())
}

fn verify(path: &Path, digest: &Digest, size: u64) -> Result<()> {
    let (found, read) = hash_reader(&mut File::open(path)?, size)?;
    if (found, read) != (*digest, size) {
        return Err(Fault::mismatch(format!("blob {digest}"), digest, found).into());
    }
    Ok(())
}

/// What is replaced is thrown away, so it must be a layout and nothing more, or an empty directory.
fn check_replaceable(to: &Path) -> Result<()> {
    let entries = match fs::read_dir(to) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot write a layout to {}", to.display()));
        }
    };
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let foreign =
        names.iter().find(|name| ![MARK_FILE, "index.json", "blobs"].iter().any(|own| *own == **name));
    if let Some(name) = foreign {
        return Err(not_ours(
            to,
            &format!("it holds {:?}, which is not part of a layout", name.to_string_lossy()),
        ));
    }
    if !names.is_empty() && !names.iter().any(|name| name == MARK_FILE) {
        return Err(not_ours(to, &format!("it has no `{MARK_FILE}`")));
    }
    Ok(())
}

fn not_ours(to: &Path, why: &str) -> anyhow::Error {
    Fault::new(Kind::Usage, format!("{} is not an image layout: {why}", to.display()))
        .help("choose a directory that does not exist yet, or move this one away")
        .into()
}

/// Whether exactly this layout is at `to`: the index, every blob by size and digest, and no other file.
///
/// # Errors
/// [`Kind::Interrupted`]; a layout that cannot be read does not match.
pub fn matches(to: &Path, contents: &Contents) -> Result<bool> {
    let same = |path: &Path, bytes: &[u8]| {
        files::open(path).is_ok_and(|(file, size)| {
            size == bytes.len() as u64
                && hash_reader(&mut &file, size).is_ok_and(|(digest, _)| digest == Digest::of(bytes))
        })
    };
    let blobs = to.join("blobs").join("sha256");
    let count = |dir: &Path| fs::read_dir(dir).map(Iterator::count).unwrap_or_default();
    // The cheap questions first.
    if !same(&to.join("index.json"), &contents.index_json)
        || !same(&to.join(MARK_FILE), MARK)
        || count(to) != 3
        || count(&to.join("blobs")) != 1
        || count(&blobs) != contents.blobs.len()
    {
        return Ok(false);
    }
    for (digest, blob) in &contents.blobs {
        exec::interrupt::check()?;
        let Ok((mut file, size)) = files::open(&blobs.join(digest.hex())) else { return Ok(false) };
        if size != blob.size {
            return Ok(false);
        }
        match hash_reader(&mut file, size) {
            Ok((found, _)) if found == *digest => {}
            _ => {
                exec::interrupt::check()?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
