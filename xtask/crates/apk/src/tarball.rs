//! Tar archives as abuild writes them: with checksums, and without devices.

use std::ops::Range;

use anyhow::Result;
use fault::{Fault, Kind};
use fstree::archive::{self, Member, Policy, Reader};
use fstree::tree::{Attributes, Node};

use crate::digest::Checksum;
use crate::limits;

/// The header in which abuild leaves a file's own checksum.
const CHECKSUM: &str = "APK-TOOLS.checksum.SHA1";
/// What stands before the other form of it, in a file's field for a link's target.
pub(crate) const EMBEDDED: &[u8] = b"\0\0\0APK2\x40\0\x14\0";

/// An entry of an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path as it is written, without a slash at its end. Not checked any further.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Mode, owner and extended attributes; those of another name of a file are without meaning.
    pub attributes: Attributes,
    /// The owner's name, empty if there is none.
    pub user: String,
    /// The group's name, empty if there is none.
    pub group: String,
    /// The checksum that the archive itself gives for a file's content, or a link's target.
    pub checksum: Option<Checksum>,
}

/// What an entry is: of a file, where its content lies in the archive.
pub type EntryKind = Node<Range<usize>>;

const POLICY: Policy = Policy {
    entries: limits::ENTRIES,
    extended_header: limits::EXTENDED_HEADER,
    extended_headers: limits::EXTENDED_HEADERS,
    takes: |key| matches!(key, "mtime" | "atime" | "ctime" | "uname" | "gname" | "comment" | CHECKSUM),
};

/// Reads all entries. Beside what [`Reader`] refuses, devices are, and extended headers that change owners. `what` names the
/// archive in errors.
pub fn entries(mut archive: &[u8], what: &str) -> Result<Vec<Entry>> {
    let invalid =
        |why: String| -> anyhow::Error { Fault::new(Kind::Mismatch, format!("{what}: {why}")).into() };
    let mut entries = Vec::new();
    let mut reader = Reader::new(&mut archive, POLICY);
    while let Some(member) = reader.next_member().map_err(|error| invalid(error.to_string()))? {
        let at = |why: String| invalid(format!("`{}`: {why}", member.path.escape_debug()));
        entries.push(entry(&member).map_err(at)?);
    }
    Ok(entries)
}

fn entry(member: &Member) -> Result<Entry, String> {
    let [name, link] = member.name_fields();
    let embedded = if member.kind == archive::Kind::File { embedded_checksum(link) } else { None };
    if !ends_at_first_nul(name) || embedded.is_none() && !ends_at_first_nul(link) {
        return Err("its header hides bytes behind a NUL".into());
    }
    if name[0] == 0 {
        return Err("its header has no name, which some readers take for the end".into());
    }
    let extended = member.records.get(CHECKSUM).map(|hex| {
        let hex = std::str::from_utf8(hex).map_err(|_| "its checksum is not UTF-8")?;
        Checksum::from_sha1_hex(hex).map_err(|error| error.to_string())
    });
    let checksum = match (extended.transpose()?, embedded) {
        (Some(extended), Some(embedded)) if extended != embedded => {
            return Err("it has two checksums that differ".into());
        }
        (extended, embedded) => extended.or(embedded),
    };
    let kind = match &member.kind {
        archive::Kind::Directory => EntryKind::Directory,
        archive::Kind::File => {
            let [start, end] = [member.position, member.position.saturating_add(member.size)]
                .map(|at| usize::try_from(at).map_err(|error| error.to_string()));
            EntryKind::File(start?..end?)
        }
        archive::Kind::Symlink(target) => EntryKind::Symlink(target.clone()),
        archive::Kind::HardLink(target) => EntryKind::HardLink(target.clone()),
        archive::Kind::Special(b'6') => return Err("a named pipe".into()),
        archive::Kind::Special(_) => return Err("a device".into()),
    };
    let [user, group] = member.owner_names().map(|name| std::str::from_utf8(name).map(str::to_owned));
    let not_text = |_| "the name of its owner is not UTF-8";
    let attributes = member.attributes.clone();
    let path = member.path.strip_suffix('/').unwrap_or(&member.path).to_owned();
    let (user, group) = (user.map_err(not_text)?, group.map_err(not_text)?);
    Ok(Entry { path, kind, attributes, user, group, checksum })
}

/// Where abuild leaves a file's own checksum, for a file has no link's target: behind three NULs, `APK2`, the
/// number that OpenSSL gives SHA-1 and its length, both little-endian.
fn embedded_checksum(linkname: &[u8]) -> Option<Checksum> {
    let (sum, rest) = linkname.strip_prefix(EMBEDDED)?.split_first_chunk::<20>()?;
    rest.iter().all(|&byte| byte == 0).then_some(Checksum::Sha1(*sum))
}

/// The header's fields are cut at the first NUL; what lies behind it must not be another name.
fn ends_at_first_nul(field: &[u8]) -> bool {
    field.iter().skip_while(|&&byte| byte != 0).all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tar::{Builder, EntryType, Header};

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o4755);
        header.set_uid(0);
        header.set_gid(42);
        header
    }

    fn archive(fill: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        fill(&mut builder);
        builder.into_inner().unwrap()
    }

    fn one(kind: EntryType, path: &str) -> Vec<u8> {
        archive(|tar| tar.append_data(&mut header(kind, 0), path, &[][..]).unwrap())
    }

    #[test]
    fn files_directories_and_links_are_read() {
        let tar = archive(|tar| {
            tar.append_data(&mut header(EntryType::Directory, 0), "bin/", &[][..]).unwrap();
            tar.append_pax_extensions([
                (CHECKSUM, b"a9993e364706816aba3e25717850c26c9cd0d89d".as_slice()),
                ("SCHILY.xattr.security.capability", b"\x01\0\0".as_slice()),
            ])
            .unwrap();
            tar.append_data(&mut header(EntryType::Regular, 3), "bin/a", &b"abc"[..]).unwrap();
            tar.append_link(&mut header(EntryType::Symlink, 0), "bin/b", "a").unwrap();
            tar.append_link(&mut header(EntryType::Link, 0), "bin/c", "bin/a").unwrap();
            let long = "d/".repeat(99) + "e";
            tar.append_data(&mut header(EntryType::Regular, 0), long, &[][..]).unwrap();
        });
        let read = entries(&tar, "it").unwrap();
        assert_eq!(read[0].path, "bin");
        let EntryKind::File(range) = read[1].kind.clone() else { panic!() };
        assert_eq!(&tar[range], b"abc");
        assert!(read[1].checksum.unwrap().is_of(b"abc"));
        assert_eq!(read[1].attributes.xattrs["security.capability"], [1, 0, 0]);
        assert_eq!(
            (read[1].attributes.mode, read[1].attributes.uid, read[1].attributes.gid),
            (0o4755, 0, 42)
        );
        assert_eq!(read[2].kind, EntryKind::Symlink("a".into()));
        assert_eq!(read[3].kind, EntryKind::HardLink("bin/a".into()));
        assert_eq!(read[4].path.len(), 199);
    }

    #[test]
    fn a_checksum_may_be_in_the_header() {
        let with = |more: &[u8], extended: Option<&str>| {
            archive(|tar| {
                if let Some(hex) = extended {
                    tar.append_pax_extensions([(CHECKSUM, hex.as_bytes())]).unwrap();
                }
                let mut header = header(EntryType::Regular, 0);
                header.set_path("a").unwrap();
                let Checksum::Sha1(sum) = Checksum::sha1_of(b"") else { panic!() };
                let field = [EMBEDDED, &sum, more].concat();
                header.as_old_mut().linkname[..field.len()].copy_from_slice(&field);
                header.set_cksum();
                tar.append(&header, &[][..]).unwrap();
            })
        };
        assert_eq!(entries(&with(b"", None), "it").unwrap()[0].checksum, Some(Checksum::sha1_of(b"")));
        assert!(entries(&with(b"x", None), "it").is_err());
        let same = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(entries(&with(b"", Some(same)), "it").unwrap().len(), 1);
        let other = entries(&with(b"", Some(&same.replace("da", "ad"))), "it").unwrap_err();
        insta::assert_snapshot!(other, @"it: `a`: it has two checksums that differ");
    }

    #[test]
    fn a_cut_archive_has_no_end_and_needs_none() {
        let tar = one(EntryType::Directory, "a");
        assert_eq!(entries(&tar[..512], "it").unwrap().len(), 1);
        assert_eq!(entries(&[], "it").unwrap().len(), 0);
        assert!(entries(&tar[..300], "it").is_err());
    }

    #[test]
    fn other_kinds_are_refused() {
        for kind in
            [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Continuous, EntryType::GNUSparse]
        {
            assert!(entries(&one(kind, "dev/sda"), "it").is_err(), "{kind:?}");
        }
        insta::assert_snapshot!(entries(&one(EntryType::Block, "dev/sda"), "it").unwrap_err(), @"it: `dev/sda`: a device");
        let global = archive(|tar| {
            let text = b"11 path=bin\n";
            tar.append_data(&mut header(EntryType::XGlobalHeader, text.len() as u64), "g", &text[..])
                .unwrap();
        });
        assert!(entries(&global, "it").is_err());
    }

    #[test]
    fn hidden_things_are_refused() {
        let tar = [one(EntryType::Directory, "a"), one(EntryType::Regular, "hidden")].concat();
        insta::assert_snapshot!(entries(&tar, "it").unwrap_err(), @"it: data follows the end of the archive");
        for (key, value) in [("size", "0"), ("uid", "0"), ("GNU.sparse.major", "1"), ("SCHILY.xattr.", "x")] {
            let tar = archive(|tar| {
                tar.append_pax_extensions([(key, value.as_bytes())]).unwrap();
                tar.append_data(&mut header(EntryType::Regular, 0), "a", &[][..]).unwrap();
            });
            assert!(entries(&tar, "it").is_err(), "{key}");
        }
        let twice = archive(|tar| {
            tar.append_pax_extensions([("path", b"a".as_slice()), ("path", b"b".as_slice())]).unwrap();
            tar.append_data(&mut header(EntryType::Regular, 0), "a", &[][..]).unwrap();
        });
        assert!(entries(&twice, "it").is_err());
        let nul = archive(|tar| {
            tar.append_pax_extensions([("path", b"a\0b".as_slice())]).unwrap();
            tar.append_data(&mut header(EntryType::Regular, 0), "a", &[][..]).unwrap();
        });
        assert!(entries(&nul, "it").is_err());
        let mut hidden = header(EntryType::Regular, 0);
        hidden.as_old_mut().name[..8].copy_from_slice(b"a\0../../");
        hidden.set_cksum();
        let tar = archive(|tar| tar.append(&hidden, &[][..]).unwrap());
        insta::assert_snapshot!(entries(&tar, "it").unwrap_err(), @"it: `a`: its header hides bytes behind a NUL");
    }

    proptest! {
        #[test]
        fn a_changed_archive_is_read_or_refused(at in 0..1536_usize, byte in any::<u8>(), cut in 0..2560_usize) {
            let mut tar = archive(|tar| {
                tar.append_data(&mut header(EntryType::Regular, 3), "bin/a", &b"abc"[..]).unwrap();
                tar.append_link(&mut header(EntryType::Symlink, 0), "bin/b", "a").unwrap();
            });
            tar[at] = byte;
            tar.truncate(cut);
            for entry in entries(&tar, "it").unwrap_or_default() {
                if let EntryKind::File(range) = entry.kind {
                    prop_assert!(range.end <= tar.len());
                }
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = entries(&bytes, "it");
        }
    }
}
