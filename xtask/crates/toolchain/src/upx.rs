//! UPX, which packs programs where a packing policy says so: taken from PATH.

use std::path::PathBuf;

use anyhow::Result;
use digest::{Digest, hash_file};
use fault::{Fault, Kind};

use crate::{Host, Setup, lock};

/// A UPX to pack with.
#[derive(Debug)]
pub struct Upx {
    /// The program.
    pub program: PathBuf,
    /// What it says it is.
    pub version: String,
    /// Of the program: what an image records, and what keys of packed programs count.
    pub sha256: Digest,
    /// Is it of the locked version?
    pub locked: bool,
}

impl Setup<'_> {
    /// The UPX in PATH, if it is of the locked version, or `allow_other` accepts any.
    pub fn find_upx(&self, allow_other: bool) -> Result<Upx> {
        let upx = &self.lock.upx;
        let Some(program) = exec::which("upx") else {
            let message = format!("UPX {} is not installed, or not in PATH", upx.version);
            return Err(Fault::new(Kind::Tool, message).help(install(upx, self.host)).into());
        };
        let said = exec::Run::new(&program).arg("--version").run()?;
        let version = version_of(&String::from_utf8_lossy(&said.stdout));
        let locked = version == upx.version;
        if !locked && !allow_other {
            let message =
                format!("`{}` is UPX {version}, the locked one is {}", program.display(), upx.version);
            return Err(Fault::new(Kind::Tool, message).help(install(upx, self.host)).into());
        }
        let (sha256, _) = hash_file(&program)?;
        Ok(Upx { program, version, sha256, locked })
    }
}

/// How to install the locked UPX on this host.
pub(crate) fn install(upx: &lock::Upx, host: Host) -> String {
    let file = upx.hosts.get(host);
    format!(
        "from release v{} of {} take {}, check it: `echo {}  {} | sha256sum -c`, and put its `upx` into PATH",
        upx.version, upx.project, file.file, file.sha256, file.file
    )
}

/// The second word of `upx 4.2.4`.
pub(crate) fn version_of(said: &str) -> String {
    let first = said.lines().next().unwrap_or_default();
    first.strip_prefix("upx ").unwrap_or("of an unknown version").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn versions_are_read_from_what_it_says() {
        assert_eq!(version_of("upx 4.2.4\nUCL data compression library 1.03\n"), "4.2.4");
        assert_eq!(version_of(""), "of an unknown version");
    }

    #[test]
    fn the_help_names_the_file_and_its_hash() {
        insta::assert_snapshot!(install(&testing::lock().upx, Host::LinuxArm64), @"from release v4.2.4 of upx/upx take upx-4.2.4-arm64_linux.tar.xz, check it: `echo 6bfeae6714e34a82e63245289888719c41fd6af29f749a44ae3d3d166ba6a1c9  upx-4.2.4-arm64_linux.tar.xz | sha256sum -c`, and put its `upx` into PATH");
    }
}
