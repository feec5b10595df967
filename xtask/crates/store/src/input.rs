//! Files from outside, by SHA-256: written once they are known to be right, and hashed again on every read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use digest::{Digest, Expected, Hasher, each_chunk, hash_file};
use fault::Fault;

use crate::disk::{self, OnDisk};
use crate::{Store, manifest};

impl Store {
    /// Where the input of this digest is, or would be. No statement that it is there or whole.
    pub fn input_path(&self, sha256: &Digest) -> PathBuf {
        self.root().join("inputs/sha256").join(sha256.to_string())
    }

    /// The path of an input, after hashing it again; none if it is not here.
    pub fn input(&self, sha256: &Digest) -> Result<Option<PathBuf>> {
        let path = self.input_path(sha256);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.on("read", &path)?,
        };
        let (found, _) = hash_file(&path)?;
        if found != *sha256 {
            return Err(manifest::corrupt(&path, sha256, found));
        }
        disk::touch(&path);
        Ok(Some(path))
    }

    /// Links all inputs of another store into this one, which is on the same file system. They are hashed when they are
    /// read, as ever.
    pub fn link_inputs(&self, other: &Store) -> Result<()> {
        let from = other.root().join("inputs/sha256");
        for name in disk::names(&from)? {
            let (from, to) = (from.join(&name), self.root().join("inputs/sha256").join(&name));
            match fs::hard_link(&from, &to) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                linked => linked.on("link", &from)?,
            }
        }
        Ok(())
    }

    /// Copies a file into the store. `name` is what errors call it.
    pub fn put_input_file(&self, name: &str, from: &Path, expected: &Expected) -> Result<PathBuf> {
        let mut file = File::open(from).on("read", from)?;
        self.put_input(name, &mut file, expected)
    }

    /// Takes what a reader gives into the store, if it is what is expected; returns its path there.
    ///
    /// It has its name only once it is whole, verified and synced. An input that is there already is
    /// verified instead.
    pub fn put_input(&self, name: &str, from: &mut dyn Read, expected: &Expected) -> Result<PathBuf> {
        if let Some(path) = self.input(&expected.sha256)? {
            return Ok(path);
        }
        let temp = self.temp().fresh();
        let mut to = File::create_new(temp.path()).on("create", temp.path())?;
        let what = format!("`{name}`");
        let mut hasher = Hasher::default();
        let copied = each_chunk(from, |bytes| {
            hasher.update(bytes);
            if let Some(size) = expected.size.filter(|size| hasher.size() > *size) {
                return Err(refused(expected.mismatch(&what, &format!("more than {size} bytes"))));
            }
            to.write_all(bytes).on("write to", temp.path())
        });
        copied.or_else(|error| Err(error.downcast::<io::Error>()?).on("read", Path::new(name)))?;
        expected.check(&what, hasher.finish()).map_err(refused)?;
        to.sync_all().on("write to", temp.path())?;
        disk::set_mode(temp.path(), 0o644)?;
        let path = self.input_path(&expected.sha256);
        disk::rename(temp.path(), &path)?;
        Ok(path)
    }
}

fn refused(other: Fault) -> anyhow::Error {
    other
        .help("nothing was kept; fetch it again, and if it stays so, do not trust where it comes from")
        .into()
}
