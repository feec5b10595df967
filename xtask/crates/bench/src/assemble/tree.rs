//! Trees: one that is made, and those that are read.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use fstree::tree::{Entry, Source, Tree};
use walkdir::WalkDir;

/// How many files are in a directory.
const TOGETHER: usize = 100;

/// Makes so many small files, each of some hundred bytes to some kilobytes of words and numbers, the same in each run.
///
/// # Errors
/// What the file system gives; [`Kind::Interrupted`].
pub fn small_files(dir: &Path, count: usize) -> Result<()> {
    let mut numbers = crate::hot::Numbers(0x9e37_79b9_7f4a_7c15);
    let mut next = |below: u64| numbers.next().unwrap_or_default() % below;
    let word = |number: u64| WORDS[usize::try_from(number).unwrap_or_default()];
    for number in 0..count {
        let at = dir.join(format!("usr/share/part-{:03}", number / TOGETHER));
        if number.is_multiple_of(TOGETHER) {
            exec::interrupt::check()?;
            fs::create_dir_all(&at).with_context(|| format!("cannot make {}", at.display()))?;
        }
        let mut text = String::new();
        for line in 0..4 + next(60) {
            text += &format!("{line}: {} = {}, {:x}\n", word(next(8)), word(next(8)), next(1 << 32));
        }
        let file = at.join(format!("file-{number:05}.conf"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

const WORDS: [&str; 8] = ["enabled", "path", "interval", "device", "the-default", "socket", "limit", "name"];

/// How many files there are, and how many bytes they have.
pub(super) fn size(dir: &Path) -> Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in WalkDir::new(dir) {
        exec::interrupt::check()?;
        let entry = entry?;
        if entry.file_type().is_file() {
            files += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((files, bytes))
}

/// What is in a directory, without extended attributes.
pub(super) fn read(dir: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut names: HashMap<(u64, u64), String> = HashMap::new();
    for entry in WalkDir::new(dir).min_depth(1).sort_by_file_name() {
        exec::interrupt::check()?;
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let path = entry.path();
        let refused = |why: &str| Fault::new(Kind::InvalidData, format!("{} {why}", path.display()));
        let name = path.strip_prefix(dir)?.to_str().ok_or_else(|| refused("has a name that is not UTF-8"))?;
        let metadata = entry.metadata()?;
        let (mode, kind) = (metadata.mode() & 0o7777, metadata.file_type());
        let made = if kind.is_dir() {
            Entry::directory(mode)
        } else if kind.is_symlink() {
            let target = fs::read_link(path)?;
            Entry::symlink(target.to_str().ok_or_else(|| refused("leads to a name that is not UTF-8"))?)
        } else if kind.is_file() {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = names.get(&inode).filter(|_| metadata.nlink() > 1) {
                tree.insert(name, Entry::hard_link(first.as_str()))?;
                continue;
            }
            names.insert(inode, name.to_owned());
            Entry::file(mode, Source::Path(path.to_owned()))
        } else {
            return Err(refused("is neither a file, a directory nor a symbolic link").into());
        };
        tree.insert(name, made.owner(metadata.uid(), metadata.gid()))?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_read_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("etc")).unwrap();
        fs::write(at("etc/a"), "a").unwrap();
        fs::hard_link(at("etc/a"), at("etc/b")).unwrap();
        symlink("a", at("etc/c")).unwrap();
        let tree = read(dir.path()).unwrap();
        let resolved = tree.resolve().unwrap();
        let kinds: Vec<_> = resolved.iter().map(|(path, (kind, _))| format!("{path} {kind:?}")).collect();
        assert_eq!(kinds.len(), 4);
        assert!(kinds[2] == r#"etc/b HardLink("etc/a")"# && kinds[3] == r#"etc/c Symlink("a")"#, "{kinds:?}");
        assert_eq!(size(dir.path()).unwrap(), (2, 2));
        let _pipe = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert_eq!(fault::exit_code(&read(dir.path()).unwrap_err()), Kind::InvalidData.exit_code());
    }

    #[test]
    fn small_files_are_the_same_each_time() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        small_files(one.path(), 250).unwrap();
        small_files(two.path(), 250).unwrap();
        let last = "usr/share/part-002/file-00249.conf";
        let text = |dir: &Path| fs::read_to_string(dir.join(last)).unwrap();
        assert_eq!(text(one.path()), text(two.path()));
        assert_eq!(size(one.path()).unwrap().0, 250);
    }
}
