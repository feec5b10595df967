//! What preflight prints to repair a set-up, done word by word: the flags of a container's runtime on its
//! configuration, and commands on the host.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::bundle::Bundle;
use crate::cmd;
use crate::host::Host;

/// A piece of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Flags of `ctr run`, `docker run` or `podman run`.
    Flags(String),
    /// A command for the host.
    Host(String),
}

/// All that is in this text: lines `ctr: FLAGS` (docker, podman), and commands in backticks on lines `on the host...`.
pub fn printed(text: &str) -> Vec<Advice> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let flags = ["ctr: ", "docker: ", "podman: "].iter().find_map(|runtime| line.strip_prefix(runtime));
        if let Some(flags) = flags {
            found.push(Advice::Flags(flags.to_owned()));
        } else if line.starts_with("on the host")
            && let Some(command) = line.split('`').nth(1)
        {
            found.push(Advice::Host(command.to_owned()));
        }
    }
    found.dedup();
    found
}

impl Advice {
    /// Does it.
    pub fn apply(&self, bundle: &mut Bundle, host: &Host) -> Result<()> {
        match self {
            Self::Host(command) => cmd::ok(host.command("sh").args(["-ec", command])).map(|_| ()),
            Self::Flags(words) => flags(words, bundle).with_context(|| format!("the advice `{words}`")),
        }
    }
}

fn flags(words: &str, bundle: &mut Bundle) -> Result<()> {
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let mut value = || value.or_else(|| words.next()).with_context(|| format!("{name} without a value"));
        match name {
            "-v" => volume(value()?, bundle)?,
            "--mount" => mount(value()?, bundle)?,
            "--rootfs-propagation" => bundle.config["linux"]["rootfsPropagation"] = json!(value()?),
            "--with-ns" => {
                let (kind, path) = value()?.split_once(":/proc/1/ns/").context("not of process 1")?;
                ensure!(kind == path, "{kind} of {path}");
                bundle.hosts_namespace(kind);
            }
            "--pid" | "--uts" => {
                ensure!(value()? == "host");
                bundle.hosts_namespace(name.trim_start_matches('-'));
            }
            "--cgroupns" => {
                ensure!(value()? == "host");
                bundle.hosts_namespace("cgroup");
            }
            "--network" => {
                ensure!(value()? == "host");
                bundle.hosts_namespace("network");
            }
            "--net-host" => bundle.hosts_namespace("network"),
            "--privileged" => bundle.privileged(),
            _ => bail!("an unknown flag: {word}"),
        }
    }
    Ok(())
}

/// `-v HOST:CONTAINER[:OPTION,...]` of docker and podman.
fn volume(given: &str, bundle: &mut Bundle) -> Result<()> {
    let mut parts = given.split(':');
    let (Some(source), Some(path)) = (parts.next(), parts.next()) else {
        bail!("{given}: two paths expected")
    };
    let mut options = vec!["rbind"];
    options.extend(parts.next().into_iter().flat_map(|list| list.split(',')));
    if options.contains(&"rshared") {
        bundle.config["linux"]["rootfsPropagation"] = json!("rshared");
    } else {
        options.push("rprivate");
    }
    bundle.bind_from(source, path, &options);
    Ok(())
}

/// `--mount type=bind,src=HOST,dst=CONTAINER,options=A:B` of ctr.
fn mount(given: &str, bundle: &mut Bundle) -> Result<()> {
    let field = |name: &str| {
        let found = given.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.with_context(|| format!("{given}: no {name}"))
    };
    ensure!(field("type")? == "bind");
    let options: Vec<&str> = field("options")?.split(':').collect();
    bundle.bind_from(field("src")?, field("dst")?, &options);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_told_from_prose() {
        let text = "entrypoint: error: x: y (z)\n  ctr: --net-host\n  on the host, once: `a | b`; or more\n  \
                    start the runtime on the host\nentrypoint: error: v\n  ctr: --net-host\n";
        let flags = Advice::Flags("--net-host".to_owned());
        assert_eq!(printed(text), [flags.clone(), Advice::Host("a | b".to_owned()), flags]);
    }
}
