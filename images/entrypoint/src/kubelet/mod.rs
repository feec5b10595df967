//! The kubelet's command line: the image's defaults, what the release and the host need, and the user's flags.

mod compose;
mod config;
mod envfile;
mod facts;
pub(crate) mod given;
pub(crate) mod join;
mod kubeadm;
pub(crate) mod node;
pub(crate) mod probe;
mod release;
pub(crate) mod runtime;
mod standalone;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::args::Command;
use crate::failure::err;
use crate::regular;
use crate::stop::{CONFIG, Stop, USAGE};
pub(crate) use config::Config;
use facts::Fact;
use given::Given;
use node::Node;
pub(crate) use release::{Image, Release};

/// Before a start by the user's flags alone: completes them. Refused for what the host lacks they are complete but for
/// that; refused for what they say themselves they stay as they are.
/// `systemd`: does the host run it, where that can be seen?
pub(crate) fn arrange(command: &mut Command, systemd: Option<bool>) -> Result<(), Stop> {
    let node = Node { systemd, ..Node::here()? };
    let (start, lacks) = compose::plan(command.args.clone(), &node)?;
    for note in start.notes {
        err(&format!("entrypoint: {note}"));
    }
    command.args = start.args;
    lacks.map_or(Ok(()), Err)
}

/// Before a start by the user's flags alone: waits for a kubeadm that has begun with this host, for a while.
pub(crate) fn wait(command: &mut Command) -> Result<(), Stop> {
    let node = Node::here()?;
    let given = given::flags(&[kubeadm::extra(&node)?, command.args.clone()].concat());
    if given::only_prints(&given) || standalone::is_wanted(&given, &node)? {
        return Ok(());
    }
    join::wait(node.root, &given, &std::env::var(join::WAIT).unwrap_or_default())
}

/// Before any start: are there flags that this release's kubelet does not have? It would fail, with its whole help.
pub(crate) fn check(command: &mut Command) -> Result<(), Stop> {
    let image = Image::here();
    image.release.map_or(Ok(()), |release| check_flags(&given::flags(&command.args), release))
}

fn check_flags(given: &[Given], release: Release) -> Result<(), Stop> {
    let mut missing: Vec<(&str, String)> = Vec::new();
    for flag in given {
        let why = Fact::flag(&flag.name).and_then(|fact| fact.missing_in(release));
        if let Some(why) = why.filter(|_| missing.iter().all(|(name, _)| *name != flag.name)) {
            missing.push((&flag.name, why));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = missing.iter().map(|(name, _)| format!("--{name}")).collect();
    let message = format!("Kubernetes {release} does not have {}", names.join(", "));
    let help = missing.iter().map(|(name, why)| format!("--{name} {why}"));
    Err(help.fold(Stop::new(USAGE, message), Stop::help))
}

/// Has this release's configuration the field, by what is known of it?
pub(crate) fn has_field(name: &str, release: Release) -> bool {
    Fact::field(name).is_some_and(|field| field.missing_in(release).is_none())
}

/// A path under another root directory; a relative one is left alone.
fn at(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    path.strip_prefix("/").map_or_else(|_| path.to_owned(), |inner| root.join(inner))
}

/// Refuses a file that is there, but whose reader would wait for it, or find no end of it.
fn refuse_special(path: &Path) -> Result<(), Stop> {
    regular::why_unreadable(path).map_or(Ok(()), |why| Err(special(path, &why)))
}

/// Why and what to do, for a file that is not a regular one.
fn special(path: &Path, why: &str) -> Stop {
    Stop::new(CONFIG, format!("{}: {why}", path.display())).help("put a regular file there, or remove it")
}

/// Flags as words.
fn words(flags: Vec<String>) -> impl Iterator<Item = OsString> {
    flags.into_iter().map(OsString::from)
}
