//! `images/locks/toolchains.json`: each tool's version, where it comes from, and its hashes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};
use store::Digest;

use crate::Host;

/// Of the lock's format.
pub const VERSION: u32 = 1;
/// Where the lock is in the repository.
pub const PATH: &str = "images/locks/toolchains.json";

/// All pinned tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// Of the format: [`VERSION`].
    pub version: u32,
    /// Compiles the Kubernetes programs.
    pub go: Go,
    /// The C compiler and linker for all of them.
    pub zig: Wheels,
    /// Lets cargo link with zig.
    pub cargo_zigbuild: Wheels,
    /// The CA certificates of the `micro` images.
    pub ca_certificates: CaCertificates,
    /// Compiles the entrypoint.
    pub rust: Rust,
    /// Packs programs where a packing policy says so.
    pub upx: Upx,
}

/// One thing for each machine that builds can run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PerHost<T> {
    /// 64-bit x86.
    pub linux_amd64: T,
    /// 64-bit Arm.
    pub linux_arm64: T,
}

impl<T> PerHost<T> {
    /// The one for this machine.
    pub fn get(&self, host: Host) -> &T {
        match host {
            Host::LinuxAmd64 => &self.linux_amd64,
            Host::LinuxArm64 => &self.linux_arm64,
        }
    }

    /// Makes one for each machine.
    pub(crate) fn make(mut make: impl FnMut(Host) -> Result<T>) -> Result<Self> {
        Ok(Self { linux_amd64: make(Host::LinuxAmd64)?, linux_arm64: make(Host::LinuxArm64)? })
    }
}

/// Go, served as a Go module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Go {
    /// `1.26.8`.
    pub version: String,
    /// The module's path.
    pub module: String,
    /// The module's zip file, by host.
    pub hosts: PerHost<GoZip>,
}

/// The module zip of one host's Go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoZip {
    /// The module's version.
    pub version: String,
    /// Of the zip file, in bytes.
    pub size: u64,
    /// Of the zip file.
    pub sha256: Digest,
    /// As in a go.sum.
    pub h1: String,
}

/// A file of a Python package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub file: String,
    /// In bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
}

/// A tool in Python wheels, one for each host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheels {
    /// The project's version.
    pub version: String,
    /// The project's name in the Python package index.
    pub project: String,
    /// The wheel, by host.
    pub hosts: PerHost<File>,
}

/// CA certificates from a Python wheel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaCertificates {
    /// The project's version.
    pub version: String,
    /// The project's name in the Python package index.
    pub project: String,
    /// The wheel, the same for all hosts.
    pub wheel: File,
    /// The file in it that goes into images.
    pub member: File,
}

/// Rust, as rustup installs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rust {
    /// The channel: `1.95.0`.
    pub version: String,
    /// The day of its channel manifest.
    pub date: String,
    /// Of the compiler's sources, as `rustc -vV` prints it.
    pub commit: String,
    /// SHA-256 of the `.tar.xz`, by component and target (`*` where there is one for all).
    pub components: BTreeMap<String, BTreeMap<String, Digest>>,
}

/// UPX, from the project's release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upx {
    /// Of the release.
    pub version: String,
    /// Owner and name of the project.
    pub project: String,
    /// The release's archive, by host.
    pub hosts: PerHost<UpxFile>,
}

/// One archive of a UPX release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpxFile {
    /// Its name.
    pub file: String,
    /// Of its content.
    pub sha256: Digest,
}

impl Lock {
    /// Reads and checks a lock.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            Fault::new(Kind::InvalidData, format!("cannot read the lock `{}`: {error}", path.display()))
        })?;
        Self::parse(&text, path)
    }

    /// As [`Lock::read`], from text; `path` is what errors name.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            version: u32,
        }
        let at = |error: serde_json::Error| {
            // The message repeats the place at its end.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
            Fault::new(Kind::InvalidData, format!("{place}: {message}"))
                .help("`cargo xtask lock toolchains` makes this file; restore it or make it again")
        };
        let found: Format = serde_json::from_str(text).map_err(at)?;
        if found.version != VERSION {
            let message =
                format!("{}: lock version {}, this program reads {VERSION}", path.display(), found.version);
            return Err(Fault::new(Kind::InvalidData, message).into());
        }
        let lock: Self = serde_json::from_str(text).map_err(at)?;
        match lock.contradictions().into_iter().next() {
            None => Ok(lock),
            Some(wrong) => Err(Fault::new(Kind::InvalidData, format!("{}: {wrong}", path.display())).into()),
        }
    }

    /// The lock as it is written: the same text for the same content.
    pub fn to_text(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("the lock cannot be written as JSON")?;
        text.push('\n');
        Ok(text)
    }

    /// What in it cannot be right, without fetching anything.
    fn contradictions(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut need = |right: bool, what: String| {
            if !right {
                wrong.push(what);
            }
        };
        for host in Host::ALL {
            let go = self.go.hosts.get(host);
            let expected = go_module_version(&self.go.version, host);
            need(go.version == expected, format!("go: {host}: version {}, expected {expected}", go.version));
            need(go.h1.starts_with("h1:"), format!("go: {host}: `{}` is not an h1 sum", go.h1));
            for (name, tool) in [("zig", &self.zig), ("cargo-zigbuild", &self.cargo_zigbuild)] {
                let file = &tool.hosts.get(host).file;
                let begin = wheel_prefix(&tool.project, &tool.version);
                let right = file.starts_with(&begin)
                    && plain(file)
                    && file.ends_with(&format!("_{}.whl", host.machine()));
                need(
                    right,
                    format!("{name}: {host}: `{file}` is not a wheel of {} {}", tool.project, tool.version),
                );
            }
            let upx = &self.upx.hosts.get(host).file;
            let begin = format!("upx-{}-{}", self.upx.version, host.arch());
            need(
                upx.starts_with(&begin) && plain(upx),
                format!("upx: {host}: `{upx}` is not of this version and host"),
            );
        }
        let ca = &self.ca_certificates;
        let right =
            plain(&ca.wheel.file) && ca.wheel.file.starts_with(&wheel_prefix(&ca.project, &ca.version));
        need(
            right,
            format!("ca-certificates: `{}` is not a wheel of {} {}", ca.wheel.file, ca.project, ca.version),
        );
        let inside = fstree::path::check(&ca.member.file).is_ok();
        need(inside, format!("ca-certificates: `{}` is not a path in a wheel", ca.member.file));
        let commit = self.rust.commit.len() == 40 && self.rust.commit.bytes().all(|b| b.is_ascii_hexdigit());
        need(commit, format!("rust: `{}` is not a commit", self.rust.commit));
        wrong
    }
}

/// Is it a file name only?
fn plain(name: &str) -> bool {
    !name.contains(['/', '\\', '\0']) && !name.starts_with('.')
}

fn wheel_prefix(project: &str, version: &str) -> String {
    format!("{}-{version}-", project.replace('-', "_"))
}

pub(crate) fn go_module_version(version: &str, host: Host) -> String {
    format!("v0.0.1-go{version}.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn fails(from: &str, to: &str) -> String {
        let text = testing::LOCK.replace(from, to);
        assert_ne!(text, testing::LOCK, "`{from}` is not in the lock");
        let error = Lock::parse(&text, Path::new("lock.json")).unwrap_err();
        assert_eq!(fault::exit_code(&error), 3);
        error.to_string()
    }

    #[test]
    fn the_committed_lock_is_as_it_would_be_written() {
        assert_eq!(testing::lock().to_text().unwrap(), testing::LOCK);
    }

    #[test]
    fn errors_name_the_place() {
        insta::assert_snapshot!(fails("\"project\": \"ziglang\"", "\"projekt\": \"ziglang\""), @"lock.json:23:13: unknown field `projekt`, expected one of `version`, `project`, `hosts`");
        insta::assert_snapshot!(fails("\"version\": 1,", "\"version\": 2,"), @"lock.json: lock version 2, this program reads 1");
        insta::assert_snapshot!(fails("3ce0c9f1", "3CE0C9F1"), @"lock.json:29:7: `3CE0C9F16547e5d61b32e0d226926e9a2552ef4b91fccf7ab5ea1a623a77824b` is not a SHA-256: 64 lowercase hexadecimal digits");
        insta::assert_snapshot!(fails("ziglang-0.13.0-py3-none-manylinux_2_12", "ziglang-0.14.0-py3-none-manylinux_2_12"), @"lock.json: zig: linux-amd64: `ziglang-0.14.0-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl` is not a wheel of ziglang 0.13.0");
        insta::assert_snapshot!(fails("ziglang-0.13.0-py3-none-manylinux_2_12", "../ziglang-0.13.0-py3-none-manylinux_2_12"), @"lock.json: zig: linux-amd64: `../ziglang-0.13.0-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl` is not a wheel of ziglang 0.13.0");
        insta::assert_snapshot!(fails("certifi/cacert.pem", "../cacert.pem"), @"lock.json: ca-certificates: `../cacert.pem` is not a path in a wheel");
    }

    #[test]
    fn no_part_of_the_lock_may_be_cut_off() {
        for end in (0..testing::LOCK.trim_end().len()).step_by(7) {
            assert!(Lock::parse(&testing::LOCK[..end], Path::new("lock.json")).is_err(), "{end}");
        }
    }
}
