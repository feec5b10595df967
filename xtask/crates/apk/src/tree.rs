//! A root filesystem as a value, into which packages are installed. Nothing of it is on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::digest::Expected;
use anyhow::Result;
use fault::{Fault, Kind};
use fstree::tree::{Bytes, Entry, Node, Source};

use crate::digest;
use crate::gzip;
use crate::limits;
use crate::path;
use crate::tarball;

/// A root filesystem. Each entry's parent is there and is a directory; the root itself is not an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Entry>,
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
            let node = match entry.kind {
                Node::Directory => Node::Directory,
                Node::File(range) => Node::File(Bytes::part(&data, range).into()),
                Node::Symlink(target) => {
                    path::check_link(&at, &target)?;
                    Node::Symlink(target)
                }
                Node::HardLink(target) => Node::HardLink(plain(&target)),
            };
            tree.put(&at, Entry { node, attributes: entry.attributes })?;
        }
        Ok(tree)
    }

    /// What lies at a path, not following links.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.nodes.get(path)
    }

    /// The same, of a file's other names that file.
    pub(crate) fn file(&self, path: &str) -> Option<&Entry> {
        match self.get(path)? {
            Entry { node: Node::HardLink(file), .. } => self.get(file),
            entry => Some(entry),
        }
    }

    /// A file's content, through its other names but not through symbolic links.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        match &self.file(path)?.node {
            Node::File(Source::Bytes(content)) => Some(content),
            _ => None,
        }
    }

    /// All entries by path, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.nodes.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Puts an entry at a path, in place of what is there. Everything above must be a directory, never a link;
    /// a directory takes no other's place, nor gives its own to another kind; a hard link's target must be a
    /// file.
    pub fn put(&mut self, path: &str, mut entry: Entry) -> Result<()> {
        path::check(path)?;
        self.check_parents(path)?;
        if let Node::HardLink(target) = &entry.node {
            let first = match self.nodes.get(target).map(|target| &target.node) {
                Some(Node::File(_)) => target.clone(),
                Some(Node::HardLink(first)) => first.clone(),
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
            // Whose mode, owner and attributes all names have.
            entry = Entry::hard_link(first);
        }
        match self.nodes.get(path) {
            Some(old) if is_directory(old) != is_directory(&entry) => {
                let why = if is_directory(old) {
                    "a directory is there"
                } else {
                    "something that is not a directory is there"
                };
                return Err(path::refused(path, why));
            }
            Some(_) => self.detach(path),
            None => {}
        }
        if let Node::HardLink(file) = &entry.node {
            self.names.entry(file.clone()).or_default().insert(path.to_owned());
        }
        self.nodes.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Makes a directory of root's and what is above it where they are missing.
    pub fn make_directory(&mut self, path: &str) -> Result<()> {
        for path in fstree::path::ancestors(path).chain([path]) {
            if !self.nodes.contains_key(path) {
                self.put(path, Entry::directory(0o755))?;
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

    pub(crate) fn get_mut(&mut self, path: &str) -> Option<&mut Entry> {
        self.nodes.get_mut(path)
    }

    /// The tree as archives are written from it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for what no archive of ours has, such as a name that deletes from layers below.
    pub fn into_archived(self) -> Result<fstree::tree::Tree> {
        let mut tree = fstree::tree::Tree::new();
        for (path, mut entry) in self.nodes {
            if let Node::Symlink(_) = entry.node {
                // Whatever the archive has: Linux knows no other.
                entry.attributes.mode = 0o777;
            }
            tree.insert(&path, entry)?;
        }
        Ok(tree)
    }

    /// Before what is at a path goes away: if it is a file with other names, the first of them is the file now.
    fn detach(&mut self, path: &str) {
        let Some(Entry { node, .. }) = self.nodes.get(path) else { return };
        if let Node::HardLink(file) = node
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
            if let Some(other) = self.nodes.get_mut(name) {
                other.node = Node::HardLink(first.clone());
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
        if parent.is_none_or(|entry| entry.is_some_and(is_directory)) {
            return Ok(());
        }
        for parent in fstree::path::ancestors(path) {
            let why = match self.nodes.get(parent).map(|entry| &entry.node) {
                Some(Node::Directory) => continue,
                Some(Node::Symlink(_)) => "is a symbolic link: nothing is written through one",
                Some(_) => "is a file",
                None => "is not there",
            };
            return Err(path::refused(path, &format!("`{parent}` above it {why}")));
        }
        Ok(())
    }
}

fn is_directory(entry: &Entry) -> bool {
    entry.node == Node::Directory
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
    Fault::new(Kind::InvalidData, format!("the root filesystem has no `{what}`"))
        .help("start from an Alpine root filesystem, or from an empty one")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fstree::tree::Resolved;

    fn file(text: &str) -> Entry {
        Entry::file(0o644, text.as_bytes())
    }

    fn link(to: &str) -> Entry {
        Entry::hard_link(to)
    }

    #[test]
    fn nothing_is_written_through_links_or_files() {
        let mut tree = Tree::new();
        tree.make_directory("a/b").unwrap();
        tree.put("a/link", Entry::symlink("/etc")).unwrap();
        tree.put("a/file", file("x")).unwrap();
        let before = tree.clone();
        insta::assert_snapshot!(tree.put("a/link/x", file("y")).unwrap_err(), @"the path `a/link/x` is refused: `a/link` above it is a symbolic link: nothing is written through one");
        insta::assert_snapshot!(tree.put("a/file/x", file("y")).unwrap_err(), @"the path `a/file/x` is refused: `a/file` above it is a file");
        insta::assert_snapshot!(tree.put("c/x", file("y")).unwrap_err(), @"the path `c/x` is refused: `c` above it is not there");
        insta::assert_snapshot!(tree.put("a", file("y")).unwrap_err(), @"the path `a` is refused: a directory is there");
        assert!(tree.put("a/file", Entry::directory(0o755)).is_err());
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
        let archived = tree.clone().into_archived().unwrap();
        let resolved = archived.resolve().unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|path| resolved[path].0),
            [Resolved::File(&b"one"[..].into()), Resolved::HardLink("a"), Resolved::HardLink("a")]
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
