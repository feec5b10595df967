//! The real apk, from Alpine's root filesystem, run on this machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use apk::tree::{Node, NodeKind, Sink, Tree};
use exec::Run;
use tempfile::TempDir;

/// Writes a tree into a directory; owners need root.
pub(crate) struct Directory<'a> {
    pub(crate) root: &'a Path,
}

impl Sink for Directory<'_> {
    fn put(&mut self, path: &str, node: &Node) -> anyhow::Result<()> {
        let to = self.root.join(path);
        match &node.kind {
            NodeKind::Directory => fs::create_dir(&to)?,
            NodeKind::File(content) => fs::write(&to, &**content)?,
            NodeKind::Symlink(target) => symlink(target, &to)?,
            NodeKind::Hardlink(target) => fs::hard_link(self.root.join(target), &to)?,
        }
        std::os::unix::fs::lchown(&to, Some(node.uid), Some(node.gid))?;
        if !matches!(node.kind, NodeKind::Symlink(_)) {
            fs::set_permissions(&to, fs::Permissions::from_mode(node.mode))?;
        }
        Ok(())
    }
}

/// An `x86_64` root filesystem with the real apk in it.
pub(crate) struct RealApk {
    dir: TempDir,
}

impl RealApk {
    /// None, with a line that says why, where it cannot be run.
    pub(crate) fn new() -> Option<Self> {
        let tree = super::minirootfs("x86_64")?;
        let dir = tempfile::tempdir().unwrap();
        let root = std::env::consts::ARCH == "x86_64"
            && std::os::unix::fs::lchown(dir.path(), Some(0), Some(0)).is_ok();
        if !root {
            eprintln!("skipped: Alpine's apk runs on x86_64 only, and keeping owners needs root");
            return None;
        }
        write(&tree, &dir.path().join("root"));
        Some(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its own root filesystem.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Runs apk with these arguments; what it wrote if it succeeded, else the error.
    pub(crate) fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        let root = self.root();
        let libraries = format!("{}:{}", root.join("lib").display(), root.join("usr/lib").display());
        let loader = Run::new(root.join("lib/ld-musl-x86_64.so.1")).arg("--library-path").arg(libraries);
        let finished = loader.arg(root.join("sbin/apk")).args(args).run()?;
        Ok(String::from_utf8(finished.stdout)?)
    }
}

pub(crate) fn write(tree: &Tree, root: &Path) {
    fs::create_dir(root).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    tree.write_to(&mut Directory { root }).unwrap();
}
