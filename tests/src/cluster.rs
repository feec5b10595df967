//! A cluster of virtual machines: README's kubelet, kubeadm from the same image, and a control plane of images made for
//! tests, as static pods.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use progress::Silent;
use store::Store;
use tempfile::TempDir;
use testimage::{Lab, Set};
use vm::accel::Accel;
use vm::{Arch, Card, Console, Flavour, Init, Machine, Network, Options, Runtime, System};

use crate::{cmd, image, xtask};

/// What a node is told by whoever owns it, before any Kubernetes.
const HOST: &str = include_str!("cluster/host.sh");
/// README's container of the kubelet; `RECIPE` is its place.
const KUBELET: &str = include_str!("cluster/kubelet.sh");
/// kubeadm's container; `RECIPE` is its place.
const KUBEADM: &str = include_str!("cluster/kubeadm.sh");
const CONFIG: &str = include_str!("cluster/kubeadm.yaml");
const NETWORK: &str = include_str!("cluster/10-bridge.conflist");
/// What a node has for volumes: a server and helpers of NFS.
const PACKAGES: [&str; 1] = ["nfs-kernel-server"];
/// Empty disks, in bytes: what volumes are made of. Their serial numbers are `disk0`, `disk1`.
const DISKS: [u64; 2] = [64 << 20; 2];
/// Memory of a machine with a control plane, in MiB.
const MEMORY: u32 = 5120;
/// The same of one without.
const WORKER_MEMORY: u32 = 2048;
/// What a kubelet's container said last.
const LOG: &str = "tail -n 60 /var/log/kubelet.log";
/// What compiles and emulates for minutes may do so for this long on a machine that has other work, too.
pub const LONG: Duration = Duration::from_mins(25);

/// Machines with nodes that are Ready. They end when it is dropped.
pub struct Cluster {
    /// Where the control plane runs.
    pub machine: Machine,
    /// The others, which joined.
    pub others: Vec<Machine>,
    /// How long each step took.
    pub steps: Vec<(&'static str, Duration)>,
    since: Instant,
    network: Network,
    kit: Kit,
}

/// What a node's machine is made of.
struct Kit {
    system: System,
    /// By the name that a runtime gives it; the node's own image is the first.
    images: Vec<(String, PathBuf)>,
    /// An archive of kubectl and crictl.
    tools: PathBuf,
    /// README's lines for containerd, with the node's image.
    recipe: String,
    dir: TempDir,
}

impl Cluster {
    /// Boots a machine without systemd, and makes a cluster of it with the image of this attribute, of a variant with
    /// kubeadm and CNI plugins.
    pub fn start(release: &str, attr: &str) -> Result<Self> {
        let since = Instant::now();
        let kit = Kit::new(release, &xtask::layout(attr)?)?;
        let network = Network::new()?;
        let machine = kit.boot(network.card(0)?, MEMORY, |_| true)?;
        let mut cluster = Self { machine, others: Vec::new(), steps: Vec::new(), since, network, kit };
        cluster.step("machine and images");
        cluster.init(release)?;
        Ok(cluster)
    }

    /// Starts the kubelet by README's command, and runs kubeadm.
    fn init(&mut self, release: &str) -> Result<()> {
        let config = CONFIG.replace("RELEASE", release);
        self.machine.put(config.as_bytes(), 0o644, "/etc/kubernetes/init.yaml")?;
        self.kit.prepare(&mut self.machine, 0)?;
        let said = self.machine.ok("exec run-kubeadm init --config /etc/kubernetes/init.yaml", LONG);
        let said = said.map_err(|error| error.context(self.logs()))?;
        ensure!(said.contains("Your Kubernetes control-plane has initialized successfully!"), "{said}");
        self.step("kubeadm init");
        self.wait("a Ready node", "kubectl wait --for=condition=Ready node/node --timeout=5s", LONG)?;
        self.step("node");
        Ok(())
    }

    /// Boots one more machine, and joins it by the words that kubeadm prints. Each knows the way to the other's pods.
    pub fn join(&mut self) -> Result<()> {
        let number = u8::try_from(self.others.len() + 1)?;
        let card = self.network.card(number)?;
        let (name, address) = (card.name(), card.address());
        let needed = |image: &str| image.contains("/kube-proxy:") || image.contains("/pause:");
        let mut machine = self.kit.boot(card, WORKER_MEMORY, needed)?;
        self.kit.prepare(&mut machine, number)?;
        let told = self.machine.ok("exec run-kubeadm token create --print-join-command", LONG)?;
        let words = told.lines().find_map(|line| line.strip_prefix("kubeadm join "));
        let words = words.with_context(|| format!("kubeadm prints no command: {told}"))?;
        let said = machine.ok(&format!("exec run-kubeadm join {words}"), LONG);
        let said = said.with_context(|| machine.ok(LOG, LONG).unwrap_or_default())?;
        ensure!(said.contains("This node has joined the cluster"), "{said}");
        machine.ok("ip route add 10.244.0.0/24 via 192.0.2.10", LONG)?;
        self.machine.ok(&format!("ip route add 10.244.{number}.0/24 via {address}"), LONG)?;
        self.others.push(machine);
        self.step("kubeadm join");
        let ready = format!("kubectl wait --for=condition=Ready node/{name} --timeout=5s");
        if let Err(error) = self.wait("a second node that is Ready", &ready, LONG) {
            let log = self.others.last_mut().map(|machine| machine.ok(LOG, LONG));
            return Err(error.context(format!("its kubelet: {log:?}")));
        }
        self.step("node of another machine");
        Ok(())
    }

    /// Notes how long it took since the step before.
    fn step(&mut self, name: &'static str) {
        self.steps.push((name, self.since.elapsed()));
        self.since = Instant::now();
    }

    /// What kubectl answers; words are the shell's.
    pub fn kubectl(&mut self, words: &str) -> Result<String> {
        self.machine.ok(&format!("export KUBECONFIG=/etc/kubernetes/admin.conf\nkubectl {words}\n"), LONG)
    }

    /// Makes of these documents what they describe. Where two machines are emulated the server may be too slow for an answer:
    /// the same again is no harm.
    pub fn apply(&mut self, yaml: &str) -> Result<()> {
        let script = format!("kubectl apply -f - <<'END'\n{yaml}\nEND");
        self.wait("server that takes what is applied", &script, Duration::from_mins(5)).map(drop)
    }

    /// Runs a script again and again until it ends well, and returns what it wrote then.
    pub fn wait(&mut self, what: &str, script: &str, limit: Duration) -> Result<String> {
        let script = format!("export KUBECONFIG=/etc/kubernetes/admin.conf\n{script}\n");
        let end = Instant::now() + limit;
        loop {
            match self.machine.ok(&script, LONG) {
                Ok(said) => return Ok(said),
                Err(error) if Instant::now() > end => {
                    let logs = self.logs();
                    return Err(error.context(format!("no {what} within {} s\n{logs}", limit.as_secs())));
                }
                Err(_) => std::thread::sleep(Duration::from_secs(2)),
            }
        }
    }

    /// What a person would look at.
    fn logs(&mut self) -> String {
        let script = "export KUBECONFIG=/etc/kubernetes/admin.conf\n\
            crictl ps --all 2>&1\ntail -n 60 /var/log/kubelet.log\n\
            kubectl get nodes,pods --all-namespaces --output=wide 2>&1\nexit 0\n";
        self.machine.ok(script, Duration::from_mins(2)).unwrap_or_else(|error| format!("{error:#}"))
    }
}

impl Kit {
    /// This node's image, all images of the release's control plane, kubectl and crictl.
    fn new(release: &str, node: &Path) -> Result<Self> {
        let store = || Store::open(Store::default_root()?);
        let dir = crate::scratch::dir()?;
        let lab = Lab::new(&crate::root(), store()?, &Silent)?;
        let images = images(&lab, release, node, dir.path())?;
        let tools = tools(&lab, release, dir.path())?;
        let flavour = Flavour {
            arch: Arch::Amd64,
            init: Init::Busybox,
            runtime: Runtime::Containerd,
            packages: PACKAGES.map(str::to_owned).into(),
        };
        let system = System::of(&flavour, &store()?, &Silent)?;
        let recipe = recipe(&images[0].0)?;
        Ok(Self { system, images, tools, recipe, dir })
    }

    /// A machine of the network's with containerd, the node's image where a person's are, and others that are needed where the
    /// kubelet's are; programs where a person has them.
    fn boot(&self, card: Card, memory: u32, needed: impl Fn(&str) -> bool) -> Result<Machine> {
        let console = Console::Log(self.dir.path().join(format!("{}.log", card.name())));
        let own = self.images.iter().take(1);
        let others = self.images.iter().skip(1).filter(|(name, _)| needed(name));
        let mut images: Vec<PathBuf> = own.chain(others).map(|(_, archive)| archive.clone()).collect();
        images.push(self.tools.clone());
        let last = images.len() - 1;
        let options = Options {
            memory,
            disks: DISKS.into(),
            images,
            network: Some(card),
            ..Options::new(Accel::Tcg, console)
        };
        let mut machine = Machine::boot(&self.system, &options)?;
        machine.wait_runtime(Runtime::Containerd)?;
        machine.import(Runtime::Containerd, 0)?;
        let script = format!(
            "set -e\nfor block in /sys/block/vd*; do\n  serial=$(cat $block/serial)\n  case $serial in\n    \
             image0) ;;\n    image{last}) tar -C /usr/local/bin -xf /dev/${{block##*/}} ;;\n    \
             image*) ctr --namespace k8s.io images import /dev/${{block##*/}} ;;\n  esac\ndone\n"
        );
        machine.ok(&script, LONG)?;
        Ok(machine)
    }

    /// What a node is told by whoever owns it; its kubelet, by README's command, waits for a cluster. Pods' addresses differ in
    /// the machine's number.
    fn prepare(&self, machine: &mut Machine, number: u8) -> Result<()> {
        let network = NETWORK.replace("10.244.0.0", &format!("10.244.{number}.0"));
        for (text, mode, path) in [
            (network.as_str(), 0o644, "/etc/cni/net.d/10-bridge.conflist"),
            (&KUBELET.replace("RECIPE", &self.recipe), 0o755, "/usr/local/bin/start-kubelet"),
            (&KUBEADM.replace("RECIPE", &self.recipe), 0o755, "/usr/local/bin/run-kubeadm"),
        ] {
            machine.put(text.as_bytes(), mode, path)?;
        }
        machine.ok(HOST, Duration::from_mins(5)).context("preparing the host").map(drop)
    }
}

/// The node's image first, then all that kubeadm asks for, as archives, with their names.
fn images(lab: &Lab<'_>, release: &str, node: &Path, dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let root = image::unpack(node, &dir.join("bundle"))?;
    let mut list = Command::new(root.join("usr/bin/kubeadm"));
    list.args(["config", "images", "list", "--kubernetes-version", release]);
    let names = cmd::ok(&mut list)?;
    fs::remove_dir_all(dir.join("bundle"))?;
    let mut layouts = vec![(format!("localhost/kubelet:{}", image::tag(node)?), node.to_owned())];
    for name in names.lines() {
        layouts.push((name.to_owned(), lab.image(release, name)?.layout));
    }
    let mut archives = Vec::new();
    for (index, (name, layout)) in layouts.into_iter().enumerate() {
        let archive = dir.join(format!("image{index}.tar"));
        vm::archive::pack(&layout, Arch::Amd64, &File::create(&archive)?)?;
        archives.push((name, archive));
    }
    Ok(archives)
}

/// An archive of what a person works with.
fn tools(lab: &Lab<'_>, release: &str, dir: &Path) -> Result<PathBuf> {
    let archive = dir.join("tools.tar");
    let mut tar = tar::Builder::new(File::create(&archive)?);
    let plane = Set::ControlPlane { release: release.to_owned() };
    for (set, name) in [(&plane, "kubectl"), (&Set::Crictl, "crictl")] {
        tar.append_path_with_name(lab.program(set, name)?, name)?;
    }
    tar.into_inner()?.sync_all()?;
    Ok(archive)
}

/// README's lines for containerd, with this image, for a container and arguments that a script names.
fn recipe(name: &str) -> Result<String> {
    let readme = fs::read_to_string(crate::root().join("README.md"))?;
    let recipe = readme.split("```").find(|block| block.contains("ctr run -d")).context("no recipe")?;
    let image = recipe.split_whitespace().find(|word| word.starts_with("localhost/")).context("no image")?;
    let words = "kubeletd /usr/bin/entrypoint";
    ensure!(recipe.contains(words), "README's recipe ends in other words than `{words}`");
    Ok(recipe
        .replace("ctr run -d", "ctr run $MORE")
        .replace(image, name)
        .replace(words, "$ID /usr/bin/entrypoint \"$@\"")
        .trim()
        .to_owned())
}
