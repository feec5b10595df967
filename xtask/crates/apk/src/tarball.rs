//! Tar archives, read strictly: what two readers could take for two things is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::ops::Range;

use anyhow::Result;
use fault::{Fault, Kind};
use fstree::pax;
use tar::{Archive, EntryType};

use crate::digest::Checksum;
use crate::limits;

const BLOCK: u64 = 512;
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
    /// Permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The owner's name, empty if there is none.
    pub user: String,
    /// The group's name, empty if there is none.
    pub group: String,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The checksum that the archive itself gives for a file's content, or a link's target.
    pub checksum: Option<Checksum>,
}

/// What an entry is, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file: where its content lies in the archive.
    File(Range<usize>),
    /// A symbolic link and its target.
    Symlink(String),
    /// Another name for the file of this path in the same archive.
    Hardlink(String),
}

/// Reads all entries. Devices, sparse files and other kinds are refused, as are entries after the archive's
/// end, extended headers that change sizes or owners, and names with a NUL. `what` names the archive in errors.
pub fn entries(archive: &[u8], what: &str) -> Result<Vec<Entry>> {
    let invalid =
        |why: String| -> anyhow::Error { Fault::new(Kind::Mismatch, format!("{what}: {why}")).into() };
    let mut entries = Vec::new();
    let mut end = 0;
    // Raw: the `tar` crate takes a record of an extended header to end at the first newline, which attributes hold.
    let mut before = Before::default();
    for entry in Archive::new(archive).entries().map_err(|error| invalid(error.to_string()))?.raw(true) {
        let mut entry = entry.map_err(|error| invalid(error.to_string()))?;
        if entries.len() == limits::ENTRIES {
            return Err(invalid(format!("more than {} entries", limits::ENTRIES)));
        }
        end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
        let path = before.path.clone().unwrap_or_else(|| entry.path_bytes().into_owned());
        let at = |why: String| invalid(format!("`{}`: {why}", String::from_utf8_lossy(&path).escape_debug()));
        if !before.take(&mut entry).map_err(at)? {
            entries.push(read(&entry, std::mem::take(&mut before), archive.len()).map_err(at)?);
        }
    }
    if before != Before::default() {
        return Err(invalid("an extended header without an entry".into()));
    }
    let rest = usize::try_from(end).ok().and_then(|end| archive.get(end..));
    if rest.is_some_and(|rest| rest.iter().any(|&byte| byte != 0)) {
        return Err(invalid("something follows the end of the archive".into()));
    }
    Ok(entries)
}

/// What headers before an entry say of it.
#[derive(Debug, Default, PartialEq)]
struct Before {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    xattrs: BTreeMap<String, Vec<u8>>,
    checksum: Option<Checksum>,
    /// One extended header is all that an entry has.
    extended: bool,
}

impl Before {
    /// Takes an entry that only says something of the next one; false if it is another.
    fn take(&mut self, entry: &mut tar::Entry<'_, &[u8]>) -> Result<bool, String> {
        let kind = entry.header().entry_type();
        let slot = match kind {
            EntryType::XHeader => None,
            EntryType::GNULongName => Some(&mut self.path),
            EntryType::GNULongLink => Some(&mut self.link),
            _ => return Ok(false),
        };
        let mut data = Vec::new();
        entry.read_to_end(&mut data).map_err(|error| error.to_string())?;
        let Some(slot) = slot else {
            if std::mem::replace(&mut self.extended, true) {
                return Err("it has two extended headers".into());
            }
            self.extend(&data)?;
            return Ok(true);
        };
        let end = data.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        data.truncate(end);
        if slot.replace(data).is_some() {
            return Err("it has two long names".into());
        }
        Ok(true)
    }

    /// What an extended header says, as far as it is for us.
    fn extend(&mut self, data: &[u8]) -> Result<(), String> {
        let mut seen = HashSet::new();
        for record in pax::records(data) {
            let (key, value) = record?;
            if !seen.insert(key) {
                return Err(format!("its extended header has `{}` twice", key.escape_debug()));
            }
            match key {
                pax::PATH => self.path = Some(value.to_vec()),
                pax::LINK_PATH => self.link = Some(value.to_vec()),
                "mtime" | "atime" | "ctime" | "uname" | "gname" | "comment" => {}
                CHECKSUM => {
                    let hex = std::str::from_utf8(value).map_err(|_| "its checksum is not UTF-8")?;
                    self.checksum = Some(Checksum::from_sha1_hex(hex).map_err(|error| error.to_string())?);
                }
                _ => match key.strip_prefix(pax::XATTR) {
                    Some(name) if !name.is_empty() => {
                        self.xattrs.insert(name.to_owned(), value.to_vec());
                    }
                    _ => {
                        return Err(format!(
                            "its extended header has `{}`, which is not supported",
                            key.escape_debug()
                        ));
                    }
                },
            }
        }
        Ok(())
    }
}

fn read(entry: &tar::Entry<'_, &[u8]>, before: Before, archive: usize) -> Result<Entry, String> {
    let header = entry.header();
    let raw = header.as_old();
    let embedded =
        if header.entry_type() == EntryType::Regular { embedded_checksum(&raw.linkname) } else { None };
    if !ends_at_first_nul(&raw.name) || embedded.is_none() && !ends_at_first_nul(&raw.linkname) {
        return Err("its header hides bytes behind a NUL".into());
    }
    if raw.name[0] == 0 {
        return Err("its header has no name, which some readers take for the end".into());
    }
    let checksum = match (before.checksum, embedded) {
        (Some(extended), Some(embedded)) if extended != embedded => {
            return Err("it has two checksums that differ".into());
        }
        (extended, embedded) => extended.or(embedded),
    };
    let name = text(&before.path.map_or_else(|| entry.path_bytes(), Cow::Owned))?;
    let path = name.strip_suffix('/').unwrap_or(&name).to_owned();
    let number = |value: std::io::Result<u64>, field: &str| {
        value
            .ok()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or(format!("its {field} is not a number in range"))
    };
    let link = || {
        let link = before.link.clone().map(Cow::Owned).or_else(|| entry.link_name_bytes());
        text(&link.ok_or("a link to nothing")?)
    };
    let kind = match header.entry_type() {
        EntryType::Directory => EntryKind::Directory,
        EntryType::Regular if name.ends_with('/') => return Err("a file's name ends in a slash".into()),
        EntryType::Regular => {
            let start = usize::try_from(entry.raw_file_position()).map_err(|error| error.to_string())?;
            let size = usize::try_from(entry.size()).map_err(|error| error.to_string())?;
            let end = start.checked_add(size).filter(|&end| end <= archive).ok_or("it is cut off")?;
            EntryKind::File(start..end)
        }
        EntryType::Symlink => EntryKind::Symlink(link()?),
        EntryType::Link => EntryKind::Hardlink(link()?),
        EntryType::Char | EntryType::Block => return Err("a device".into()),
        EntryType::Fifo => return Err("a named pipe".into()),
        other => return Err(format!("an entry of type {:?}", char::from(other.as_byte()))),
    };
    if !matches!(kind, EntryKind::File(_)) && entry.size() != 0 {
        return Err("only a file has content".into());
    }
    Ok(Entry {
        path,
        kind,
        mode: number(header.mode().map(u64::from), "mode")? & 0o7777,
        uid: number(header.uid(), "owner")?,
        gid: number(header.gid(), "group")?,
        user: text(header.username_bytes().unwrap_or_default())?,
        group: text(header.groupname_bytes().unwrap_or_default())?,
        xattrs: before.xattrs,
        checksum,
    })
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

fn text(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "a name is not UTF-8")?;
    if text.contains('\0') {
        return Err("a name holds a NUL".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tar::{Builder, Header};

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
        assert_eq!(read[1].xattrs["security.capability"], [1, 0, 0]);
        assert_eq!((read[1].mode, read[1].uid, read[1].gid), (0o4755, 0, 42));
        assert_eq!(read[2].kind, EntryKind::Symlink("a".into()));
        assert_eq!(read[3].kind, EntryKind::Hardlink("bin/a".into()));
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
        insta::assert_snapshot!(entries(&tar, "it").unwrap_err(), @"it: something follows the end of the archive");
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
