//! The pinned tools: Go, zig, cargo-zigbuild, CA certificates, Rust, UPX.
//!
//! [`Lock`] says which and with which hashes; [`Setup`] finds them in the store or fetches them with the tools
//! that every machine has (the user's own `go`, Python's `pip`, `rustup`) and verifies them before use;
//! [`doctor`] says what a machine lacks; [`relock`] updates the lock.

mod archive;
pub mod doctor;
mod gomod;
pub mod lock;
mod pip;
pub mod relock;
mod rust;
mod tools;
mod upx;

use std::fmt;
use std::path::PathBuf;

use fault::{Fault, Kind};
use progress::Progress;
use serde::Serialize;
use store::Store;

pub use crate::lock::Lock;
pub use crate::rust::RustToolchain;
pub use crate::tools::{CaCertificates, Tool, verify_tools};
pub use crate::upx::Upx;

/// A kind of machine that builds can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Host {
    /// 64-bit x86.
    LinuxAmd64,
    /// 64-bit Arm.
    LinuxArm64,
}

impl Host {
    /// Every one.
    pub const ALL: [Host; 2] = [Host::LinuxAmd64, Host::LinuxArm64];

    /// The machine this runs on.
    pub fn current() -> Result<Self, Fault> {
        match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => Ok(Host::LinuxAmd64),
            ("linux", "aarch64") => Ok(Host::LinuxArm64),
            (os, arch) => Err(Fault::new(Kind::Tool, format!("builds do not run on {os} {arch}")).help(
                "build on Linux on amd64 or arm64: images of all architectures can be built on either",
            )),
        }
    }

    /// As Go and OCI call it: `amd64`.
    pub const fn arch(self) -> &'static str {
        match self {
            Host::LinuxAmd64 => "amd64",
            Host::LinuxArm64 => "arm64",
        }
    }

    /// As the kernel and Python call it: `x86_64`.
    pub const fn machine(self) -> &'static str {
        match self {
            Host::LinuxAmd64 => "x86_64",
            Host::LinuxArm64 => "aarch64",
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux-{}", self.arch())
    }
}

/// What finding and fetching tools needs to know.
#[derive(Clone)]
pub struct Setup<'a> {
    /// Where tools are kept.
    pub store: &'a Store,
    /// Which tools.
    pub lock: &'a Lock,
    /// For which machine.
    pub host: Host,
    /// Fetch nothing.
    pub offline: bool,
    /// Directories that are asked for files by name before anything else. They are not trusted: what comes from
    /// them is verified all the same.
    pub mirrors: Vec<PathBuf>,
    /// Shows what is fetched and added.
    pub progress: &'a dyn Progress,
}

/// A program with only what finds it, the user's home and the network's settings in its environment.
fn networked(program: &str) -> exec::Run<'static> {
    let names = ["PATH", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR", "CURL_CA_BUNDLE"];
    let run = exec::Run::new(program).env("LC_ALL", "C");
    names.iter().fold(web::connect(run), |run, name| run.inherit(name))
}

#[cfg(test)]
mod testing {
    use crate::Lock;

    /// The repository's own lock.
    pub(crate) const LOCK: &str = include_str!("../../../../images/locks/toolchains.json");

    pub(crate) fn lock() -> Lock {
        Lock::parse(LOCK, std::path::Path::new(crate::lock::PATH)).unwrap()
    }
}
