//! Why mount(2) failed, in the words of util-linux: scripts and people search for them.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::io::Errno;

use super::options::{BIND, MOVE, RDONLY, REMOUNT};
use crate::mountinfo;

/// The call that failed.
pub(crate) struct Call<'a> {
    pub(crate) source: &'a OsStr,
    pub(crate) target: &'a OsStr,
    pub(crate) fstype: Option<&'a str>,
    pub(crate) flags: u32,
    /// `-w` was given.
    pub(crate) only_writable: bool,
}

/// What to say after `mount: TARGET: `, without the final dot.
pub(crate) fn mount_failed(call: &Call, error: Errno) -> String {
    let source = call.source.to_string_lossy();
    let target = Path::new(call.target);
    let has = |flags| call.flags & flags != 0;
    let plain = || format!("mount(2) system call failed: {}", describe(error));
    match error {
        Errno::PERM if !rustix::process::geteuid().is_root() => "must be superuser to use mount".into(),
        Errno::PERM | Errno::NOTDIR if !target.is_dir() => "mount point is not a directory".into(),
        Errno::PERM => "permission denied".into(),
        Errno::BUSY if has(REMOUNT) => "mount point is busy".into(),
        Errno::BUSY => {
            match mountinfo::read().ok().as_deref().and_then(|table| mountinfo::of_source(table, call.source))
            {
                Some(entry) => format!("{source} already mounted on {}", entry.target.to_string_lossy()),
                None => format!("{source} already mounted or mount point busy"),
            }
        }
        Errno::NOENT if target.symlink_metadata().is_err() => "mount point does not exist".into(),
        Errno::NOENT if target.metadata().is_err() => "mount point is a symbolic link to nowhere".into(),
        Errno::NOENT if !Path::new(call.source).exists() && !has(REMOUNT) => {
            format!("special device {source} does not exist")
        }
        Errno::NOTDIR
            if call.source.to_string_lossy().contains('/') && Path::new(call.source).metadata().is_err() =>
        {
            format!("special device {source} does not exist (a path prefix is not a directory)")
        }
        Errno::INVAL if has(REMOUNT) => "mount point not mounted or bad option".into(),
        Errno::INVAL => format!(
            "wrong fs type, bad option, bad superblock on {source}, missing codepage or helper program, or other error{}",
            if has(MOVE) { " (a mount below a shared one cannot be moved)" } else { "" }
        ),
        Errno::MFILE => "mount table full".into(),
        Errno::IO => format!("can't read superblock on {source}"),
        Errno::NODEV => match call.fstype {
            Some(fstype) => format!("unknown filesystem type '{fstype}'"),
            None => "unknown filesystem type".into(),
        },
        Errno::NOTBLK => not_a_block_device(call.source),
        Errno::NXIO => format!("{source} is not a valid block device"),
        Errno::ACCESS | Errno::ROFS if has(RDONLY) => format!("cannot mount {source} read-only"),
        Errno::ACCESS | Errno::ROFS if call.only_writable => {
            format!("{source} is write-protected but explicit read-write mode requested")
        }
        Errno::ACCESS | Errno::ROFS if has(REMOUNT) => {
            format!("cannot remount {source} read-write, is write-protected")
        }
        Errno::ACCESS | Errno::ROFS if has(BIND) => format!("bind {source} failed"),
        Errno::NOMEDIUM => format!("no medium found on {source}"),
        Errno::BADMSG => format!("cannot mount; probably corrupted filesystem on {source}"),
        _ => plain(),
    }
}

/// Why the propagation of a mount could not be changed.
pub(crate) fn propagation_failed(target: &OsStr, error: Errno) -> String {
    if error == Errno::INVAL {
        return "not mount point or bad option".into();
    }
    mount_failed(
        &Call { source: OsStr::new("none"), target, fstype: None, flags: 0, only_writable: false },
        error,
    )
}

fn not_a_block_device(source: &OsStr) -> String {
    let name = source.to_string_lossy();
    match Path::new(source).metadata() {
        Ok(found) if found.is_file() => {
            format!(
                "{name} is not a block device, and this mount makes no loop devices: set one up by losetup and mount that"
            )
        }
        Ok(found) if found.file_type().is_block_device() => {
            format!(
                "the kernel does not recognize {name} as a block device; maybe \"modprobe driver\" is necessary"
            )
        }
        _ => format!("{name} is not a block device"),
    }
}

/// The error as strerror(3) has it.
pub(crate) fn describe(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(source: &str, target: &str, fstype: Option<&str>, flags: u32, error: Errno) -> String {
        let (source, target) = (OsStr::new(source), OsStr::new(target));
        mount_failed(&Call { source, target, fstype, flags, only_writable: false }, error)
    }

    #[test]
    fn errors_in_the_words_of_util_linux() {
        for (source, target, flags, error, expected) in [
            ("x", "/nope", 0, Errno::NOENT, "mount point does not exist"),
            ("nope", "/", 0, Errno::NOENT, "special device nope does not exist"),
            ("/", "/", 0, Errno::NOENT, "mount(2) system call failed: No such file or directory"),
            ("/", "/etc/passwd", 0, Errno::NOTDIR, "mount point is not a directory"),
            ("/etc/passwd", "/etc", 0, Errno::NOTDIR, "mount(2) system call failed: Not a directory"),
            ("x", "/", REMOUNT, Errno::INVAL, "mount point not mounted or bad option"),
            ("x", "/", REMOUNT, Errno::BUSY, "mount point is busy"),
            ("nope", "/", 0, Errno::BUSY, "nope already mounted or mount point busy"),
            ("/dev/null", "/", 0, Errno::NOTBLK, "/dev/null is not a block device"),
            ("x", "/", RDONLY, Errno::ROFS, "cannot mount x read-only"),
            ("x", "/", REMOUNT, Errno::ROFS, "cannot remount x read-write, is write-protected"),
            ("x", "/", BIND, Errno::ACCESS, "bind x failed"),
            ("x", "/", 0, Errno::IO, "can't read superblock on x"),
            ("x", "/", 0, Errno::NOSPC, "mount(2) system call failed: No space left on device"),
        ] {
            assert_eq!(say(source, target, None, flags, error), expected);
        }
        assert_eq!(say("x", "/", Some("foo"), 0, Errno::NODEV), "unknown filesystem type 'foo'");
        assert!(say("/etc/passwd", "/", None, 0, Errno::NOTBLK).contains("losetup"));
        assert_eq!(propagation_failed(OsStr::new("/"), Errno::INVAL), "not mount point or bad option");
    }
}
