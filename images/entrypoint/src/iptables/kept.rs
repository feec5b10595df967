//! The choice, kept for the life of the container: of a kube-proxy that was started without this program each call of
//! `iptables` is a process of its own, and a host's rules change.
//!
//! A file in `/dev` keeps it: there, runtimes give each container a file system of its own in memory, which can be written
//! to where the root cannot, and which is gone with the container. Where that is not so, nothing is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Backend;
use crate::host::namespace;
use crate::mountinfo;

const DIRECTORY: &str = "/dev";
const NAME: &str = ".containerized-kubelet-iptables";
/// More than is ever written.
const LONGEST: u64 = 256;

/// Where the choice of this container is, or would be.
pub(super) struct Kept {
    file: PathBuf,
    /// What tells this container from others that may have left a file there.
    container: String,
}

impl Kept {
    /// None where `/dev` is not the container's own, or the container cannot be distinguished from others.
    pub(super) fn here() -> Option<Self> {
        let table = mountinfo::read().ok()?;
        let mount = mountinfo::of_path(&table, Path::new(DIRECTORY))?;
        // The host's is a devtmpfs.
        let own = mount.target == DIRECTORY && mount.fstype == "tmpfs" && !mount.is_read_only();
        Some(Self::new(Path::new(DIRECTORY), container().filter(|_| own)?))
    }

    fn new(directory: &Path, container: String) -> Self {
        Self { file: directory.join(NAME), container }
    }

    /// What was chosen.
    pub(super) fn read(&self) -> Option<Backend> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.file).ok()?;
        let meta = file.metadata().ok()?;
        // Nobody else may choose for us.
        let own =
            meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o22 == 0;
        let mut text = String::new();
        own.then_some(file)?.take(LONGEST).read_to_string(&mut text).ok()?;
        let (name, container) = text.strip_suffix('\n')?.split_once(' ')?;
        Backend::of(name).filter(|_| container == self.container)
    }

    /// Keeps a choice, whole or not at all. What counts is the first one, which may be another's: it is returned.
    pub(super) fn write(&self, backend: Backend) -> Backend {
        self.try_write(backend).ok();
        self.read().unwrap_or(backend)
    }

    fn try_write(&self, backend: Backend) -> io::Result<()> {
        let new = self.file.with_extension(std::process::id().to_string());
        let _ = fs::remove_file(&new);
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
        let written = writeln!(file, "{} {}", backend.name(), self.container);
        let done = written.and_then(|()| fs::hard_link(&new, &self.file)).or_else(|error| {
            // What is there and not ours is of a container before this one.
            if error.kind() == io::ErrorKind::AlreadyExists && self.read().is_none() {
                fs::rename(&new, &self.file)
            } else {
                Err(error)
            }
        });
        let _ = fs::remove_file(&new);
        done
    }
}

/// This container: the number of its mount namespace, and when its process 1 began.
fn container() -> Option<String> {
    let stat = fs::read_to_string("/proc/1/stat").ok()?;
    // The 22nd field; the second, a name in parentheses, may have blanks.
    let began = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{} {began}", namespace("self", "mnt")?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("kept-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn kept(&self, container: &str) -> Kept {
            Kept::new(&self.0, container.to_owned())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_first_choice_counts_in_one_container() {
        let scratch = Scratch::new("first");
        let kept = scratch.kept("1 2");
        assert_eq!(kept.read(), None);
        assert_eq!(kept.write(Backend::Legacy), Backend::Legacy);
        assert_eq!(kept.write(Backend::Nft), Backend::Legacy, "another was first");
        assert_eq!(kept.read(), Some(Backend::Legacy));
        let other = scratch.kept("1 3");
        assert_eq!(other.read(), None, "of a container before this one");
        assert_eq!(other.write(Backend::Nft), Backend::Nft);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn nobody_else_chooses() {
        let scratch = Scratch::new("else");
        let kept = scratch.kept("1 2");
        let file = kept.file.clone();
        let good = "legacy 1 2\n";
        for (what, make) in [
            (
                "others may write",
                (|file: &Path, good: &str| {
                    fs::write(file, good).unwrap();
                    fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
                }) as fn(&Path, &str),
            ),
            ("a link", |file, good| {
                let to = file.with_extension("to");
                fs::write(&to, good).unwrap();
                symlink(to, file).unwrap();
            }),
            ("half a line", |file, good| fs::write(file, good.trim_end()).unwrap()),
            ("nonsense", |file, good| fs::write(file, good.replace("legacy", "iptables")).unwrap()),
            ("no text", |file, _| fs::write(file, [0xff; 9]).unwrap()),
        ] {
            let _ = fs::remove_file(&file);
            make(&file, good);
            assert_eq!(kept.read(), None, "{what}");
            assert_eq!(kept.write(Backend::Nft), Backend::Nft, "{what}");
            assert_eq!(kept.read(), Some(Backend::Nft), "{what}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!((kept.read(), kept.write(Backend::Nft)), (None, Backend::Nft), "a directory");
    }

    #[test]
    fn a_container_is_known_by_its_first_process() {
        let container = container().unwrap();
        let (namespace, began) = container.split_once(' ').unwrap();
        assert!(namespace.parse::<u64>().is_ok() && began.parse::<u64>().is_ok(), "{container}");
    }
}
