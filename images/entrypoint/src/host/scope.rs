//! `systemd-run`, which mount-utils puts before `mount` where it works, so that a helper's daemon outlives the kubelet.
//!
//! The host's one runs the host's `mount` in the host's mount namespace. That is right for mount points which are shared
//! with the host, as the kubelet's are. A mount at any other would be made where nobody looks for it: it is made here,
//! and without a scope.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::mounts::shares;
use crate::mount;

/// The exit code of the mount, if it is made here instead.
pub(super) fn instead(name: &OsStr, args: &[OsString]) -> Option<u8> {
    if name != "systemd-run" {
        return None;
    }
    let words = mount_words(args)?;
    let target = words.last()?;
    shares(Path::new(target)).is_err().then(|| mount::main(words.to_vec()))
}

/// The words after `mount`, of `systemd-run ... -- mount ...`.
fn mount_words(args: &[OsString]) -> Option<&[OsString]> {
    let at = args.iter().position(|word| word == "--")?;
    let (command, words) = args[at + 1..].split_first()?;
    (Path::new(command).file_name()? == "mount").then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_the_probe() {
        let words = |line: &str| -> Option<Vec<String>> {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Some(mount_words(&args)?.iter().map(|word| word.to_string_lossy().into_owned()).collect())
        };
        let scope = "--description=Kubernetes --scope --";
        assert_eq!(words(&format!("{scope} mount -t nfs h:/x /y")).unwrap(), ["-t", "nfs", "h:/x", "/y"]);
        assert_eq!(words(&format!("{scope} /bin/mount /y")).unwrap(), ["/y"]);
        assert_eq!(words("--description=probe --scope true"), None);
        assert_eq!(words(&format!("{scope} umount /y")), None);
        assert_eq!(words("--scope --"), None);
    }
}
