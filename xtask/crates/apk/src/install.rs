//! Installing packages into a tree as apk would into a directory, but for scripts, which are never run.

mod scripts;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use fstree::tree::{Attributes, Bytes, Node, Source};

use crate::database::{self, Access, Database, Directory, Installed, OwnedFile};
use crate::depend::Dependency;
use crate::digest::Checksum;
use crate::package::{NOARCH, Package};
use crate::path;
use crate::record::Record;
use crate::tarball::{Entry, EntryKind};
use crate::tree::{self, Tree};

pub use scripts::PendingScript;

/// What the image's world holds: the packages asked for by name.
pub const WORLD: &str = "etc/apk/world";
/// The architecture that apk inside takes packages for.
pub const ARCH: &str = "etc/apk/arch";

/// Paths that belong to apk itself; a package's file there is refused, in whatever case it is written.
const OURS: [&str; 2] = [ARCH, WORLD];
const OUR_DIRECTORY: &str = "lib/apk/db";

/// A root filesystem that packages are installed into.
#[derive(Clone, Debug)]
pub struct Rootfs {
    tree: Tree,
    database: Database,
    arch: String,
    /// Which package a file or link is of, by name.
    owners: HashMap<String, String>,
    /// The packages added here, in order.
    added: Vec<Added>,
}

#[derive(Clone, Debug)]
struct Added {
    name: String,
    upgrade: bool,
    /// The directories it changed, with a slash before them: what triggers are told.
    touched: HashSet<String>,
}

impl Rootfs {
    /// A root filesystem with nothing in it.
    pub fn empty(arch: &str) -> Self {
        let (tree, database) = (Tree::new(), Database::default());
        Self { tree, database, arch: arch.to_owned(), owners: HashMap::new(), added: Vec::new() }
    }

    /// A root filesystem that has packages already: its own database says which. It must be of `arch`.
    pub fn from_base(tree: Tree, arch: &str) -> Result<Self> {
        let read = |path: &str| tree.read(path).ok_or_else(|| tree::missing(path));
        let text = |path: &str| std::str::from_utf8(read(path)?).context(path.to_owned());
        let found = text(ARCH)?.trim();
        if found != arch {
            return Err(Fault::mismatch(
                "the architecture of the root filesystem",
                arch,
                found.escape_debug(),
            )
            .into());
        }
        let scripts = read(database::SCRIPTS)?;
        let database = Database::parse(text(database::INSTALLED)?, scripts, text(database::TRIGGERS)?)?;
        let mut owners = HashMap::new();
        for package in &database.packages {
            owners.extend(package.files().map(|(path, _)| (path, package.record.name.clone())));
        }
        Ok(Self { tree, database, arch: arch.to_owned(), owners, added: Vec::new() })
    }

    /// What is there now.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The installed packages.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Installs a package; packages come in the order that the resolver gives. One that is there with the same
    /// checksum is left alone, another version of one that is there is replaced. If it fails, the root filesystem
    /// is gone with it: nothing half-placed is left.
    pub fn install(mut self, package: &Package) -> Result<Self> {
        let record = &package.record;
        let there = self.database.find(&record.name).map(|there| there.record.checksum);
        if there != Some(record.checksum) {
            self.place(package).with_context(|| format!("installing {}", record.id()))?;
        }
        Ok(self)
    }

    fn place(&mut self, package: &Package) -> Result<()> {
        let record = &package.record;
        if record.arch != self.arch && record.arch != NOARCH {
            return Err(Fault::mismatch("its architecture", &self.arch, &record.arch).into());
        }
        let old = self.database.find(&record.name).cloned();
        let left = old.iter().flat_map(Installed::files).map(|(path, file)| (path, file.checksum)).collect();
        let mut placing = Placing {
            users: tree::ids(&self.tree, "etc/passwd"),
            groups: tree::ids(&self.tree, "etc/group"),
            left,
            record,
            data: &package.data,
            directories: Vec::new(),
            places: HashMap::new(),
            written: HashMap::new(),
            taken: HashMap::new(),
        };
        for entry in &package.entries {
            placing.put(self, entry).with_context(|| format!("placing `{}`", entry.path))?;
        }
        let Placing { directories, written, taken, .. } = placing;
        remove_owner(&mut self.database, &taken);
        let mut touched: HashSet<String> = directories.iter().map(|dir| format!("/{}", dir.path)).collect();
        let scripts = package.scripts.clone();
        let installed =
            Installed { record: record.clone(), directories, scripts, triggers: package.triggers.clone() };
        if let Some(old) = &old {
            touched.extend(old.directories.iter().map(|dir| format!("/{}", dir.path)));
            self.database.remove(&record.name);
            self.remove_rest(old, &installed, &written)?;
        }
        self.owners.extend(written.into_keys().map(|path| (path, record.name.clone())));
        self.database.add(installed);
        self.added.push(Added { name: record.name.clone(), upgrade: old.is_some(), touched });
        Ok(())
    }

    /// Takes away what only the old version of a package had. Where people change files, in `etc`, those that
    /// are not as the package left them stay.
    fn remove_rest(
        &mut self,
        old: &Installed,
        new: &Installed,
        written: &HashMap<String, Option<Checksum>>,
    ) -> Result<()> {
        let kept: HashSet<String> = new.files().map(|(path, _)| path).collect();
        for (path, file) in old.files() {
            let ours = self.owners.get(&path) == Some(&old.record.name);
            if !ours || kept.contains(&path) || written.contains_key(&path) {
                continue;
            }
            self.owners.remove(&path);
            if !is_protected(&path) || self.is_unchanged(&path, file.checksum) {
                self.tree.remove(&path)?;
            }
        }
        let others = self.database.packages.iter().chain([new]).flat_map(|package| &package.directories);
        let others: HashSet<&str> = others.map(|directory| &*directory.path).collect();
        for directory in old.directories.iter().rev() {
            if !directory.path.is_empty() && !others.contains(&*directory.path) {
                // It stays if something else is in it.
                let _ = self.tree.remove(&directory.path);
            }
        }
        Ok(())
    }

    fn is_unchanged(&self, path: &str, checksum: Option<Checksum>) -> bool {
        let found = match self.tree.get(path).map(|entry| &entry.node) {
            Some(Node::Symlink(target)) => Some(target.as_bytes()),
            _ => self.tree.read(path),
        };
        matches!((found, checksum), (Some(found), Some(checksum)) if checksum.is_of(found))
    }

    /// Whether a package's file may come where another's is: of two of one origin the new one wins, else the one
    /// that replaces the other, of two that replace each other the one of the higher priority, then the new one.
    /// So does apk 2.12.7.
    fn takes_over(&self, path: &str, new: &Record, owner: &str) -> Result<bool> {
        let Some(old) = self.database.find(owner).map(|package| &package.record) else { return Ok(true) };
        if new.origin.is_some() && new.origin == old.origin {
            return Ok(true);
        }
        let replaces = |by: &Record, other: &Record| {
            let named = by.replaces.iter().any(|replaced| {
                replaced.name == other.name
                    && replaced.means(Some(&other.version), other.checksum) != replaced.conflict
            });
            named.then(|| i64::from(by.replaces_priority.unwrap_or(0)))
        };
        match (replaces(new, old), replaces(old, new)) {
            (new, Some(old)) if new.is_none_or(|new| old > new) => Ok(false),
            (Some(_), _) => Ok(true),
            (None, _) => {
                let message = format!("`{path}` belongs to {}, which it does not replace", old.id());
                Err(Fault::new(Kind::Mismatch, message).into())
            }
        }
    }

    /// Files that run with their owner's or group's rights, by path: what an image should have few of.
    pub fn privileged(&self) -> Vec<&str> {
        let privileged = |path: &&str| {
            let entry = self.tree.file(path);
            entry.is_some_and(|it| it.node != Node::Directory && it.attributes.mode & 0o6000 != 0)
        };
        self.tree.iter().map(|(path, _)| path).filter(privileged).collect()
    }

    /// Ends installing: writes apk's database, the world and the architecture, and gives the tree. `time` is
    /// what the scripts' archive has, in seconds since 1970.
    pub fn finish(mut self, world: &[Dependency], time: u64) -> Result<Tree> {
        let mut world: Vec<String> = world.iter().map(ToString::to_string).collect();
        world.sort_unstable();
        world.dedup();
        let lines = |lines: &[String]| match lines {
            [] => Vec::new(),
            lines => (lines.join(
                "
",
            ) + "
")
            .into_bytes(),
        };
        self.tree.make_directory(OUR_DIRECTORY)?;
        self.tree.make_directory("etc/apk")?;
        let files = [
            (WORLD, lines(&world)),
            (ARCH, lines(&[self.arch])),
            (database::INSTALLED, self.database.installed().into_bytes()),
            (database::SCRIPTS, self.database.scripts(time)?),
            (database::TRIGGERS, self.database.triggers().into_bytes()),
        ];
        for (path, bytes) in files {
            self.tree.put(path, fstree::tree::Entry::file(0o644, bytes))?;
        }
        Ok(self.tree)
    }
}

/// Where people change files, so that apk does not overwrite what it did not put there.
fn is_protected(path: &str) -> bool {
    path.starts_with("etc/")
}

/// A package on its way into the tree.
struct Placing<'a> {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
    /// The files of the version that is replaced.
    left: HashMap<String, Option<Checksum>>,
    record: &'a Record,
    data: &'a Arc<Vec<u8>>,
    directories: Vec<Directory>,
    /// Where each of them is, by its path: the last, if it was there twice.
    places: HashMap<String, usize>,
    /// The files and links it put, and their checksums.
    written: HashMap<String, Option<Checksum>>,
    /// What it took over, by the package that had it.
    taken: HashMap<String, HashSet<String>>,
}

impl Placing<'_> {
    fn put(&mut self, rootfs: &mut Rootfs, entry: &Entry) -> Result<()> {
        let lower = entry.path.to_ascii_lowercase();
        let ours = OURS.contains(&lower.as_str())
            || lower.strip_prefix(OUR_DIRECTORY).is_some_and(|rest| rest.starts_with('/'));
        if ours {
            return Err(path::refused(&entry.path, "it belongs to apk itself"));
        }
        let id = |ids: &BTreeMap<String, u32>, name: &str, id: u32| ids.get(name).copied().unwrap_or(id);
        let access = Access {
            uid: id(&self.users, &entry.user, entry.attributes.uid),
            gid: id(&self.groups, &entry.group, entry.attributes.gid),
            mode: entry.attributes.mode,
            xattrs: Access::sum(&entry.attributes.xattrs),
        };
        if entry.kind == EntryKind::Directory {
            self.put_directory(rootfs, entry, access)
        } else {
            self.put_file(rootfs, entry, access)
        }
    }

    /// A directory that is there keeps the lower owner, and of two equal ones only the modes that both give.
    fn put_directory(&mut self, rootfs: &mut Rootfs, entry: &Entry, access: Access) -> Result<()> {
        match rootfs.tree.get_mut(&entry.path) {
            Some(fstree::tree::Entry { node: Node::Directory, attributes: there }) => {
                if (access.uid, access.gid) < (there.uid, there.gid) {
                    (there.uid, there.gid, there.mode) = (access.uid, access.gid, access.mode);
                } else if (access.uid, access.gid) == (there.uid, there.gid) {
                    there.mode &= access.mode;
                }
            }
            _ => rootfs.tree.put(&entry.path, node(entry, Node::Directory, access))?,
        }
        self.add_directory(Directory { path: entry.path.clone(), access, files: Vec::new() });
        Ok(())
    }

    fn put_file(&mut self, rootfs: &mut Rootfs, entry: &Entry, access: Access) -> Result<()> {
        let (dir, name) = path::split(&entry.path);
        if name.starts_with(".keep_") {
            return Ok(());
        }
        let at = self
            .directory(dir)
            .ok_or_else(|| path::refused(&entry.path, "its directory is not in the package before it"))?;
        let (kind, checksum) = match &entry.kind {
            EntryKind::File(range) => {
                (Node::File(Bytes::part(self.data, range.clone()).into()), entry.checksum)
            }
            EntryKind::Symlink(target) => (Node::Symlink(target.clone()), entry.checksum),
            EntryKind::HardLink(target) if self.written.contains_key(target) => (
                Node::HardLink(target.clone()),
                entry.checksum.or_else(|| self.written.get(target).copied().flatten()),
            ),
            _ => {
                return Err(path::refused(
                    &entry.path,
                    "it links to something that is not a file of the package before it",
                ));
            }
        };
        let owner = rootfs.owners.get(&entry.path).filter(|owner| **owner != self.record.name).cloned();
        if let Some(owner) = &owner {
            if !rootfs.takes_over(&entry.path, self.record, owner)? {
                return Ok(());
            }
            self.taken.entry(owner.clone()).or_default().insert(entry.path.clone());
        }
        let target = self.target(rootfs, entry, owner.is_some());
        rootfs.tree.put(&target, node(entry, kind, access))?;
        self.directories[at].files.push(OwnedFile { name: name.to_owned(), access, checksum });
        self.written.insert(entry.path.clone(), checksum);
        Ok(())
    }

    /// Where a file goes: beside what is there if that is in a place where people change files and was not put
    /// there by a package, or was changed since.
    fn target(&self, rootfs: &Rootfs, entry: &Entry, taken_over: bool) -> String {
        let there = rootfs.tree.get(&entry.path).is_some();
        if !there
            || taken_over
            || !is_protected(&entry.path)
            || rootfs.is_unchanged(&entry.path, entry.checksum)
        {
            return entry.path.clone();
        }
        match self.left.get(&entry.path) {
            Some(checksum) if rootfs.is_unchanged(&entry.path, *checksum) => entry.path.clone(),
            _ => format!("{}.apk-new", entry.path),
        }
    }

    /// The place of a directory of the package, the root's made when it is first needed.
    fn directory(&mut self, dir: &str) -> Option<usize> {
        if dir.is_empty() && !self.places.contains_key(dir) {
            self.add_directory(Directory {
                path: String::new(),
                access: Access::DIRECTORY,
                files: Vec::new(),
            });
        }
        self.places.get(dir).copied()
    }

    fn add_directory(&mut self, directory: Directory) {
        self.places.insert(directory.path.clone(), self.directories.len());
        self.directories.push(directory);
    }
}

/// Takes what other packages took over out of the lists of those that had it.
fn remove_owner(database: &mut Database, taken: &HashMap<String, HashSet<String>>) {
    for package in &mut database.packages {
        let Some(taken) = taken.get(&package.record.name) else { continue };
        for directory in &mut package.directories {
            directory.files.retain(|file| !taken.contains(&path::join(&directory.path, &file.name)));
        }
    }
}

fn node(entry: &Entry, node: Node<Source>, access: Access) -> fstree::tree::Entry {
    let xattrs = entry.attributes.xattrs.clone();
    fstree::tree::Entry {
        node,
        attributes: Attributes { mode: access.mode, uid: access.uid, gid: access.gid, xattrs },
    }
}
