//! The seal of a directory: every file in it with size, mode and SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use digest::{Digest, hash_file};
use fault::{Fault, Kind};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::disk::{self, OnDisk};

/// The seal's file name, in the directory that it seals.
pub const SEAL: &str = ".manifest.json";
/// Of the manifest's format.
const VERSION: u32 = 1;
/// What repairs a corrupt entry of the store.
pub(crate) const REPAIR: &str = "remove what is corrupt with `cargo xtask gc --corrupt`, then run this again";

/// What a sealed directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// What it is, for people.
    pub what: String,
    /// By path relative to the directory. Directories are there by what is in them: an empty one is not kept count of.
    pub entries: BTreeMap<String, Entry>,
}

/// One file of a sealed directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Entry {
    /// A regular file. Its mode is 0755 or 0644, whatever the umask was.
    File {
        /// In bytes.
        size: u64,
        /// Of its content.
        sha256: Digest,
        /// May it be executed?
        executable: bool,
    },
    /// A symbolic link and where it points.
    Link(String),
}

impl Manifest {
    /// Describes a directory as it is, giving its files and directories their fixed modes.
    pub(crate) fn of(dir: &Path, what: &str) -> Result<Self> {
        let paths = list(dir)?;
        for path in dirs(dir, paths.iter()) {
            disk::set_mode(&path, 0o755)?;
        }
        let entries = paths.into_par_iter().map(|path| {
            let entry = describe(&dir.join(&path))?;
            Ok((path, entry))
        });
        Ok(Self { version: VERSION, what: what.to_owned(), entries: entries.collect::<Result<_>>()? })
    }

    /// The manifest of a sealed directory; none if there is no such directory, or it is not sealed.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(SEAL);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                return Err(corrupt(&path, "a manifest", "a directory"));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error).on("read", &path),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(manifest) if manifest.version == VERSION => Ok(Some(manifest)),
            Ok(other) => Err(corrupt(&path, format!("manifest version {VERSION}"), other.version)),
            Err(error) => Err(corrupt(&path, "a manifest", error)),
        }
    }

    /// Seals: writes and syncs the manifest under a temporary name, then gives it its own.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let mut text = serde_json::to_vec(self).context("a manifest cannot be written as JSON")?;
        text.push(b'\n');
        let unready = dir.join(format!("{SEAL}.new"));
        let mut file = File::create(&unready).on("create", &unready)?;
        file.write_all(&text).and_then(|()| file.sync_all()).on("write to", &unready)?;
        disk::rename(&unready, &dir.join(SEAL))
    }

    /// Reads all of the directory again and compares. The first difference by path is an error that names it.
    pub(crate) fn verify(&self, dir: &Path) -> Result<()> {
        let there = list(dir).map_err(|error| {
            let is_name = fault::is(&error, Kind::ToolFailed);
            if is_name { corrupt(dir, "names in UTF-8", format!("{error:#}")) } else { error }
        })?;
        if let Some(extra) = there.iter().find(|path| !self.entries.contains_key(*path)) {
            return Err(corrupt(&dir.join(extra), "no such file", "one"));
        }
        let mut differences: Vec<(&String, anyhow::Error)> = self
            .entries
            .par_iter()
            .filter_map(|(path, entry)| entry.verify(&dir.join(path)).err().map(|error| (path, error)))
            .collect();
        differences.sort_by_key(|(path, _)| *path);
        match differences.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The sum of its files' sizes, in bytes.
    pub fn size(&self) -> u64 {
        self.entries.values().map(|entry| if let Entry::File { size, .. } = entry { *size } else { 0 }).sum()
    }

    /// Writes every file and directory through to the disk.
    pub(crate) fn sync(&self, dir: &Path) -> Result<()> {
        for (path, entry) in &self.entries {
            let path = dir.join(path);
            if matches!(entry, Entry::File { .. }) {
                File::open(&path).and_then(|file| file.sync_all()).on("sync", &path)?;
            }
        }
        dirs(dir, self.entries.keys()).iter().try_for_each(|dir| disk::sync_dir(dir))
    }
}

impl Entry {
    fn verify(&self, path: &Path) -> Result<()> {
        let meta = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(corrupt(path, "a file", "nothing"));
            }
            other => other.on("read", path)?,
        };
        match self {
            Entry::Link(target) => {
                let found = if meta.is_symlink() { Some(read_link(path)?) } else { None };
                if found.as_ref() == Some(target) {
                    return Ok(());
                }
                Err(corrupt(path, format!("a link to {target}"), found.as_deref().unwrap_or("no link")))
            }
            Entry::File { size, sha256, executable } => {
                if !meta.is_file() {
                    return Err(corrupt(path, "a regular file", "something else"));
                }
                let mode = meta.permissions().mode() & 0o7777;
                if mode != file_mode(*executable) {
                    return Err(corrupt(
                        path,
                        format!("mode {:04o}", file_mode(*executable)),
                        format!("{mode:04o}"),
                    ));
                }
                if meta.len() != *size {
                    return Err(corrupt(path, format!("{size} bytes"), format!("{} bytes", meta.len())));
                }
                let (found, _) = hash_file(path)?;
                if found == *sha256 { Ok(()) } else { Err(corrupt(path, sha256, found)) }
            }
        }
    }
}

/// A file of the store that is not what it was.
pub(crate) fn corrupt(
    path: &Path,
    expected: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> anyhow::Error {
    Fault::mismatch(format!("`{}` in the store", path.display()), expected, found).help(REPAIR).into()
}

fn file_mode(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}

fn read_link(path: &Path) -> Result<String> {
    let target = fs::read_link(path).on("read the link", path)?;
    target.into_os_string().into_string().map_err(|_| not_utf8(path))
}

fn not_utf8(path: &Path) -> anyhow::Error {
    Fault::new(Kind::ToolFailed, format!("`{}` cannot be stored: its name is not UTF-8", path.display()))
        .into()
}

/// A directory and all those in it that lead to these files.
fn dirs<'a>(dir: &Path, files: impl Iterator<Item = &'a String>) -> BTreeSet<PathBuf> {
    let parents = files.filter_map(|file| Path::new(file).parent());
    let mut dirs: BTreeSet<&Path> = parents.flat_map(Path::ancestors).collect();
    dirs.insert(Path::new(""));
    dirs.into_iter().map(|path| dir.join(path)).collect()
}

/// All files and links below a directory, by path relative to it; not its seal.
fn list(dir: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(dir).min_depth(1) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            let error = error.into_io_error().unwrap_or_else(|| ErrorKind::Other.into());
            disk::storage("list", &path, &error)
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let path = relative(entry.path(), dir)?;
        if path != SEAL {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

fn relative(path: &Path, dir: &Path) -> Result<String> {
    let relative: PathBuf = path.strip_prefix(dir).context("a walk left its directory")?.to_owned();
    relative.into_os_string().into_string().map_err(|_| not_utf8(path))
}

fn describe(path: &Path) -> Result<Entry> {
    let meta = fs::symlink_metadata(path).on("read", path)?;
    if meta.is_symlink() {
        return Ok(Entry::Link(read_link(path)?));
    }
    if !meta.is_file() {
        bail!("`{}` cannot be stored: it is neither a file, a directory nor a link", path.display());
    }
    let mode = meta.permissions().mode() & 0o7777;
    let executable = mode & 0o111 != 0;
    if mode != file_mode(executable) {
        disk::set_mode(path, file_mode(executable))?;
    }
    let (sha256, size) = hash_file(path)?;
    Ok(Entry::File { size, sha256, executable })
}
