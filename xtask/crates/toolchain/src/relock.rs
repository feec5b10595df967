//! Makes the lock from versions: fetches every archive for every host and hashes it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use digest::{Digest, hash_file};
use fault::{Fault, Kind};

use crate::lock::{self, CaCertificates, Go, GoZip, Lock, PerHost, Wheels};
use crate::{Host, Setup, gomod, pip, rust};

/// The versions to lock; what is `None` stays at the version that is locked.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    /// Of Go: `1.26.8`.
    pub go: Option<String>,
    /// Of zig.
    pub zig: Option<String>,
    /// Of cargo-zigbuild.
    pub cargo_zigbuild: Option<String>,
    /// Of certifi.
    pub ca_certificates: Option<String>,
}

impl Setup<'_> {
    /// Updates the lock. Rust's part is made from the installed toolchain of the locked commit; UPX's stays:
    /// its archives come from where only people look, and are checked by whoever installs it.
    pub fn relock(&self, versions: &Versions) -> Result<Lock> {
        if self.offline {
            let message =
                "the toolchain lock cannot be made offline: every archive in it is fetched and hashed";
            return Err(Fault::new(Kind::Unavailable, message).into());
        }
        let old = self.lock;
        let version = |new: &Option<String>, old: &str| new.clone().unwrap_or_else(|| old.to_owned());
        Ok(Lock {
            version: lock::VERSION,
            go: self.lock_go(&version(&versions.go, &old.go.version), &old.go.module)?,
            zig: self.lock_wheels(&version(&versions.zig, &old.zig.version), &old.zig.project)?,
            cargo_zigbuild: self.lock_wheels(
                &version(&versions.cargo_zigbuild, &old.cargo_zigbuild.version),
                &old.cargo_zigbuild.project,
            )?,
            ca_certificates: self.lock_certificates(
                &version(&versions.ca_certificates, &old.ca_certificates.version),
                &old.ca_certificates,
            )?,
            rust: rust::lock_from(&self.ensure_rust()?, &old.rust)?,
            upx: old.upx.clone(),
        })
    }

    /// Fetches everything that is locked and fails if the lock at `path` is not what would be made.
    pub fn check_lock(&self, path: &Path) -> Result<()> {
        let (made, found) = (self.relock(&Versions::default())?.to_text()?, self.lock.to_text()?);
        let Some((expected, found)) = first_difference(&made, &found) else { return Ok(()) };
        let message =
            format!("`{}` is out of date\n  expected {expected}\n  found    {found}", path.display());
        Err(Fault::new(Kind::Stale, message)
            .help("a version's files do not change: find out why they did, then run `cargo xtask lock toolchains`")
            .into())
    }

    fn lock_go(&self, version: &str, module: &str) -> Result<Go> {
        let hosts = PerHost::make(|host| {
            let version = lock::go_module_version(version, host);
            let _task = self.progress.task(&format!("fetch {module}@{version}"), None);
            let scratch = self.store.scratch_dir()?;
            let got = gomod::download(module, &version, scratch.path())?;
            let (sha256, size) = hash_file(&got.zip)?;
            Ok(GoZip { version, size, sha256, h1: got.sum })
        })?;
        Ok(Go { version: version.to_owned(), module: module.to_owned(), hosts })
    }

    fn lock_wheels(&self, version: &str, project: &str) -> Result<Wheels> {
        let hosts = PerHost::make(|host| Ok(self.lock_wheel(project, version, &platforms(host))?.0))?;
        Ok(Wheels { version: version.to_owned(), project: project.to_owned(), hosts })
    }

    fn lock_certificates(&self, version: &str, old: &CaCertificates) -> Result<CaCertificates> {
        let (wheel, bytes) = self.lock_wheel(&old.project, version, &[])?;
        let scratch = self.store.scratch_dir()?;
        let (archive, to) = (scratch.path().join("wheel"), scratch.path().join("unpacked"));
        std::fs::write(&archive, bytes).and_then(|()| std::fs::create_dir(&to)).context("writing a wheel")?;
        store::unzip::unzip(&archive, &to, "", store::unzip::Limits::default())?;
        let (sha256, size) = hash_file(&to.join(&old.member.file))?;
        let member = lock::File { file: old.member.file.clone(), size, sha256 };
        Ok(CaCertificates { version: version.to_owned(), project: old.project.clone(), wheel, member })
    }

    fn lock_wheel(
        &self,
        project: &str,
        version: &str,
        platforms: &[String],
    ) -> Result<(lock::File, Vec<u8>)> {
        let _task = self.progress.task(&format!("fetch {project} {version}"), None);
        let scratch = self.store.scratch_dir()?;
        let path = pip::download(project, Some(version), platforms, scratch.path())?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).context("reading a wheel")?;
        Ok((lock::File { file, size: bytes.len() as u64, sha256: Digest::of(&bytes) }, bytes))
    }
}

/// What a wheel for this host may be tagged with: old enough for every distribution in use.
fn platforms(host: Host) -> Vec<String> {
    let bases: &[&str] = match host {
        Host::LinuxAmd64 => &[
            "manylinux_2_17",
            "manylinux2014",
            "manylinux_2_12",
            "manylinux2010",
            "manylinux_2_5",
            "manylinux1",
        ],
        Host::LinuxArm64 => &["manylinux_2_17", "manylinux2014"],
    };
    bases.iter().map(|base| format!("{base}_{}", host.machine())).collect()
}

fn first_difference<'a>(made: &'a str, found: &'a str) -> Option<(&'a str, &'a str)> {
    made.lines()
        .zip(found.lines())
        .find(|(made, found)| made != found)
        .map(|(made, found)| (made.trim(), found.trim()))
}
