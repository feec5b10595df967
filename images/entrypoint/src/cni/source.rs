//! The plugins that the image itself has, even where the host's directory is mounted over them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::PLUGINS;
use crate::mount::describe;
use crate::preflight::{Facts, mounted_from_host};

/// The image's directory of plugins.
pub(crate) struct Source {
    dir: OwnedFd,
    /// Names of one content: the joined plugins are hard links of one file.
    pub(crate) groups: Vec<Vec<String>>,
}

impl Source {
    /// Opens it; an error says why there is none.
    pub(crate) fn open(facts: &Facts) -> Result<Self, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |at: &dyn Fn() -> Result<OwnedFd, Errno>| match at() {
            Ok(dir) => Ok(dir),
            Err(Errno::NOENT) => Err("this image has no plugins: use a tag with -cni or -flannel".to_owned()),
            Err(Errno::NOSYS) => Err(format!(
                "the image's own plugins are hidden by a mount: mount the host's directory at {} instead",
                crate::preflight::HOST_CNI
            )),
            Err(error) => Err(format!("the image's plugins cannot be opened: {}", describe(error))),
        };
        let dir = if mounted_from_host(facts, Path::new(PLUGINS)).is_none() {
            open(&|| rustix::fs::open(PLUGINS, flags, Mode::empty()))?
        } else {
            // A clone of the root's mount alone, without what is mounted on it.
            let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            open(&|| {
                let root = rustix::mount::open_tree(CWD, "/", clone)?;
                rustix::fs::openat(root, PLUGINS.trim_start_matches('/'), flags, Mode::empty())
            })?
        };
        Self::of(dir).map_err(|error| format!("the image's plugins cannot be listed: {}", describe(error)))
    }

    /// The regular files of a directory, by content.
    pub(crate) fn of(dir: OwnedFd) -> Result<Self, Errno> {
        let mut groups: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let stat = rustix::fs::statat(&dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && !name.starts_with('.') {
                groups.entry(stat.st_ino).or_default().push(name.to_owned());
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        for names in &mut groups {
            names.sort();
        }
        groups.sort();
        Ok(Self { dir, groups })
    }

    /// A plugin's content.
    pub(crate) fn file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::openat(&self.dir, name, flags, Mode::empty()).map(File::from)
    }
}
