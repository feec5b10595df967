//! docs/cluster.md: its commands, by name.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use vm::Runtime;

use crate::api::Api;
use crate::machine::Nodes;

/// Where the page is, in a checkout.
pub const PAGE: &str = "docs/cluster.md";
/// What stands before a block of commands that is run: its name, and the runtime that it is for, if it is for one.
const MARK: &str = "<!-- cluster: ";
/// Sets names, which a machine has values of its own for.
const NAMES: &str = "names";
/// In [`Guide::init`], before what an emulated machine needs.
const INIT: &str = "kind: InitConfiguration\n";
const CLUSTER: &str = "kind: ClusterConfiguration\n";
/// What the page's configuration has kubeadm overlook.
const IGNORED: &str = "ignorePreflightErrors: [HTTPProxyCIDR";
/// What a kubeadm from 1.34 on says of a host with cgroups of version 1.
const CGROUPS_CHECK: &str = "SystemVerification";
/// Where its configuration ends.
const INIT_END: &str = "END\nkubeadm init ";
/// Where a kernel is shared, its table of connections is not a node's to size.
const SHARED: &str = "---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack: {maxPerCore: 0}
";

/// The page's commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guide {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    /// As in `host`, `kubelet docker`.
    name: String,
    commands: String,
}

impl Guide {
    /// Reads the page of the checkout at `root`.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a page with a block that has no name.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(PAGE);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    /// The commands in a page's text.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a block without a name: nothing would run it.
    pub fn parse(text: &str) -> Result<Self> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut name = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix(MARK) {
                name = rest.strip_suffix(" -->").map(str::to_owned);
            } else if line.starts_with("```") {
                let commands: String =
                    lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
                // Verbs of the program itself, of which its own tests know whether they are any.
                if name.is_none() && commands.lines().all(|line| line.starts_with("cargo xtask ")) {
                    continue;
                }
                let name = name.take().ok_or_else(|| {
                    Fault::new(
                        Kind::InvalidData,
                        format!("{PAGE}: nothing runs the block of `{}`", first(&commands)),
                    )
                    .help(format!(
                        "put `{MARK}NAME -->` before it, and a use of NAME into xtask/crates/cluster"
                    ))
                })?;
                blocks.push(Block { name, commands });
            } else if !line.is_empty() {
                name = None;
            }
        }
        Ok(Self { blocks })
    }

    /// The names of all blocks, in the page's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().map(|block| block.name.as_str())
    }

    /// The commands of this name.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the page has none.
    pub fn commands(&self, name: &str) -> Result<&str> {
        let block = self.blocks.iter().find(|block| block.name == name);
        let block =
            block.ok_or_else(|| Fault::new(Kind::InvalidData, format!("{PAGE} has no block `{name}`")))?;
        Ok(&block.commands)
    }

    /// The commands of this name by a runtime.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the page has none.
    pub fn by(&self, name: &str, runtime: Runtime) -> Result<&str> {
        self.commands(&format!("{name} {}", runtime.name()))
    }

    /// The names that the page sets, with these values.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if it sets others.
    pub(crate) fn names_as(&self, values: &[(&str, &str)]) -> Result<String> {
        let mut text = String::new();
        for line in self.commands(NAMES)?.lines() {
            let name = line.split('=').next().unwrap_or_default();
            let value = values.iter().find(|(known, _)| *known == name).ok_or_else(|| {
                Fault::new(
                    Kind::InvalidData,
                    format!("{PAGE} sets `{name}`, which machines have no value for"),
                )
            })?;
            text.push_str(&format!("{name}={}\n", value.1));
        }
        Ok(text)
    }

    /// `kubeadm init`, patient with a processor that is emulated, and as machines of namespaces need it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the page has no such command.
    pub(crate) fn init(&self, api: Api, emulated: bool, nodes: Nodes) -> Result<String> {
        let mut commands = self.commands("init")?.to_owned();
        for (document, more) in [(INIT, api.init_patience()), (CLUSTER, api.cluster_patience())] {
            if !commands.contains(document) {
                let message = format!("{PAGE}: `init` has no `{}`", document.trim());
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
            if emulated {
                commands = commands.replace(document, &format!("{document}{more}"));
            }
        }
        if nodes == Nodes::Namespaces {
            if !commands.contains(INIT_END) {
                let message = format!("{PAGE}: `init` has no `{}`", INIT_END.trim());
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
            commands = commands.replace(INIT_END, &format!("{SHARED}{}{INIT_END}", api.kubelet_shared()));
            if api == Api::V1Beta4 && !unified() {
                commands = commands.replace(IGNORED, &format!("{IGNORED}, {CGROUPS_CHECK}"));
            }
        }
        Ok(commands)
    }

    /// `kubeadm join` in the words that `kubeadm token create` printed.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the page's command, or what was printed, is another one.
    pub(crate) fn join(&self, printed: &str, api: Api, nodes: Nodes) -> Result<String> {
        let other = |what: &str, text: &str| {
            let message =
                format!("{what} has another command than `kubeadm join` with a token and a hash: {text}");
            Fault::new(Kind::InvalidData, message)
        };
        let command = self.commands("join")?.trim();
        let words: Vec<&str> = command.split(' ').collect();
        let ["kubeadm", "join", "ENDPOINT", "--token", "TOKEN", hash, "HASH"] = words[..] else {
            return Err(other(PAGE, command).into());
        };
        let line = printed.lines().map(str::trim).find(|line| line.starts_with("kubeadm join "));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        match words[..] {
            ["kubeadm", "join", endpoint, "--token", token, word, digest] if word == hash => {
                let ignored = nodes == Nodes::Namespaces && api == Api::V1Beta4 && !unified();
                let more = if ignored {
                    format!(" --ignore-preflight-errors={CGROUPS_CHECK}")
                } else {
                    String::new()
                };
                Ok(format!("kubeadm join {endpoint} --token {token} {hash} {digest}{more}\n"))
            }
            _ => Err(other("what was printed", printed).into()),
        }
    }

    /// The route to the pods of the machine of this number.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] if the page's command is not for its example.
    pub(crate) fn route(&self, number: u8, address: &str) -> Result<String> {
        let command = self.commands("route")?;
        if !command.contains(" 10.244.1.0/24 ") || !command.contains("192.0.2.11") {
            return Err(Fault::new(
                Kind::InvalidData,
                format!("{PAGE}: `route` is for another machine: {command}"),
            )
            .into());
        }
        Ok(command.replace("10.244.1.", &format!("10.244.{number}.")).replace("192.0.2.11", address))
    }
}

/// Has this machine's kernel cgroups of version 2 alone?
fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn first(commands: &str) -> &str {
    commands.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this crate and its users run, by name. A runtime's blocks are run where the runtime is chosen.
    const RUN: [&str; 25] = [
        "names",
        "host",
        "systemd",
        "network",
        "kubelet containerd",
        "open docker",
        "kubelet docker",
        "kubelet podman",
        "kubeadm containerd",
        "kubeadm docker",
        "kubeadm podman",
        "init",
        "flannel",
        "ready",
        "token",
        "join",
        "route",
        "untaint",
        "stop containerd",
        "restart docker",
        "restart podman",
        "stop docker",
        "stop podman",
        "boot podman",
        "boot",
    ];

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
    }

    #[test]
    fn every_command_of_the_page_is_run() {
        let guide = Guide::read(&root()).unwrap();
        assert_eq!(guide.names().collect::<Vec<_>>(), RUN);
    }

    #[test]
    fn a_block_that_nothing_runs_is_refused() {
        let error = Guide::parse("text\n\n```\nrm -r /\n```\n").unwrap_err();
        assert!(error.to_string().contains("nothing runs the block of `rm -r /`"), "{error}");
        assert!(Guide::parse("```\ncargo xtask e2e\n```\n").unwrap().blocks.is_empty());
        assert!(Guide::parse("```\ncargo xtask e2e\nreboot\n```\n").is_err());
        // A name is that of the next block, not of one after other text.
        let late = "<!-- cluster: host -->\nand so on\n```\ntrue\n```\n";
        assert_eq!(fault::exit_code(&Guide::parse(late).unwrap_err()), 3);
        let guide = Guide::parse("<!-- cluster: host -->\n```\none\ntwo\n```\n").unwrap();
        assert_eq!(guide.commands("host").unwrap(), "one\ntwo\n");
        assert_eq!(fault::exit_code(&guide.commands("other").unwrap_err()), 3);
    }

    #[test]
    fn placeholders_are_what_machines_say() {
        let guide = Guide::read(&root()).unwrap();
        let printed = "W1129 a warning\nkubeadm join 192.0.2.10:6443 --token a.b --discovery-token-ca-cert-hash sha256:0c \n";
        let command = "kubeadm join 192.0.2.10:6443 --token a.b --discovery-token-ca-cert-hash sha256:0c\n";
        assert_eq!(guide.join(printed, Api::V1Beta4, Nodes::Vm).unwrap(), command);
        assert!(guide.join("kubeadm reset\n", Api::V1Beta4, Nodes::Vm).is_err());
        assert_eq!(guide.route(0, "192.0.2.10").unwrap(), "ip route add 10.244.0.0/24 via 192.0.2.10\n");
        let names = guide.names_as(&[
            ("RELEASE", "v1"),
            ("API", "v1beta4"),
            ("IMAGE", "i:1"),
            ("KUBEADM", "k:1"),
            ("FLANNEL", "f"),
            ("CNI", "/c"),
            ("NUMBER", "2"),
            ("ADDRESS", "192.0.2.12"),
        ]);
        assert_eq!(
            names.unwrap(),
            "RELEASE=v1\nAPI=v1beta4\nIMAGE=i:1\nKUBEADM=k:1\nFLANNEL=f\nCNI=/c\nNUMBER=2\nADDRESS=192.0.2.12\n"
        );
        assert!(guide.names_as(&[("RELEASE", "v1")]).is_err());
        for (api, limit) in
            [(Api::V1Beta3, "timeoutForControlPlane"), (Api::V1Beta4, "controlPlaneComponentHealthCheck")]
        {
            let (fast, slow) =
                (guide.init(api, false, Nodes::Vm).unwrap(), guide.init(api, true, Nodes::Vm).unwrap());
            assert_eq!(slow.replace(api.init_patience(), "").replace(api.cluster_patience(), ""), fast);
            assert!(slow.contains(limit) && !fast.contains(limit), "{slow}");
        }
    }

    /// The page's container of the kubelet has all that the README's has.
    #[test]
    fn the_kubelet_has_what_the_readme_gives_it() {
        let guide = Guide::read(&root()).unwrap();
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        for (runtime, command, image) in [
            (Runtime::Containerd, "ctr run -d", "localhost/kubelet:v1.26.0-micro"),
            (Runtime::Docker, "docker run -d", "localhost/kubelet:v1.26.0-micro"),
            (Runtime::Podman, "docker run -d", "localhost/kubelet:v1.26.0-micro"),
        ] {
            let block = readme.split("```").find(|block| block.contains(command)).unwrap();
            let page = guide.by("kubelet", runtime).unwrap();
            let flags = block.split_once(" run -d").unwrap().1.replace(" rw)", ")").replace("\\\n", " ");
            let flags = flags.split(image).next().unwrap().replace("$(bind", "-$(bind");
            let flags: Vec<&str> = flags.split(" -").map(str::trim).filter(|flag| !flag.is_empty()).collect();
            assert!(flags.len() > 8, "{flags:?}");
            for flag in flags {
                assert!(
                    page.contains(flag),
                    "{}: the README has `{flag}`, {PAGE} has not:\n{page}",
                    runtime.name()
                );
            }
        }
    }
}
