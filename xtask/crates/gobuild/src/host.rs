//! The Go of the machine: where it keeps modules and builds, and how it reaches modules.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;

/// Settings that say how modules are reached and which sums the checksum database is asked for. What is built is
/// decided by go.sum alone, so these never change a byte.
const NETWORK: [&str; 8] =
    ["GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOVCS", "GOAUTH"];
/// What else Go and the git that `GOPROXY=direct` starts may need of the user.
const INHERITED: [&str; 5] = ["HOME", "PATH", "GIT_SSL_CAINFO", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK"];

/// What the user's own Go is set to: caches, which are used so that nothing is fetched or compiled twice, and
/// the module proxy.
#[derive(Clone, Debug)]
pub struct HostGo {
    /// GOMODCACHE: where modules are kept unpacked.
    pub mod_cache: PathBuf,
    /// GOCACHE: where compiled packages are kept.
    pub build_cache: PathBuf,
    /// GOPROXY and its kind: the module proxy.
    pub network: BTreeMap<String, String>,
}

impl HostGo {
    /// Asks `go`, the user's own or the pinned one, for the settings that environment and `go env -w` give it.
    pub fn read(go: &Path) -> Result<Self> {
        let own = |(name, _): &(OsString, OsString)| {
            let name = name.to_string_lossy();
            name.starts_with("GO") || name.starts_with("XDG_") || INHERITED.contains(&&*name)
        };
        // A go.mod or a GOFLAGS of wherever we are is none of our business.
        let run = Run::new(go).args(["env", "-json", "GOMODCACHE", "GOCACHE"]).args(NETWORK).cwd("/");
        let run = std::env::vars_os().filter(own).fold(run, |run, (name, value)| run.env(name, value));
        let out = run.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOWORK", "off").run()?;
        let mut vars: BTreeMap<String, String> = serde_json::from_slice(&out.stdout)
            .with_context(|| format!("what `{} env` says", go.display()))?;
        let mut take = |name: &str| vars.remove(name).filter(|value| !value.is_empty());
        let mod_cache = take("GOMODCACHE").context("go has no GOMODCACHE")?.into();
        let build_cache = take("GOCACHE").filter(|dir| dir != "off").context("go has no GOCACHE")?.into();
        Ok(Self { mod_cache, build_cache, network: vars })
    }

    /// These caches, and nothing to be reached: for builds that are given all they need.
    pub fn offline(mod_cache: PathBuf, build_cache: PathBuf) -> Self {
        Self { mod_cache, build_cache, network: BTreeMap::new() }
    }

    /// Lets a command reach modules as the user's Go would.
    pub(crate) fn connect<'a>(&self, run: Run<'a>) -> Run<'a> {
        let run = INHERITED.iter().fold(web::connect(run), |run, name| run.inherit(name));
        self.network.iter().fold(run, |run, (name, value)| run.env(name, value))
    }
}
