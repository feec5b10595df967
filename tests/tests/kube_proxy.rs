//! kube-proxy from its image, with iptables that work, against an API server: it writes rules where the host has its
//! own, packets follow them, and `--cleanup` takes them away.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::alpine::{Place, real};
use tests::host::Host;
use tests::inside::Inside;
use tests::kube_proxy::{self, BY_ENTRYPOINT, BY_KUBEADM, Image, NODE, SERVICES, SLICES};
use tests::{cmd, debian, host, image, skip, wait_for};

/// The releases whose images are tried: the first always, the others with `FULL`.
const RELEASES: [&str; 7] = ["v1.26.0", "v1.37.2", "v1.36.3", "v1.35.4", "v1.34.4", "v1.25.5", "v1.24.17"];
/// The node's address, which the stand-in host has, and where the service's only endpoint is.
const ADDRESS: &str = "192.0.2.10";
const BACKENDS: [&str; 2] = ["nft", "legacy"];

#[test]
fn it_writes_its_rules_where_the_host_has_its_own() -> Result<()> {
    let programs = [&host::PROGRAMS[..], &debian::PROGRAMS, &["umoci", "runc"]].concat();
    if skip::without(&programs)? {
        return Ok(());
    }
    let Some(real) = real() else { return Ok(()) };
    let place = Place::of_this_machine(&real)?;
    for (number, release) in RELEASES.into_iter().enumerate() {
        if number > 0 && skip::unless_full(&format!("kube-proxy of {release}")) {
            continue;
        }
        try_release(&place, release).with_context(|| release.to_owned())?;
    }
    Ok(())
}

fn try_release(place: &Place, release: &str) -> Result<()> {
    let attr = format!("kube-proxy-{}-amd64", release.replace('.', "_"));
    let layout = place.xtask.build(&attr, &place.dir.path().join("out"))?;
    assert_eq!(image::entrypoint(&layout)?, BY_ENTRYPOINT);
    let bundle = place.dir.path().join(format!("bundle-{release}"));
    let root = image::unpack(&layout, &bundle)?;
    for path in ["var/lib/kubelet", "usr/bin/kubelet"] {
        ensure!(!root.join(path).exists(), "it has the kubelet's {path}");
    }
    its_own_packages_work(&bundle, release)?;

    // What makes the choice, how kube-proxy is started, what it must choose, and what it says of that.
    let hint = "the kubelet's chains are there";
    for (rules, by, chosen, why) in [
        (["nft -t mangle -N KUBE-IPTABLES-HINT", "legacy -A INPUT"], &BY_ENTRYPOINT[..], "nft", Some(hint)),
        (
            ["legacy -t mangle -N KUBE-KUBELET-CANARY", "nft -A INPUT"],
            &BY_ENTRYPOINT[..],
            "legacy",
            Some(hint),
        ),
        (
            ["legacy -A INPUT", "legacy -A OUTPUT"],
            &BY_ENTRYPOINT[..],
            "legacy",
            Some("it has 2 rules, nft 0"),
        ),
        (["nft -t mangle -N KUBE-KUBELET-CANARY", "legacy -A INPUT"], &BY_KUBEADM[..], "nft", None),
    ] {
        let host = Host::start()?;
        for rule in rules {
            let (backend, rest) = rule.split_once(' ').context("no backend")?;
            cmd::ok(host.command(&format!("iptables-{backend}")).args(rest.split(' ')))?;
        }
        check(&host, &bundle, by, chosen, why).with_context(|| format!("{rules:?}, {by:?}"))?;
        host.stop()?;
    }
    Ok(())
}

/// Each of the packages that the catalog gives kube-proxy, by a program of its own that starts in the image.
fn its_own_packages_work(bundle: &Path, release: &str) -> Result<()> {
    let inside = Inside::new("amd64", bundle)?;
    let version = inside.ok(&["/usr/bin/entrypoint", "kube-proxy", "--version"])?;
    assert_eq!(version, format!("Kubernetes {release}\n"));
    for (words, says) in [
        (&["/sbin/iptables", "--version"], "(legacy)"),
        (&["/sbin/ip6tables", "--version"], "(legacy)"),
        (&["/usr/sbin/conntrack", "--version"], "conntrack v"),
        (&["/usr/sbin/ipset", "help"], "ipset v"),
        (&["/sbin/ebtables", "--version"], "ebtables v"),
        (&["/sbin/modprobe", "--version"], "kmod version"),
    ] {
        let said = inside.ok(words)?;
        ensure!(said.contains(says), "{words:?}: {said}");
    }
    let packages = inside.ok(&["/sbin/apk", "info"])?;
    for name in ["conntrack-tools", "iptables", "ip6tables", "ebtables", "ipset", "kmod"] {
        ensure!(packages.lines().any(|line| line == name), "no {name} among {packages}");
    }
    ensure!(!packages.contains("coreutils"), "it has the kubelet's packages");
    Ok(())
}

fn check(host: &Host, bundle: &Path, by: &[&str], chosen: &str, why: Option<&str>) -> Result<()> {
    let before = rules(host)?;
    let (api, port) = kube_proxy::api(host, ADDRESS)?;
    api.add(SERVICES, service("web", "10.96.0.10"))?;
    api.add(SLICES, slice("web"))?;
    let endpoint = host.listen(&format!("{ADDRESS}:8080"))?;
    std::thread::spawn(move || {
        for mut stream in endpoint.incoming().flatten() {
            let _ = stream.write_all(b"from the endpoint\n");
        }
    });

    let image = Image::new(host, bundle, port)?;
    let running = image.start(by)?;
    let seen = |what: &str| {
        wait_for(what, Duration::from_secs(30), || {
            Ok(rules(host)?.iter().any(|(_, text)| text.contains(what)).then_some(()))
        })
        .with_context(|| format!("{}\n{}", api.log().join("\n"), image.log()))
    };
    seen("-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp")?;
    for (backend, text) in rules(host)? {
        if backend == chosen {
            for rule in [
                "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
                "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
                "--dport 80 -j KUBE-SVC-",
                "-j DNAT --to-destination 192.0.2.10:8080",
                "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
            ] {
                ensure!(text.contains(rule), "iptables-{backend} has no `{rule}`:\n{text}");
            }
        } else {
            let old = before.iter().find(|(old, _)| *old == backend).map(|(_, text)| text.as_str());
            ensure!(old == Some(&text), "iptables-{backend} was not chosen, and was changed:\n{text}");
        }
    }
    let log = image.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("iptables is ")).collect();
    let expected = why.map(|why| format!("entrypoint: iptables is {chosen}: {why}"));
    assert_eq!(said, expected.as_deref().into_iter().collect::<Vec<_>>(), "{log}");

    // Packets go where the rules say, and what comes later is seen.
    let connect = "exec 3<>/dev/tcp/10.96.0.10/80 && timeout 5 cat <&3";
    assert_eq!(cmd::ok(host.command("timeout").args(["10", "bash", "-c", connect]))?, "from the endpoint\n");
    api.add(SERVICES, service("later", "10.96.0.11"))?;
    seen("-A KUBE-SERVICES -d 10.96.0.11/32 -p tcp")?;
    let refused: Vec<String> = api.log().into_iter().filter(|line| !line.starts_with('2')).collect();
    assert_eq!(refused, Vec::<String>::new(), "the API server does not know what kube-proxy asks for");

    // 128 + SIGTERM, by the entrypoint; kube-proxy as PID 1 of its own ends by itself, with 2.
    let code = running.terminate()?;
    assert_eq!(code, Some(if by == BY_ENTRYPOINT { 143 } else { 2 }), "{}", image.log());
    ensure!(
        rules(host)?.iter().any(|(_, text)| text.contains("KUBE-SVC-")),
        "the rules went with kube-proxy"
    );
    image.run(&[by, &["--cleanup"]].concat())?;
    for (backend, text) in rules(host)? {
        for word in ["KUBE-SERVICES", "KUBE-SVC-", "KUBE-SEP-", "KUBE-NODEPORTS", "-j DNAT", "10.96.0."] {
            ensure!(!text.contains(word), "iptables-{backend} still has {word} after --cleanup:\n{text}");
        }
    }
    Ok(())
}

/// All rules of the host, by backend, as the host's own iptables sees them.
fn rules(host: &Host) -> Result<Vec<(&'static str, String)>> {
    let save = |backend| {
        let mut text = String::new();
        for family in ["iptables", "ip6tables"] {
            let saved = cmd::ok(&mut host.command(&format!("{family}-{backend}-save")))?;
            // Without times and counters.
            let lines = saved.lines().filter(|line| !line.starts_with('#'));
            let line = |line: &str| line.split(" [").next().unwrap_or_default().to_owned() + "\n";
            text.extend(lines.map(line));
        }
        Ok((backend, text))
    };
    BACKENDS.into_iter().map(save).collect()
}

fn service(name: &str, address: &str) -> Value {
    let port = json!({ "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080 });
    json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": [port],
            "ipFamilies": ["IPv4"], "sessionAffinity": "None", "internalTrafficPolicy": "Cluster" },
    })
}

fn slice(service: &str) -> Value {
    let ready = json!({ "ready": true, "serving": true, "terminating": false });
    json!({
        "metadata": { "name": format!("{service}-1"), "namespace": "default",
            "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [ADDRESS], "conditions": ready, "nodeName": NODE }],
        "ports": [{ "name": "http", "protocol": "TCP", "port": 8080 }],
    })
}
