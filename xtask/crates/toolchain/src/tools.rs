//! Tools that are unpacked into the store.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use digest::{Digest, hash_file};
use fault::{Fault, Kind};
use store::disk::OnDisk;
use store::unzip::{Limits, unzip};
use store::{Tree, TreeId};

use crate::archive::Archive;
use crate::lock::{File, Wheels};
use crate::{Setup, gomod, pip};

/// A tool, ready to run. Its files were verified when it was unpacked; [`verify_tools`] does so again.
#[derive(Debug)]
pub struct Tool {
    /// `go`, `zig`, `cargo-zigbuild`.
    pub name: &'static str,
    /// The locked version.
    pub version: String,
    /// Of the archive it was unpacked from.
    pub sha256: Digest,
    /// All its files.
    pub tree: Tree,
    /// The program.
    pub program: PathBuf,
}

/// The CA certificates for images.
#[derive(Debug)]
pub struct CaCertificates {
    /// Of the project they come from.
    pub version: String,
    /// One PEM file.
    pub path: PathBuf,
    /// Of that file.
    pub sha256: Digest,
}

/// Hashes every file of these tools again: to be done before something is compiled with them.
pub fn verify_tools(tools: &[&Tool]) -> Result<()> {
    let mut seen = BTreeSet::new();
    tools.iter().filter(|tool| seen.insert(&tool.tree.dir)).try_for_each(|tool| tool.tree.verify())
}

impl Setup<'_> {
    /// The pinned Go; its directory is the GOROOT.
    pub fn ensure_go(&self) -> Result<Tool> {
        let go = &self.lock.go;
        let zip = go.hosts.get(self.host);
        let tree = self.unpacked("go", &go.version, &zip.sha256, |to| {
            let what = format!("Go {}", go.version);
            let file = format!("{}.zip", zip.version);
            let proxied = format!("{}/@v/{file}", go.module);
            let archive = Archive { what, names: vec![file, proxied], size: zip.size, sha256: &zip.sha256 };
            let path = self.archive(&archive, |dir| {
                let got = gomod::download(&go.module, &zip.version, dir)?;
                if got.sum != zip.h1 {
                    return Err(
                        Fault::mismatch(format!("{} {}", go.module, zip.version), &zip.h1, &got.sum).into()
                    );
                }
                Ok(got.zip)
            })?;
            unzip(&path, to, &format!("{}@{}/", go.module, zip.version), Limits::default())?;
            // As `go` itself does after unpacking a toolchain: a module's zip need not say what is executable.
            make_executable(&to.join("pkg/tool"))?;
            make_executable(&to.join("bin"))
        })?;
        let program = tree.dir.join("bin/go");
        Ok(Tool { name: "go", version: go.version.clone(), sha256: zip.sha256, program, tree })
    }

    /// The pinned zig.
    pub fn ensure_zig(&self) -> Result<Tool> {
        self.wheel_tool("zig", &self.lock.zig, "ziglang/zig")
    }

    /// The pinned cargo-zigbuild.
    pub fn ensure_cargo_zigbuild(&self) -> Result<Tool> {
        let tool = &self.lock.cargo_zigbuild;
        let project = tool.project.replace('-', "_");
        self.wheel_tool(
            "cargo-zigbuild",
            tool,
            &format!("{project}-{}.data/scripts/cargo-zigbuild", tool.version),
        )
    }

    /// The pinned CA certificates, hashed.
    pub fn ensure_ca_certificates(&self) -> Result<CaCertificates> {
        let locked = &self.lock.ca_certificates;
        let tree = self.wheel_tree("ca-certificates", &locked.project, &locked.version, &locked.wheel)?;
        let path = tree.dir.join(&locked.member.file);
        let (found, _) = hash_file(&path)?;
        if found != locked.member.sha256 {
            let what = format!("`{}` of {} {}", locked.member.file, locked.project, locked.version);
            return Err(Fault::mismatch(what, locked.member.sha256, found)
                .help(
                    "`cargo xtask gc --corrupt` removes it if the store was damaged; else the lock is wrong",
                )
                .into());
        }
        Ok(CaCertificates { version: locked.version.clone(), path, sha256: found })
    }

    fn wheel_tool(&self, name: &'static str, tool: &Wheels, program: &str) -> Result<Tool> {
        let file = tool.hosts.get(self.host);
        let tree = self.wheel_tree(name, &tool.project, &tool.version, file)?;
        let program = tree.dir.join(program);
        Ok(Tool { name, version: tool.version.clone(), sha256: file.sha256, program, tree })
    }

    fn wheel_tree(&self, name: &str, project: &str, version: &str, wheel: &File) -> Result<Tree> {
        self.unpacked(name, version, &wheel.sha256, |to| {
            let what = format!("{name} {version}");
            let names = vec![wheel.file.clone()];
            let archive = Archive { what, names, size: wheel.size, sha256: &wheel.sha256 };
            let path = self.archive(&archive, |dir| {
                let got = pip::download(project, Some(version), &pip::platforms(&wheel.file), dir)?;
                let found = got.file_name().unwrap_or_default().to_string_lossy();
                if found != wheel.file {
                    let what = format!("the wheel of {project} {version} for {}", self.host);
                    return Err(Fault::mismatch(what, &wheel.file, found).into());
                }
                Ok(got)
            })?;
            unzip(&path, to, "", Limits::default())
        })
    }

    fn unpacked(
        &self,
        name: &str,
        version: &str,
        sha256: &Digest,
        unpack: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Tree> {
        self.store.tree(&TreeId { name, version, sha256 }, self.progress, unpack)
    }
}

fn make_executable(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).map_err(|error| {
        Fault::new(Kind::Mismatch, format!("the Go archive has no readable `{}`: {error}", dir.display()))
    })?;
    for entry in entries {
        let path = entry.on("list", dir)?.path();
        if path.is_dir() {
            make_executable(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).on("set the mode of", &path)?;
        }
    }
    Ok(())
}
