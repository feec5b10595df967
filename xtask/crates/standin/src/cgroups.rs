//! A part of each hierarchy of cgroups, of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// All hierarchies' roots: one where cgroups are v2, one a controller where they are v1.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let mut roots: Vec<PathBuf> = fs::read_dir(top)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|dir| dir.join("cgroup.procs").is_file() && is_mount(dir))
        .collect();
    if top.join("cgroup.procs").is_file() {
        roots.push(top.to_owned());
    }
    roots
}

fn is_mount(dir: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(4).is_some_and(|point| Path::new(point) == dir))
}

/// Makes a cgroup of this name below each root, and returns their directories.
pub(crate) fn make(name: &str) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for root in hierarchies() {
        let dir = root.join(name);
        fs::create_dir(&dir).with_context(|| format!("cannot make the cgroup {}", dir.display()))?;
        // A v1 cpuset is empty until told otherwise, and takes no process then.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if root.join("cpuset.sched_load_balance").is_file() {
                fs::write(dir.join(file), fs::read(root.join(file))?)?;
            }
        }
        made.push(dir);
    }
    Ok(made)
}

/// In v2 a cgroup's children have the controllers that it hands down, and it no processes then.
pub(crate) fn hand_down(dir: &Path) -> Result<()> {
    if let Ok(controllers) = fs::read_to_string(dir.join("cgroup.controllers")) {
        let all: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
        fs::write(dir.join("cgroup.subtree_control"), all.join(" "))?;
    }
    Ok(())
}

/// The cgroup of this name and all under it, in all hierarchies.
pub(crate) fn all(name: &str) -> Vec<PathBuf> {
    let below = |root: PathBuf| walkdir::WalkDir::new(root.join(name)).into_iter().filter_map(Result::ok);
    let dirs = hierarchies().into_iter().flat_map(below).filter(|entry| entry.file_type().is_dir());
    dirs.map(walkdir::DirEntry::into_path).collect()
}
