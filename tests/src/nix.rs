//! Nix with a store of the tests' own, and this machine's tools in place of nixpkgs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{cmd, xtask};

/// The settings of every Nix here: no sandbox (it needs users that this machine lacks), nothing from elsewhere.
const CONF: &str = "experimental-features = nix-command flakes
sandbox = false
build-users-group =
substituters =
";

/// A Nix. What it built is kept for later runs.
#[derive(Debug)]
pub struct Nix {
    /// The program.
    pub program: PathBuf,
    /// Its store, state and settings; and the stand-ins.
    pub dir: PathBuf,
    /// The module proxies: this machine's own copies come first.
    proxy: String,
}

impl Nix {
    /// The Nix in PATH, with the store that tests share.
    pub fn shared() -> Result<Self> {
        let target = xtask::program()?.parent().context("xtask is in no directory")?;
        let nix = Self::new("nix".into(), target.join("test-tools/nix"))?;
        // Two that make the state of a new store at once get into each other's way.
        let alone = fs::File::create(nix.dir.join("lock"))?;
        alone.lock().context("waiting for another test's Nix")?;
        cmd::ok(store_command(&mut nix.command(&["--init"])))?;
        Ok(nix)
    }

    /// A Nix with this directory for its store and state.
    pub fn new(program: PathBuf, dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(dir.join("conf"))?;
        fs::write(dir.join("conf/nix.conf"), CONF)?;
        let proxy = format!("file://{}/cache/download,{}", go("GOMODCACHE")?, go("GOPROXY")?);
        Ok(Self { program, dir, proxy })
    }

    /// `nix` with these words; flakes may be named by `path:` only.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words);
        let state = self.dir.join("var");
        command
            .env("NIX_STORE_DIR", self.dir.join("store"))
            .env("NIX_STATE_DIR", &state)
            .env("NIX_LOCALSTATE_DIR", &state)
            .env("NIX_LOG_DIR", self.dir.join("log"))
            .env("NIX_CONF_DIR", self.dir.join("conf"))
            .env("GOPROXY", &self.proxy);
        command
    }
}

/// The same command of `nix-store`, the older program, which knows some things that `nix` does not. They are one file.
pub fn store_command(command: &mut Command) -> &mut Command {
    command.arg0("nix-store")
}

/// The stand-ins for the flake's inputs, as this machine needs them.
#[derive(Debug)]
pub struct StandIns {
    dir: PathBuf,
    /// What is available, by SHA-256.
    files: PathBuf,
}

impl StandIns {
    /// Makes them in this directory: where programs, the Rust and files that were fetched before are.
    pub fn new(dir: &Path) -> Result<Self> {
        // Once for all tests of a program: it reads every crate.
        static FILES: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let tools = tools()?;
        let files = FILES.get_or_init(|| fetched(&tools).map_err(|error| format!("{error:#}")));
        let files = files.as_deref().map_err(|error| anyhow::anyhow!("{error}"))?;
        // What was compiled for other builds need not be compiled again: only who builds outside a sandbox has that.
        let environment = json!({
            "CARGO_TARGET_DIR": tools.join("cargo-target"),
            "GOCACHE": go("GOCACHE")?,
        });
        fs::create_dir_all(tools.join("cargo-target"))?;
        let rust = cmd::ok(Command::new("rustc").args(["--print", "sysroot"]).current_dir(crate::root()))?;
        for name in ["nixpkgs", "rust-overlay"] {
            let to = dir.join(name);
            fs::create_dir_all(&to)?;
            fs::copy(crate::root().join("tests").join(name).join("flake.nix"), to.join("flake.nix"))?;
        }
        fs::copy(crate::root().join("rust-toolchain.toml"), dir.join("rust-overlay/rust-toolchain.toml"))?;
        let formatters =
            ["nixpkgs-fmt", "deadnix"].into_iter().filter_map(|name| Some((name, crate::skip::which(name)?)));
        let host = json!({
            "path": "/usr/bin:/bin",
            "go": go("GOROOT")?,
            "files": files,
            "environment": environment,
            "tools": formatters.collect::<BTreeMap<_, _>>(),
        });
        fs::write(dir.join("nixpkgs/host.json"), host.to_string())?;
        fs::write(dir.join("rust-overlay/host.json"), json!({ "rust": rust.trim() }).to_string())?;
        Ok(Self { dir: dir.to_owned(), files: files.to_owned() })
    }

    /// Serves all files of a directory as well, also when that is gone.
    pub fn serve(&self, dir: &Path) -> Result<()> {
        for path in crate::scratch::files(dir) {
            let bytes = fs::read(&path)?;
            let mut copy = tempfile::NamedTempFile::new_in(&self.files)?;
            copy.write_all(&bytes)?;
            copy.persist(self.files.join(hex::encode(Sha256::digest(&bytes))))?;
        }
        Ok(())
    }

    /// What puts them in place of the flake's inputs.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--no-write-lock-file".to_owned()];
        for name in ["nixpkgs", "rust-overlay"] {
            flags.push("--override-input".into());
            flags.push(name.into());
            flags.push(format!("path:{}", self.dir.join(name).display()));
        }
        flags
    }
}

/// What stand-ins keep for later runs.
fn tools() -> Result<PathBuf> {
    let target = xtask::program()?.parent().context("xtask is in no directory")?;
    Ok(target.join("test-tools/nix-host"))
}

/// The files that this machine has fetched before, by their hashes.
fn fetched(tools: &Path) -> Result<PathBuf> {
    let files = tools.join("files");
    fs::create_dir_all(&files)?;
    fetch_crates()?;
    let home = PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?);
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    for path in crate::scratch::files(&cargo.join("registry/cache")) {
        let digest = hex::encode(Sha256::digest(fs::read(&path)?));
        link(&path, &files.join(digest))?;
    }
    for path in crate::scratch::files(&xtask::default_store()?.join("inputs/sha256")) {
        link(&path, &files.join(path.file_name().context("a file without a name")?))?;
    }
    Ok(files)
}

/// A setting of this machine's Go.
fn go(name: &str) -> Result<String> {
    Ok(cmd::ok(Command::new("go").args(["env", name]))?.trim().to_owned())
}

/// The sources of the standard library of the pinned Rust, where rustup put them.
pub fn std_sources() -> Result<PathBuf> {
    let sysroot = cmd::ok(Command::new("rustc").args(["--print", "sysroot"]).current_dir(crate::root()))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library"))
}

/// All crates of the lock files, those for other systems too: cargo wants to see each.
fn fetch_crates() -> Result<()> {
    let ours = ["Cargo.toml", "images/entrypoint/Cargo.toml"].map(|manifest| crate::root().join(manifest));
    let std = std_sources()?.join("Cargo.toml");
    for manifest in ours.into_iter().chain(std.is_file().then_some(std)) {
        let mut fetch = Command::new(env!("CARGO"));
        fetch.args(["fetch", "--locked", "--quiet", "--manifest-path"]).arg(manifest);
        // The standard library uses what only itself may.
        cmd::ok(fetch.env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}

fn link(to: &Path, at: &Path) -> Result<()> {
    match symlink(to, at) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        done => done.with_context(|| format!("linking {}", at.display())),
    }
}
