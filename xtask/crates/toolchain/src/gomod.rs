//! Go from a Go module, fetched by the user's own `go` with the user's own proxy settings.

use std::path::{Path, PathBuf};

use anyhow::Result;
use fault::{Fault, Kind};
use serde::Deserialize;

use crate::networked;

/// The user's settings of how modules are fetched. `go` reads the rest from its own settings file.
const SETTINGS: [&str; 14] = [
    "GOENV",
    "GOPATH",
    "GOMODCACHE",
    "GOCACHE",
    "GOPROXY",
    "GONOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOINSECURE",
    "GOAUTH",
    "GOVCS",
    "GOTMPDIR",
    "GOTELEMETRY",
];

/// What `go mod download -json` says of one module.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Download {
    /// The zip file in the module cache.
    #[serde(default)]
    pub(crate) zip: PathBuf,
    /// As in a go.sum.
    #[serde(default)]
    pub(crate) sum: String,
    #[serde(default)]
    error: String,
}

/// Downloads a module into the user's module cache. `dir` is an empty directory to run in.
pub(crate) fn download(module: &str, version: &str, dir: &Path) -> Result<Download> {
    if exec::which("go").is_none() {
        return Err(Fault::new(
            Kind::Tool,
            "`go` is not installed, or not in PATH; it fetches the pinned Go",
        )
        .help("install any Go from 1.21 on, for example with your distribution's package `golang-go`")
        .into());
    }
    let wanted = format!("{module}@{version}");
    let run = SETTINGS.iter().fold(networked("go"), |run, name| run.inherit(name));
    let run =
        run.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GOWORK", "off").env("GO111MODULE", "on");
    let finished = run.args(["mod", "download", "-json", &wanted]).cwd(dir).finish()?;
    let refused = |why: &str| {
        Fault::new(Kind::Unavailable, format!("{wanted} is not available: {}", why.trim()))
            .help("check the network and GOPROXY (`go env GOPROXY`), or give a directory that has its zip with --mirror")
    };
    match serde_json::from_slice::<Download>(&finished.stdout) {
        Ok(got) if finished.status.success() && got.error.is_empty() => Ok(got),
        Ok(got) if !got.error.is_empty() => Err(refused(&got.error).into()),
        _ => Err(refused(&finished.stderr_tail).into()),
    }
}
