//! The way into the host's mount namespace, by its process 1.
//!
//! It gives nobody anything: the kernel opens and enters that namespace only for a process that has the host's pid
//! namespace, `CAP_SYS_ADMIN`, `CAP_SYS_CHROOT` and `CAP_SYS_PTRACE` over it, which is root of the host in all but name.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::failure::err;
use crate::mount::describe;
use crate::stop::HOST;

/// The number that the kernel gives the first pid namespace of a machine (`linux/proc_ns.h`).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// An answer that is not always known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Why the host's mount namespace is not entered; as text, with what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The user said so.
    Off,
    /// Process 1 is this container's own.
    OwnPid,
    /// This is not a container, or one with the mounts of the host.
    Here,
    /// The kernel refuses it.
    Refused(&'static str, Errno),
}

impl fmt::Display for Closed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => write!(to, "{}=off", super::VARIABLE),
            Self::OwnPid => write!(
                to,
                "this container has a pid namespace of its own; the host's is given by --pid=host (ctr: --with-ns pid:/proc/1/ns/pid)"
            ),
            Self::Here => write!(to, "this is the host's own mount namespace"),
            Self::Refused(what, error) => {
                write!(to, "{what}: {}; --privileged allows it", describe(*error))
            }
        }
    }
}

/// The host's mount namespace, and the root directory that its process 1 has in it.
struct Host {
    namespace: OwnedFd,
    root: OwnedFd,
}

impl Host {
    fn open() -> Result<Self, Closed> {
        match host_pid() {
            Answer::No => return Err(Closed::OwnPid),
            // Entered again and again, a link could start itself for ever.
            Answer::Yes if namespace("self", "mnt") == namespace("1", "mnt") => return Err(Closed::Here),
            Answer::Yes | Answer::Unknown => {}
        }
        let refused = |error| Closed::Refused("failed to look at the host's process 1", error);
        Ok(Self {
            namespace: open("/proc/1/ns/mnt", OFlags::RDONLY).map_err(refused)?,
            root: open("/proc/1/root", OFlags::PATH).map_err(refused)?,
        })
    }

    /// From here on paths are the host's.
    fn enter(&self) -> Result<(), Closed> {
        into(&self.namespace)?;
        chroot(&self.root)
            .map_err(|error| Closed::Refused("failed to change to the host's root directory", error))
    }
}

/// Enters the host's mount namespace for good: only to become another program, or to end.
pub(super) fn enter() -> Result<(), Closed> {
    Host::open()?.enter()
}

/// Does something in the host's mount namespace and returns from it. Only a process of one thread can.
pub(crate) fn visit<T>(what: impl FnOnce() -> T) -> Result<T, Closed> {
    let host = Host::open()?;
    let own = || -> Result<_, Errno> {
        Ok((open("/proc/self/ns/mnt", OFlags::RDONLY)?, open("/", OFlags::PATH)?, open(".", OFlags::PATH)?))
    };
    let (namespace, root, directory) =
        own().map_err(|error| Closed::Refused("failed to look at this process", error))?;
    // Refused here, there is nothing to return from.
    into(&host.namespace)?;
    let done = chroot(&host.root).map(|()| what());
    let back = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .and_then(|()| chroot(&root))
        .and_then(|()| rustix::process::fchdir(&directory));
    if let Err(error) = back {
        // Nothing may be done from here: it would be done to the host.
        err(&format!("entrypoint: failed to return from the host's mount namespace: {}", describe(error)));
        std::process::exit(i32::from(HOST));
    }
    done.map_err(|error| Closed::Refused("failed to change to the host's root directory", error))
}

/// Enters a mount namespace, which changes the root directory and the current one to the namespace's root.
fn into(namespace: &OwnedFd) -> Result<(), Closed> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|error| Closed::Refused("failed to enter the host's mount namespace", error))
}

/// Enters the host's namespace of cgroups for good, with all that is started from here.
pub(crate) fn enter_cgroup_namespace() -> Result<(), String> {
    open("/proc/1/ns/cgroup", OFlags::RDONLY)
        .and_then(|host| move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::ControlGroup)))
        .map_err(|error| format!("failed to enter the host's: {}", describe(error)))
}

/// The root of a mount namespace is not always that of its processes.
fn chroot(root: &OwnedFd) -> Result<(), Errno> {
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")
}

fn open(file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(file, flags | OFlags::CLOEXEC, Mode::empty())
}

/// Is process 1 the host's init? Of a container's own namespace, process 1 is in the container: it is this program,
/// or has its mounts.
pub(crate) fn host_pid() -> Answer {
    if rustix::process::getpid().is_init() {
        return Answer::No;
    }
    if namespace("self", "pid") == Some(FIRST_PID_NAMESPACE) {
        return Answer::Yes;
    }
    match (namespace("self", "mnt"), namespace("1", "mnt")) {
        (Some(own), Some(init)) => (own != init).into(),
        _ => Answer::Unknown,
    }
}

/// The number of a namespace of a process; none where it may not be seen.
pub(crate) fn namespace(process: &str, name: &str) -> Option<u64> {
    let link = std::fs::read_link(format!("/proc/{process}/ns/{name}")).ok()?;
    link.to_str()?.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_have_numbers() {
        assert!(namespace("self", "mnt").is_some());
        assert_eq!(namespace("self", "nonsense"), None);
    }

    #[test]
    fn what_is_closed_says_what_opens_it() {
        assert!(Closed::OwnPid.to_string().contains("--pid=host"));
        assert!(Closed::Refused("failed to x", Errno::ACCESS).to_string().contains("--privileged"));
        assert!(Closed::Off.to_string().contains("KUBELET_HOST_TOOLS"));
    }
}
