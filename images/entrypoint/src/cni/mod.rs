//! Puts the image's CNI plugins where the host's runtime finds them: since Kubernetes 1.24 it is the runtime that runs
//! them, and it sees only the host.
//!
//! `entrypoint cni install` and `entrypoint cni remove` do it at a person's wish; before the kubelet starts it is done
//! where the host's directory is mounted, unless `KUBELET_CNI=off`.

mod install;
mod lock;
mod manifest;
mod source;

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::Duration;

use crate::args::Command;
use crate::child::captured;
use crate::failure::{err, out};
use crate::preflight::{Access, Facts, HOST_CNI, Propagation, Repair, mounted_from_host, starter, variable};
use crate::stop::{HOST, Stop, USAGE};
use crate::yaml::Scalars;
use install::Done;
use source::Source;

/// Where plugins are, in the image and, by the runtimes' defaults, on the host.
const PLUGINS: &str = "/opt/cni/bin";
/// `off`: nothing is installed, and nothing is said of it.
const SWITCH: &str = "KUBELET_CNI";
/// The release of the image, which the manifest names.
const RELEASE: &str = "KUBELET_IMAGE_RELEASE";

/// How long a plugin may take to say what it knows.
const LIMIT: Duration = Duration::from_secs(5);

const HELP: &str = "entrypoint cni install [--to DIRECTORY]\nentrypoint cni remove [--from DIRECTORY]\n\n\
    Installs this image's CNI plugins in the host's directory, or removes what was installed. Files that are not from\n\
    here are left alone. Without DIRECTORY: what is mounted from the host at /host/opt/cni/bin or /opt/cni/bin.";

/// `cni install` and `cni remove`; returns the exit code.
#[expect(clippy::needless_pass_by_value, reason = "one signature for all commands")]
pub(crate) fn main(args: Vec<OsString>) -> u8 {
    let words: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let done = match words[..] {
        ["install"] => host_directory(&Facts::gather()).and_then(|dir| install(&dir)),
        ["install", "--to", dir] => install(Path::new(dir)),
        ["remove"] => host_directory(&Facts::gather()).and_then(|dir| remove(&dir)),
        ["remove", "--from", dir] => remove(Path::new(dir)),
        ["--help" | "-h"] => Ok(HELP.to_owned()),
        _ => Err(Stop::new(USAGE, "cni: expected `install` or `remove`").help("see `entrypoint cni --help`")),
    };
    match done {
        Ok(said) => {
            out(&said);
            0
        }
        Err(stop) => {
            err(&stop.to_string());
            stop.code
        }
    }
}

/// Before the kubelet starts: installs, where there is something to install and a place for it. It never stops the
/// start: pods on the host's network run without CNI.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all that is done before a start")]
pub(crate) fn at_start(_: &mut Command) -> Result<(), Stop> {
    let facts = Facts::gather();
    // Where it is not mounted, the preflight has said so.
    let Some(Plugins { source, host: Some(dir) }) = plugins(&facts) else { return Ok(()) };
    match run(&source, &dir) {
        Ok(done) if done.changed() => err(&format!("entrypoint: cni: {}", done.text(&dir))),
        Ok(_) => {}
        Err(stop) => err(&stop.to_string()),
    }
    Ok(())
}

/// The image's plugins, and the host's directory that they are installed in.
pub(crate) struct Plugins {
    source: Source,
    host: Option<PathBuf>,
}

/// Those of an image that has plugins, unless somebody objects to installing them.
pub(crate) fn plugins(facts: &Facts) -> Option<Plugins> {
    let source = Source::open(facts).ok().filter(|_| variable(SWITCH) != "off")?;
    Some(Plugins { source, host: mounted(facts) })
}

impl Plugins {
    /// The versions of CNI that a plugin says it knows; none if the image does not have it, or the host has one of its own
    /// in its place.
    pub(crate) fn versions(&self, name: &str) -> Option<Vec<String>> {
        if self.host.as_ref().is_some_and(|dir| install::is_foreign(&self.source, dir, name)) {
            return None;
        }
        let file = self.source.groups.iter().flatten().find(|known| *known == name)?;
        let file = self.source.file(file).ok()?;
        let mut plugin = Process::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let said = captured(plugin.arg0(name).env("CNI_COMMAND", "VERSION"), LIMIT).ok()?;
        let versions = Scalars::parse(&said.text).texts("supportedVersions..").map(str::to_owned).collect();
        Some(versions).filter(|versions: &Vec<String>| said.code == Some(0) && !versions.is_empty())
    }
}

fn install(dir: &Path) -> Result<String, Stop> {
    let source = Source::open(&Facts::gather()).map_err(|why| failed(&why))?;
    Ok(run(&source, dir)?.text(dir))
}

fn run(source: &Source, dir: &Path) -> Result<Done, Stop> {
    let release = Some(variable(RELEASE)).filter(|name| !name.is_empty());
    install::install(source, dir, &release.unwrap_or_else(|| "unknown".to_owned()))
        .map_err(|why| failed(&why))
}

fn remove(dir: &Path) -> Result<String, Stop> {
    install::remove(dir).map_err(|why| failed(&why))
}

fn failed(why: &str) -> Stop {
    Stop::new(HOST, format!("cni: {why}"))
}

/// The host's directory, where one is mounted.
fn mounted(facts: &Facts) -> Option<PathBuf> {
    [HOST_CNI, PLUGINS]
        .map(PathBuf::from)
        .into_iter()
        .find(|dir| mounted_from_host(facts, dir).is_some() && dir.is_dir())
}

fn host_directory(facts: &Facts) -> Result<PathBuf, Stop> {
    mounted(facts).ok_or_else(|| {
        let starter = starter();
        let mount = Repair::Mount {
            path: HOST_CNI.to_owned(),
            propagation: Propagation::Default,
            access: Access::Write,
        };
        failed("the host's directory of plugins is not mounted").help(format!(
            "{}: {}",
            starter.name(),
            mount.by(starter)
        ))
    })
}
