//! Directories of a test's own, and ways to spoil what is in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use walkdir::WalkDir;

/// A new directory, gone when dropped.
pub fn dir() -> Result<TempDir> {
    tempfile::Builder::new().prefix("kubelet-images-test-").tempdir().context("no temporary directory")
}

/// Copies what a checkout of the repository has, without its history and what was built in it. Entries are made in
/// the reverse of their names' order, and with times of their own: neither may matter.
pub fn checkout(to: &Path) -> Result<()> {
    copy_reversed(&crate::root(), to)
}

fn copy_reversed(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut entries = fs::read_dir(from)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()? {
            _ if entry.file_name() == ".git" || entry.file_name() == "target" => {}
            kind if kind.is_dir() => copy_reversed(&path, &target)?,
            kind if kind.is_symlink() => symlink(fs::read_link(&path)?, &target)?,
            _ => fs::copy(&path, &target).map(|_| ())?,
        }
    }
    Ok(())
}

/// Flips one bit in the middle of a file, and keeps its size, mode and times.
pub fn flip(file: &Path) -> Result<()> {
    let before = fs::metadata(file)?;
    let mut bytes = fs::read(file)?;
    ensure!(!bytes.is_empty(), "{} is empty", file.display());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let mut permissions = before.permissions();
    let kept = permissions.clone();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(file, permissions)?;
    fs::write(file, bytes)?;
    fs::File::options().append(true).open(file)?.set_modified(before.modified()?)?;
    fs::set_permissions(file, kept).context("cannot give the mode back")
}

/// All regular files below a directory, sorted; none if it does not exist.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let walk = WalkDir::new(dir).sort_by_file_name().into_iter().filter_map(Result::ok);
    walk.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// The SHA-256 of a file in hexadecimal digits.
pub fn sha256(file: &Path) -> Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(file)?)))
}

/// Puts a program of a test's own into a directory; `PATH` with that first.
pub fn path_with(dir: &Path, name: &str, text: &str) -> Result<String> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join(name), text)?;
    fs::set_permissions(dir.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(format!("{}:{}", dir.display(), std::env::var("PATH")?))
}

/// A directory of links to all programs in PATH but these.
pub fn path_without(dir: &Path, names: &[&str]) -> Result<PathBuf> {
    let bin = dir.join("bin");
    fs::create_dir(&bin)?;
    let path = std::env::var_os("PATH").context("no PATH")?;
    for from in std::env::split_paths(&path) {
        for entry in fs::read_dir(from).into_iter().flatten().flatten() {
            let (name, target) = (entry.file_name(), bin.join(entry.file_name()));
            if !names.iter().any(|hidden| name == *hidden) && !target.is_symlink() {
                symlink(entry.path(), target)?;
            }
        }
    }
    Ok(bin)
}
