//! A tree of files as data: what lies at which path, before any byte of an archive exists.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use fault::{Fault, Kind};

use crate::header::MAX_ID;
use crate::path::{MAX_PATH, ancestors_beyond, normalize};
use crate::paths::{Paths, Thing};
use crate::solid::shared;

/// The mode of a directory that nobody described but something lies in.
pub const IMPLICIT_DIRECTORY_MODE: u32 = 0o755;
/// The longest extended attribute's name and value that Linux takes, in bytes (xattr(7)).
const MAX_XATTR_NAME: usize = 255;
const MAX_XATTR_VALUE: usize = 64 << 10;

/// Where a regular file's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A regular file on disk. Only its bytes count: its name, mode, owner and times do not.
    Path(PathBuf),
    /// These bytes.
    Bytes(Bytes),
}

impl From<&[u8]> for Source {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec().into())
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// A part of bytes that others share.
#[derive(Clone, Debug)]
pub struct Bytes {
    whole: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    /// A part of `whole`; nothing if it does not lie in it.
    pub fn part(whole: &Arc<Vec<u8>>, range: Range<usize>) -> Self {
        let range = if whole.get(range.clone()).is_some() { range } else { 0..0 };
        Self { whole: Arc::clone(whole), range }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { whole: Arc::new(bytes), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole[self.range.clone()]
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

/// What an entry is; a file is known by an `F`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<F> {
    /// A directory.
    Directory,
    /// A regular file.
    File(F),
    /// Another name of the regular file at this path.
    HardLink(String),
    /// A symbolic link and its target, as it is written.
    Symlink(String),
}

/// What belongs to a file whatever its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits with set-user-ID, set-group-ID and sticky; 0777 for a symlink.
    pub mode: u32,
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// Extended attributes by name, such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// One entry of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub node: Node<Source>,
    /// What belongs to it; nothing to another name of a file.
    pub attributes: Attributes,
}

impl Entry {
    fn new(node: Node<Source>, mode: u32) -> Self {
        Self { node, attributes: Attributes { mode, ..Attributes::default() } }
    }

    /// A directory.
    pub fn directory(mode: u32) -> Self {
        Self::new(Node::Directory, mode)
    }

    /// A regular file.
    pub fn file(mode: u32, source: impl Into<Source>) -> Self {
        Self::new(Node::File(source.into()), mode)
    }

    /// Another name of the regular file at `target` in the same tree: its mode, owner and attributes are that
    /// file's. `target` may be added later, and may be a hard link itself.
    pub fn hard_link(target: impl Into<String>) -> Self {
        Self::new(Node::HardLink(target.into()), 0)
    }

    /// A symbolic link; the target is kept to the letter.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self::new(Node::Symlink(target.into()), 0o777)
    }

    /// Sets the owner, which is 0:0 otherwise.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.attributes.uid = uid;
        self.attributes.gid = gid;
        self
    }

    /// Adds an extended attribute.
    #[must_use]
    pub fn xattr(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.attributes.xattrs.insert(name.into(), value.into());
        self
    }

    fn check(&self, path: &str) -> Result<()> {
        let attributes = &self.attributes;
        if attributes.mode > 0o7777 {
            return Err(invalid(
                path,
                &format!("mode {:o} has bits that are not permissions", attributes.mode),
            ));
        }
        if attributes.uid.max(attributes.gid) > MAX_ID {
            return Err(invalid(
                path,
                &format!("owner {}:{} is over {MAX_ID}", attributes.uid, attributes.gid),
            ));
        }
        for (name, value) in &attributes.xattrs {
            if name.is_empty() || name.len() > MAX_XATTR_NAME || name.contains(['=', '\0', '\n']) {
                return Err(invalid(path, &format!("extended attribute name {name:?}")));
            }
            if value.len() > MAX_XATTR_VALUE {
                return Err(invalid(path, &format!("extended attribute {name} has {} bytes", value.len())));
            }
        }
        match &self.node {
            Node::Symlink(target)
                if target.is_empty() || target.len() >= MAX_PATH || target.contains('\0') =>
            {
                Err(invalid(path, &format!("symlink target {target:?}")))
            }
            Node::HardLink(_) if *attributes != Attributes::default() => {
                Err(invalid(path, "a hard link takes owner and extended attributes from its target"))
            }
            _ => Ok(()),
        }
    }
}

/// What is written for one path: [`Tree::resolve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// A directory.
    Directory,
    /// A regular file, the first in order of those that are one file.
    File(&'a Source),
    /// Another name of the regular file at this path, which comes earlier.
    HardLink(&'a str),
    /// A symbolic link with this target.
    Symlink(&'a str),
}

impl Thing for Entry {
    fn is_directory(&self) -> bool {
        self.node == Node::Directory
    }
}

/// A tree of files, keyed by normalized relative path. The order of insertion has no meaning.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: Paths<Entry>,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.entries.map() == other.entries.map()
    }
}

impl Eq for Tree {}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Directories above it need not be added: they come by themselves, 0755 and owned by 0:0.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a path that leaves the tree or is already taken in any spelling, a non-directory with
    /// something below it, a `.wh.` name (which would delete from the layer below), and attributes no archive can hold.
    pub fn insert(&mut self, path: &str, mut entry: Entry) -> Result<()> {
        let path = normalize(path)?;
        if path.rsplit('/').any(|name| name.starts_with(".wh.")) {
            return Err(invalid(&path, "a name that begins with `.wh.` deletes files of the layers below"));
        }
        entry.check(&path)?;
        if let Node::HardLink(target) = &mut entry.node {
            *target = normalize(target)?;
        }
        self.entries.insert(path, entry).map_err(|why| refused(&why))
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.entries.map().is_empty()
    }

    /// All that is written, in the order it is written in: by the bytes of the path, directories above made explicit,
    /// and of the names of one file the first being the file, the others links to it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a hard link that does not lead to a regular file of this tree.
    pub fn resolve(&self) -> Result<BTreeMap<&str, (Resolved<'_>, Attributes)>> {
        // The path of each file with bytes → the first of its names.
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        let mut real = HashMap::new();
        for path in self.entries.map().keys() {
            if let Some(real) = self.real_file(path, &mut real)? {
                first.entry(real).or_insert(path);
            }
        }
        let mut resolved = BTreeMap::new();
        let mut before = "";
        for (path, entry) in self.entries.map() {
            // Those that the path before lies under as well are there already.
            for above in ancestors_beyond(path, shared(path, before)) {
                let implicit = Attributes { mode: IMPLICIT_DIRECTORY_MODE, ..Attributes::default() };
                resolved.entry(above).or_insert((Resolved::Directory, implicit));
            }
            before = path;
            let item = match &entry.node {
                Node::Directory => (Resolved::Directory, entry.attributes.clone()),
                Node::Symlink(target) => (Resolved::Symlink(target), entry.attributes.clone()),
                Node::File(_) | Node::HardLink(_) => {
                    self.resolve_file(path, real.get(path.as_str()).copied().unwrap_or(path), &first)?
                }
            };
            // A directory sorts before what lies in it, so no explicit one is ever taken for an implicit one.
            resolved.insert(path.as_str(), item);
        }
        Ok(resolved)
    }

    fn resolve_file<'a>(
        &'a self,
        path: &'a str,
        real: &'a str,
        first: &BTreeMap<&'a str, &'a str>,
    ) -> Result<(Resolved<'a>, Attributes)> {
        let owner = first.get(real).copied().unwrap_or(real);
        match self.entries.map().get(real) {
            Some(Entry { node: Node::File(source), attributes }) if owner == path => {
                Ok((Resolved::File(source), attributes.clone()))
            }
            Some(Entry { attributes, .. }) => Ok((Resolved::HardLink(owner), attributes.clone())),
            None => Err(invalid(path, "is not in the tree")),
        }
    }

    /// The path of the regular file that a name leads to over hard links; `None` for directories and symlinks. Where the
    /// links on the way lead goes into `known`, so that no link of a chain is followed twice.
    fn real_file<'a>(
        &'a self,
        path: &'a str,
        known: &mut HashMap<&'a str, &'a str>,
    ) -> Result<Option<&'a str>> {
        let mut at = path;
        let mut chain = Vec::new();
        // A chain longer than the tree goes in a circle.
        while chain.len() <= self.entries.map().len() {
            let why = match self.entries.map().get(at).map(|entry| &entry.node) {
                Some(Node::HardLink(target)) => {
                    chain.push(at);
                    at = known.get(at).copied().unwrap_or(target);
                    continue;
                }
                Some(Node::File(_)) => {
                    known.extend(chain.into_iter().map(|link| (link, at)));
                    return Ok(Some(at));
                }
                Some(_) if at == path => return Ok(None),
                Some(_) => "not a regular file",
                None => "not in the tree",
            };
            return Err(invalid(path, &format!("is a hard link to {at:?}, which is {why}")));
        }
        Err(invalid(path, "is a hard link that leads back to itself"))
    }
}

fn invalid(path: &str, why: &str) -> anyhow::Error {
    refused(&format!("{path:?}: {why}"))
}

fn refused(why: &str) -> anyhow::Error {
    Fault::new(Kind::InvalidData, format!("layer entry {why}")).into()
}

#[cfg(test)]
mod tests;
