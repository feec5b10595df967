//! A root filesystem as a value: paths and what lies there. Nothing of it is on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, Range};
use std::sync::Arc;

use ::digest::Expected;
use anyhow::Result;
use fault::{Fault, Kind};

use crate::digest;
use crate::gzip;
use crate::limits;
use crate::path;
use crate::tarball::{self, EntryKind};

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// The kinds of things that a root filesystem holds; devices are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A file.
    File(Content),
    /// A symbolic link and its target, as it is written.
    Symlink(String),
    /// Another name of the file at this path.
    Hardlink(String),
}

/// A file's content: a part of bytes that others share.
#[derive(Clone, Debug)]
pub struct Content {
    whole: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Content {
    /// A part of `whole`; nothing if it does not lie in it.
    pub fn part(whole: &Arc<Vec<u8>>, range: Range<usize>) -> Self {
        let range = if whole.get(range.clone()).is_some() { range } else { 0..0 };
        Self { whole: Arc::clone(whole), range }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { whole: Arc::new(bytes), range }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole[self.range.clone()]
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Content {}

impl Node {
    /// A node of root's with no attributes.
    pub fn new(kind: NodeKind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new() }
    }

    /// A file of root's.
    pub fn file(bytes: Vec<u8>, mode: u32) -> Self {
        Self::new(NodeKind::File(bytes.into()), mode)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }
}

/// What takes a finished tree, entry by entry.
pub trait Sink {
    /// Takes what lies at `path`. Directories come before what is in them and a file before its other names,
    /// else they come in the order of their bytes.
    fn put(&mut self, path: &str, node: &Node) -> Result<()>;
}

/// A root filesystem. Each node's parent is there and is a directory; the root itself is not a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    /// The other names of each file that has some.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a root filesystem from a `.tar.gz`, as Alpine publishes them. They are not signed, so its size and
    /// SHA-256 are all that says it is the right one. `what` names it in errors.
    pub fn from_tar_gz(file: &[u8], expected: Option<&Expected>, what: &str) -> Result<Self> {
        digest::check(expected, what, file)?;
        let segment = gzip::unpack(file, 0, limits::DATA_SEGMENT, what)?;
        gzip::end(file, &segment, what)?;
        let data = Arc::new(segment.data);
        let mut tree = Self::new();
        for entry in tarball::entries(&data, what)? {
            let plain = |path: &str| path.strip_prefix("./").unwrap_or(path).to_owned();
            let at = plain(&entry.path);
            if at == "." || at.is_empty() {
                continue;
            }
            path::check(&at)?;
            if tree.nodes.contains_key(&at) {
                return Err(path::refused(&at, "the archive has it twice"));
            }
            let kind = match entry.kind {
                EntryKind::Directory => NodeKind::Directory,
                EntryKind::File(range) => NodeKind::File(Content::part(&data, range)),
                EntryKind::Symlink(target) => {
                    path::check_link(&at, &target)?;
                    NodeKind::Symlink(target)
                }
                EntryKind::Hardlink(target) => NodeKind::Hardlink(plain(&target)),
            };
            tree.put(
                &at,
                Node { kind, mode: entry.mode, uid: entry.uid, gid: entry.gid, xattrs: entry.xattrs },
            )?;
        }
        Ok(tree)
    }

    /// What lies at a path, not following links.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// A file's content, through its other names but not through symbolic links.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        match &self.nodes.get(path)?.kind {
            NodeKind::File(content) => Some(content),
            NodeKind::Hardlink(target) => match &self.nodes.get(target)?.kind {
                NodeKind::File(content) => Some(content),
                _ => None,
            },
            _ => None,
        }
    }

    /// All nodes by path, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Puts a node at a path, in place of what is there. Everything above must be a directory, never a link;
    /// a directory takes no other's place, nor gives its own to another kind; a hard link's target must be a
    /// file.
    pub fn put(&mut self, path: &str, mut node: Node) -> Result<()> {
        path::check(path)?;
        self.check_parents(path)?;
        if let NodeKind::Hardlink(target) = &node.kind {
            let first = match self.nodes.get(target).map(|target| &target.kind) {
                Some(NodeKind::File(_)) => target.clone(),
                Some(NodeKind::Hardlink(first)) => first.clone(),
                _ => {
                    return Err(path::refused(
                        path,
                        &format!("it links to `{}`, which is not a file", target.escape_debug()),
                    ));
                }
            };
            if first == path {
                return Err(path::refused(path, "it links to itself"));
            }
            self.check_parents(target)?;
            // All names of a file have its owner, mode and attributes.
            if let Some(file) = self.nodes.get(&first) {
                node = file.clone();
            }
            node.kind = NodeKind::Hardlink(first);
        }
        match self.nodes.get(path) {
            Some(old) if old.is_directory() != node.is_directory() => {
                let why = if old.is_directory() {
                    "a directory is there"
                } else {
                    "something that is not a directory is there"
                };
                return Err(path::refused(path, why));
            }
            Some(_) => self.detach(path),
            None => {}
        }
        if let NodeKind::Hardlink(file) = &node.kind {
            self.names.entry(file.clone()).or_default().insert(path.to_owned());
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// Makes a directory of root's and what is above it where they are missing.
    pub fn make_directory(&mut self, path: &str) -> Result<()> {
        for path in fstree::path::ancestors(path).chain([path]) {
            if !self.nodes.contains_key(path) {
                self.put(path, Node::new(NodeKind::Directory, 0o755))?;
            }
        }
        Ok(())
    }

    /// Takes away a file or link, or a directory that is empty.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        let prefix = format!("{path}/");
        if self.nodes.range(prefix.clone()..).next().is_some_and(|(next, _)| next.starts_with(&prefix)) {
            return Err(path::refused(path, "it is not empty"));
        }
        self.detach(path);
        self.nodes.remove(path);
        Ok(())
    }

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Hands the tree over.
    pub fn write_to(&self, sink: &mut dyn Sink) -> Result<()> {
        // Of a file's names, the first in order is the file.
        let mut firsts: BTreeMap<&str, &str> = BTreeMap::new();
        for (path, node) in self.iter() {
            if let NodeKind::Hardlink(target) = &node.kind {
                firsts.entry(target).or_insert(if path < target.as_str() { path } else { target });
            }
        }
        for (path, node) in self.iter() {
            let of = if let NodeKind::Hardlink(target) = &node.kind { target.as_str() } else { path };
            match (firsts.get(of), &node.kind) {
                (Some(first), NodeKind::Hardlink(_)) if *first == path => sink.put(path, &self.nodes[of])?,
                (Some(first), _) if *first != path => {
                    sink.put(
                        path,
                        &Node { kind: NodeKind::Hardlink((*first).to_owned()), ..self.nodes[of].clone() },
                    )?;
                }
                _ => sink.put(path, node)?,
            }
        }
        Ok(())
    }

    /// Before what is at a path goes away: if it is a file with other names, the first of them is the file now.
    fn detach(&mut self, path: &str) {
        let Some(Node { kind, .. }) = self.nodes.get(path) else { return };
        if let NodeKind::Hardlink(file) = kind
            && let Some(names) = self.names.get_mut(file)
        {
            names.remove(path);
            if names.is_empty() {
                self.names.remove(file);
            }
            return;
        }
        let Some(mut names) = self.names.remove(path) else { return };
        let (Some(first), Some(file)) = (names.pop_first(), self.nodes.get(path).cloned()) else { return };
        for name in &names {
            if let Some(node) = self.nodes.get_mut(name) {
                node.kind = NodeKind::Hardlink(first.clone());
            }
        }
        self.nodes.insert(first.clone(), file);
        if !names.is_empty() {
            self.names.insert(first, names);
        }
    }

    /// Fails unless all above a path are directories.
    fn check_parents(&self, path: &str) -> Result<()> {
        // All above a directory that is there are directories that are there.
        let parent = path.rsplit_once('/').map(|(parent, _)| self.nodes.get(parent));
        if parent.is_none_or(|node| node.is_some_and(Node::is_directory)) {
            return Ok(());
        }
        for parent in fstree::path::ancestors(path) {
            let why = match self.nodes.get(parent).map(|node| &node.kind) {
                Some(NodeKind::Directory) => continue,
                Some(NodeKind::Symlink(_)) => "is a symbolic link: nothing is written through one",
                Some(_) => "is a file",
                None => "is not there",
            };
            return Err(path::refused(path, &format!("`{parent}` above it {why}")));
        }
        Ok(())
    }
}

impl Sink for Tree {
    fn put(&mut self, path: &str, node: &Node) -> Result<()> {
        Tree::put(self, path, node.clone())
    }
}

/// Users' and groups' ids by name, from `etc/passwd` and `etc/group` of a tree.
pub(crate) fn ids(tree: &Tree, file: &str) -> BTreeMap<String, u32> {
    let text = tree.read(file).map(String::from_utf8_lossy).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        Some((name.to_owned(), id.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// The error for something that `what` lacks.
pub(crate) fn missing(what: &str) -> anyhow::Error {
    Fault::new(Kind::Data, format!("the root filesystem has no `{what}`"))
        .help("start from an Alpine root filesystem, or from an empty one")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::file(text.as_bytes().to_vec(), 0o644)
    }

    fn link(to: &str) -> Node {
        Node::new(NodeKind::Hardlink(to.into()), 0o644)
    }

    #[test]
    fn nothing_is_written_through_links_or_files() {
        let mut tree = Tree::new();
        tree.make_directory("a/b").unwrap();
        tree.put("a/link", Node::new(NodeKind::Symlink("/etc".into()), 0o777)).unwrap();
        tree.put("a/file", file("x")).unwrap();
        let before = tree.clone();
        insta::assert_snapshot!(tree.put("a/link/x", file("y")).unwrap_err(), @"the path `a/link/x` is refused: `a/link` above it is a symbolic link: nothing is written through one");
        insta::assert_snapshot!(tree.put("a/file/x", file("y")).unwrap_err(), @"the path `a/file/x` is refused: `a/file` above it is a file");
        insta::assert_snapshot!(tree.put("c/x", file("y")).unwrap_err(), @"the path `c/x` is refused: `c` above it is not there");
        insta::assert_snapshot!(tree.put("a", file("y")).unwrap_err(), @"the path `a` is refused: a directory is there");
        assert!(tree.put("a/file", Node::new(NodeKind::Directory, 0o755)).is_err());
        assert!(tree.put("a/x", link("a/link")).is_err());
        assert!(tree.put("a/x", link("a/none")).is_err());
        assert!(tree.put("a/file", link("a/file")).is_err());
        assert!(tree.put("../x", file("y")).is_err());
        assert!(tree.remove("a").is_err());
        assert_eq!(tree, before);
    }

    #[test]
    fn a_file_outlives_the_first_of_its_names() {
        let mut tree = Tree::new();
        tree.put("b", file("one")).unwrap();
        tree.put("a", link("b")).unwrap();
        tree.put("c", link("a")).unwrap();
        let mut copy = Tree::new();
        tree.write_to(&mut copy).unwrap();
        assert_eq!(
            (copy.get("a"), &copy.get("c").unwrap().kind),
            (Some(&file("one")), &NodeKind::Hardlink("a".into()))
        );
        tree.put("b", file("two")).unwrap();
        assert_eq!(
            (tree.read("a"), tree.read("b"), tree.read("c")),
            (Some(&b"one"[..]), Some(&b"two"[..]), Some(&b"one"[..]))
        );
        tree.remove("a").unwrap();
        assert_eq!(tree.get("c"), Some(&file("one")));
    }
}
