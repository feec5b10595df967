//! Machines that are one cluster.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;
use vm::{Init, Runtime};

use crate::kit::Kit;
use crate::machine::{Machine, Network};

/// Memory of a machine with a control plane, in MiB.
const MEMORY: u32 = 5120;
/// The same of one without.
const WORKER_MEMORY: u32 = 2048;
/// What compiles and emulates for minutes may do so for this long on a machine that has other work, too.
pub const LONG: Duration = Duration::from_mins(25);
/// What scripts that ask the API server begin with.
const KUBECONFIG: &str = "export KUBECONFIG=/etc/kubernetes/admin.conf\n";
/// What a person would look at, of the whole cluster.
const STATE: &str =
    "crictl ps --all 2>&1\nkubectl get nodes,pods --all-namespaces --output=wide 2>&1\nexit 0\n";

/// A machine of a cluster.
pub struct Node {
    /// The machine.
    pub machine: Machine,
    /// Its name, which is the node's.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its number, from 0 on: pods' addresses differ in it.
    pub number: u8,
}

/// A part of making a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// To which node.
    pub node: String,
    /// Since the cluster's beginning.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
}

/// Machines with nodes. They end when it is dropped.
pub struct Cluster {
    /// The first one has the control plane.
    pub nodes: Vec<Node>,
    /// How long each step took.
    pub steps: Vec<Step>,
    /// When it began.
    pub since: Instant,
    network: Network,
    kit: Kit,
}

impl Drop for Cluster {
    /// All end at once, and what they were made of goes meanwhile.
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.machine.give_up());
        self.kit.remove_archives();
    }
}

impl Cluster {
    /// One without machines.
    ///
    /// # Errors
    /// Where no network can be made.
    pub fn new(kit: Kit) -> Result<Self> {
        let network = Network::new(kit.nodes)?;
        Ok(Self { nodes: Vec::new(), steps: Vec::new(), since: Instant::now(), network, kit })
    }

    /// What its machines are made of.
    pub fn kit(&self) -> &Kit {
        &self.kit
    }

    /// Boots the first machine, and makes a cluster of it.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] with what the kubelet said.
    pub fn init(&mut self, progress: &dyn Progress) -> Result<()> {
        self.boot(MEMORY, |_| true, progress)?;
        let init = self.kit.guide.init(self.kit.api(), self.kit.emulated(), self.kit.nodes)?;
        let said = self.kubeadm("kubeadm init", 0, &init, progress)?;
        expect(&said, "Your Kubernetes control-plane has initialized successfully!")?;
        if self.kit.has_flannel() {
            self.step("flannel", 0, progress, |cluster| {
                let apply = cluster.kit.guide.commands("flannel")?.to_owned();
                cluster.run(0, &format!("{KUBECONFIG}{apply}")).map(drop)
            })?;
        }
        self.step("a Ready node", 0, progress, |cluster| {
            let ready = cluster.kit.guide.commands("ready")?.to_owned();
            cluster.wait("a Ready node", &ready, cluster.kit.patience(Duration::from_mins(2))).map(drop)
        })
    }

    /// Boots one more machine, and joins it by the words that kubeadm prints. Each has routes to the others' pods.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] with what its kubelet said.
    pub fn join(&mut self, progress: &dyn Progress) -> Result<()> {
        let needed =
            |image: &str| ["/kube-proxy:", "/pause:", "/flannel"].iter().any(|name| image.contains(name));
        let number = self.boot(WORKER_MEMORY, needed, progress)?;
        let token = self.kit.guide.commands("token")?.to_owned();
        let printed = self.kubeadm("kubeadm token", 0, &token, progress)?;
        let join = self.kit.guide.join(&printed, self.kit.api(), self.kit.nodes)?;
        let said = self.kubeadm("kubeadm join", number, &join, progress)?;
        expect(&said, "This node has joined the cluster")?;
        for index in 0..number {
            self.route(index, number)?;
            self.route(number, index)?;
        }
        self.step("a Ready node", number, progress, |cluster| {
            let ready = format!(
                "kubectl wait --for=condition=Ready node/{} --timeout=5s",
                cluster.nodes[number].name
            );
            cluster.wait("another Ready node", &ready, cluster.kit.patience(Duration::from_mins(2))).map(drop)
        })
    }

    /// Boots the next machine, which has images and programs, and nothing that the page's commands do. Returns its index.
    ///
    /// # Errors
    /// As the machine's.
    pub fn bare(&mut self, progress: &dyn Progress) -> Result<usize> {
        self.machine(if self.nodes.is_empty() { MEMORY } else { WORKER_MEMORY }, |_| true, progress)
    }

    fn machine(
        &mut self,
        memory: u32,
        needed: impl Fn(&str) -> bool,
        progress: &dyn Progress,
    ) -> Result<usize> {
        let index = self.nodes.len();
        let number = u8::try_from(index)?;
        let (name, address) = (vm::network::name(number), vm::network::address(number));
        let begun = self.since.elapsed();
        let task = progress.task(&format!("{name}: boot, containerd, images"), None);
        let machine = self.kit.boot(&self.network, number, memory, needed)?;
        drop(task);
        self.nodes.push(Node { machine, name: name.clone(), address, number });
        self.note("boot, containerd, images", &name, begun);
        Ok(index)
    }

    /// Boots the next machine and prepares it as the page says; its kubelet waits for a cluster. Returns its index.
    fn boot(&mut self, memory: u32, needed: impl Fn(&str) -> bool, progress: &dyn Progress) -> Result<usize> {
        let index = self.machine(memory, needed, progress)?;
        self.step("host and kubelet", index, progress, |cluster| {
            if cluster.kit.init == Init::Systemd {
                let driver = cluster.kit.guide.commands("systemd")?.to_owned();
                cluster.run(index, &driver)?;
                cluster.nodes[index].machine.wait_runtime(cluster.kit.runtime)?;
            }
            cluster.prepare(index)?;
            let start = cluster.kit.guide.by("kubelet", cluster.kit.runtime)?.to_owned();
            cluster.run(index, &start).map(drop)
        })?;
        Ok(index)
    }

    /// A command of kubeadm's on a machine; on failure with what its kubelet said.
    fn kubeadm(
        &mut self,
        what: &'static str,
        index: usize,
        command: &str,
        progress: &dyn Progress,
    ) -> Result<String> {
        let mut said = String::new();
        self.step(what, index, progress, |cluster| {
            let script = format!("{}{command}", cluster.kit.guide.by("kubeadm", cluster.kit.runtime)?);
            said = cluster.run(index, &script)?;
            Ok(())
        })?;
        Ok(said)
    }

    /// Runs commands of the page, with its names, on a machine.
    fn run(&mut self, index: usize, commands: &str) -> Result<String> {
        self.run_as(index, commands, false)
    }

    /// The same, with the names of the `other` release's image.
    fn run_as(&mut self, index: usize, commands: &str, other: bool) -> Result<String> {
        let node = &mut self.nodes[index];
        let script = format!("set -e\n{}{commands}", self.kit.names(node.number, other)?);
        node.machine
            .ok(&script, LONG)
            .map_err(|error| error.context(format!("on the machine `{}`", node.name)))
    }

    /// Lets pods run on the first machine, too.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if the command fails.
    pub fn untaint(&mut self) -> Result<()> {
        let untaint = self.kit.guide.commands("untaint")?.to_owned();
        self.run(0, &format!("export KUBECONFIG=/etc/kubernetes/admin.conf\n{untaint}")).map(drop)
    }

    /// Takes the kubelet's container of a machine away, if it is there, and starts it again: as the page says.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if a command fails.
    pub fn restart_kubelet(&mut self, index: usize) -> Result<()> {
        let runtime = self.kit.runtime;
        match runtime {
            Runtime::Containerd => self.replace_kubelet(index, false),
            Runtime::Docker | Runtime::Podman => {
                let script = self.kit.guide.by("restart", runtime)?.to_owned();
                self.run(index, &script).map(drop)
            }
        }
    }

    /// Puts the kubelet of the `other` release in the place of a machine's, or its own again: as the page says.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if a command fails.
    pub fn replace_kubelet(&mut self, index: usize, other: bool) -> Result<()> {
        let (guide, runtime) = (&self.kit.guide, self.kit.runtime);
        let script = format!("{}{}", guide.by("stop", runtime)?, guide.by("kubelet", runtime)?);
        self.run_as(index, &script, other).map(drop)
    }

    /// What a machine needs before its kubelet, at each boot.
    fn prepare(&mut self, index: usize) -> Result<()> {
        let guide = &self.kit.guide;
        let network = if self.kit.has_flannel() { "" } else { guide.commands("network")? };
        let open = match self.kit.runtime {
            Runtime::Docker => guide.by("open", Runtime::Docker)?,
            Runtime::Containerd | Runtime::Podman => "",
        };
        let script = format!("{}{network}{open}", guide.commands("host")?);
        self.run(index, &script).map(drop)
    }

    /// Adds a machine's route to another one's pods, where nothing else does.
    fn route(&mut self, index: usize, to: usize) -> Result<()> {
        if self.kit.has_flannel() {
            return Ok(());
        }
        let other = &self.nodes[to];
        let command = self.kit.guide.route(other.number, &other.address)?;
        self.nodes[index].machine.ok(&command, LONG).map(drop)
    }

    /// Restarts a machine, from within or by taking its `power` away and giving it back, and does there what the page says for a
    /// boot.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if it does not come up again, or a command fails; [`Kind::Usage`] for one of namespaces.
    pub fn restart(&mut self, index: usize, power: bool) -> Result<()> {
        self.nodes[index].machine.restart(power)?;
        self.booted(index)
    }

    /// What the page has a machine do at a boot, as nothing else does it.
    fn booted(&mut self, index: usize) -> Result<()> {
        let runtime = self.kit.runtime;
        self.nodes[index].machine.wait_runtime(runtime)?;
        self.prepare(index)?;
        let boot = self.kit.guide.commands("boot")?.to_owned();
        self.run(index, &boot)?;
        for other in (0..self.nodes.len()).filter(|other| *other != index) {
            self.route(index, other)?;
        }
        match runtime {
            Runtime::Podman => {
                let command = self.kit.guide.commands("boot podman")?.to_owned();
                self.run(index, &command).map(drop)
            }
            // They have started their containers already.
            Runtime::Containerd | Runtime::Docker => Ok(()),
        }
    }

    /// Cuts the cable of a machine, or mends it.
    ///
    /// # Errors
    /// None for a machine that is there.
    pub fn plug(&self, index: usize, plugged: bool) -> Result<()> {
        self.network.plug(self.nodes[index].number, plugged)
    }

    /// Does a step, and notes how long it took.
    fn step(
        &mut self,
        name: &'static str,
        index: usize,
        progress: &dyn Progress,
        what: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let node = self.nodes[index].name.clone();
        let begun = self.since.elapsed();
        let task = progress.task(&format!("{node}: {name}"), None);
        let done = what(self);
        drop(task);
        self.note(name, &node, begun);
        done.with_context(|| format!("{node}: {name}"))
    }

    fn note(&mut self, name: &str, node: &str, start: Duration) {
        let took = self.since.elapsed().saturating_sub(start);
        self.steps.push(Step { name: name.to_owned(), node: node.to_owned(), start, took });
    }

    /// What kubectl answers; words are the shell's.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] with what it said.
    pub fn kubectl(&mut self, words: &str) -> Result<String> {
        self.nodes[0].machine.ok(&format!("{KUBECONFIG}kubectl {words}\n"), LONG)
    }

    /// Makes of these documents what they describe. Where machines are emulated the server may be too slow for an answer: the
    /// same again does no harm.
    ///
    /// # Errors
    /// As [`Cluster::wait`].
    pub fn apply(&mut self, yaml: &str) -> Result<()> {
        let script = format!("kubectl apply -f - <<'END'\n{yaml}\nEND");
        self.wait("server that takes what is applied", &script, Duration::from_mins(5)).map(drop)
    }

    /// Runs a script on the first machine again and again until it ends well, and returns what it wrote then.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] with what the cluster's state is then.
    pub fn wait(&mut self, what: &str, script: &str, limit: Duration) -> Result<String> {
        let script = format!("{KUBECONFIG}{script}\n");
        let end = Instant::now() + limit;
        loop {
            match self.nodes[0].machine.ok(&script, LONG) {
                Ok(said) => return Ok(said),
                Err(error) if fault::is(&error, Kind::Interrupted) => {
                    return Err(error);
                }
                Err(error) if Instant::now() > end => {
                    let state = self.state();
                    return Err(error.context(format!("no {what} within {} s\n{state}", limit.as_secs())));
                }
                Err(_) => std::thread::sleep(Duration::from_secs(2)),
            }
        }
    }

    /// What a person would look at: the state of nodes and pods, and what each kubelet said last.
    pub fn state(&mut self) -> String {
        let script = format!("{KUBECONFIG}{STATE}");
        let Some(first) = self.nodes.first_mut() else { return String::new() };
        let mut text =
            first.machine.ok(&script, Duration::from_mins(2)).unwrap_or_else(|error| format!("{error:#}"));
        let log = match self.kit.runtime {
            Runtime::Containerd => "tail -n 40 /var/log/kubelet.log 2>&1; exit 0".to_owned(),
            other => format!("{} logs --tail 40 kubeletd 2>&1; exit 0", other.name()),
        };
        for node in &mut self.nodes {
            let said =
                node.machine.ok(&log, Duration::from_mins(2)).unwrap_or_else(|error| format!("{error:#}"));
            text.push_str(&format!("the kubelet of `{}` said last:\n{said}", node.name));
        }
        text
    }
}

fn expect(said: &str, words: &str) -> Result<()> {
    if said.contains(words) {
        return Ok(());
    }
    Err(Fault::new(Kind::ToolFailed, format!("kubeadm did not say \"{words}\", but:\n{said}")).into())
}
