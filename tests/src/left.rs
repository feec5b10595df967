//! What a run of a verb leaves on this machine.

use std::fs;
use std::path::Path;

use anyhow::Result;
use walkdir::WalkDir;

/// What cgroups of machines and of stand-in hosts are called before the id of the process that made them.
const CGROUPS: [&str; 2] = ["kubelet-images-machine-", "kubelet-images-test-"];

/// What is left of runs whose temporary directory this was, by what it would be called: of one process, or of any that has ended.
pub fn of(tmp: &Path, process: Option<u32>) -> Result<Vec<String>> {
    let mut left = running(tmp)?;
    left.extend(fs::read_dir(tmp)?.flatten().map(|entry| entry.path().display().to_string()));
    let cgroups = WalkDir::new("/sys/fs/cgroup").min_depth(1).max_depth(2).into_iter().flatten();
    // Others may run meanwhile.
    let is_ours = |name: &str| match process {
        Some(process) => name == process.to_string(),
        None => !Path::new("/proc").join(name).exists(),
    };
    let ours = cgroups.filter(|dir| {
        let name = dir.file_name().to_string_lossy();
        let rest = CGROUPS.iter().find_map(|start| name.strip_prefix(start));
        rest.and_then(|rest| rest.split('-').next()).is_some_and(is_ours)
    });
    left.extend(ours.map(|dir| dir.path().display().to_string()));
    for list in ["/proc/self/mountinfo", "/proc/net/dev"] {
        let lines = fs::read_to_string(list)?;
        let ours = |line: &&str| line.contains(&*tmp.to_string_lossy()) || line.contains("cable");
        left.extend(lines.lines().filter(ours).map(str::to_owned));
    }
    for block in fs::read_dir("/sys/block")?.flatten() {
        let file = fs::read_to_string(block.path().join("loop/backing_file")).unwrap_or_default();
        left.extend(file.contains(&*tmp.to_string_lossy()).then_some(file));
    }
    Ok(left)
}

/// Processes whose command or environment names this directory: who holds a namespace is one, too.
pub fn running(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        let read = |name: &str| {
            let bytes = fs::read(process.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let (command, dir) = (read("cmdline"), dir.to_string_lossy());
        if command.contains(&*dir) || read("environ").contains(&*dir) {
            found.push(command);
        }
    }
    Ok(found)
}

/// What kubelets set for the whole kernel.
pub fn kernel() -> Result<Vec<String>> {
    let names = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys"];
    names.iter().map(|name| Ok(fs::read_to_string(Path::new("/proc/sys").join(name))?)).collect()
}
