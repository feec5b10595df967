//! kube-proxy in a container on a stand-in host, as kubeadm's `DaemonSet` has it: the host's network, its lock of
//! iptables and its configuration from there; and less than that: no privileges but those of the network, and a root
//! file system that cannot be written to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::api::Api;
use crate::host::Host;
use crate::inside::configure;
use crate::{cmd, wait_for};

/// Its node's name, as the stand-in host has it.
pub const NODE: &str = "node";
/// Where the API server has services.
pub const SERVICES: &str = "/api/v1/services";
/// Where it has the endpoints of services.
pub const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
const NODES: &str = "/api/v1/nodes";
/// Since v1.33.
const SERVICE_CIDRS: &str = "/apis/networking.k8s.io/v1/servicecidrs";
/// Where it finds its configuration.
const DIR: &str = "/var/lib/kube-proxy";
/// How a person starts the image.
pub const BY_ENTRYPOINT: [&str; 2] = ["/usr/bin/entrypoint", "kube-proxy"];
/// How kubeadm's `DaemonSet` does, which puts its command in the entrypoint's place.
pub const BY_KUBEADM: [&str; 1] = ["/usr/local/bin/kube-proxy"];
const ID: &str = "kube-proxy";

/// An API server that has a node of this address, on a port of the host's loopback address, which is returned too.
pub fn api(host: &Host, address: &str) -> Result<(Api, u16)> {
    let listener = host.listen("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let api = Api::new(&[
        (SERVICES, "v1", "Service"),
        (SLICES, "discovery.k8s.io/v1", "EndpointSlice"),
        (NODES, "v1", "Node"),
        (SERVICE_CIDRS, "networking.k8s.io/v1", "ServiceCIDR"),
    ]);
    api.serve(listener);
    let addresses = json!([{ "type": "InternalIP", "address": address }]);
    api.add(NODES, json!({ "metadata": { "name": NODE }, "status": { "addresses": addresses } }))?;
    Ok((api, port))
}

/// An unpacked image, and the host it runs on.
#[derive(Debug)]
pub struct Image<'a> {
    host: &'a Host,
    bundle: PathBuf,
    log: PathBuf,
}

impl<'a> Image<'a> {
    /// With what umoci unpacked into this directory, and an API server on a port of the host's loopback address.
    pub fn new(host: &'a Host, bundle: &Path, port: u16) -> Result<Self> {
        let dir = host.path(DIR);
        fs::create_dir_all(&dir)?;
        let cluster = json!({ "server": format!("http://127.0.0.1:{port}") });
        let context = json!({ "cluster": "c", "user": "u" });
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{ "name": "c", "cluster": cluster }],
            "users": [{ "name": "u", "user": {} }],
            "contexts": [{ "name": "x", "context": context }],
        });
        fs::write(dir.join("kubeconfig.conf"), kubeconfig.to_string())?;
        // The kernel's limits of connections are the whole machine's, so they are left as they are.
        let config = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
            "clientConnection": {
                "kubeconfig": format!("{DIR}/kubeconfig.conf"),
                "contentType": "application/json", "acceptContentTypes": "application/json",
            },
            "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        });
        fs::write(dir.join("config.conf"), config.to_string())?;
        File::create(host.path("/run/xtables.lock"))?;
        Ok(Self { host, bundle: bundle.to_owned(), log: bundle.join("log") })
    }

    /// Starts it in this way; returns once it says of itself that it is healthy.
    pub fn start(&self, by: &[&str]) -> Result<Running<'_>> {
        let config = format!("--config={DIR}/config.conf");
        let name = format!("--hostname-override={NODE}");
        let mut command = self.runc(&[by, &[&config, &name]].concat())?;
        let log = File::create(&self.log)?;
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let mut running = Running { image: self, process: process.context("cannot start runc")? };
        wait_for("healthy kube-proxy", Duration::from_mins(1), || {
            if let Some(status) = running.process.try_wait()? {
                bail!("kube-proxy has ended: {status}");
            }
            Ok(self.host.http(10256, "/healthz").is_ok().then_some(()))
        })
        .with_context(|| self.log())?;
        Ok(running)
    }

    /// Runs a command in a container of its own to the end; an exit code other than 0 is an error.
    pub fn run(&self, words: &[&str]) -> Result<cmd::Output> {
        let out = cmd::output(&mut self.runc(words)?)?;
        if !out.status.success() {
            bail!("{words:?}: {}\n{}{}", out.status, out.stdout, out.stderr);
        }
        Ok(out)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn runc(&self, words: &[&str]) -> Result<Command> {
        let cgroup = format!("{}/{ID}", self.host.cgroup());
        configure(&self.bundle, |config| {
            config["process"]["args"] = words.into();
            config["root"]["readonly"] = true.into();
            let rights = json!(["CAP_NET_ADMIN", "CAP_NET_RAW"]);
            config["process"]["capabilities"] =
                json!({ "bounding": rights, "effective": rights, "permitted": rights });
            // It sets what routing needs.
            config["linux"]["readonlyPaths"] = json!([]);
            config["linux"]["cgroupsPath"] = cgroup.into();
            if let Some(mounts) = config["mounts"].as_array_mut() {
                mounts.retain(|mount| mount["source"] != DIR && mount["source"] != "/run/xtables.lock");
                mounts.extend([bind(DIR, "ro"), bind("/run/xtables.lock", "rw")]);
            }
        })?;
        let mut command = self.host.command("runc");
        command.arg("run").arg("--bundle").arg(&self.bundle).arg(ID);
        Ok(command)
    }
}

fn bind(path: &str, access: &str) -> Value {
    json!({ "source": path, "destination": path, "type": "bind", "options": ["bind", access] })
}

/// kube-proxy's container; it ends with its host at the latest.
#[derive(Debug)]
pub struct Running<'a> {
    image: &'a Image<'a>,
    process: Child,
}

impl Running<'_> {
    /// Asks it to end, as a runtime does, and waits for that; returns its exit code.
    pub fn terminate(mut self) -> Result<Option<i32>> {
        cmd::ok(self.image.host.command("runc").args(["kill", ID, "TERM"]))?;
        let ended = wait_for("end of kube-proxy after SIGTERM", Duration::from_secs(20), || {
            Ok(self.process.try_wait()?)
        });
        Ok(ended.with_context(|| self.image.log())?.code())
    }
}
