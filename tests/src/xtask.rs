//! The built `xtask`, run as users run it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use fault::Kind;
use serde_json::Value;

use crate::cmd;

/// The program: `XTASK`, else built once by cargo.
pub fn program() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| build_program().map_err(|error| format!("{error:#}")));
    found.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("XTASK") {
        return Ok(path.into());
    }
    let args = ["build", "--quiet", "--package", "xtask", "--message-format=json"];
    let told = cmd::ok(Command::new(env!("CARGO")).args(args).current_dir(crate::root()))?;
    let mut messages = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = messages.find_map(|message| {
        let ours = message["target"]["name"] == "xtask" && message["target"]["kind"][0] == "bin";
        if ours { message["executable"].as_str().map(PathBuf::from) } else { None }
    });
    path.context("cargo built no xtask")
}

/// Where the tests' images are. `LAYOUTS` names a directory of layouts that were built already, to test just these.
pub fn layout(attr: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("LAYOUTS") {
        let layout = Path::new(&dir).join(attr);
        ensure!(layout.is_dir(), "LAYOUTS has no `{attr}`");
        return Ok(layout);
    }
    Xtask::new()?.build(attr, &out()?)
}

/// The layout of an image without its kubelet, which would be compiled for long: what else it holds is the same.
pub fn without_kubelet(attr: &str, dir: &Path) -> Result<PathBuf> {
    let out = dir.join("without-kubelet");
    let to = out.to_str().context("the directory's name is not UTF-8")?;
    Xtask::new()?.ok(&["build", attr, "--omit", "kubelet", "--allow-incomplete", "--out", to])?;
    Ok(out.join(attr))
}

/// Where the tests' shared layouts are: beside the program.
fn out() -> Result<PathBuf> {
    let target = program()?.parent().and_then(Path::parent).context("xtask is in no target directory")?;
    Ok(target.join("test-images"))
}

/// Was this image built here before, by these tests or by a person? It is rebuilt if it is out of date.
pub fn at_hand(attr: &str) -> Result<bool> {
    let mut dirs = vec![out()?, crate::root().join("target/images")];
    dirs.extend(std::env::var_os("LAYOUTS").map(PathBuf::from));
    Ok(dirs.iter().any(|dir| dir.join(attr).join("index.json").is_file()))
}

/// One way to run it.
#[derive(Clone, Debug)]
pub struct Xtask {
    cwd: PathBuf,
    before: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

impl Xtask {
    /// In the repository, with this process's environment.
    pub fn new() -> Result<Self> {
        program()?;
        Ok(Self { cwd: crate::root(), before: Vec::new(), env: Vec::new() })
    }

    /// In this directory.
    #[must_use]
    pub fn cwd(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.cwd);
        self
    }

    /// With this variable set; a later value wins.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// With a store of its own. Go's caches stay the user's: what is in them is Go's to verify.
    #[must_use]
    pub fn store(self, dir: &Path) -> Self {
        self.env("KUBELET_IMAGES_STORE", dir)
    }

    /// Started by another program, such as `unshare`.
    #[must_use]
    pub fn under<S: AsRef<OsStr>>(mut self, before: impl IntoIterator<Item = S>) -> Self {
        self.before.extend(before.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// With another home directory, but the caches and tools that are found by way of the real one.
    pub fn home(self, dir: &Path) -> Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).context("no HOME")?;
        let known = |name: &str, inside: &str| {
            std::env::var_os(name).map_or_else(|| home.join(inside), PathBuf::from)
        };
        let go = |name: &str| {
            Ok::<_, anyhow::Error>(cmd::ok(Command::new("go").args(["env", name]))?.trim().to_owned())
        };
        Ok(self
            .env("CARGO_HOME", known("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", known("RUSTUP_HOME", ".rustup"))
            .default_env("GOMODCACHE", &go("GOMODCACHE")?)
            .default_env("GOCACHE", &go("GOCACHE")?)
            .default_env("GOPROXY", &go("GOPROXY")?)
            .env("HOME", dir))
    }

    fn default_env(self, name: &str, value: &str) -> Self {
        if self.env.iter().any(|(set, _)| set == name) { self } else { self.env(name, value) }
    }

    /// The command, ready to be started.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let words: Vec<&OsStr> =
            self.before.iter().map(OsString::as_os_str).chain([program()?.as_os_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(args).current_dir(&self.cwd);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Runs it to its end, however that is.
    pub fn output(&self, args: &[&str]) -> Result<cmd::Output> {
        cmd::output(&mut self.command(args)?)
    }

    /// Runs it, and returns standard output; a failure is an error.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        cmd::ok(&mut self.command(args)?)
    }

    /// Builds an image, without crictl where it would have it: its module is not served everywhere. Returns the
    /// layout.
    pub fn build(&self, attr: &str, out: &Path) -> Result<PathBuf> {
        self.ok(&build_args(attr, out)?)?;
        let layout = out.join(attr);
        ensure!(
            layout.join("oci-layout").is_file(),
            "`{attr}` was built, but there is no layout in {}",
            layout.display()
        );
        Ok(layout)
    }

    /// Runs it, and demands that it fails in this way, and that its message has all these words; returns what it said.
    pub fn fails(&self, args: &[&str], kind: Kind, words: &[&str]) -> Result<cmd::Output> {
        let out = self.output(args)?;
        let expected = i32::from(kind.exit_code());
        if out.code() != Some(expected) {
            bail!(
                "{args:?}: expected exit code {expected} ({kind:?}), got {}\n{}{}",
                out.status,
                out.stdout,
                out.stderr
            );
        }
        let missing: Vec<_> = words.iter().filter(|word| !out.stderr.contains(**word)).collect();
        ensure!(missing.is_empty(), "{args:?}: the message does not say {missing:?}:\n{}", out.stderr);
        Ok(out)
    }
}

/// The arguments of [`Xtask::build`].
pub fn build_args<'a>(attr: &'a str, out: &'a Path) -> Result<Vec<&'a str>> {
    let out = out.to_str().context("the directory's name is not UTF-8")?;
    let mut args = vec!["build", attr, "--out", out];
    if attr.contains("-kubeadm") {
        args.extend(["--omit", "crictl"]);
    }
    Ok(args)
}

/// Where the store is that builds use unless told otherwise.
pub fn default_store() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache =
        || Some(set("XDG_CACHE_HOME").unwrap_or(set("HOME")?.join(".cache")).join("containerized-kubelet"));
    set("KUBELET_IMAGES_STORE").or_else(cache).context("no HOME")
}

/// Shows that a build that failed left nothing half-made: no temporary file in the store, no input that is not what
/// its name says, and nothing at all where layouts go.
pub fn nothing_half_made(store: &Path, out: &Path) -> Result<()> {
    for file in crate::scratch::files(&store.join("inputs/sha256")) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(crate::scratch::sha256(&file)? == name, "{} is not what its name says", file.display());
    }
    // Directories of the dead are removed by the next build; what counts is that no file stays.
    let left = crate::scratch::files(&store.join("tmp"));
    ensure!(
        left.iter().all(|file| fs::metadata(file).is_ok_and(|meta| meta.len() == 0)),
        "left in the store: {left:?}"
    );
    let left = crate::scratch::files(out);
    ensure!(left.is_empty(), "left where layouts go: {left:?}");
    Ok(())
}
