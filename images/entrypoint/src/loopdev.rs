//! Frees a loop device, for `umount -d`. Making them is left to losetup(8).
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

/// `LOOP_CLR_FD` of linux/loop.h.
const LOOP_CLR_FD: libc::Ioctl = 0x4C01;

/// Detaches the file from a loop device; any other source has nothing to be freed.
pub(crate) fn detach(source: &OsStr) -> io::Result<()> {
    if !is_loop(source) {
        return Ok(());
    }
    // Not waiting, should it be a pipe.
    let device = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(source)?;
    // SAFETY: the descriptor is open, and LOOP_CLR_FD takes no pointer.
    if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD, 0) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // ENXIO: it freed itself with the last mount.
    if error.raw_os_error() == Some(libc::ENXIO) { Ok(()) } else { Err(error) }
}

fn is_loop(source: &OsStr) -> bool {
    source
        .as_bytes()
        .strip_prefix(b"/dev/loop")
        .is_some_and(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loop_devices_are_told_by_name() {
        for (source, is) in [
            ("/dev/loop0", true),
            ("/dev/loop12", true),
            ("/dev/loop", false),
            ("/dev/loop0p1", false),
            ("tmpfs", false),
        ] {
            assert_eq!(is_loop(OsStr::new(source)), is, "{source}");
        }
        assert!(detach(OsStr::new("/dev/vda")).is_ok());
    }
}
