//! The host's programs, run by links of this program that have their names.
//!
//! An image of nothing but the kubelet has no iptables, no mkfs and no losetup, and needs none of its own: the host has
//! those that fit its kernel, its rules and its devices. A link in [`LINKS`] becomes the host's program of its name, in
//! the host's mount namespace. Where the host has none, some callers want to be told so by a file that is not there
//! (kubeadm's preflight looks in PATH), so such links have a directory each, and only directories whose program the
//! host has go into the PATH of what is started here.

mod access;
mod find;
mod mounts;
mod packages;
mod path;
mod run;
mod scope;
mod table;

pub(crate) use access::{Answer, Closed, enter_cgroup_namespace, host_pid, namespace, visit};
pub(crate) use find::{Missing, find_all, mount_helper};
pub(crate) use mounts::shares;
pub(crate) use packages::install;
pub(crate) use path::for_children;
pub(crate) use run::{become_program, main, output};
pub(crate) use table::{Row, rows};

use std::ffi::OsString;

/// Where the image has the links: `LINKS/NAME`, or `LINKS/NAME/NAME` where a program that the host does not have must
/// not be found.
pub(crate) const LINKS: &str = "/usr/libexec/host";

/// `off`: the host's programs are not run. Else directories where the host has programs in unusual places, separated by
/// colons, which are looked at first.
const VARIABLE: &str = "KUBELET_HOST_TOOLS";

/// The value of [`VARIABLE`], empty where there is none.
fn setting() -> OsString {
    std::env::var_os(VARIABLE).unwrap_or_default()
}

/// The name of the host's program that this process was started as: that of its file, for all names of a link are its
/// callers' own.
pub(crate) fn called() -> Option<OsString> {
    let file = std::fs::read_link("/proc/self/exe").ok()?;
    file.starts_with(LINKS).then(|| file.file_name().unwrap_or_default().to_owned())
}
