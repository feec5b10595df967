//! The helper programs of filesystems, mount.TYPE and umount.TYPE.

use std::path::PathBuf;

use crate::path::is_program;

/// Where helpers are looked for, as util-linux does.
const DIRS: [&str; 4] = ["/sbin", "/sbin/fs.d", "/sbin/fs", "/usr/sbin"];

/// Filesystems the kernel does not mount by itself from what people write, or not at all.
const NEED_ONE: [&str; 9] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "glusterfs", "ceph", "fuse", "ntfs-3g"];

/// The helper of a type, if it is installed: for `fuse.sshfs` that of `fuse.sshfs`, else of `fuse`.
pub(crate) fn find(command: &str, fstype: &str) -> Option<PathBuf> {
    let paths = names(command, fstype)
        .into_iter()
        .flat_map(|name| DIRS.iter().map(move |dir| PathBuf::from(format!("{dir}/{name}"))));
    paths.into_iter().find(|path| is_program(path))
}

/// What the helper of a type may be called, the first that is there.
pub(crate) fn names(command: &str, fstype: &str) -> Vec<String> {
    // A type names a file here, so it must not lead elsewhere.
    if fstype.is_empty() || fstype.contains('/') {
        return Vec::new();
    }
    let base = fstype.split_once('.').map_or(fstype, |(base, _)| base);
    [fstype, base].iter().map(|name| format!("{command}.{name}")).collect()
}

/// The name of the helper without which this type will hardly be mounted.
pub(crate) fn needed(fstype: &str) -> Option<String> {
    let base = fstype.split_once('.').map_or(fstype, |(base, _)| base);
    NEED_ONE.contains(&base).then(|| format!("/sbin/mount.{fstype}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_a_helper() {
        assert_eq!(needed("nfs").as_deref(), Some("/sbin/mount.nfs"));
        assert_eq!(needed("fuse.sshfs").as_deref(), Some("/sbin/mount.fuse.sshfs"));
        assert_eq!(needed("ext4"), None);
        assert_eq!(needed("nfsd"), None);
    }

    #[test]
    fn a_type_is_no_path() {
        assert_eq!(find("mount", "../../bin/sh"), None);
        assert_eq!(find("mount", ""), None);
        assert_eq!(find("mount", "no-such-type"), None);
    }
}
