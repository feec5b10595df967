//! `loadBalancerSourceRanges` on Kubernetes 1.24, whose kube-proxy marks what is to be dropped by a chain that the kubelet
//! fills: the kubelet's container does, by the host's iptables, and clients outside the ranges are dropped. Without
//! iptables on the host they get in, and the start says so. Both are the release's own programs; packets are real.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::alpine::{Place, real};
use tests::containerd::{self, Containerd, Namespace};
use tests::host::{self, Host};
use tests::kube_proxy::{self, BY_ENTRYPOINT, Image, NODE, SERVICES, SLICES};
use tests::kubelet::{Kubelet, Settings, Sharing};
use tests::{cmd, debian, image, scratch, skip, wait_for, xtask};

const KUBELET: &str = "kubelet-v1_24_17-amd64";
const KUBE_PROXY: &str = "kube-proxy-v1_24_17-amd64";
/// The node's own address, where the service's endpoint is, a pod of the host's network.
const NODE_ADDRESS: &str = "192.0.2.10";
/// The service's, which the host has as those do whose load balancer gives it to a node (keepalived, klipper).
const ADDRESS: &str = "203.0.113.7";
/// Two clients' networks, of which the service admits the first.
const CLIENTS: &str = r"
set -e
ip address add 203.0.113.7/32 dev lo
client() {
  ip netns add $1
  ip link add $1 type veth peer name eth0 netns $1
  ip address add $2.1/24 dev $1
  ip link set $1 up
  ip -n $1 address add $2.2/24 dev eth0
  ip -n $1 link set eth0 up
  ip -n $1 route add default via $2.1
}
client inside 198.51.100
client outside 10.99.0
";
/// Takes the host's `iptables` away, which the kubelet's link runs; what Debian calls so stays by its other names.
const NO_IPTABLES: &str = "rm /etc/alternatives/iptables && ! command -v iptables";
/// The chain of the kubelet, filled.
const FILLED: &str = "-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000";

#[test]
fn source_ranges_hold_on_1_24_with_iptables_and_are_warned_about_without() -> Result<()> {
    let programs = [&host::PROGRAMS[..], &containerd::PROGRAMS, &debian::PROGRAMS].concat();
    if skip::without(&programs)? || skip::with_swap()? {
        return Ok(());
    }
    if !xtask::at_hand(KUBELET)?
        && skip::unless_full(&format!("`{KUBELET}` was never built here, and compiles for long"))
    {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::of_this_machine(&real)?;
    let kubelet = xtask::layout(KUBELET)?;
    let bundle = place.dir.path().join("bundle");
    image::unpack(&place.xtask.build(KUBE_PROXY, &place.dir.path().join("out"))?, &bundle)?;

    let with = traffic(&kubelet, &bundle, true).context("with iptables")?;
    ensure!(!with.log.contains("entrypoint: warning"), "{}", with.log);
    // By kube-proxy's rules, to the endpoint's own address.
    assert_eq!(with.inside.as_deref(), Some(NODE_ADDRESS));
    assert_eq!(with.outside, None);

    let without = traffic(&kubelet, &bundle, false).context("without iptables")?;
    for words in ["entrypoint: warning: iptables: not found on the host", "LETS EVERYBODY IN"] {
        ensure!(without.log.contains(words), "`{words}` is not said:\n{}", without.log);
    }
    assert_eq!(without.inside.as_deref(), Some(NODE_ADDRESS));
    // Not sent to the endpoint, but not dropped either: the host's own listener of that port has it, which is the endpoint.
    assert_eq!(without.outside.as_deref(), Some(ADDRESS));
    Ok(())
}

/// What became of a node's clients.
struct Traffic {
    /// The address by which a client inside the ranges reached the endpoint; none if its packets were dropped.
    inside: Option<String>,
    /// The same of a client outside.
    outside: Option<String>,
    /// What the kubelet's container said.
    log: String,
}

fn traffic(kubelet: &Path, kube_proxy: &Path, iptables: bool) -> Result<Traffic> {
    let scratch = scratch::dir()?;
    let containerd = Containerd::start(scratch.path())?;
    let host = &containerd.host;
    cmd::ok(host.command("sh").args(["-c", CLIENTS]))?;
    if !iptables {
        cmd::ok(host.command("sh").args(["-c", NO_IPTABLES]))?;
    }
    let name = containerd.import(Namespace::Default, kubelet, "localhost/kubelet")?;
    let mut command = image::entrypoint(kubelet)?;
    command.push(format!("--cgroup-root={}", host.cgroup()));
    let env = ["KUBELET_STANDALONE=1".to_owned()];
    let settings = Settings { env: &env, sharing: Sharing::Repair, ..Settings::default() };
    let kubelet = Kubelet::start_as_is(&containerd, &name, &command, &settings)?;
    kubelet.wait_healthy()?;
    // Where the host has iptables: kube-proxy's container has its own.
    let chain = || save(host).map(|rules| rules.lines().any(|line| line == FILLED));
    if iptables {
        wait_for("chain KUBE-MARK-DROP of the kubelet's", Duration::from_mins(1), || {
            kubelet.alive()?;
            Ok(chain()?.then_some(()))
        })
        .with_context(|| kubelet.log())?;
    }

    let api = api(host)?;
    let endpoint = host.listen("0.0.0.0:80")?;
    std::thread::spawn(move || {
        for mut stream in endpoint.incoming().flatten() {
            // By which address it was reached, after kube-proxy's rules.
            let address = stream.local_addr().map(|address| address.ip().to_string()).unwrap_or_default();
            let _ = writeln!(stream, "{address}");
        }
    });
    let proxy = Image::new(host, kube_proxy, api)?;
    let running = proxy.start(&BY_ENTRYPOINT)?;
    wait_for("rules of the service", Duration::from_mins(1), || {
        Ok(save(host)?.contains(&format!("-d {ADDRESS}/32 -p tcp")).then_some(()))
    })
    .with_context(|| proxy.log())?;
    ensure!(chain()? == iptables, "the chain KUBE-MARK-DROP:\n{}", save(host)?);

    let [inside, outside] = ["inside", "outside"].map(|client| ask(host, client));
    let log = kubelet.log();
    running.terminate()?;
    kubelet.terminate()?;
    containerd.host.stop()?;
    Ok(Traffic { inside: inside?, outside: outside?, log })
}

/// The rules of both kinds, as the host sees them: without `iptables`, whose other names stay.
fn save(host: &Host) -> Result<String> {
    let saved = ["iptables-nft-save", "iptables-legacy-save"].map(|name| cmd::ok(&mut host.command(name)));
    let [nft, legacy] = saved;
    Ok(nft? + &legacy?)
}

/// What a client of a network of its own is answered; none where its packets are dropped.
fn ask(host: &Host, client: &str) -> Result<Option<String>> {
    let connect = format!("exec 3<>/dev/tcp/{ADDRESS}/80 && cat <&3");
    let mut command: Command = host.command("ip");
    command.args(["netns", "exec", client, "timeout", "5", "bash", "-c", &connect]);
    let out = cmd::output(&mut command)?;
    match out.code() {
        Some(0) => Ok(Some(out.stdout.trim().to_owned())),
        // `timeout` ended it.
        Some(124) => Ok(None),
        _ => anyhow::bail!("the client {client}: {}\n{}{}", out.status, out.stdout, out.stderr),
    }
}

/// An API server on a port of the host's loopback address, which has the service.
fn api(host: &Host) -> Result<u16> {
    let (api, port) = kube_proxy::api(host, NODE_ADDRESS)?;
    api.add(SERVICES, service())?;
    api.add(SLICES, slice())?;
    Ok(port)
}

fn service() -> Value {
    let port = json!({ "name": "http", "protocol": "TCP", "port": 80, "targetPort": 80 });
    json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "web" },
        "spec": { "type": "LoadBalancer", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ports": [port],
            "ipFamilies": ["IPv4"], "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Cluster", "loadBalancerSourceRanges": ["198.51.100.0/24"] },
        "status": { "loadBalancer": { "ingress": [{ "ip": ADDRESS }] } },
    })
}

fn slice() -> Value {
    let ready = json!({ "ready": true, "serving": true, "terminating": false });
    json!({
        "metadata": { "name": "web-1", "namespace": "default", "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [NODE_ADDRESS], "conditions": ready, "nodeName": NODE }],
        "ports": [{ "name": "http", "protocol": "TCP", "port": 80 }],
    })
}
