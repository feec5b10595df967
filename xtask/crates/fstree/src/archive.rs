//! Tar archives, read strictly: what two readers could take for two things is refused.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};

use tar::{EntryType, Header};

use crate::pax;
use crate::tree::Attributes;

/// The unit of an archive, in bytes.
pub const BLOCK: usize = 512;

/// What archives of one kind may have, and how much of it is read.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Headers, extended ones among them.
    pub entries: usize,
    /// Bytes of one extended header; it is held in memory.
    pub extended_header: u64,
    /// Bytes of all extended headers together: what they say of entries is kept.
    pub extended_headers: u64,
    /// Whether a record of this key may be in an extended header, beside paths and extended attributes.
    pub takes: fn(&str) -> bool,
}

/// What a member of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Another name of the file of this path, as it is written.
    HardLink(String),
    /// A symbolic link and its target.
    Symlink(String),
    /// A device or a pipe, with the type flag of its header.
    Special(u8),
}

/// A member of an archive: what its header and those before it say.
#[derive(Debug)]
pub struct Member {
    /// Its path as it is written: UTF-8 without a NUL, and not checked any further.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Its mode, owner and extended attributes.
    pub attributes: Attributes,
    /// The other records of its extended header, by key.
    pub records: BTreeMap<String, Vec<u8>>,
    /// How many bytes it has; none but those of a file.
    pub size: u64,
    /// Where they begin in the archive.
    pub position: u64,
    header: Header,
}

impl Member {
    /// Seconds since 1970.
    pub fn mtime(&self) -> io::Result<u64> {
        self.header.mtime()
    }

    /// The names of its owner and its group, empty where there are none.
    pub fn owner_names(&self) -> [&[u8]; 2] {
        [self.header.username_bytes(), self.header.groupname_bytes()].map(Option::unwrap_or_default)
    }

    /// The fields of its header for its name and a link's target, with all that lies behind a NUL.
    pub fn name_fields(&self) -> [&[u8; 100]; 2] {
        let fields = self.header.as_old();
        [&fields.name, &fields.linkname]
    }
}

/// Reads an archive, member by member. To read from it is to read the bytes of the last member that it gave.
pub struct Reader<'a> {
    from: &'a mut dyn Read,
    policy: Policy,
    /// How many bytes were read.
    at: u64,
    /// The path and size of the last entry, and how many of its bytes were not read yet.
    last: String,
    size: u64,
    left: u64,
    entries: usize,
    extended_bytes: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..room])?;
        self.left -= read as u64;
        self.at += read as u64;
        Ok(read)
    }
}

impl<'a> Reader<'a> {
    /// An archive, from its beginning.
    pub fn new(from: &'a mut dyn Read, policy: Policy) -> Self {
        let (last, size, left) = (String::new(), 0, 0);
        Self { from, policy, at: 0, last, size, left, entries: 0, extended_bytes: 0 }
    }

    /// The next member; none at the end of the archive, which nothing but zeros follows. An archive that stops between two
    /// entries needs no end.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] for what is not a well-formed archive or is beyond the policy: sparse files, sizes on what has
    /// no data, two extended headers of one entry, two names, extended headers for all that follows (but comments).
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut before = Before::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                if before != Before::default() {
                    return Err(refused("an extended header is followed by nothing"));
                }
                self.check_end()?;
                return Ok(None);
            };
            self.entries += 1;
            if self.entries > self.policy.entries {
                return Err(refused(format!("it has more than {} entries", self.policy.entries)));
            }
            self.size = header.entry_size()?;
            self.left = self.size;
            let at = |why: String| about(&String::from_utf8_lossy(&header.path_bytes()), &why);
            match header.entry_type() {
                EntryType::XHeader => {
                    let data = self.extended_header()?;
                    before.extend(&data, self.policy.takes).map_err(at)?;
                }
                EntryType::XGlobalHeader => {
                    for record in pax::records(&self.extended_header()?) {
                        let (key, _) = record.map_err(at)?;
                        if key != "comment" {
                            return Err(at(format!(
                                "its global extended header has `{}`",
                                key.escape_debug()
                            )));
                        }
                    }
                }
                EntryType::GNULongName => long(&mut before.path, self.extended_header()?).map_err(at)?,
                EntryType::GNULongLink => long(&mut before.link, self.extended_header()?).map_err(at)?,
                _ => {
                    let member = member(header, before, self.size, self.at)?;
                    self.last.clone_from(&member.path);
                    return Ok(Some(member));
                }
            }
        }
    }

    /// Goes to where the next header is. The last block of what stops there need not be whole: umoci writes such, and Go's
    /// reader, which is every runtime's, does not miss it.
    fn skip(&mut self) -> io::Result<()> {
        if self.left > 0 {
            io::copy(self, &mut io::sink())?;
        }
        if self.left > 0 {
            let found = self.size - self.left;
            return Err(about(&self.last, &format!("it ends inside, {found} of {} bytes in", self.size)));
        }
        let padding = usize::try_from(self.at.next_multiple_of(BLOCK as u64) - self.at).unwrap_or_default();
        self.at += fill(self.from, &mut [0; BLOCK][..padding])? as u64;
        Ok(())
    }

    /// The next header; none where the archive stops or has an empty one.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let read = fill(self.from, header.as_mut_bytes())?;
        self.at += read as u64;
        let bytes = header.as_bytes();
        if read == 0 || read == BLOCK && bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if read < BLOCK {
            return Err(refused("it ends inside a header"));
        }
        // The field itself counts as spaces.
        let others = bytes[..148].iter().chain(&bytes[156..]);
        if others.fold(8 * 32, |sum, byte| sum + u32::from(*byte)) != header.cksum()? {
            return Err(refused("the checksum of a header is wrong"));
        }
        Ok(Some(header))
    }

    fn extended_header(&mut self) -> io::Result<Vec<u8>> {
        let (size, Policy { extended_header, extended_headers, .. }) = (self.size, self.policy);
        if size > extended_header {
            return Err(refused(format!("extended header of {size} bytes, limit {extended_header}")));
        }
        self.extended_bytes += size;
        if self.extended_bytes > extended_headers {
            return Err(refused(format!("extended headers of more than {extended_headers} bytes together")));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        if self.left > 0 {
            return Err(refused("it ends inside an extended header"));
        }
        Ok(bytes)
    }

    fn check_end(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = fill(self.from, &mut buffer)?;
            if buffer[..read].iter().any(|byte| *byte != 0) {
                return Err(refused("data follows the end of the archive"));
            }
            if read < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// What headers before an entry say of it.
#[derive(Debug, Default, PartialEq)]
struct Before {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    xattrs: BTreeMap<String, Vec<u8>>,
    records: BTreeMap<String, Vec<u8>>,
    extended: bool,
}

impl Before {
    fn extend(&mut self, data: &[u8], takes: fn(&str) -> bool) -> Result<(), String> {
        // Some readers take the last alone, others what both say.
        if std::mem::replace(&mut self.extended, true) {
            return Err("it has two extended headers".to_owned());
        }
        for record in pax::records(data) {
            let (key, value) = record?;
            let (shown, value) = (key.escape_debug(), value.to_vec());
            let twice = match key {
                pax::PATH => self.path.replace(value),
                pax::LINK_PATH => self.link.replace(value),
                _ => match key.strip_prefix(pax::XATTR) {
                    Some(name) if !name.is_empty() => self.xattrs.insert(name.to_owned(), value),
                    _ if takes(key) => self.records.insert(key.to_owned(), value),
                    _ => return Err(format!("its extended header has `{shown}`, which is not supported")),
                },
            };
            if twice.is_some() {
                return Err(format!("its extended headers have `{shown}` twice"));
            }
        }
        Ok(())
    }
}

/// Takes a path in GNU's way, which ends with a NUL.
fn long(slot: &mut Option<Vec<u8>>, mut data: Vec<u8>) -> Result<(), String> {
    let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    data.truncate(end);
    slot.replace(data).map_or(Ok(()), |_| Err("it has two long names".to_owned()))
}

fn member(header: Header, before: Before, size: u64, position: u64) -> io::Result<Member> {
    let Before { path, link, xattrs, records, .. } = before;
    let raw = path.unwrap_or_else(|| header.path_bytes().into_owned());
    let path = text(raw).map_err(|(shown, why)| about(&shown, why))?;
    let at = |why: &str| about(&path, why);
    let link = || {
        let link = link.or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
        let link = text(link).map_err(|(_, why)| at(why))?;
        if link.is_empty() { Err(at("a link without a target")) } else { Ok(link) }
    };
    let kind = match header.entry_type() {
        EntryType::Regular if path.ends_with('/') => {
            return Err(at("a regular file's name ends with `/`"));
        }
        EntryType::Regular => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link()?),
        EntryType::Link => Kind::HardLink(link()?),
        kind @ (EntryType::Char | EntryType::Block | EntryType::Fifo) => Kind::Special(kind.as_byte()),
        other => {
            let kind = char::from(other.as_byte());
            return Err(at(&format!("entries of type {kind:?} are not supported")));
        }
    };
    if kind != Kind::File && size != 0 {
        return Err(at("it has data, but is not a regular file"));
    }
    let attributes = attributes(&header, xattrs, &records, size).map_err(|why| at(&why))?;
    Ok(Member { path, kind, attributes, records, size, position, header })
}

fn attributes(
    header: &Header,
    xattrs: BTreeMap<String, Vec<u8>>,
    records: &BTreeMap<String, Vec<u8>>,
    size: u64,
) -> Result<Attributes, String> {
    let number = |key: &str, in_header: io::Result<u64>| match records.get(key) {
        Some(value) => {
            std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(format!("PAX {key}"))
        }
        None => in_header.map_err(|error| error.to_string()),
    };
    // The data was delimited by the header's size; one that says otherwise would be read differently by others.
    if number("size", Ok(size))? != size {
        return Err("PAX size differs from the header's".to_owned());
    }
    let id =
        |key, value| number(key, value).and_then(|id| u32::try_from(id).map_err(|_| format!("{key} {id}")));
    Ok(Attributes {
        mode: header.mode().map_err(|error| error.to_string())? & 0o7777,
        uid: id("uid", header.uid())?,
        gid: id("gid", header.gid())?,
        xattrs,
    })
}

/// A name as text; else how it may be shown, and what is wrong.
fn text(bytes: Vec<u8>) -> Result<String, (String, &'static str)> {
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err((text, "a name holds a NUL")),
        Ok(text) => Ok(text),
        Err(error) => Err((String::from_utf8_lossy(error.as_bytes()).into_owned(), "a name is not UTF-8")),
    }
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

fn about(path: &str, why: &str) -> io::Error {
    refused(format!("`{}`: {why}", path.escape_debug()))
}

/// Reads until `buffer` is full or there is no more: how much there was.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
