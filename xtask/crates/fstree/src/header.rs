//! The headers of an archive that is written: ustar, with a PAX header before it for what does not fit (POSIX.1-2017, pax).
//! Nothing of GNU's, and every byte decided here.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tar::{EntryType, Header};

use crate::archive::BLOCK;
use crate::pax;
use crate::tree::{Attributes, Resolved};

/// The largest user and group ID that fits a header's octal digits.
pub(crate) const MAX_ID: u32 = 0o7_777_777;
/// The same of file sizes and times.
pub const MAX_OCTAL_11: u64 = 0o77_777_777_777;
/// What ends an archive: two empty blocks.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
const NAME: usize = 100;
const PREFIX: usize = 155;

/// Writes the header of one entry; a file's `size` bytes follow it, then [`padding`].
pub fn write(
    out: &mut dyn Write,
    path: &str,
    resolved: Resolved<'_>,
    attributes: &Attributes,
    size: u64,
    mtime: u64,
) -> io::Result<()> {
    let (kind, link) = match resolved {
        Resolved::Directory => (EntryType::Directory, ""),
        Resolved::File(_) => (EntryType::Regular, ""),
        Resolved::HardLink(target) => (EntryType::Link, target),
        Resolved::Symlink(target) => (EntryType::Symlink, target),
    };
    let path = if kind == EntryType::Directory { format!("{path}/") } else { path.to_owned() };
    let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // One inode has its attributes written once, with its bytes.
    if kind != EntryType::Link {
        let name = |name: &String| format!("{}{name}", pax::XATTR);
        records.extend(attributes.xattrs.iter().map(|(key, value)| (name(key), value.clone())));
    }
    let (prefix, name) = split(&path).unwrap_or_else(|| {
        records.insert(pax::PATH.to_owned(), path.clone().into_bytes());
        ("", truncate(&path))
    });
    let link = if link.len() <= NAME && link.is_ascii() {
        link
    } else {
        records.insert(pax::LINK_PATH.to_owned(), link.as_bytes().to_vec());
        truncate(link)
    };
    if !records.is_empty() {
        let data = pax::encode(&records);
        // Readers that know PAX never see this name; the others leave a file of it behind.
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let name = format!("PaxHeaders/{last}");
        let meta = Attributes { mode: 0o644, ..Attributes::default() };
        let header = ustar("", truncate(&name), EntryType::XHeader, "", &meta, data.len() as u64, mtime);
        out.write_all(header.as_bytes())?;
        out.write_all(&data)?;
        out.write_all(padding(data.len() as u64))?;
    }
    out.write_all(ustar(prefix, name, kind, link, attributes, size, mtime).as_bytes())
}

/// The zeros that fill up the last block of so many bytes.
pub fn padding(size: u64) -> &'static [u8] {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    &END[..(BLOCK - over) % BLOCK]
}

fn ustar(
    prefix: &str,
    name: &str,
    kind: EntryType,
    link: &str,
    attributes: &Attributes,
    size: u64,
    mtime: u64,
) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid.into());
    header.set_gid(attributes.gid.into());
    header.set_size(size);
    header.set_mtime(mtime);
    if let Some(fields) = header.as_ustar_mut() {
        fields.name[..name.len()].copy_from_slice(name.as_bytes());
        fields.prefix[..prefix.len()].copy_from_slice(prefix.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        fields.set_device_major(0);
        fields.set_device_minor(0);
    }
    header.set_cksum();
    header
}

/// The two fields of a path in ustar: all in the name, or the shortest prefix that lets the rest fit the name.
/// `None` where it does not fit or is not ASCII, which is all that ustar promises.
fn split(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= NAME {
        return Some(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| !prefix.is_empty() && !name.is_empty() && name.len() <= NAME)
        .filter(|(prefix, _)| prefix.len() <= PREFIX)
}

/// As much of a text as fits the name field, whole characters only.
fn truncate(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_where_both_parts_fit() {
        let (hundred, long) = ("n".repeat(100), "p".repeat(155));
        assert_eq!(split(&hundred), Some(("", &*hundred)));
        let both = format!("{long}/{hundred}");
        assert_eq!(split(&both), Some((&*long, &*hundred)));
        assert_eq!(split(&format!("p{both}")), None);
        assert_eq!(split(&format!("{both}/")), None);
        // A directory's closing slash is not a place to split at.
        assert_eq!(split(&format!("{hundred}/")), None);
        assert_eq!(split("é"), None);
        let many = "a/".repeat(60);
        assert_eq!(split(&many).map(|(prefix, name)| (prefix.len(), name.len())), Some((19, 100)));
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(truncate(&"é".repeat(60)).len(), 100);
        assert_eq!(truncate(&format!("a{}", "é".repeat(60))).len(), 99);
    }

    #[test]
    fn padding_fills_the_block() {
        assert_eq!([0, 1, 511, 512, 513].map(|size| padding(size).len()), [0, 511, 1, 0, 511]);
    }
}
