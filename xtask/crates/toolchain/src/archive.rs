//! A pinned archive: from the store, else the mirror, else the network; verified whichever way it came.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use store::{Digest, Expected};

use crate::Setup;

/// What the lock says of an archive.
pub(crate) struct Archive<'a> {
    /// What it holds, for people: `zig 0.13.0`.
    pub(crate) what: String,
    /// Its file name, and where else a mirror may have it.
    pub(crate) names: Vec<String>,
    /// In bytes.
    pub(crate) size: u64,
    /// Of its content.
    pub(crate) sha256: &'a Digest,
}

impl Setup<'_> {
    /// The path of the archive in the store. `fetch` gets an empty directory and returns the file it got.
    pub(crate) fn archive(
        &self,
        archive: &Archive,
        fetch: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        if let Some(path) = self.store.input(archive.sha256)? {
            return Ok(path);
        }
        let expected = Expected { sha256: *archive.sha256, size: Some(archive.size) };
        if let Some(path) = self.mirrored(archive) {
            return self.store.put_input_file(&path.display().to_string(), &path, &expected);
        }
        if self.offline {
            let message = format!("{} is not in the store, and nothing is fetched offline", archive.what);
            return Err(Fault::new(Kind::Unavailable, message)
                .help("run `cargo xtask fetch ATTR` once with a network, or give a directory that has it with --mirror")
                .into());
        }
        let task = self.progress.task(&format!("fetch {}", archive.what), Some(archive.size));
        let scratch = self.store.scratch_dir()?;
        let got = fetch(scratch.path())?;
        let path = self.store.put_input_file(name_of(archive), &got, &expected)?;
        task.advance(archive.size);
        Ok(path)
    }

    fn mirrored(&self, archive: &Archive) -> Option<PathBuf> {
        let names =
            |mirror: &PathBuf| archive.names.iter().map(|name| mirror.join(name)).find(|path| path.is_file());
        self.mirrors.iter().find_map(names)
    }
}

fn name_of<'a>(archive: &'a Archive) -> &'a str {
    archive.names.first().map_or(&archive.what, |name| name)
}
