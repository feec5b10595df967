//! The pinned Rust, as rustup installed it, or any installation of the very same compiler.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use serde::Deserialize;
use store::Digest;

use crate::{Setup, lock, networked};

/// An installed Rust of the locked release and commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RustToolchain {
    /// Its directory: what `rustc --print sysroot` says.
    pub dir: PathBuf,
    /// Its own cargo, not rustup's stand-in.
    pub cargo: PathBuf,
    /// Its own rustc.
    pub rustc: PathBuf,
    /// What rustup calls it; none where rustup does not manage it.
    pub name: Option<String>,
}

/// The part of rustup's channel manifest that is compared.
#[derive(Deserialize)]
struct Manifest {
    pkg: BTreeMap<String, Package>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    target: BTreeMap<String, Target>,
}

#[derive(Deserialize)]
struct Target {
    xz_hash: Option<Digest>,
}

impl Setup<'_> {
    /// The pinned Rust; has rustup install it if it is not here and fetching is allowed.
    pub fn ensure_rust(&self) -> Result<RustToolchain> {
        let rust = &self.lock.rust;
        if let Some(found) = find(rust)? {
            return Ok(found);
        }
        let command = install_command(rust);
        if self.offline || exec::which("rustup").is_none() {
            let message = format!("Rust {} ({}) is not installed", rust.version, short(&rust.commit));
            return Err(Fault::new(Kind::Tool, message).help(format!("run `{command}`")).into());
        }
        self.progress.note(&format!("installing Rust {}: {command}", rust.version));
        let task = self.progress.task(&format!("install Rust {}", rust.version), None);
        rustup().args(command.split(' ').skip(1)).on_line(|line| task.detail(line)).run().map_err(
            |error| {
                let message = format!("rustup cannot install Rust {}: {error:#}", rust.version);
                Fault::new(Kind::Unavailable, message)
                    .help(format!("check the network, then run `{command}`"))
            },
        )?;
        find(rust)?.ok_or_else(|| {
            let what = format!("what rustup installed as {}", rust.version);
            Fault::mismatch(what, format!("commit {}", rust.commit), "another compiler").into()
        })
    }
}

/// The command that installs the locked Rust.
pub(crate) fn install_command(rust: &lock::Rust) -> String {
    format!("rustup toolchain install {} --profile minimal", rust.version)
}

/// Looks for the locked Rust among rustup's toolchains, those of its name first, then in PATH.
pub(crate) fn find(rust: &lock::Rust) -> Result<Option<RustToolchain>> {
    for name in rustup_toolchains(&rust.version)? {
        let which = rustup().args(["which", "--toolchain", &name, "rustc"]).finish()?;
        let rustc = PathBuf::from(String::from_utf8_lossy(&which.stdout).trim());
        if which.status.success()
            && let Some(found) = inspect(&rustc, Some(name), rust)?
        {
            return Ok(Some(found));
        }
    }
    let Some(rustc) = exec::which("rustc") else { return Ok(None) };
    // In PATH may be rustup's stand-in: only the sysroot tells where the compiler is.
    let Some(sysroot) = tool(&rustc).args(["--print", "sysroot"]).answer()? else { return Ok(None) };
    let dir = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    inspect(&dir.join("bin/rustc"), None, rust)
}

fn inspect(rustc: &Path, name: Option<String>, rust: &lock::Rust) -> Result<Option<RustToolchain>> {
    let Some(said) = tool(rustc).arg("-vV").answer()? else { return Ok(None) };
    let said = String::from_utf8_lossy(&said.stdout);
    if !is_locked(&said, rust) {
        return Ok(None);
    }
    let Some(dir) = rustc.parent().and_then(Path::parent) else { return Ok(None) };
    let cargo = dir.join("bin/cargo");
    if !cargo.is_file() {
        return Ok(None);
    }
    compare_manifest(dir, rust)?;
    Ok(Some(RustToolchain { dir: dir.to_owned(), cargo, rustc: rustc.to_owned(), name }))
}

fn is_locked(said: &str, rust: &lock::Rust) -> bool {
    let says = |field: &str| said.lines().find_map(|line| line.strip_prefix(field)).map(str::trim);
    says("release:") == Some(&rust.version) && says("commit-hash:") == Some(&rust.commit)
}

/// Where rustup keeps the manifest that it installed from, its hashes must be the locked ones.
fn compare_manifest(dir: &Path, rust: &lock::Rust) -> Result<()> {
    let path = dir.join("lib/rustlib/multirust-channel-manifest.toml");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
    let manifest = parse(&text, &path)?;
    for (component, targets) in &rust.components {
        for (target, locked) in targets {
            let found = manifest.hash(component, target);
            if found != Some(*locked) {
                let what = format!("`{component}` for `{target}` in `{}`", path.display());
                let found = found.map_or_else(|| "none".to_owned(), |hash| hash.to_string());
                return Err(Fault::mismatch(what, locked, found)
                    .help(format!(
                        "`rustup toolchain uninstall {0}`, then `{1}`",
                        rust.version,
                        install_command(rust)
                    ))
                    .into());
            }
        }
    }
    Ok(())
}

impl Manifest {
    fn hash(&self, component: &str, target: &str) -> Option<Digest> {
        self.pkg.get(component)?.target.get(target)?.xz_hash
    }
}

fn parse(text: &str, path: &Path) -> Result<Manifest> {
    toml::from_str(text).with_context(|| format!("`{}` is not a channel manifest", path.display()))
}

/// Makes the lock's part from an installed toolchain: the same components as `like` names.
pub(crate) fn lock_from(toolchain: &RustToolchain, like: &lock::Rust) -> Result<lock::Rust> {
    #[derive(Deserialize)]
    struct Dated {
        date: String,
    }
    let path = toolchain.dir.join("lib/rustlib/multirust-channel-manifest.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Fault::new(Kind::Tool, format!("cannot read `{}`: {error}", path.display()))
            .help("the lock is made from a toolchain that rustup installed")
    })?;
    let manifest = parse(&text, &path)?;
    let dated: Dated = toml::from_str(&text).with_context(|| format!("`{}` has no date", path.display()))?;
    let mut components = like.components.clone();
    for (component, targets) in &mut components {
        for (target, hash) in targets {
            *hash = manifest
                .hash(component, target)
                .with_context(|| format!("`{}` has no `{component}` for `{target}`", path.display()))?;
        }
    }
    Ok(lock::Rust { date: dated.date, components, ..like.clone() })
}

fn rustup_toolchains(version: &str) -> Result<Vec<String>> {
    if exec::which("rustup").is_none() {
        return Ok(Vec::new());
    }
    let Some(listed) = rustup().args(["toolchain", "list"]).answer()? else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&listed.stdout);
    let mut names: Vec<String> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.retain(|name| !name.is_empty() && name != "no");
    names.sort_by_key(|name| !name.starts_with(version));
    Ok(names)
}

/// rustup with the user's own settings, installing nothing that it was not asked to.
fn rustup() -> Run<'static> {
    let names = ["RUSTUP_HOME", "CARGO_HOME", "RUSTUP_DIST_SERVER", "RUSTUP_UPDATE_ROOT", "RUSTUP_USE_CURL"];
    names.iter().fold(networked("rustup"), |run, name| run.inherit(name)).env("RUSTUP_AUTO_INSTALL", "0")
}

fn tool(program: &Path) -> Run<'static> {
    let names = ["PATH", "HOME", "RUSTUP_HOME", "CARGO_HOME"];
    names
        .iter()
        .fold(Run::new(program), |run, name| run.inherit(name))
        .env("RUSTUP_AUTO_INSTALL", OsStr::new("0"))
}

fn short(commit: &str) -> &str {
    commit.get(..9).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn another_commit_of_the_same_release_is_not_the_locked_one() {
        let rust = testing::lock().rust;
        let said =
            format!("rustc 1.95.0\nbinary: rustc\ncommit-hash: {}\nrelease: {}\n", rust.commit, rust.version);
        assert!(is_locked(&said, &rust));
        assert!(!is_locked(&said.replace(&rust.commit[..4], "0000"), &rust));
        assert!(!is_locked(&said.replace("release: 1.95.0", "release: 1.95.0-nightly"), &rust));
        assert!(!is_locked("", &rust));
    }

    #[test]
    fn a_toolchain_installed_from_other_archives_is_refused() {
        let mut rust = testing::lock().rust;
        rust.components.retain(|component, _| component == "rust-src");
        let dir = tempfile::tempdir().unwrap();
        compare_manifest(dir.path(), &rust).unwrap();
        let at = dir.path().join("lib/rustlib");
        std::fs::create_dir_all(&at).unwrap();
        let write = |hash: &Digest| {
            let text = format!(
                "date = \"2026-04-16\"\n[pkg.rust-src.target.\"*\"]\navailable = true\nxz_hash = \"{hash}\"\n"
            );
            std::fs::write(at.join("multirust-channel-manifest.toml"), text).unwrap();
        };
        write(&rust.components["rust-src"]["*"]);
        compare_manifest(dir.path(), &rust).unwrap();
        write(&Digest::of(b"other"));
        let error = compare_manifest(dir.path(), &rust).unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        insta::assert_snapshot!(error.to_string().replace(dir.path().to_str().unwrap(), "DIR"), @r"
        `rust-src` for `*` in `DIR/lib/rustlib/multirust-channel-manifest.toml` is not what was expected
          expected 67b09138c8db96afc4bbfc69ea771ac9a091fd777698acb43f6dfd9fb7dea363
          found    d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
        ");
    }
}
