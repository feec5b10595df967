//! What the machines of a cluster are made of.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use progress::Progress;
use store::Store;
use tempfile::TempDir;
use testimage::Lab;
use vm::accel::Accel;
use vm::{Arch, Flavour, Init, Runtime, System};

use crate::api::Api;
use crate::group::LONG;
use crate::guide::Guide;
use crate::images::{self, Archive};
use crate::machine::{Machine, Network, Nodes, Parts};

/// Where Debian's containerd looks for CNI plugins.
const CNI: &str = "/usr/lib/cni";
/// Where machines have what a person works with.
const TOOLS: &str = "/usr/local/bin";

/// How pods of one machine reach those of another.
#[derive(Clone, Copy, Debug)]
pub enum PodNetwork<'a> {
    /// By routes between bridges. The node's image has kubeadm and CNI plugins.
    Routes,
    /// By flannel, whose plugin the node's image has.
    Flannel {
        /// The image that has kubeadm.
        kubeadm: &'a Path,
    },
}

/// Which cluster.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The checkout.
    pub root: &'a Path,
    /// As in `v1.26.0`.
    pub release: &'a str,
    /// The node's image, for amd64, of a variant with CNI plugins.
    pub layout: &'a Path,
    /// How pods reach each other.
    pub network: PodNetwork<'a>,
    /// The image of another release for the same node, and that release.
    pub other: Option<(&'a str, &'a Path)>,
    /// What machines are.
    pub nodes: Nodes,
    /// Process 1 of virtual machines.
    pub init: Init,
    /// What runs the kubelet's container.
    pub runtime: Runtime,
    /// Packages that machines have besides the usual ones.
    pub packages: Vec<String>,
    /// Empty disks of each virtual machine, in bytes.
    pub disks: Vec<u64>,
    /// Have machines Kubernetes' own tests, and the images that these ask for?
    pub suite: bool,
    /// A directory for what machines say on their consoles.
    pub consoles: PathBuf,
}

/// All that machines are made of: a system, images, and the commands of the page.
pub struct Kit {
    pub(crate) guide: Guide,
    pub(crate) runtime: Runtime,
    pub(crate) nodes: Nodes,
    pub(crate) init: Init,
    /// What runs the instructions of virtual machines; none where there are none.
    accel: Option<Accel>,
    release: String,
    system: System,
    /// The node's own image is the first.
    images: Vec<Archive>,
    /// Another one for the same node, and its release.
    other: Option<(String, Archive)>,
    /// kubeadm's image, where it is not the node's: the network is flannel then.
    kubeadm: Option<Archive>,
    /// The file of flannel's manifest on machines.
    manifest: String,
    /// What Kubernetes' own tests ask for, everywhere.
    suite: Vec<Archive>,
    tools: PathBuf,
    disks: Vec<u64>,
    consoles: PathBuf,
    /// Holds the archives.
    dir: Option<TempDir>,
}

impl Kit {
    /// Compiles what is not compiled yet, which takes minutes once: the control plane; and a machine's system.
    ///
    /// # Errors
    /// As the making of each.
    pub fn new(setup: &Setup<'_>, progress: &dyn Progress) -> Result<Self> {
        let guide = Guide::read(setup.root)?;
        let store = Store::open(Store::default_root()?)?;
        let flavour = Flavour {
            arch: Arch::Amd64,
            init: setup.init,
            runtime: setup.runtime,
            packages: setup.packages.clone(),
        };
        let system = System::of(&flavour, &store, progress)?;
        let accel = match setup.nodes {
            Nodes::Vm => Some(Accel::find(&system, &store, progress)?),
            Nodes::Namespaces => None,
        };
        let lab = Lab::new(setup.root, store, progress)?;
        let dir = TempDir::with_prefix("cluster-").context("cannot make a temporary directory")?;
        let kubeadm = match setup.network {
            PodNetwork::Routes => setup.layout,
            PodNetwork::Flannel { kubeadm } => kubeadm,
        };
        let mut images = images::archives(&lab, setup.release, (setup.layout, kubeadm), dir.path())?;
        let mut files = Vec::new();
        let kubeadm = match setup.network {
            PodNetwork::Routes => None,
            PodNetwork::Flannel { kubeadm } => {
                let (manifest, made) =
                    images::flannel(&lab, setup.release, setup.layout, dir.path(), images.len())?;
                images.extend(made);
                files.push(manifest);
                Some(images::pack(kubeadm, dir.path(), images.len())?)
            }
        };
        let manifest = files.first().and_then(|path| path.file_name()).unwrap_or_default();
        let manifest = Path::new(TOOLS).join(manifest).display().to_string();
        let mut next = images.len() + usize::from(kubeadm.is_some());
        let other = setup.other.map(|(release, layout)| {
            Ok::<_, anyhow::Error>((release.to_owned(), images::pack(layout, dir.path(), next)?))
        });
        next += usize::from(other.is_some());
        let suite = if setup.suite {
            images::suite(&lab, setup.release, dir.path(), next, progress)?
        } else {
            Vec::new()
        };
        let tools = images::tools(&lab, setup.release, &files, setup.suite, dir.path())?;
        Ok(Self {
            guide,
            nodes: setup.nodes,
            init: setup.init,
            runtime: setup.runtime,
            accel,
            release: setup.release.to_owned(),
            system,
            images,
            other: other.transpose()?,
            kubeadm,
            manifest,
            suite,
            tools,
            disks: setup.disks.clone(),
            consoles: setup.consoles.clone(),
            dir: Some(dir),
        })
    }

    /// Of kubeadm's configuration.
    pub(crate) fn api(&self) -> Api {
        Api::of(&self.release)
    }

    /// No machine is booted any more.
    pub(crate) fn remove_archives(&mut self) {
        drop(self.dir.take());
    }

    /// The name of the node's image.
    pub fn image(&self) -> &str {
        &self.images[0].name
    }

    /// The other release, of which machines have an image, too.
    pub fn other(&self) -> Option<&str> {
        self.other.as_ref().map(|(release, _)| release.as_str())
    }

    /// Is flannel the network of pods?
    pub(crate) fn has_flannel(&self) -> bool {
        self.kubeadm.is_some()
    }

    /// What runs the kubelet's container.
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// What machines are.
    pub fn nodes(&self) -> Nodes {
        self.nodes
    }

    /// Process 1 of machines.
    pub fn init(&self) -> Init {
        self.init
    }

    /// Are processors emulated? All takes ten to twenty times as long then.
    pub fn emulated(&self) -> bool {
        self.accel == Some(Accel::Tcg)
    }

    /// A machine of the network's with containerd, the node's image where the runtime's user has it, and others that are needed
    /// where the kubelet's are; kubectl and crictl where a person has them.
    pub(crate) fn boot(
        &self,
        network: &Network,
        number: u8,
        memory: u32,
        needed: impl Fn(&str) -> bool,
    ) -> Result<Machine> {
        let others = self.images.iter().skip(1).filter(|image| needed(&image.name));
        let archives =
            self.images.iter().take(1).chain(others).chain(&self.suite).map(|image| image.path.clone());
        let mut images: Vec<PathBuf> = archives.chain([self.tools.clone()]).collect();
        let tools = images.len() - 1;
        let others = self.other.iter().map(|(_, archive)| archive);
        images.extend(others.chain(&self.kubeadm).map(|archive| archive.path.clone()));
        let count = images.len();
        let console = self.consoles.join(format!("{}.console.log", vm::network::name(number)));
        let (accel, disks, runtime) = (self.accel, &self.disks, self.runtime);
        let parts = Parts { number, system: &self.system, accel, memory, disks, images, runtime, console };
        let mut machine = network.boot(parts)?;
        machine.wait_runtime(runtime)?;
        // Those whose containers are not pods'.
        for index in iter::once(0).chain(tools + 1..count) {
            machine.import(runtime, index)?;
        }
        machine.ok(&import(tools), LONG)?;
        Ok(machine)
    }

    /// What scripts of the page's commands begin with, on the machine of this number; with the names of the `other` release's image.
    pub(crate) fn names(&self, number: u8, other: bool) -> Result<String> {
        let (number, address) = (number.to_string(), vm::network::address(number));
        let (release, image) = match &self.other {
            Some((release, archive)) if other => (release.as_str(), archive.name.as_str()),
            _ => (self.release.as_str(), self.image()),
        };
        let values = [
            ("RELEASE", release),
            ("API", self.api().version()),
            ("IMAGE", image),
            ("KUBEADM", self.kubeadm.as_ref().map_or(image, |archive| archive.name.as_str())),
            ("FLANNEL", &self.manifest),
            ("CNI", CNI),
            ("NUMBER", &number),
            ("ADDRESS", &address),
        ];
        self.guide.names_as(&values)
    }

    /// How long a command may take that a processor does in this time.
    pub(crate) fn patience(&self, fast: Duration) -> Duration {
        if self.emulated() { fast * 10 } else { fast }
    }
}

/// Imports what a machine was given: its own image, which its runtime takes, is the first; the one at `tools` is an archive of
/// programs; all between are pods'.
fn import(tools: usize) -> String {
    format!(
        "set -e\n\
         for index in $(seq 1 {}); do ctr --namespace k8s.io images import $(/usr/lib/vm/image image$index); done\n\
         tar -C {TOOLS} -xf $(/usr/lib/vm/image image{tools})\n\
         echo 'runtime-endpoint: unix:///run/containerd/containerd.sock' >/etc/crictl.yaml\n",
        tools - 1
    )
}
