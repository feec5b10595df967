//! Opens what others wrote.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

/// No document of a checkout, and none that a command line names, is longer, in bytes.
pub const DOCUMENT: u64 = 64 << 20;

/// Opens a regular file, and tells its size. A link, a pipe or a device in its place is refused: neither followed nor
/// waited for.
///
/// # Errors
/// [`Kind::InvalidData`] for what is not a regular file, else what the file system gives.
pub fn open(path: &Path) -> Result<(File, u64)> {
    regular(rustix::fs::CWD, path, path, OFlags::NOFOLLOW)
}

/// The same for a file that the user's own settings name, or that is ours: links to it are followed.
///
/// # Errors
/// As [`open`].
pub fn open_named(path: &Path) -> Result<(File, u64)> {
    regular(rustix::fs::CWD, path, path, OFlags::empty())
}

/// The same for a file below a directory: the directory may be reached by links, for it is the user who names it, but
/// nothing in it may be one.
///
/// # Errors
/// As [`open`].
pub fn open_below(dir: &Path, names: &[&str]) -> Result<(File, u64)> {
    let shown = names.iter().fold(dir.to_owned(), |path, name| path.join(name));
    let fail = |error: Errno| {
        let error = io::Error::from(error);
        Err(error).with_context(|| format!("cannot read {}", shown.display()))
    };
    let Some((file, above)) = names.split_last() else { return fail(Errno::ISDIR) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = match rustix::fs::open(dir, flags, Mode::empty()) {
        Ok(found) => found,
        Err(error) => return fail(error),
    };
    let mut reached = dir.to_owned();
    for name in above {
        reached.push(name);
        at = match openat(&at, *name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let message = format!("{} is not a directory, or is a link", reached.display());
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
            Err(error) => return fail(error),
        };
    }
    regular(&at, Path::new(file), &shown, OFlags::NOFOLLOW)
}

/// Reads a file that the user's own settings name, so that links to it are followed; none if it is not there.
///
/// # Errors
/// [`Kind::InvalidData`] for what is not a regular file or has more than `limit` bytes, else what the file system gives.
pub fn read_named(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let (file, _) = match open_named(path) {
        Err(error) if error.downcast_ref().is_some_and(is_absent) => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    let name = || format!("cannot read {}", path.display());
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).with_context(name)?;
    if bytes.len() as u64 > limit {
        let message = format!("{} has more than {limit} bytes", path.display());
        return Err(Fault::new(Kind::InvalidData, message).into());
    }
    Ok(Some(bytes))
}

/// Reads a file that a command line names, or that a checkout must have.
///
/// # Errors
/// [`Kind::NotFound`] where there is no such file, [`Kind::InvalidData`] for what is not a regular file or has more than `limit`
/// bytes, else what the file system gives.
pub fn read_required(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let absent = || Fault::new(Kind::NotFound, format!("there is no file {}", path.display()));
    match read_named(path, limit) {
        Ok(found) => Ok(found.ok_or_else(absent)?),
        // Of a path through a file, or of a name that none can have.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(is_no_path) => Err(absent().into()),
        Err(error) => Err(error),
    }
}

/// The same as text.
///
/// # Errors
/// As [`read_required`], and [`Kind::InvalidData`] for what is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    let bytes = read_required(path, limit)?;
    let not_text = |_| Fault::new(Kind::InvalidData, format!("{} is not text in UTF-8", path.display()));
    Ok(String::from_utf8(bytes).map_err(not_text)?)
}

fn is_no_path(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename)
}

fn regular(at: impl std::os::fd::AsFd, path: &Path, shown: &Path, links: OFlags) -> Result<(File, u64)> {
    // A pipe without a writer would be waited for.
    let flags = links | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let refuse = || Fault::new(Kind::InvalidData, format!("{} is not a regular file", shown.display()));
    let file = match openat(at, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A socket, or a device that has no driver.
        Err(Errno::NXIO | Errno::NODEV) => return Err(refuse().into()),
        Err(Errno::LOOP) if links == OFlags::NOFOLLOW => return Err(refuse().into()),
        Err(error) => {
            let error = io::Error::from(error);
            return Err(error).with_context(|| format!("cannot read {}", shown.display()));
        }
    };
    let metadata = file.metadata().with_context(|| format!("cannot read {}", shown.display()))?;
    if !metadata.is_file() {
        return Err(refuse().into());
    }
    Ok((file, metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("in/dir")).unwrap();
        fs::write(at("in/dir/file"), "12345").unwrap();
        symlink(at("in/dir/file"), at("in/dir/link")).unwrap();
        symlink("dir", at("in/linked")).unwrap();
        symlink("in", at("named")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("in/dir/pipe"), Mode::RWXU).unwrap();
        let _socket = UnixListener::bind(at("in/dir/socket")).unwrap();

        assert_eq!(open(&at("in/dir/file")).unwrap().1, 5);
        // The user's own words may be links.
        assert_eq!(open_below(&at("named"), &["dir", "file"]).unwrap().1, 5);
        for names in [
            &["dir", "link"][..],
            &["linked", "file"],
            &["dir", "pipe"],
            &["dir", "socket"],
            &["dir"],
            &["dir", "file", "x"],
        ] {
            let error = open_below(&at("in"), names).unwrap_err();
            assert_eq!(fault::exit_code(&error), 3, "{names:?}: {error:#}");
        }
        assert_eq!(fault::exit_code(&open(Path::new("/dev/null")).unwrap_err()), 3);
        // What a command line names: whatever is wrong with it, it is not the disk.
        fs::write(at("in/latin"), b"caf\xe9").unwrap();
        assert_eq!(read_text(&at("in/dir/link"), 5).unwrap(), "12345");
        for (path, code, words) in [
            (at("in/dir/file"), 3, "has more than 4 bytes"),
            (at("in/dir"), 3, "is not a regular file"),
            (at("in/dir/pipe"), 3, "is not a regular file"),
            (at("in/dir/socket"), 3, "is not a regular file"),
            ("/dev/null".into(), 3, "is not a regular file"),
            (at("in/latin"), 3, "is not text in UTF-8"),
            (at("in/none"), 4, "there is no file"),
            (at("in/dir/file/x"), 4, "there is no file"),
            (at(&"x".repeat(5000)), 4, "there is no file"),
            (dir.path().join(OsStr::from_bytes(b"\xff")), 4, "there is no file"),
            ("".into(), 4, "there is no file"),
        ] {
            let limit = if path.ends_with("file") { 4 } else { 100 };
            let error = read_text(&path, limit).unwrap_err();
            assert_eq!(fault::exit_code(&error), code, "{error:#}");
            assert!(error.to_string().contains(words), "{error:#}");
        }
        assert_eq!(fault::exit_code(&open_below(&at("in"), &["none"]).unwrap_err()), 10);
    }
}
