//! File operations whose failures say which file, what was being done, and what helps.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};

/// Turns a failed file operation into a [`Kind::Storage`] fault.
pub trait OnDisk<T> {
    /// `doing` fits "cannot {doing} `{path}`".
    fn on(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T> OnDisk<T> for io::Result<T> {
    fn on(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|error| storage(doing, path, &error).into())
    }
}

/// The fault for a file operation that failed.
pub fn storage(doing: &str, path: &Path, error: &io::Error) -> Fault {
    let fault = Fault::new(Kind::Storage, format!("cannot {doing} `{}`: {error}", path.display()));
    match help(error.kind()) {
        Some(text) => fault.help(text),
        None => fault,
    }
}

fn help(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
            "make room: `cargo xtask gc` removes what builds no longer use; or set KUBELET_IMAGES_STORE to a directory on a larger disk",
        ),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            Some("set KUBELET_IMAGES_STORE to a directory that you can write to")
        }
        _ => None,
    }
}

/// A full disk, seen through whatever failed because of it: our own file operation or a tool's message.
pub(crate) fn explain_full_disk(error: anyhow::Error, path: &Path) -> anyhow::Error {
    if fault::of(&error).is_some_and(|fault| matches!(fault.kind(), Kind::Storage | Kind::Interrupted)) {
        return error;
    }
    let full = error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::StorageFull)
            || cause.to_string().contains("No space left on device")
    });
    if !full {
        return error;
    }
    let fault = storage("write to", path, &io::ErrorKind::StorageFull.into());
    anyhow::Error::new(fault).context(format!("{error:#}"))
}

/// Makes a directory and its parents.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).on("make directory", path)
}

/// Writes a directory's entries to the disk, so that a rename in it survives a power cut.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).on("sync", path)
}

/// Renames within the store, and makes it last.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    files::rename(from, to).on("rename into", to)
}

/// Moves out of sight what is to be removed, where that can be; says where it is then.
pub(crate) fn set_aside(from: &Path, to: &Path) -> Result<PathBuf> {
    files::set_aside(from, to).on("move", from)
}

/// Sets a file's mode whatever the umask is.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).on("set the mode of", path)
}

/// Removes a file or a directory with all in it; what is gone already is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.on("remove", path),
    }
}

/// Marks a file as used now. Without the right to do so, it only looks older to `gc`.
pub(crate) fn touch(path: &Path) {
    if let Ok(file) = File::options().write(true).open(path) {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}

/// The names in a directory, sorted; none if it does not exist.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).on("list", dir),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 is none of ours.
        names.extend(entry.on("list", dir)?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_file_and_what_helps() {
        let full = storage("write to", Path::new("/x"), &io::ErrorKind::StorageFull.into());
        insta::assert_snapshot!(full, @"cannot write to `/x`: no storage space");
        assert!(full.hint().is_some_and(|hint| hint.contains("cargo xtask gc")));
        let read_only = storage("write to", Path::new("/x"), &io::ErrorKind::ReadOnlyFilesystem.into());
        insta::assert_snapshot!(read_only.hint().unwrap(), @"set KUBELET_IMAGES_STORE to a directory that you can write to");
    }

    #[test]
    fn a_tool_that_died_of_a_full_disk_is_a_storage_fault() {
        let tool = anyhow::Error::new(Fault::new(Kind::ToolFailed, "ld: No space left on device"));
        let error = explain_full_disk(tool, Path::new("/x"));
        assert_eq!(fault::exit_code(&error), 10);
        assert!(format!("{error:#}").contains("ld: No space"));
        let other = explain_full_disk(Fault::new(Kind::ToolFailed, "ld: undefined").into(), Path::new("/x"));
        assert_eq!(fault::exit_code(&other), 8);
    }
}
