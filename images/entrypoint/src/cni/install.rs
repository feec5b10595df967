//! Installs plugins in a directory of the host, and removes them.
//!
//! A file appears by a rename, so that a runtime never runs half of one. What is about to be written is in the manifest
//! before, so that an interrupted run leaves nothing that is not known to be ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::lock::lock;
use super::manifest::{FILE, Manifest};
use super::source::Source;
use crate::preflight::describe;
use crate::regular;

/// What an installation did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// New or replaced.
    pub(crate) installed: Vec<String>,
    /// There already, with the same content.
    pub(crate) current: Vec<String>,
    /// The host's own, of another content: left alone.
    pub(crate) foreign: Vec<String>,
}

impl Done {
    /// Is there something to say?
    pub(crate) fn changed(&self) -> bool {
        !self.installed.is_empty()
    }

    /// One line.
    pub(crate) fn text(&self, dir: &Path) -> String {
        let mut text = format!(
            "{}: {} plugins installed, {} up to date",
            dir.display(),
            self.installed.len(),
            self.current.len()
        );
        if !self.foreign.is_empty() {
            text += "; left alone, as they are not from here: ";
            text += &self.foreign.join(", ");
        }
        text
    }
}

/// Installs all plugins of the image; writes nothing where all are there, and waits for nobody then.
pub(crate) fn install(source: &Source, dir: &Path, release: &str) -> Result<Done, String> {
    let look = || {
        let manifest = read(dir)?.unwrap_or_default();
        Ok::<_, String>((compare(source, dir, &manifest)?, manifest))
    };
    let ((done, writes), _) = look()?;
    if writes.is_empty() && !has_temporary(dir) {
        return Ok(done);
    }
    let _lock = lock(dir)?;
    // Of a run that was interrupted.
    remove_temporary(dir);
    // Another may have installed them by now.
    let ((mut done, writes), mut manifest) = look()?;
    if writes.is_empty() {
        return Ok(done);
    }

    release.clone_into(&mut manifest.release);
    let mut after = manifest.clone();
    let mut contents = Vec::new();
    for names in &writes {
        let hash = source.file(names[0]).map_err(io::Error::from).and_then(sha256).map_err(on(names[0]))?;
        after.files.retain(|(_, name)| !names.contains(&name.as_str()));
        for name in names {
            manifest.add(name, &hash);
            after.add(name, &hash);
        }
        contents.push(hash);
    }
    write_manifest(dir, &manifest)?;
    for names in &writes {
        let written = put(source, dir, names);
        remove_temporary(dir);
        written?;
        done.installed.extend(names.iter().map(|name| (*name).to_owned()));
    }
    write_manifest(dir, &after)?;
    Ok(done)
}

/// How the plugins stand, and the names that are to be written, by content.
fn compare<'a>(
    source: &'a Source,
    dir: &Path,
    manifest: &Manifest,
) -> Result<(Done, Vec<Vec<&'a str>>), String> {
    let (mut done, mut writes, mut hashes) = (Done::default(), Vec::new(), Hashes::default());
    for names in &source.groups {
        let mut missing = Vec::new();
        for name in names {
            match state(source, dir, name, manifest, &mut hashes)? {
                State::Same => done.current.push(name.clone()),
                State::Foreign => done.foreign.push(name.clone()),
                State::Absent | State::Ours => missing.push(name.as_str()),
            }
        }
        if !missing.is_empty() {
            writes.push(missing);
        }
    }
    Ok((done, writes))
}

/// Removes every file that was installed and has not been changed since; a line that says so.
pub(crate) fn remove(dir: &Path) -> Result<String, String> {
    let _lock = lock(dir)?;
    let Some(manifest) = read(dir)? else {
        return Ok(format!("{}: nothing was installed from here", dir.display()));
    };
    let mut hashes = Hashes::default();
    let (mut removed, mut changed) = (0, Vec::new());
    for (_, name) in &manifest.files {
        let path = dir.join(name);
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_file() && manifest.owns(name, &hashes.of(&path).map_err(on(name))?) {
            fs::remove_file(&path).map_err(on(name))?;
            removed += 1;
        } else if !changed.contains(name) {
            changed.push(name.clone());
        }
    }
    fs::remove_file(dir.join(FILE)).map_err(on(FILE))?;
    let mut text = format!("{}: {removed} plugins removed", dir.display());
    if !changed.is_empty() {
        text += "; left alone, as they were changed: ";
        text += &changed.join(", ");
    }
    Ok(text)
}

/// Would an installation leave what the host has by this name alone, as it is not from here?
pub(crate) fn is_foreign(source: &Source, dir: &Path, name: &str) -> bool {
    let manifest = read(dir).ok().flatten().unwrap_or_default();
    matches!(state(source, dir, name, &manifest, &mut Hashes::default()), Ok(State::Foreign))
}

/// How a name in the host's directory stands.
enum State {
    Absent,
    /// The image's content.
    Same,
    /// Installed from here, of another content.
    Ours,
    /// Not from here, or changed since.
    Foreign,
}

fn state(
    source: &Source,
    dir: &Path,
    name: &str,
    manifest: &Manifest,
    hashes: &mut Hashes,
) -> Result<State, String> {
    let path = dir.join(name);
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Absent),
        Err(error) => return Err(on(name)(error)),
    };
    if !meta.is_file() {
        return Ok(State::Foreign);
    }
    let ours = source.file(name).map_err(io::Error::from).map_err(on(name))?;
    if hashes.same(&path, &meta, ours).map_err(on(name))? {
        return Ok(State::Same);
    }
    let owned = manifest.names(name) && manifest.owns(name, &hashes.of(&path).map_err(on(name))?);
    Ok(if owned { State::Ours } else { State::Foreign })
}

/// Hashes and comparisons of files that go by many names, each done once.
#[derive(Default)]
struct Hashes {
    hashes: Vec<(u64, String)>,
    same: Vec<(u64, u64, bool)>,
}

impl Hashes {
    fn of(&mut self, path: &Path) -> io::Result<String> {
        let file = regular::open(path)?;
        let inode = file.metadata()?.ino();
        if let Some((_, hash)) = self.hashes.iter().find(|(known, _)| *known == inode) {
            return Ok(hash.clone());
        }
        let hash = sha256(file)?;
        self.hashes.push((inode, hash.clone()));
        Ok(hash)
    }

    /// Has the host's file the image's content? Read and compared, which is quicker than to hash both.
    fn same(&mut self, path: &Path, meta: &fs::Metadata, ours: File) -> io::Result<bool> {
        let image = ours.metadata()?;
        let pair = (meta.ino(), image.ino());
        if let Some((.., same)) = self.same.iter().find(|(host, image, _)| (*host, *image) == pair) {
            return Ok(*same);
        }
        let same = meta.len() == image.len() && equal(regular::open(path)?, ours)?;
        self.same.push((pair.0, pair.1, same));
        Ok(same)
    }
}

/// At each start this is what is waited for, so it is done by words: the C library compares bytes one by one.
fn equal(mut one: File, mut other: File) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        match other.read_exact(&mut right[..count]) {
            Ok(()) if same_bytes(&left[..count], &right[..count]) => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => return Ok(false),
        }
    }
}

fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (others, other_rest)) = (one.as_chunks::<16>(), other.as_chunks::<16>());
    let differ =
        words.iter().zip(others).any(|(one, other)| u128::from_ne_bytes(*one) != u128::from_ne_bytes(*other));
    !differ && one.len() == other.len() && rest == other_rest
}

fn sha256(mut file: File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    Ok(hasher.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

/// Writes one content under several names: hard links, or copies where the filesystem has no links.
fn put(source: &Source, dir: &Path, names: &[&str]) -> Result<(), String> {
    let whole = temporary(dir, "file");
    let mut file = source.file(names[0]).map_err(io::Error::from).map_err(on(names[0]))?;
    write_file(&whole, 0o755, |to| io::copy(&mut file, to).map(|_| ())).map_err(on(names[0]))?;
    for name in names {
        let link = temporary(dir, "link");
        let linked = fs::hard_link(&whole, &link)
            .or_else(|_| fs::copy(&whole, &link).and_then(|_| File::open(&link)?.sync_all()));
        linked.and_then(|()| fs::rename(&link, dir.join(name))).map_err(on(name))?;
    }
    Ok(())
}

/// A name that is ours; where somebody has a directory of that name, which is not, the next one.
fn temporary(dir: &Path, what: &str) -> PathBuf {
    let is_directory = |path: &PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let first = dir.join(format!("{FILE}.{what}"));
    let others = (1..=u8::MAX).map(|number| dir.join(format!("{FILE}.{what}.{number}")));
    std::iter::once(first.clone()).chain(others).find(|path| !is_directory(path)).unwrap_or(first)
}

const TEMPORARY: [&str; 3] = ["file", "link", "new"];

fn has_temporary(dir: &Path) -> bool {
    TEMPORARY.iter().any(|what| temporary(dir, what).symlink_metadata().is_ok())
}

fn remove_temporary(dir: &Path) {
    for what in TEMPORARY {
        let _ = fs::remove_file(temporary(dir, what));
    }
}

fn write_file(
    path: &Path,
    permissions: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // Left by a run that was interrupted; the lock says that it is nobody's now.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(permissions).open(path)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(permissions))?;
    fill(&mut file)?;
    file.sync_all()
}

fn read(dir: &Path) -> Result<Option<Manifest>, String> {
    match regular::read_text(&dir.join(FILE)) {
        Ok(text) => match Manifest::parse(&text) {
            Some(manifest) => Ok(Some(manifest)),
            None => Err(format!(
                "{}: not of a form that this image knows, so nothing is changed; remove it to have the plugins taken for the host's own",
                dir.join(FILE).display()
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(on(FILE)(error)),
    }
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), String> {
    let new = temporary(dir, "new");
    let write = || {
        write_file(&new, 0o644, |to| to.write_all(manifest.text().as_bytes()))?;
        fs::rename(&new, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&new);
        on(FILE)(error)
    })
}

/// The message of an error about one file.
fn on(name: &str) -> impl Fn(io::Error) -> String {
    let name = name.to_owned();
    move |error| format!("{name}: {}", describe(&error))
}

#[cfg(test)]
mod tests;
