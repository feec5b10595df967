//! The README's commands start each release's kubelet, which runs a static pod whose volumes reach it.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tests::skip;
use tests::vm::{self, Kind, Session};

/// What CI has built.
const NEWEST: &str = "v1.26.0";
const OLDER: &str = "v1.25.5";
const OLDEST: &str = "v1.24.17";
/// Which command starts which release on a host without systemd, besides what CI does there, and on one with it. Each host has
/// all commands and all releases, and each command starts each release on one of them: a start costs a minute or two.
const WITHOUT_SYSTEMD: [(&str, &str); 4] =
    [("docker", NEWEST), ("docker", OLDER), ("podman", OLDEST), ("ctr", OLDEST)];
const WITH_SYSTEMD: [(&str, &str); 4] =
    [("podman", NEWEST), ("podman", OLDER), ("ctr", OLDER), ("docker", OLDEST)];

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
fn start(session: &mut Session, client: &'static str, release: &str) -> Result<()> {
    let attr = format!("kubelet-{}-amd64", release.replace('.', "_"));
    let image = session.image(&attr, client)?;
    let logs = match client {
        "ctr" => "cat /var/log/kubelet.log".to_owned(),
        _ => format!("{client} logs kubeletd 2>&1"),
    };
    let script = format!(
        r"{first}
static_pod web
{command}
if ! await 600 healthy || ! await 600 says web app=; then {logs} | tail -n 60 >&2; exit 1; fi
pod_log web
echo; echo MOUNTS; cat /proc/1/mountinfo; echo LOG; {logs}
",
        first = vm::readme_first()?,
        command = command(client, &image)?,
    );
    let since = Instant::now();
    let said = session.run(&script).with_context(|| format!("{release} by {client}"))?;
    println!("{release} by {client}: {} s to a running pod", since.elapsed().as_secs());
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

/// Each of these starts, one after another.
fn each(kind: Kind, starts: &[(&'static str, &str)]) -> Result<()> {
    vm::with(kind, |session| {
        for (client, release) in starts {
            session.fresh()?;
            start(session, client, release)?;
        }
        Ok(())
    })
}

#[test]
fn the_readmes_command_for_containerd_starts_a_kubelet() -> Result<()> {
    each(Kind::Plain, &[("ctr", NEWEST)])
}

#[test]
fn the_readmes_commands_start_each_release() -> Result<()> {
    if skip::unless_full("docker and podman in a machine without systemd, older releases") {
        return Ok(());
    }
    each(Kind::Runtimes, &WITHOUT_SYSTEMD)
}

#[test]
fn with_systemd_the_readmes_commands_start_each_release() -> Result<()> {
    if skip::unless_full("docker, podman and older releases in a machine with systemd") {
        return Ok(());
    }
    each(Kind::Systemd, &WITH_SYSTEMD)
}

#[test]
fn each_command_starts_each_release_and_each_host_has_all_of_both() {
    let clients = ["ctr", "docker", "podman"];
    let releases = [NEWEST, OLDER, OLDEST];
    let without = [("ctr", NEWEST)].into_iter().chain(WITHOUT_SYSTEMD).collect::<Vec<_>>();
    for host in [&without[..], &WITH_SYSTEMD] {
        assert!(clients.iter().all(|client| host.iter().any(|start| start.0 == *client)), "{host:?}");
        assert!(releases.iter().all(|release| host.iter().any(|start| start.1 == *release)), "{host:?}");
    }
    for client in clients {
        for release in releases {
            assert!(
                without.iter().chain(&WITH_SYSTEMD).any(|start| *start == (client, release)),
                "{client} {release}"
            );
        }
    }
}
