//! Disks as QEMU reads them.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use exec::Run;

use crate::packages;

/// How large the root filesystem seems to be; what is empty takes no room.
const ROOT_SIZE: u64 = 16 << 30;

/// Makes a disk of an ext4 filesystem that holds a directory: no root, and no loop device. `tmp` is a directory for what
/// is on its way.
pub(crate) fn make_root(root: &Path, tmp: &Path, to: &Path) -> Result<()> {
    let raw = tmp.join("root.raw");
    empty(&raw, ROOT_SIZE)?;
    let run = tool("mkfs.ext4").args(["-q", "-F", "-L", "root", "-m", "0", "-d"]);
    run.arg(root).arg(&raw).run().context("making the root filesystem")?;
    convert(&raw, "qcow2", to).context("making the disk of the root filesystem")?;
    std::fs::remove_file(&raw)?;
    Ok(())
}

/// Writes a disk in another format.
pub(crate) fn convert(from: &Path, format: &str, to: &Path) -> Result<()> {
    tool("qemu-img").args(["convert", "-O", format]).arg(from).arg(to).run().map(drop)
}

/// Makes a disk that begins as another one, which is never written to.
pub(crate) fn overlay(of: &Path, qcow2: bool, to: &Path) -> Result<()> {
    let of = std::path::absolute(of).with_context(|| format!("finding {}", of.display()))?;
    let run =
        tool("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", if qcow2 { "qcow2" } else { "raw" }]);
    run.arg("-b").arg(&of).arg(to).run().map(drop).context("making a machine's own disk")
}

/// Makes a file of this size that takes no room yet.
pub(crate) fn empty(path: &Path, size: u64) -> Result<()> {
    let make = || File::create(path)?.set_len(size);
    make().with_context(|| format!("cannot make a disk at {}", path.display()))
}

fn tool(name: &str) -> Run<'static> {
    let found = exec::which_in(packages::path(), name);
    Run::new(found.unwrap_or_else(|| name.into())).env("PATH", packages::path())
}
