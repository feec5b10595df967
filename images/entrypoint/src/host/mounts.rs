//! Mounts that are made on the host and have to be seen in this container, and the other way round.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::access::visit;
use crate::mount::describe;
use crate::mountinfo;

/// Is what the host mounts at `path` mounted here at the same path, and unmounted with it? The error says why not.
pub(crate) fn shares(path: &Path) -> Result<(), String> {
    let ours = path.metadata().map_err(|error| format!("it cannot be looked at: {error}"))?;
    let open = || rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let opened: Result<OwnedFd, Errno> = visit(open).map_err(|closed| closed.to_string())?;
    let file = opened.map_err(|error| format!("on the host: {}", describe(error)))?;
    let hosts = rustix::fs::fstat(&file).map_err(|error| format!("on the host: {}", describe(error)))?;
    if (ours.dev(), ours.ino()) != (hosts.st_dev, hosts.st_ino) {
        return Err("the host has another directory at this path".to_owned());
    }
    let table = mountinfo::read().map_err(|failure| failure.message)?;
    let group = |entry: Option<&mountinfo::Entry>| entry.and_then(|entry| entry.shared);
    let inside = group(mountinfo::of_path(&table, path));
    let outside = mountinfo::of_process(1).and_then(|table| group(mountinfo::of_file(&table, &file)));
    if inside.is_none() || inside != outside {
        return Err("mounts there are not shared with the host".to_owned());
    }
    Ok(())
}
