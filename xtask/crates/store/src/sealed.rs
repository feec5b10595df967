//! Sealed directories: trees unpacked from an input, and objects made from everything their key hashes.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use fault::{Fault, Kind};
use progress::Progress;

use crate::disk::{self, OnDisk};
use crate::lock::{FileLock, Mode};
use crate::manifest::{self, Manifest, SEAL};
use crate::temp::Scratch;
use crate::{Digest, Key, Store};

/// The output of a build step, verified when it was opened.
#[derive(Debug)]
pub struct Object {
    /// The directory that the step filled.
    pub dir: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// Was it made just now, not found?
    pub fresh: bool,
}

/// An unpacked archive.
#[derive(Debug)]
pub struct Tree {
    /// The directory it was unpacked into.
    pub dir: PathBuf,
}

/// Names a tree: `NAME-VERSION-` and the first 12 digits of the SHA-256 of the archive.
#[derive(Clone, Copy, Debug)]
pub struct TreeId<'a> {
    /// Of the tool.
    pub name: &'a str,
    /// Of the tool.
    pub version: &'a str,
    /// Of the archive.
    pub sha256: &'a Digest,
}

impl Object {
    /// The path of one of its files; an error if it has none of that name.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        ensure!(self.manifest.entries.contains_key(name), "{} has no `{name}`", self.manifest.what);
        Ok(self.dir.join(name))
    }
}

impl Tree {
    /// Hashes every file again. Do so before something built with the tree is trusted.
    pub fn verify(&self) -> Result<()> {
        match Manifest::read(&self.dir)? {
            Some(manifest) => manifest.verify(&self.dir),
            None => Err(manifest::corrupt(&self.dir, "a sealed tree", "no manifest")),
        }
    }
}

impl Store {
    /// Is there an object of this key? Without reading its files.
    pub fn has_object(&self, key: &Key) -> bool {
        self.object_path(key).join(SEAL).is_file()
    }

    /// Where the object of this key is, or would be.
    pub fn object_path(&self, key: &Key) -> PathBuf {
        self.root().join("objects").join(key.to_string())
    }

    /// The object of this key, after hashing all of it; none if it is not here.
    pub fn find_object(&self, key: &Key) -> Result<Option<Object>> {
        let dir = self.object_path(key);
        let Some(manifest) = Manifest::read(&dir)? else { return Ok(None) };
        manifest.verify(&dir)?;
        disk::touch(&dir.join(SEAL));
        Ok(Some(Object { dir, manifest, fresh: false }))
    }

    /// The object of this key, made by `make` if it is not here.
    ///
    /// `make` fills an empty directory; only once it succeeded and all is synced does the object have its name.
    /// Among all processes and threads one makes it, the others wait. `what` names it to people.
    pub fn object(
        &self,
        key: &Key,
        what: &str,
        progress: &dyn Progress,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Object> {
        if let Some(found) = self.find_object(key)? {
            return Ok(found);
        }
        let _alone = self.alone(&key.to_string().replace('/', "-"), what, progress)?;
        if let Some(found) = self.find_object(key)? {
            return Ok(found);
        }
        // Not sealed, it is nobody's: found only at the end, all the work would be for nothing.
        let dir = self.object_path(key);
        if dir.symlink_metadata().is_ok() {
            progress.note(&format!("`{}` is not sealed: replacing it", dir.display()));
            self.remove(&dir)?;
        }
        let (temp, manifest) = self.make(what, make)?;
        manifest.sync(temp.path())?;
        manifest.write(temp.path())?;
        name(&temp, &dir)?;
        Ok(Object { dir, manifest, fresh: true })
    }

    /// Links all objects of a kind, which hold files alone, of another store into this one, which is on the same file
    /// system. They are hashed when they are read, as ever.
    ///
    /// # Errors
    /// What keeps them from being read or linked.
    pub fn link_objects(&self, other: &Store, kind: &str) -> Result<()> {
        let from = other.root().join("objects").join(kind);
        for object in disk::names(&from)? {
            let to = self.root().join("objects").join(kind).join(&object);
            if to.join(SEAL).is_file() {
                continue;
            }
            let temp = self.scratch_dir()?;
            for file in disk::names(&from.join(&object))? {
                let from = from.join(&object).join(&file);
                std::fs::hard_link(&from, temp.path().join(&file)).on("link", &from)?;
            }
            name(&temp, &to)?;
        }
        Ok(())
    }

    /// The tree of this name, if it is here and sealed; its files are not read, see [`Tree::verify`].
    pub fn find_tree(&self, id: &TreeId) -> Result<Option<Tree>> {
        let dir = self.tree_path(id)?;
        if !dir.join(SEAL).is_file() {
            return Ok(None);
        }
        disk::touch(&dir.join(SEAL));
        Ok(Some(Tree { dir }))
    }

    /// The tree of this name, unpacked by `unpack` from its (verified) archive if it is not here.
    ///
    /// A directory of that name without a seal is sealed where it is if it holds exactly what `unpack` gives:
    /// caches of compilers know tools by their path and time. Otherwise it is replaced.
    pub fn tree(
        &self,
        id: &TreeId,
        progress: &dyn Progress,
        unpack: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Tree> {
        if let Some(found) = self.find_tree(id)? {
            return Ok(found);
        }
        let dir = self.tree_path(id)?;
        let what = format!("{} {}", id.name, id.version);
        let lock_name = format!("tree-{}", dir.file_name().unwrap_or_default().to_string_lossy());
        let _alone = self.alone(&lock_name, &what, progress)?;
        if let Some(found) = self.find_tree(id)? {
            return Ok(found);
        }
        let (temp, manifest) = self.make(&what, unpack)?;
        // One call for tens of thousands of small files, which a sync each would make minutes of.
        let opened = std::fs::File::open(temp.path()).on("open", temp.path())?;
        rustix::fs::syncfs(opened).map_err(std::io::Error::from).on("sync", temp.path())?;
        if dir.exists() {
            // Gives the files there the fixed modes, so that only content can differ.
            let there = Manifest::of(&dir, &what);
            if there.is_ok_and(|there| there == manifest) {
                manifest.write(&dir)?;
                return Ok(Tree { dir });
            }
            progress.note(&format!("`{}` is not as unpacked: replacing it", dir.display()));
            let aside = self.temp().fresh();
            disk::rename(&dir, aside.path())?;
            manifest.write(temp.path())?;
            name(&temp, &dir)?;
            return Ok(Tree { dir });
        }
        manifest.write(temp.path())?;
        name(&temp, &dir)?;
        Ok(Tree { dir })
    }

    /// Where the tree of this name is, or would be.
    pub fn tree_path(&self, id: &TreeId) -> Result<PathBuf> {
        for part in [id.name, id.version] {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
            if part.is_empty() || part.starts_with('.') || !part.bytes().all(plain) {
                let message = format!("`{part}` cannot be part of a tool's directory name");
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
        }
        let name = format!("{}-{}-{}", id.name, id.version, id.sha256.short());
        Ok(self.root().join("trees").join(name))
    }

    fn alone(&self, name: &str, what: &str, progress: &dyn Progress) -> Result<FileLock> {
        let path = self.root().join("locks").join(name);
        FileLock::wait(&path, Mode::Exclusive, || {
            progress.note(&format!("waiting for {what}: another build is making it"));
        })
    }

    fn make(&self, what: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<(Scratch, Manifest)> {
        let temp = self.temp().fresh_dir()?;
        make(temp.path()).map_err(|error| disk::explain_full_disk(error, temp.path()))?;
        exec::interrupt::check()?;
        ensure!(!temp.path().join(SEAL).exists(), "{what}: the name {SEAL} is taken by the store");
        let manifest = Manifest::of(temp.path(), what)?;
        Ok((temp, manifest))
    }
}

/// Gives what was made its name.
fn name(temp: &Scratch, dir: &Path) -> Result<()> {
    if let Some(parent) = dir.parent() {
        disk::make_dir(parent)?;
    }
    disk::rename(temp.path(), dir)
}
