//! The real apk, from Alpine's root filesystem, run on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use apk::tree::Tree;
use exec::Run;
use fstree::tree::{Resolved, Source};
use tempfile::TempDir;

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
            skip::say("Alpine's apk runs on x86_64 only, and keeping owners needs root");
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
        let [loader, before @ ..] = self.command();
        let finished = Run::new(loader).args(before).args(args).run()?;
        Ok(String::from_utf8(finished.stdout)?)
    }

    /// Runs apk with these arguments; all that it complained of, whether it failed or not.
    pub(crate) fn complaints(&self, args: &[&str]) -> String {
        let [loader, before @ ..] = self.command();
        let output = Command::new(loader).args(before).args(args).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    /// The loader, as the libraries are not where it looks for them, and what comes before apk's arguments.
    fn command(&self) -> [PathBuf; 4] {
        let root = self.root();
        let libraries = format!("{}:{}", root.join("lib").display(), root.join("usr/lib").display());
        let loader = root.join("lib/ld-musl-x86_64.so.1");
        [loader, "--library-path".into(), libraries.into(), root.join("sbin/apk")]
    }
}

/// Writes a tree into a directory; owners need root.
pub(crate) fn write(tree: &Tree, root: &Path) {
    fs::create_dir(root).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    for (path, (resolved, attributes)) in tree.clone().into_archived().unwrap().resolve().unwrap() {
        let to = root.join(path);
        match resolved {
            Resolved::Directory => fs::create_dir(&to).unwrap(),
            Resolved::File(Source::Bytes(content)) => fs::write(&to, &**content).unwrap(),
            Resolved::File(Source::Path(_)) => unreachable!("apk's files are in memory"),
            Resolved::Symlink(target) => symlink(target, &to).unwrap(),
            Resolved::HardLink(target) => fs::hard_link(root.join(target), &to).unwrap(),
        }
        std::os::unix::fs::lchown(&to, Some(attributes.uid), Some(attributes.gid)).unwrap();
        if !matches!(resolved, Resolved::Symlink(_)) {
            fs::set_permissions(&to, fs::Permissions::from_mode(attributes.mode)).unwrap();
        }
        for (name, value) in &attributes.xattrs {
            rustix::fs::lsetxattr(&to, name.as_str(), value, rustix::fs::XattrFlags::empty()).unwrap();
        }
    }
}

/// The lines `(1/9) Installing name (version)` of what apk wrote.
pub(crate) fn installing(output: &str) -> Vec<String> {
    let line = |line: &str| {
        let rest = line.split_once(" Installing ")?.1;
        let (name, version) = rest.trim_end_matches(')').split_once(" (")?;
        Some(format!("{name}-{version}"))
    };
    output.lines().filter_map(line).collect()
}

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InstalledFile {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) content: Vec<u8>,
    pub(crate) links: u64,
}

/// All that lies in a directory, but for what apk keeps for itself while it runs.
pub(crate) fn list(root: &Path) -> BTreeMap<String, InstalledFile> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let links = if meta.is_dir() { 0 } else { meta.nlink() };
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(
                name,
                InstalledFile { mode: meta.mode(), owner: (meta.uid(), meta.gid()), content, links },
            );
        }
    }
    found
}
