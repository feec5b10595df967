//! Writes where the user said.

use std::fs::{File, FileType, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use rustix::fs::OFlags;

/// How often it is looked whether a pipe has a reader, or room.
const PAUSE: Duration = Duration::from_millis(20);

/// Writes a file whole or not at all, by renaming a complete one, whose mode is 0644 whatever the umask. Only a regular
/// file is replaced so, or nothing at all. Into a pipe or a character device (`/dev/null`, `/dev/stdout`) the bytes are
/// written as they are.
///
/// # Errors
/// [`Kind::Usage`] for a directory, a link, a socket or a disk in its place, and where there is no directory to write it
/// in; [`Kind::Interrupted`], and what the file system gives.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, 0o644, |out| out.write_all(bytes).map_err(anyhow::Error::from))
}

/// The same with a mode, and bytes that come one after the other.
///
/// # Errors
/// As [`write`], and those of `fill`.
pub fn write_with(path: &Path, mode: u32, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let name = || format!("cannot write {}", path.display());
    let refuse = |what: &str, help: &str| {
        Err(Fault::new(Kind::Usage, format!("cannot write {}: it is {what}", path.display()))
            .help(help)
            .into())
    };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.file_name().is_some() && !dir.is_dir() {
        let text = format!("cannot write {}: there is no directory {}", path.display(), dir.display());
        return Err(Fault::new(Kind::Usage, text).help("make it, or name a file elsewhere").into());
    }
    let found = match kind(path) {
        Ok(None) if path.as_os_str().is_empty() => return refuse("no name at all", "name a file"),
        Ok(None) => return replace(path, dir, mode, fill),
        Ok(Some(found)) => found,
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            return refuse("a name that no file can have", "name a file");
        }
        Err(error) => return Err(error).with_context(name),
    };
    if found.is_file() {
        return replace(path, dir, mode, fill);
    }
    if found.is_symlink() {
        return match descriptor(path) {
            Some(Descriptor::Output) => fill(&mut io::stdout().lock()),
            Some(Descriptor::Error) => fill(&mut io::stderr().lock()),
            Some(Descriptor::Other(path)) => through(&path, OFlags::APPEND, fill),
            None => refuse("a symbolic link, which is not followed", "name the file that it leads to"),
        };
    }
    if found.is_char_device() || found.is_fifo() {
        return through(path, OFlags::NOFOLLOW, fill);
    }
    let what = match () {
        () if found.is_dir() => "a directory",
        () if found.is_block_device() => "a disk",
        () => "a socket",
    };
    refuse(what, "name a file")
}

fn kind(path: &Path) -> io::Result<Option<FileType>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A link in form alone: it stands for what this process has open.
enum Descriptor {
    Output,
    Error,
    Other(PathBuf),
}

/// Is this `/dev/stdout`, `/dev/stderr` or `/dev/fd/N`, as shells write `>(program)`? They are links of the kernel's
/// own, which nobody can turn elsewhere.
fn descriptor(path: &Path) -> Option<Descriptor> {
    let target = match path.to_str() {
        Some("/dev/stdout" | "/dev/stderr") => path.read_link().ok()?,
        _ => path.to_owned(),
    };
    let (dir, name) = (target.parent()?.canonicalize().ok()?, target.file_name()?.to_str()?);
    let own = Path::new("/proc/self/fd").canonicalize().ok()?;
    match name {
        _ if dir != own => None,
        "1" => Some(Descriptor::Output),
        "2" => Some(Descriptor::Error),
        _ => Some(Descriptor::Other(dir.join(name))),
    }
}

fn replace(
    path: &Path,
    dir: &Path,
    mode: u32,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let name = || format!("cannot write {}", path.display());
    let mut new = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(dir).with_context(name)?;
    // What was to be written may not have come: that has words of its own.
    fill(new.as_file_mut()).map_err(|error| match fault::of(&error) {
        Some(_) => error,
        None => error.context(name()),
    })?;
    new.as_file().set_permissions(Permissions::from_mode(mode)).with_context(name)?;
    new.as_file().sync_all().with_context(name)?;
    new.persist(path).map_err(|error| error.error).with_context(name)?;
    Ok(())
}

/// Writes into what is there, without waiting longer than the user does.
fn through(path: &Path, flags: OFlags, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let name = || format!("cannot write {}", path.display());
    let flags = (flags | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let open = || OpenOptions::new().write(true).custom_flags(i32::try_from(flags).unwrap_or(0)).open(path);
    let file = loop {
        exec::interrupt::check()?;
        match open() {
            // A pipe that nobody reads yet.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                std::thread::sleep(PAUSE);
            }
            opened => break opened.with_context(name)?,
        }
    };
    fill(&mut Patient(file)).with_context(name)
}

/// Writes to what may be full for a while.
struct Patient(File);

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    exec::interrupt::check().map_err(io::Error::other)?;
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, makedev, mkfifoat, mknodat};

    use super::*;

    #[test]
    fn a_regular_file_or_nothing_is_replaced_by_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for text in ["one", "another"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
        }
        let failed = write_with(&path, 0o600, |out| {
            out.write_all(b"half")?;
            anyhow::bail!("no more")
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "another");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something half-made was left");
    }

    #[test]
    fn a_pipe_is_written_into_and_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        let (reading, long) = (path.clone(), vec![b'x'; 1 << 20]);
        let reader = std::thread::spawn(move || {
            // Whoever writes comes first.
            std::thread::sleep(Duration::from_millis(60));
            let mut bytes = Vec::new();
            File::open(reading).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        });
        write(&path, &long).unwrap();
        assert!(reader.join().unwrap() == long);
        assert!(path.symlink_metadata().unwrap().file_type().is_fifo());
    }

    #[test]
    fn devices_stay_devices() {
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(Path::new("/dev/null").symlink_metadata().unwrap().file_type().is_char_device());
        // One that only this test has, which may be replaced at no cost if all fails; it wants root.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("null");
        if mknodat(CWD, &path, rustix::fs::FileType::CharacterDevice, Mode::RWXU, makedev(1, 3)).is_ok() {
            // A sandbox may let nobody open what it let be made.
            let _ = write(&path, b"x");
            assert!(path.symlink_metadata().unwrap().file_type().is_char_device());
        }
    }

    #[test]
    fn what_cannot_be_written_stays_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("target"), "kept").unwrap();
        fs::create_dir(at("dir")).unwrap();
        symlink(at("target"), at("link")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        symlink("/proc/self/fd", at("fds")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (name, words) in
            [("dir", "a directory"), ("link", "symbolic link"), ("dangling", "link"), ("socket", "a socket")]
        {
            let before = at(name).symlink_metadata().unwrap().file_type();
            let error = write(&at(name), b"new").unwrap_err();
            assert_eq!(fault::exit_code(&error), 2, "{error:#}");
            assert!(error.to_string().contains(words) && error.to_string().contains(name), "{error:#}");
            assert_eq!(at(name).symlink_metadata().unwrap().file_type(), before);
        }
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "kept");
        assert!(!at("nothing").exists());
        assert!(write(&at("none/file"), b"").is_err());
    }

    #[test]
    fn what_shells_pass_is_written_into() {
        use std::os::fd::AsRawFd;
        let file = tempfile::tempfile().unwrap();
        write(Path::new(&format!("/dev/fd/{}", file.as_raw_fd())), b"through").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 7);
    }
}
