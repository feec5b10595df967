//! Puts the image's CNI plugins where the host's runtime finds them: since Kubernetes 1.24 it is the runtime that runs
//! them, and it sees only the host.
//!
//! `entrypoint cni install` and `entrypoint cni remove` do it at a person's wish; before the kubelet starts it is done
//! where the host's directory is mounted, unless `KUBELET_CNI=off`.

mod install;
mod manifest;
mod source;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::args::Command;
use crate::failure::{err, out};
use crate::preflight::{Access, Facts, HOST_CNI, Propagation, Repair, mounted_from_host, starter, variable};
use crate::stop::{HOST, Stop, USAGE};
use install::Done;
use source::Source;

/// Where plugins are, in the image and, by the runtimes' defaults, on the host.
const PLUGINS: &str = "/opt/cni/bin";
/// `off`: nothing is installed, and nothing is said of it.
const SWITCH: &str = "KUBELET_CNI";
/// The release of the image, which the manifest names.
const RELEASE: &str = "KUBELET_IMAGE_RELEASE";

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
    if !wanted(&facts) {
        return Ok(());
    }
    // Where it is not mounted, the preflight has said so.
    let Some(dir) = mounted(&facts) else { return Ok(()) };
    match Source::open(&facts).map_err(|why| failed(&why)).and_then(|source| run(&source, &dir)) {
        Ok(done) if done.changed() => err(&format!("entrypoint: cni: {}", done.text(&dir))),
        Ok(_) => {}
        Err(stop) => err(&stop.to_string()),
    }
    Ok(())
}

/// Has the image plugins, and does nobody object to installing them?
pub(crate) fn wanted(facts: &Facts) -> bool {
    variable(SWITCH) != "off" && Source::open(facts).is_ok()
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
