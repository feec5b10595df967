//! The CNI plugins, joined in one binary, run as a runtime runs them: every version that the catalog has, in network
//! namespaces of a host's, with lists of configurations of the versions of CNI that each knows.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::host::{self, Host};
use tests::{cmd, image, scratch, skip, wait_for, xtask};

const PLUGINS: &str = "/opt/cni/bin";
const POD: &str = "/run/netns/pod";
/// Where `host-local` keeps which addresses of the network `n` are taken.
const LEASES: &str = "/var/lib/cni/networks/n";
const SUBNET: &str = "10.89.0";

/// A host with a pod's network namespace, and the plugins of an image.
struct Stage {
    host: Host,
    _scratch: tempfile::TempDir,
}

impl Stage {
    /// With the plugins of an image.
    fn new(attr: &str) -> Result<Option<Self>> {
        if skip::without(&host::PROGRAMS)? || skip::without(&["umoci", "iptables"])? {
            return Ok(None);
        }
        let scratch = scratch::dir()?;
        let layout = xtask::without_kubelet(attr, scratch.path())?;
        let root = image::unpack(&layout, &scratch.path().join("bundle"))?;
        let host = Host::start()?;
        fs::create_dir_all(host.path(PLUGINS))?;
        for name in image::names(&root.join("opt/cni/bin"))? {
            fs::copy(root.join("opt/cni/bin").join(&name), host.path(PLUGINS).join(&name))?;
        }
        cmd::ok(host.command("ip").args(["netns", "add", "pod"]))?;
        cmd::ok(host.command("ip").args(["-n", "pod", "link", "set", "lo", "up"]))?;
        let serve = ["netns", "exec", "pod", "busybox", "httpd", "-p", "80", "-h", "/etc"];
        cmd::ok(host.command("ip").args(serve))?;
        Ok(Some(Self { host, _scratch: scratch }))
    }

    /// Calls a plugin by its name; an error is what it answers.
    fn call(&self, command: &str, plugin: &str, config: &Value) -> Result<Value> {
        let mut call = self.host.command("env");
        call.args(["-i", &format!("CNI_COMMAND={command}"), &format!("CNI_PATH={PLUGINS}")]);
        call.arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
        if !["VERSION", "STATUS", "GC"].contains(&command) {
            call.args(["CNI_CONTAINERID=one", "CNI_IFNAME=eth0", &format!("CNI_NETNS={POD}")]);
        }
        call.arg(format!("{PLUGINS}/{plugin}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = call.spawn()?;
        child.stdin.take().context("no pipe")?.write_all(config.to_string().as_bytes())?;
        let out = child.wait_with_output()?;
        let said = String::from_utf8(out.stdout)?;
        ensure!(out.status.success(), "{plugin} {command}: {}: {said}", out.status);
        Ok(if said.trim().is_empty() { Value::Null } else { serde_json::from_str(&said)? })
    }

    /// As libcni calls the plugins of a list: one after the other, backwards for what is taken away, each with what the
    /// one before it answered to ADD.
    fn list(&self, command: &str, list: &Value, previous: &Value) -> Result<Value> {
        let mut plugins: Vec<&Value> = list["plugins"].as_array().context("no list")?.iter().collect();
        if command == "DEL" {
            plugins.reverse();
        }
        let mut previous = previous.clone();
        for plugin in plugins {
            let mut config = plugin.clone();
            config["name"] = list["name"].clone();
            config["cniVersion"] = list["cniVersion"].clone();
            if !previous.is_null() {
                config["prevResult"] = previous.clone();
            }
            if plugin["capabilities"]["portMappings"] == true {
                let mappings = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
                config["runtimeConfig"] = json!({ "portMappings": mappings });
            }
            let answer = self.call(command, plugin["type"].as_str().context("no type")?, &config)?;
            if command == "ADD" {
                previous = answer;
            }
        }
        Ok(previous)
    }

    /// What a program says in the pod's namespace.
    fn pod(&self, words: &[&str]) -> Result<String> {
        cmd::ok(self.host.command("ip").args(["netns", "exec", "pod"]).args(words))
    }

    fn leases(&self) -> Result<Vec<String>> {
        let names = image::names(&self.host.path(LEASES))?;
        Ok(names.into_iter().filter(|name| name.starts_with(SUBNET)).collect())
    }

    /// The port of the host leads to the pod, from the host's loopback address as from elsewhere.
    fn port_is_open(&self) -> Result<()> {
        let ask = || Ok(self.host.http(8080, "/machine-id").ok());
        let answer = wait_for("the pod's port", std::time::Duration::from_secs(10), ask)?;
        ensure!(answer.contains("0123456789abcdef"), "{answer}");
        Ok(())
    }
}

fn bridge(version: &str) -> Value {
    let ipam = json!({ "type": "host-local", "ranges": [[{ "subnet": format!("{SUBNET}.0/24") }]],
        "routes": [{ "dst": "0.0.0.0/0" }] });
    json!({ "cniVersion": version, "name": "n", "plugins": [
        { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": ipam },
        { "type": "portmap", "capabilities": { "portMappings": true } },
    ] })
}

#[test]
fn lists_of_each_version_are_added_checked_and_deleted() -> Result<()> {
    let rows: [(&str, usize, &[&str]); 2] = [
        ("kubelet-v1_37_2-cni-amd64", 18, &["0.3.1", "0.4.0", "1.0.0", "1.1.0"]),
        ("kubelet-v1_26_0-cni-amd64", 17, &["0.3.1", "0.4.0"]),
    ];
    for (attr, count, versions) in rows {
        let Some(stage) = Stage::new(attr)? else { return Ok(()) };
        let names = image::names(&stage.host.path(PLUGINS))?;
        assert_eq!(names.len(), count, "{attr}: {names:?}");
        for name in &names {
            let told = stage.call("VERSION", name, &Value::Null)?;
            let known = told["supportedVersions"].as_array().context("no versions")?;
            assert_eq!(known.last().and_then(Value::as_str), versions.last().copied(), "{attr}: {name}");
        }
        for version in versions {
            one(&stage, version).with_context(|| format!("{attr}, cniVersion {version}"))?;
        }
        let newer = if versions.contains(&"1.1.0") { "9.0.0" } else { "1.0.0" };
        let error = stage.list("ADD", &bridge(newer), &Value::Null).unwrap_err().to_string();
        ensure!(error.contains("incompatible CNI versions"), "{attr}: {error}");
        stage.host.stop()?;
    }
    Ok(())
}

/// A pod from its start to its end.
fn one(stage: &Stage, version: &str) -> Result<()> {
    let list = bridge(version);
    let result = stage.list("ADD", &list, &Value::Null)?;
    ensure!(result["cniVersion"] == version, "{result}");
    let address = result["ips"][0]["address"].as_str().context("no address")?;
    let shown = stage.pod(&["ip", "-4", "-o", "address", "show", "eth0"])?;
    ensure!(address.starts_with(SUBNET) && shown.contains(address), "{address}, but\n{shown}");
    stage.port_is_open()?;
    let [lease] = &stage.leases()?[..] else { anyhow::bail!("not one lease") };
    ensure!(address == format!("{lease}/24"), "{address} of {lease}");

    // CHECK came with 0.4.0.
    if version != "0.3.1" {
        stage.list("CHECK", &list, &result)?;
        stage.pod(&["ip", "address", "del", address, "dev", "eth0"])?;
        ensure!(stage.list("CHECK", &list, &result).is_err(), "nothing is found wrong without the address");
    }
    stage.list("DEL", &list, &result)?;
    ensure!(stage.pod(&["ip", "link", "show", "eth0"]).is_err(), "the pod has its interface still");
    ensure!(stage.leases()?.is_empty() && stage.host.http(8080, "/machine-id").is_err(), "something is left");
    // Again, as runtimes do.
    stage.list("DEL", &list, &result).map(drop)
}

/// What CNI 1.1 brought: is a network ready, and what no pod has any more is given back.
#[test]
fn status_and_gc_of_cni_1_1() -> Result<()> {
    let Some(stage) = Stage::new("kubelet-v1_37_2-cni-amd64")? else { return Ok(()) };
    let list = bridge("1.1.0");
    let mut config = list["plugins"][0].clone();
    config["name"] = list["name"].clone();
    config["cniVersion"] = list["cniVersion"].clone();
    for plugin in ["bridge", "host-local"] {
        assert_eq!(stage.call("STATUS", plugin, &config)?, Value::Null, "{plugin}");
    }
    let mut old = config.clone();
    old["cniVersion"] = "1.0.0".into();
    ensure!(stage.call("STATUS", "bridge", &old).is_err(), "CNI 1.0 has no STATUS");

    stage.list("ADD", &list, &Value::Null)?;
    assert_eq!(stage.leases()?.len(), 1);
    for (valid, left) in [(json!([{ "containerID": "one", "ifname": "eth0" }]), 1), (json!([]), 0)] {
        config["cni.dev/valid-attachments"] = valid;
        stage.call("GC", "host-local", &config)?;
        assert_eq!(stage.leases()?.len(), left);
    }
    stage.host.stop()
}

/// As flanneld v0.28 and its manifest (`Documentation/kube-flannel.yml` of its module v0.28.10) have them; its plugin there is newer, and
/// comes by an image of its own.
#[test]
fn flannels_plugin_takes_what_its_daemon_writes_today() -> Result<()> {
    // What releases have whose plugins are of its time takes the same by the version that they know.
    flannels_plugin("kubelet-v1_37_2-flannel-amd64", "1.0.0")?;
    flannels_plugin("kubelet-v1_26_0-flannel-amd64", "0.4.0")
}

fn flannels_plugin(attr: &str, version: &str) -> Result<()> {
    let Some(stage) = Stage::new(attr)? else { return Ok(()) };
    let names = image::names(&stage.host.path(PLUGINS))?;
    assert_eq!(names, ["bridge", "flannel", "host-local", "loopback", "portmap"].map(str::to_owned).into());
    fs::create_dir_all(stage.host.path("/run/flannel"))?;
    let list = json!({ "name": "cbr0", "cniVersion": version, "plugins": [
        { "type": "flannel", "delegate": { "hairpinMode": true, "isDefaultGateway": true } },
        { "type": "portmap", "capabilities": { "portMappings": true } },
    ] });
    let four = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n";
    let six = "FLANNEL_IPV6_NETWORK=fd00:10:244::/56\nFLANNEL_IPV6_SUBNET=fd00:10:244:1::1/64\n";
    for both in [false, true] {
        let env = format!("{four}{}FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", if both { six } else { "" });
        fs::write(stage.host.path("/run/flannel/subnet.env"), env)?;
        let result = stage.list("ADD", &list, &Value::Null)?;
        let shown = stage.pod(&["ip", "-o", "address", "show", "eth0"])?;
        ensure!(shown.contains("inet 10.244.1."), "{shown}");
        assert_eq!(shown.contains("inet6 fd00:10:244:1::"), both, "{shown}");
        ensure!(stage.pod(&["ip", "link", "show", "eth0"])?.contains("mtu 1450"), "another MTU");
        ensure!(stage.pod(&["ip", "route"])?.contains("default via 10.244.1.1 "), "no default route");
        stage.port_is_open()?;
        stage.list("DEL", &list, &result)?;
        ensure!(stage.pod(&["ip", "link", "show", "eth0"]).is_err(), "the pod has its interface still");
        let left = fs::read_dir(stage.host.path("/var/lib/cni/flannel"))?.count();
        ensure!(left == 0, "{left} files of pods that are gone");
    }
    stage.host.stop()
}
