//! What can be seen of this container, and by way of process 1 of the host.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::host::{self, namespace};
use crate::mountinfo::{self, Entry};
use crate::regular;

pub(crate) use crate::host::Answer;

/// The number that the kernel gives the first UTS namespace of a machine (`linux/proc_ns.h`).
const FIRST_UTS_NAMESPACE: u64 = 0xEFFF_FFFE;

/// Everything that checks look at more than once.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The mounts of this container.
    pub(crate) mounts: Vec<Entry>,
    /// Are we in the pid namespace of the host, so that process 1 is the host's init?
    pub(crate) host_pid: Answer,
    /// The host's mounts, where its process 1 may be looked at.
    pub(crate) host_mounts: Option<Vec<Entry>>,
    /// Capabilities in effect, a bit each.
    pub(crate) capabilities: u64,
    /// Those that the host's init may have, where it is known; ours otherwise.
    pub(crate) host_capabilities: u64,
}

impl Facts {
    /// Looks at the process itself.
    pub(crate) fn gather() -> Self {
        let own = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let capabilities = mask(&own, "CapEff:").unwrap_or(0);
        let host_pid = host::host_pid();
        let of_init = || mask(&std::fs::read_to_string("/proc/1/status").ok()?, "CapBnd:");
        let seen = host_pid == Answer::Yes;
        Self {
            mounts: mountinfo::read().unwrap_or_default(),
            host_pid,
            host_mounts: if seen { mountinfo::of_process(1).filter(|table| !table.is_empty()) } else { None },
            capabilities,
            host_capabilities: if seen { of_init() } else { None }.unwrap_or(u64::MAX),
        }
    }

    /// Is this capability (its number) in effect?
    pub(crate) fn has(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 == 1
    }

    /// The same path of the host; none where that may not be looked at. Links of the host lead to the host.
    pub(crate) fn on_host(&self, path: &Path, flags: OFlags) -> Option<Result<OwnedFd, Errno>> {
        if self.host_pid != Answer::Yes {
            return None;
        }
        let root = rustix::fs::open("/proc/1/root", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            // Linux before 5.6, or a path that changes just now.
            Err(Errno::NOSYS | Errno::AGAIN) => {
                host::visit(|| rustix::fs::open(path, flags, Mode::empty())).ok()
            }
            opened => Some(opened),
        }
    }

    /// The host's mount that its file at this path is on.
    pub(crate) fn hosts_mount(&self, path: &Path) -> Option<&Entry> {
        mountinfo::of_file(self.host_mounts.as_ref()?, &self.on_host(path, OFlags::PATH)?.ok()?)
    }

    /// The host's own name for what it has at this path, behind all links.
    pub(crate) fn real_on_host(&self, path: &Path) -> Option<PathBuf> {
        if self.host_pid == Answer::Yes { host::visit(|| path.canonicalize().ok()).ok()? } else { None }
    }

    /// Does the host run systemd, as `sd_booted(3)` has it? None where the host cannot be seen.
    pub(crate) fn runs_systemd(&self) -> Option<bool> {
        match self.on_host(Path::new("/run/systemd/system"), OFlags::PATH | OFlags::DIRECTORY)? {
            Ok(_) => Some(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Some(false),
            Err(_) => None,
        }
    }

    /// The text of a regular file of the host.
    pub(crate) fn read_on_host(&self, path: &str) -> Option<String> {
        let open = |flags| self.on_host(Path::new(path), flags).unwrap_or(Err(Errno::NOENT));
        regular::text_of(regular::open_by(open).ok()?).ok()
    }

    /// The names in a directory of the host; none where it cannot be seen.
    pub(crate) fn list_on_host(&self, path: &str) -> Vec<String> {
        let opened = self.on_host(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY);
        let Some(Ok(Ok(entries))) = opened.map(|opened| opened.map(Dir::new)) else { return Vec::new() };
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()));
        names.filter(|name| name != "." && name != "..").collect()
    }

    /// Is this file or directory the host's of the same path?
    pub(crate) fn is_hosts(&self, path: &Path) -> Answer {
        let Ok(inside) = path.metadata() else { return Answer::Unknown };
        match self.on_host(path, OFlags::PATH) {
            Some(Ok(file)) => match rustix::fs::fstat(file) {
                Ok(outside) => ((inside.dev(), inside.ino()) == (outside.st_dev, outside.st_ino)).into(),
                Err(_) => Answer::Unknown,
            },
            Some(Err(Errno::NOENT | Errno::NOTDIR)) => Answer::No,
            None | Some(Err(_)) => Answer::Unknown,
        }
    }

    /// Is a namespace (its file in /proc/PID/ns) the host's?
    pub(crate) fn is_hosts_namespace(&self, name: &str) -> Answer {
        let Some(own) = namespace("self", name) else { return Answer::Unknown };
        if name == "uts" && own == FIRST_UTS_NAMESPACE {
            return Answer::Yes;
        }
        if self.host_pid != Answer::Yes {
            return Answer::Unknown;
        }
        namespace("1", name).map_or(Answer::Unknown, |init| (init == own).into())
    }
}

/// A mask of capabilities from /proc/PID/status.
fn mask(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_capabilities() {
        let status = "Name:\tx\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n";
        assert_eq!(mask(status, "CapEff:"), Some(0x1ff_feff_ffff));
        assert_eq!(mask(status, "CapAmb:"), None);
        let facts = Facts {
            mounts: vec![],
            host_pid: Answer::No,
            host_mounts: None,
            capabilities: 0x1ff_feff_ffff,
            host_capabilities: u64::MAX,
        };
        assert!(facts.has(21) && !facts.has(24));
        assert_eq!(facts.is_hosts(Path::new("/etc")), Answer::Unknown);
    }
}
