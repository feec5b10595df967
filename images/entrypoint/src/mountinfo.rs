//! The table of mounts, /proc/self/mountinfo (proc(5)).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::failure::{Failure, SYSTEM};

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// Major and minor number of the filesystem: `8:1`.
    pub(crate) device: String,
    /// What of the filesystem is mounted: `/` is all of it.
    pub(crate) root: OsString,
    pub(crate) target: OsString,
    pub(crate) fstype: String,
    pub(crate) source: OsString,
    /// Options of this mount: `ro`, `nosuid` ...
    mount_options: String,
    /// The peer group that it shares mounts with, if it shares them.
    pub(crate) shared: Option<u32>,
    /// The peer group that it receives mounts from.
    pub(crate) master: Option<u32>,
    /// Options of the filesystem: `ro`, `size=4k` ...
    super_options: String,
}

impl Entry {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = text(fields.next()?).parse().ok()?;
        let parent = text(fields.next()?).parse().ok()?;
        let device = text(fields.next()?);
        let root = unescape(fields.next()?);
        let target = unescape(fields.next()?);
        let mount_options = text(fields.next()?);
        let (mut shared, mut master) = (None, None);
        loop {
            let field = text(fields.next()?);
            match field.split_once(':') {
                Some(("shared", group)) => shared = group.parse().ok(),
                Some(("master", group)) => master = group.parse().ok(),
                None if field == "-" => break,
                _ => {}
            }
        }
        let fstype = text(fields.next()?);
        let source = unescape(fields.next()?);
        let super_options = text(fields.next()?);
        Some(Self {
            id,
            parent,
            device,
            root,
            target,
            fstype,
            source,
            mount_options,
            shared,
            master,
            super_options,
        })
    }

    /// May nothing be written to it, because of the mount or of the filesystem?
    pub(crate) fn is_read_only(&self) -> bool {
        self.mount_options.split(',').chain(self.super_options.split(',')).any(|option| option == "ro")
    }

    /// Both kinds of options in one list, `rw` or `ro` (if either is) first.
    pub(crate) fn options(&self) -> String {
        let all = || self.mount_options.split(',').chain(self.super_options.split(','));
        let mut list = vec![if all().any(|option| option == "ro") { "ro" } else { "rw" }];
        list.extend(all().filter(|option| !matches!(*option, "" | "ro" | "rw")));
        list.join(",")
    }
}

/// Reads the table of the calling process's mount namespace.
pub(crate) fn read() -> Result<Vec<Entry>, Failure> {
    match std::fs::read("/proc/self/mountinfo") {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) => Err(Failure::new(SYSTEM, format!("failed to read /proc/self/mountinfo: {error}"))),
    }
}

/// Reads the table of another process's mount namespace, or none where that may not be seen.
pub(crate) fn of_process(pid: u32) -> Option<Vec<Entry>> {
    std::fs::read(format!("/proc/{pid}/mountinfo")).ok().map(|bytes| parse(&bytes))
}

/// The mount that `path` is on, of the table of our mount namespace.
pub(crate) fn of_path<'a>(table: &'a [Entry], path: &Path) -> Option<&'a Entry> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    of_file(table, &rustix::fs::open(path, flags, Mode::empty()).ok()?)
}

/// The mount that an open file is on, of the table of the mount namespace that it was opened in: by the mount's number,
/// which the kernel tells of an open file, since a table alone does not say which of its mounts others cover.
pub(crate) fn of_file<'a>(table: &'a [Entry], file: &OwnedFd) -> Option<&'a Entry> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let id: u32 = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())?;
    table.iter().find(|entry| entry.id == id)
}

/// Where a mount is, whatever the directories above it are called: the filesystem that it is mounted on, by its device,
/// and the directory in that. Nothing for the root.
pub(crate) fn place<'a>(table: &'a [Entry], entry: &Entry) -> Option<(&'a str, PathBuf)> {
    let parent = table.iter().find(|other| other.id == entry.parent && other.id != entry.id)?;
    let inner = Path::new(&entry.target).strip_prefix(&parent.target).ok()?;
    Some((&parent.device, Path::new(&parent.root).join(inner)))
}

/// The entries, in the kernel's order; a line that is none is left out.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Entry> {
    bytes.split(|byte| *byte == b'\n').filter_map(Entry::parse).collect()
}

/// The mount that is seen at `target`: of several on top of each other the one that no other covers.
pub(crate) fn at<'a>(table: &'a [Entry], target: &OsStr) -> Option<&'a Entry> {
    let here = || table.iter().filter(|entry| entry.target == target);
    here().rfind(|entry| !here().any(|other| other.parent == entry.id)).or_else(|| here().next_back())
}

/// The last mount of a source.
pub(crate) fn of_source<'a>(table: &'a [Entry], source: &OsStr) -> Option<&'a Entry> {
    table.iter().rfind(|entry| entry.source == source)
}

/// The mounts below `top`, each before the one it is mounted on, then `top` itself.
pub(crate) fn tree<'a>(table: &'a [Entry], top: &'a Entry) -> Vec<&'a Entry> {
    let mut order = vec![top];
    let mut next = 0;
    while let Some(parent) = order.get(next) {
        // The root may be its own parent; nothing else is ever listed twice.
        let children = table.iter().filter(|entry| entry.parent == parent.id && entry.id != entry.parent);
        let fresh: Vec<_> = children.filter(|child| !order.iter().any(|seen| seen.id == child.id)).collect();
        order.extend(fresh);
        next += 1;
    }
    order.reverse();
    order
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) = (first, tail) {
            plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 22 0:26 / /a rw,nosuid - tmpfs tmp\\040fs rw,size=4k
31 30 0:27 / /a rw master:1 propagate_from:2 - tmpfs  rw
32 31 0:28 /x\\134y /a/b\\011c ro,noexec - tmpfs two ro,mode=755
broken line
33 31 0:29 / /z ro - tmpfs three rw
";

    #[test]
    fn lines_are_parsed() {
        let table = parse(TABLE);
        assert_eq!(table.len(), 5);
        assert_eq!(table[1].source, "tmp fs");
        assert_eq!(table[2].source, "");
        assert_eq!(table[3].target, "/a/b\tc");
        assert_eq!(table[0].options(), "rw,relatime,errors=remount-ro");
        assert_eq!(table[3].options(), "ro,noexec,mode=755");
        assert_eq!(table[4].options(), "ro");
        assert_eq!((table[0].shared, table[0].master), (Some(1), None));
        assert_eq!((table[2].shared, table[2].master), (None, Some(1)));
        assert_eq!((table[3].device.as_str(), table[3].root.as_os_str()), ("0:28", OsStr::new("/x\\y")));
        assert!(table[3].is_read_only() && !table[0].is_read_only());
    }

    #[test]
    fn the_topmost_mount_is_found_whatever_the_order() {
        let mut table = parse(TABLE);
        assert_eq!(at(&table, OsStr::new("/a")).unwrap().id, 31);
        table.reverse();
        assert_eq!(at(&table, OsStr::new("/a")).unwrap().id, 31);
        assert_eq!(at(&table, OsStr::new("/b")), None);
        assert_eq!(of_source(&table, OsStr::new("two")).unwrap().id, 32);
    }

    #[test]
    fn a_tree_comes_children_first() {
        let table = parse(TABLE);
        let ids: Vec<u32> =
            tree(&table, at(&table, OsStr::new("/a")).unwrap()).iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [33, 32, 31]);
    }

    #[test]
    fn a_place_is_the_same_by_every_name() {
        // A disk at /data, with /var/lib/kubelet as a link to /data/kubelet; and that directory in a container.
        let host = parse(
            b"1 0 254:0 / / rw shared:1 - ext4 a rw\n2 1 8:1 / /data rw shared:2 - ext4 b rw\n\
              3 2 0:50 / /data/kubelet/pods/x rw shared:3 - tmpfs t rw\n4 3 8:1 /f /data/kubelet/pods/x/y rw - ext4 b rw\n",
        );
        let own = parse(
            b"9 8 0:40 / / rw - overlay o rw\n5 9 8:1 /kubelet /var/lib/kubelet rw - ext4 b rw\n\
              6 5 0:50 / /var/lib/kubelet/pods/x rw - tmpfs t rw\n7 6 8:1 /f /var/lib/kubelet/pods/x/y rw - ext4 b rw\n",
        );
        assert_eq!(place(&host, &host[2]), Some(("8:1", PathBuf::from("/kubelet/pods/x"))));
        assert_eq!(place(&own, &own[2]), place(&host, &host[2]));
        assert_eq!(place(&own, &own[3]), Some(("0:50", PathBuf::from("/y"))));
        assert_eq!(place(&own, &own[3]), place(&host, &host[3]));
        assert_eq!(place(&host, &host[0]), None);
    }

    #[test]
    fn a_root_that_is_its_own_parent_ends() {
        let table = parse(b"1 1 0:1 / / rw - rootfs rootfs rw\n2 1 0:2 / /x rw - tmpfs t rw\n");
        assert_eq!(tree(&table, &table[0]).len(), 2);
    }

    #[test]
    fn a_path_is_on_the_mount_that_the_kernel_says() {
        let table = read().unwrap();
        assert_eq!(of_path(&table, Path::new("/proc/self/status")).unwrap().fstype, "proc");
        assert_eq!(of_path(&table, Path::new("/no/such/path")), None);
    }

    #[test]
    fn any_bytes_are_survived() {
        for length in 0..TABLE.len() {
            parse(&TABLE[..length]);
            parse(&TABLE[length..]);
        }
        assert_eq!(unescape(b"\\04\\999\\"), "\\04\\999\\");
    }
}
