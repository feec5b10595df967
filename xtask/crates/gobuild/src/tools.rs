//! The pinned compilers, and the environment that the go command runs in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};

use crate::host::HostGo;
use crate::recipe::{Recipe, Target};

/// Where the pinned tools are, and the caches that are used.
#[derive(Clone, Debug)]
pub struct Tools {
    /// GOROOT of the pinned Go. Absolute.
    pub go_root: PathBuf,
    /// The pinned zig. Absolute, and best always the same: its path is part of the keys of Go's build cache.
    pub zig: PathBuf,
    /// A directory where zig keeps what it built of musl. Absolute.
    pub zig_cache: PathBuf,
    /// The caches and the module proxy.
    pub host: HostGo,
    /// Nothing may be fetched.
    pub offline: bool,
}

impl Tools {
    /// Refuses compilers of other versions than the recipe's.
    pub(crate) fn check_versions(&self, recipe: &Recipe) -> Result<()> {
        let file = self.go_root.join("VERSION");
        let text = fs::read_to_string(&file).map_err(|error| {
            let message = format!("there is no Go {} in {}: {error}", recipe.go, self.go_root.display());
            Fault::new(Kind::Tool, message)
        })?;
        let found = text.lines().next().unwrap_or_default().trim_start_matches("go");
        same_version("Go", &recipe.go, found, &self.go_root)?;
        let out = Run::new(&self.zig).arg("version").env("ZIG_GLOBAL_CACHE_DIR", &self.zig_cache).run()?;
        same_version("zig", &recipe.zig, String::from_utf8_lossy(&out.stdout).trim(), &self.zig)
    }

    /// The go command with nothing of our environment, in `work`, unable to reach anything.
    pub(crate) fn go<'a>(&self, target: &Target, work: &Work) -> Result<Run<'a>> {
        let mut compiler = self.zig.as_os_str().to_owned();
        if compiler.as_encoded_bytes().iter().any(|byte| byte.is_ascii_whitespace() || b"'\"".contains(byte))
        {
            let message =
                format!("the go command cannot call a C compiler with such a path: {}", self.zig.display());
            return Err(Fault::new(Kind::Tool, message)
                .help("keep the store where its path has no space or quote")
                .into());
        }
        compiler.push(" cc -target ");
        compiler.push(target.zig.as_deref().unwrap_or("none"));
        let run = Run::new(self.go_root.join("bin/go"));
        let run = target.level.iter().fold(run, |run, (name, value)| run.env(name, value));
        Ok(run
            .cwd(work.module())
            .env("PATH", self.go_root.join("bin"))
            .env("GOROOT", &self.go_root)
            .env("GOTOOLCHAIN", "local")
            .env("GOENV", "off")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GO111MODULE", "on")
            .env("GOMODCACHE", &self.host.mod_cache)
            .env("GOCACHE", &self.host.build_cache)
            .env("GOTMPDIR", work.temporary())
            .env("TMPDIR", work.temporary())
            .env("GOPROXY", "off")
            .env("GOOS", "linux")
            .env("GOARCH", &target.goarch)
            .env("CGO_ENABLED", "1")
            .env("CGO_CFLAGS", "-O2 -g")
            .env("CC", compiler)
            .env("CXX", "false")
            .env("ZIG_GLOBAL_CACHE_DIR", &self.zig_cache)
            .env("ZIG_LOCAL_CACHE_DIR", &self.zig_cache)
            .env("LC_ALL", "C"))
    }

    /// The same, for programs that run here.
    pub(crate) fn go_here<'a>(&self, work: &Work) -> Result<Run<'a>> {
        Ok(self.go(&Target::plain(""), work)?.env("CGO_ENABLED", "0"))
    }

    /// The same, but able to fetch modules unless that is forbidden.
    pub(crate) fn go_fetching<'a>(&self, target: &Target, work: &Work) -> Result<Run<'a>> {
        let run = self.go(target, work)?;
        if self.offline { Ok(run) } else { Ok(self.host.connect(run)) }
    }
}

fn same_version(tool: &str, expected: &str, found: &str, path: &Path) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let message =
        format!("{} is not the locked {tool}\n  expected {expected}\n  found    {found}", path.display());
    Err(Fault::new(Kind::Tool, message).into())
}

/// A directory of our own with a module in it, removed when dropped.
pub(crate) struct Work(tempfile::TempDir);

impl Work {
    /// Makes it below `parent`.
    pub(crate) fn new(parent: &Path, go_mod: &str, go_sum: &str) -> Result<Self> {
        let make = || {
            fs::create_dir_all(parent)?;
            let work = Self(tempfile::Builder::new().prefix("go-").tempdir_in(parent.canonicalize()?)?);
            fs::create_dir(work.module())?;
            fs::create_dir(work.temporary())?;
            fs::write(work.module().join("go.mod"), go_mod)?;
            fs::write(work.module().join("go.sum"), go_sum)?;
            anyhow::Ok(work)
        };
        make().with_context(|| format!("making a module in {}", parent.display()))
    }

    pub(crate) fn module(&self) -> PathBuf {
        self.0.path().join("module")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.0.path().join("tmp")
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.0.path().join("program")
    }
}
