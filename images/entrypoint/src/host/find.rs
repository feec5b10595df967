//! Finds programs of the host, in the host's mount namespace: with its links, and whichever filesystems it has them on.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::access::{Closed, visit};
use super::setting;
use crate::child::captured;
use crate::path::is_program;

/// Where hosts have programs: first what distributions agree on, then NixOS, Guix, Flatcar, and Android's toybox.
pub(super) const PLACES: [&str; 12] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/run/wrappers/bin",
    "/run/current-system/sw/bin",
    "/run/current-system/profile/sbin",
    "/run/current-system/profile/bin",
    "/opt/sbin",
    "/opt/bin",
];
/// How long a program may take to say which one it is.
const LIMIT: Duration = Duration::from_secs(5);

/// Why a program of the host cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The host cannot be looked at.
    Closed(Closed),
    /// It is in none of its usual places.
    Nowhere,
    /// What is there would be worse than nothing.
    Unfit(PathBuf, &'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => write!(to, "the host's is not run: {closed}"),
            Self::Nowhere => write!(to, "not found on the host"),
            Self::Unfit(path, why) => write!(to, "the host's {} is not run: {why}", path.display()),
        }
    }
}

/// Where the host has each of these programs, by one look at it.
pub(crate) fn find_all(programs: &[&str]) -> Result<Vec<Result<PathBuf, Missing>>, Closed> {
    let places = places()?;
    visit(|| programs.iter().map(|program| search(program, &places)).collect())
}

/// The host's helper program for a type of filesystem, by util-linux's rules.
pub(crate) fn mount_helper(names: &[String]) -> Result<PathBuf, Missing> {
    let mut places = places().map_err(Missing::Closed)?;
    places.insert(0, "/sbin".into());
    visit(|| names.iter().find_map(|name| search(name, &places).ok()))
        .map_err(Missing::Closed)?
        .ok_or(Missing::Nowhere)
}

/// The directories to look in.
pub(super) fn places() -> Result<Vec<PathBuf>, Closed> {
    let setting = setting();
    if setting == "off" {
        return Err(Closed::Off);
    }
    // What is not absolute is a word that means nothing here.
    let first = std::env::split_paths(&setting).filter(|dir| dir.is_absolute());
    Ok(first.chain(PLACES.iter().map(PathBuf::from)).collect())
}

/// Looks with the host's eyes.
pub(super) fn search(program: &str, places: &[PathBuf]) -> Result<PathBuf, Missing> {
    let own = std::fs::metadata("/proc/self/exe").map(|own| (own.dev(), own.ino())).ok();
    let is_other = |path: &PathBuf| path.metadata().is_ok_and(|file| Some((file.dev(), file.ino())) != own);
    let mut missing = Missing::Nowhere;
    for path in places.iter().map(|dir| dir.join(program)).filter(|path| is_program(path)).filter(is_other) {
        match unfit(program, &path) {
            None => return Ok(path),
            Some(why) => missing = Missing::Unfit(path, why),
        }
    }
    Err(missing)
}

/// Why a program of the right name would do harm.
fn unfit(program: &str, path: &Path) -> Option<&'static str> {
    if program != "blkid" {
        return None;
    }
    // mount-utils formats what `blkid -p` calls empty. Others of this name, BusyBox's among them, do not know `-p`,
    // and end with success and nothing said of a disk that is full of data of a kind they do not know.
    let version = captured(Command::new(path).arg("-V"), LIMIT);
    let known = version.is_ok_and(|version| version.text.contains("util-linux"));
    (!known).then_some("it is not util-linux's, which alone tells an empty disk from one with unknown data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_executable_is_found() {
        let places = ["/nowhere", "/etc", "/usr/bin", "/bin"].map(PathBuf::from);
        assert_eq!(search("sh", &places), Ok("/usr/bin/sh".into()));
        assert_eq!(search("passwd", &places[..2]), Err(Missing::Nowhere));
        assert_eq!(search("no-such-program", &places), Err(Missing::Nowhere));
    }

    #[test]
    fn never_ourselves() {
        let own = std::env::current_exe().unwrap();
        let places = [own.parent().unwrap().to_owned()];
        let name = own.file_name().unwrap().to_str().unwrap();
        assert_eq!(search(name, &places), Err(Missing::Nowhere));
    }

    #[test]
    fn a_blkid_that_is_not_util_linuxs_is_refused() {
        let dir = std::env::temp_dir().join(format!("blkid-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("blkid");
        let says = |text: &str| {
            std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            rustix::fs::chmod(&file, 0o755.into()).unwrap();
            search("blkid", std::slice::from_ref(&dir))
        };
        assert!(matches!(says("true"), Err(Missing::Unfit(path, _)) if path == file));
        assert!(matches!(says("echo blkid 1.0.0 from e2fsprogs"), Err(Missing::Unfit(..))));
        assert_eq!(says("echo blkid from util-linux 2.38"), Ok(file.clone()));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
