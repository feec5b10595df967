//! The README's commands start each release's kubelet, which runs a static pod whose volumes reach it.

use anyhow::{Context, Result, ensure};
use tests::vm::{self, Kind, Session};
use tests::{skip, xtask};

/// What CI has built.
const ALWAYS: &str = "v1.26.0";
const OTHERS: [&str; 2] = ["v1.25.5", "v1.24.17"];

/// The README's command by this client, for a kubelet without a cluster as the README says, of this image.
fn command(client: &str, image: &str) -> Result<String> {
    let block = vm::readme(if client == "ctr" { "ctr run -d" } else { "docker run -d" })?;
    let named = |line: &str| {
        line.contains("localhost/kubelet:v1.26.0-micro")
            .then(|| line.replace("localhost/kubelet:v1.26.0-micro", image))
    };
    let lines: Vec<String> =
        block.lines().map(|line| named(line).unwrap_or_else(|| line.to_owned())).collect();
    ensure!(lines.iter().any(|line| line.contains(image)), "the README's command has no image: {block}");
    let command = lines.join("\n");
    Ok(match client {
        "ctr" => command.replace(
            "ctr run -d",
            "ctr run -d --env KUBELET_STANDALONE=1 --log-uri file:///var/log/kubelet.log",
        ),
        _ => command.replace("docker run -d", &format!("{client} run -d -e KUBELET_STANDALONE=1")),
    })
}

/// Starts it by the README's words, and waits for a pod.
fn starts(session: &mut Session, client: &'static str, release: &str) -> Result<()> {
    let attr = format!("kubelet-{}-micro-amd64", release.replace('.', "_"));
    let image = session.image(&attr, client)?;
    let logs = match client {
        "ctr" => "cat /var/log/kubelet.log".to_owned(),
        _ => format!("{client} logs kubeletd 2>&1"),
    };
    let script = format!(
        r"{first}
static_pod web
{command}
if ! await 180 healthy || ! await 180 says web app=; then {logs} | tail -n 60 >&2; exit 1; fi
pod_log web
echo; echo MOUNTS; cat /proc/1/mountinfo; echo LOG; {logs}
",
        first = vm::readme_first()?,
        command = command(client, &image)?,
    );
    let said = session.run(&script).with_context(|| format!("{release} by {client}"))?;
    let (pod, rest) = said.split_once("MOUNTS").context("no mounts")?;
    let (mounts, log) = rest.split_once("\nLOG").context("no log")?;
    ensure!(pod.contains("tmpfs") && pod.contains("size=8192k"), "the volume is not in the pod:\n{pod}");
    // Process 1's: the mounts that the kubelet's container made came out of it.
    ensure!(
        mounts
            .lines()
            .any(|line| line.contains("/kubernetes.io~empty-dir/scratch") && line.contains("tmpfs")),
        "no volume on the host:\n{mounts}"
    );
    ensure!(log.contains(&format!("kubeletVersion=\"{release}\"")), "not {release}:\n{log}");
    let said: Vec<_> = log.lines().filter(|line| line.contains("entrypoint: ")).collect();
    ensure!(!said.iter().any(|line| line.contains("error: ") || line.contains("warning: ")), "{said:#?}");
    Ok(())
}

/// Each client and release; those that CI has not built are for `--full`.
fn each(kind: Kind, clients: &[&'static str], releases: &[&str]) -> Result<()> {
    vm::with(kind, |session| {
        for client in clients {
            for release in releases {
                session.fresh()?;
                starts(session, client, release)?;
            }
        }
        Ok(())
    })
}

#[test]
fn the_readmes_command_for_containerd_starts_a_kubelet() -> Result<()> {
    each(Kind::Plain, &["ctr"], &[ALWAYS])
}

#[test]
fn the_readmes_command_for_containerd_starts_older_releases() -> Result<()> {
    for release in OTHERS {
        let attr = format!("kubelet-{}-micro-amd64", release.replace('.', "_"));
        if !xtask::at_hand(&attr)?
            && skip::unless_full(&format!("`{attr}` was never built here, and compiles for long"))
        {
            continue;
        }
        if skip::unless_full("older releases in a machine") {
            continue;
        }
        each(Kind::Plain, &["ctr"], &[release])?;
    }
    Ok(())
}

#[test]
fn the_readmes_commands_for_docker_and_podman_start_each_release() -> Result<()> {
    if skip::unless_full("docker and podman in a machine without systemd") {
        return Ok(());
    }
    each(Kind::Runtimes, &["docker", "podman"], &[ALWAYS, OTHERS[0], OTHERS[1]])
}

#[test]
fn with_systemd_all_of_the_readmes_commands_start_each_release() -> Result<()> {
    if skip::unless_full("a machine with systemd") {
        return Ok(());
    }
    each(Kind::Systemd, &["ctr", "docker", "podman"], &[ALWAYS, OTHERS[0], OTHERS[1]])
}
