//! A cluster of one virtual machine: README's kubelet, kubeadm from the same image, and a control plane of images made
//! for tests, as static pods.

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
use vm::{Arch, Console, Flavour, Init, Machine, Options, Runtime, System};

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
/// Memory, in MiB.
const MEMORY: u32 = 5120;
/// What compiles and emulates for minutes may do so for this long on a machine that has other work, too.
pub const LONG: Duration = Duration::from_mins(25);

/// A machine with a node that is Ready. It ends when it is dropped.
pub struct Cluster {
    /// Where all of it runs.
    pub machine: Machine,
    /// How long each step took.
    pub steps: Vec<(&'static str, Duration)>,
    since: Instant,
    _disks: TempDir,
}

impl Cluster {
    /// Boots a machine without systemd, and makes a cluster of it with the image of this attribute, of a variant with
    /// kubeadm and CNI plugins.
    pub fn start(release: &str, attr: &str) -> Result<Self> {
        let node = xtask::layout(attr)?;
        let mut cluster = Self::boot(release, &node)?;
        cluster.init(release, &node)?;
        Ok(cluster)
    }

    /// A machine that has this image, all images of the release's control plane, kubectl and crictl.
    pub fn boot(release: &str, node: &Path) -> Result<Self> {
        let since = Instant::now();
        let store = || Store::open(Store::default_root()?);
        let disks = crate::scratch::dir()?;
        let lab = Lab::new(&crate::root(), store()?, &Silent)?;
        let images = images(&lab, release, node, disks.path())?;
        let tools = tools(&lab, release, disks.path())?;
        let flavour = Flavour {
            arch: Arch::Amd64,
            init: Init::Busybox,
            runtime: Runtime::Containerd,
            packages: PACKAGES.map(str::to_owned).into(),
        };
        let system = System::of(&flavour, &store()?, &Silent)?;
        let console = Console::Log(disks.path().join("console.log"));
        let options = Options {
            memory: MEMORY,
            images: images.iter().chain([&tools]).cloned().collect(),
            ..Options::new(Accel::Tcg, console)
        };
        let machine = Machine::boot(&system, &options)?;
        let mut cluster = Self { machine, steps: Vec::new(), since, _disks: disks };
        cluster.step("boot");
        cluster.machine.wait_runtime(Runtime::Containerd)?;
        cluster.step("containerd");
        cluster.load(images.len())?;
        cluster.step("images");
        Ok(cluster)
    }

    /// The node's own image goes where a person's are, all others where the kubelet's are; programs to the others.
    fn load(&mut self, images: usize) -> Result<()> {
        self.machine.import(Runtime::Containerd, 0)?;
        let script = format!(
            "set -e\nfor block in /sys/block/vd*; do\n  serial=$(cat $block/serial)\n  case $serial in\n    \
             image0) ;;\n    image{images}) tar -C /usr/local/bin -xf /dev/${{block##*/}} ;;\n    \
             image*) ctr --namespace k8s.io images import /dev/${{block##*/}} ;;\n  esac\ndone\n"
        );
        self.machine.ok(&script, LONG).map(drop)
    }

    /// Starts the kubelet by README's command, and runs kubeadm.
    pub fn init(&mut self, release: &str, node: &Path) -> Result<()> {
        let name = format!("localhost/kubelet:{}", image::tag(node)?);
        let recipe = recipe(&name)?;
        let config = CONFIG.replace("RELEASE", release);
        for (text, mode, path) in [
            (config.as_str(), 0o644, "/etc/kubernetes/init.yaml"),
            (NETWORK, 0o644, "/etc/cni/net.d/10-bridge.conflist"),
            (&KUBELET.replace("RECIPE", &recipe), 0o755, "/usr/local/bin/start-kubelet"),
            (&KUBEADM.replace("RECIPE", &recipe), 0o755, "/usr/local/bin/run-kubeadm"),
        ] {
            self.machine.put(text.as_bytes(), mode, path)?;
        }
        self.machine.ok(HOST, Duration::from_mins(2)).context("preparing the host")?;
        let said = self.machine.ok("exec run-kubeadm init --config /etc/kubernetes/init.yaml", LONG);
        let said = said.map_err(|error| error.context(self.logs()))?;
        ensure!(said.contains("Your Kubernetes control-plane has initialized successfully!"), "{said}");
        self.step("kubeadm init");
        self.wait("a Ready node", "kubectl wait --for=condition=Ready node/node --timeout=5s", LONG)?;
        self.step("node");
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

    /// Makes of these documents what they describe.
    pub fn apply(&mut self, yaml: &str) -> Result<()> {
        self.kubectl(&format!("apply -f - <<'END'\n{yaml}\nEND")).map(drop)
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

/// The node's image first, then all that kubeadm asks for, as archives.
fn images(lab: &Lab<'_>, release: &str, node: &Path, dir: &Path) -> Result<Vec<PathBuf>> {
    let root = image::unpack(node, &dir.join("bundle"))?;
    let mut list = Command::new(root.join("usr/bin/kubeadm"));
    list.args(["config", "images", "list", "--kubernetes-version", release]);
    let names = cmd::ok(&mut list)?;
    fs::remove_dir_all(dir.join("bundle"))?;
    let mut layouts = vec![node.to_owned()];
    for name in names.lines() {
        layouts.push(lab.image(release, name)?.layout);
    }
    let mut archives = Vec::new();
    for (index, layout) in layouts.iter().enumerate() {
        let archive = dir.join(format!("image{index}.tar"));
        vm::archive::pack(layout, Arch::Amd64, &File::create(&archive)?)?;
        archives.push(archive);
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
