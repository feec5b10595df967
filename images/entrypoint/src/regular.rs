//! Opens what should be regular files and is named by users, or by what a host has: the open of a pipe (FIFO) waits
//! without end for its other side, and the mere open of a device can mean something (a watchdog begins to count).

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, makedev};
use rustix::io::Errno;

/// More is not read of a file, in bytes: nothing that is read here is that long.
const LONGEST: u64 = 1 << 20;

/// It is there, and nothing that is read.
#[derive(Debug)]
struct Special(&'static str);

impl fmt::Display for Special {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "it is {}, not a regular file", self.0)
    }
}

impl std::error::Error for Special {}

/// What a file is of which an open may wait or act; none for files and directories, and for /dev/null, which is empty.
fn special(stat: &Stat) -> Option<&'static str> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Some("a pipe (FIFO)"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice if stat.st_rdev == makedev(1, 3) => None,
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        _ => None,
    }
}

/// Opens a file for reading; an error where it is not a regular one, or the path is missing.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_by(|flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()))
}

/// The same of what `open` opens with the flags that it is given.
pub(crate) fn open_by(open: impl Fn(OFlags) -> Result<OwnedFd, Errno>) -> io::Result<File> {
    let checked = |file: OwnedFd| match special(&rustix::fs::fstat(&file)?) {
        Some(what) => Err(io::Error::other(Special(what))),
        None => Ok(file),
    };
    checked(open(OFlags::PATH)?)?;
    // By now it may be something else.
    checked(open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?).map(File::from)
}

/// The bytes of a file, up to [`LONGEST`].
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    bytes_of(open(path)?)
}

/// The text of a file, up to [`LONGEST`].
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    text_of(open(path)?)
}

/// The text of what is open, up to [`LONGEST`].
pub(crate) fn text_of(file: File) -> io::Result<String> {
    String::from_utf8(bytes_of(file)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn bytes_of(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Is this error that something is there which is not a regular file?
pub(crate) fn is_special(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Special>()).is_some()
}

/// Why a program that opens this path as a file would wait for it, or read what has no end.
pub(crate) fn why_unreadable(path: &Path) -> Option<String> {
    let stat = rustix::fs::stat(path).ok()?;
    special(&stat).map(|what| Special(what).to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::fs::CWD;

    use super::*;

    /// Makes one of everything that is not a regular file, and what messages call it; devices only as root.
    pub(crate) fn specials(dir: &Path) -> Vec<(PathBuf, &'static str)> {
        std::fs::create_dir_all(dir).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        let (fifo, link, socket) = (dir.join("fifo"), dir.join("link"), dir.join("socket"));
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        drop(UnixListener::bind(&socket).unwrap());
        vec![
            (fifo, "a pipe (FIFO)"),
            (link, "a pipe (FIFO)"),
            (socket, "a socket"),
            ("/dev/zero".into(), "a device"),
        ]
    }

    /// What is done within ten seconds, which nothing that waits for a pipe is.
    pub(crate) fn in_time<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        std::thread::spawn(move || done.send(what()));
        result.recv_timeout(Duration::from_secs(10)).expect("it ends in time")
    }

    #[test]
    fn only_regular_files_are_read() {
        let dir = std::env::temp_dir().join(format!("entrypoint-regular-{}", std::process::id()));
        for (path, what) in specials(&dir) {
            let expected = format!("it is {what}, not a regular file");
            assert_eq!(why_unreadable(&path), Some(expected.clone()));
            let error = in_time(move || read(&path).unwrap_err());
            assert!(is_special(&error), "{error}");
            assert_eq!(error.to_string(), expected);
        }
        let file = dir.join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(read_text(&file).unwrap(), "text");
        assert_eq!(read_text(Path::new("/dev/null")).unwrap(), "", "how files are masked");
        for path in [&dir, &dir.join("missing")] {
            assert!(!is_special(&read(path).unwrap_err()) && why_unreadable(path).is_none());
        }
        std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
        assert_eq!(read(&file).unwrap().len() as u64, LONGEST);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
