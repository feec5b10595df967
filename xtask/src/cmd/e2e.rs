//! `e2e`: a cluster of virtual machines from an image, and what it has to do.

use std::iter;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use ::e2e::{Able, CASES, Case, Suite, chosen};
use anyhow::{Context as _, Result};
use cluster::{Kit, Nodes, PodNetwork, Setup};
use fault::{Fault, Kind};
use project::Selection;
use vm::{Init, Runtime};

use crate::context::{Context, write_out};
use crate::flags::{BuildFlags, InitName, RuntimeName};

/// The release that is tried where none is named: that of docs/cluster.md.
const RELEASE: &str = "v1.37.2";
/// Which variants have what a cluster needs.
const VARIANTS: [&str; 2] = ["kubeadm-cni", "flannel"];
/// The variant whose pods' network is flannel, and the one that has kubeadm beside it.
const FLANNEL: (&str, &str) = ("flannel", "kubeadm");

/// Make a cluster of two machines from an image, and run workloads on it.
///
/// Each machine is set up by the commands of docs/cluster.md. The control plane is compiled from Kubernetes' modules once. What
/// was found is in target/e2e: index.html, junit.xml, report.json, and the logs of all nodes where something failed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask e2e                               workloads, on two machines with containerd
  cargo xtask e2e --faults --runtime docker     and what is broken has to be whole again
  cargo xtask e2e --nodes namespaces            the same in minutes, as root
  cargo xtask e2e --case probes --case drain
  cargo xtask e2e --case link-cut --repeat 5    each five times in a row
  cargo xtask e2e --list

Ends with 8 if a case fails. More: docs/cluster.md.")]
pub(crate) struct E2e {
    /// The release of the kubelet, of kubeadm and of the control plane.
    #[arg(long, value_name = "VERSION", default_value = RELEASE)]
    release: String,
    /// The image's variant: with `flannel` its network is pods', and kubeadm is of the variant `kubeadm`.
    #[arg(long, value_name = "VARIANT", default_value = VARIANTS[0], value_parser = VARIANTS)]
    variant: String,
    /// Another release, whose kubelet takes a node over from this one's, and gives it back.
    #[arg(long, value_name = "VERSION")]
    other: Option<String>,
    /// What machines are: virtual ones, or namespaces of this machine: quick, as root, with the kernel that is here.
    #[arg(long, value_enum, default_value_t)]
    nodes: NodesName,
    /// Process 1 of virtual machines.
    #[arg(long, value_enum, default_value_t)]
    init: InitName,
    /// What runs the kubelet's container; pods are always containerd's.
    #[arg(long, value_enum, default_value_t)]
    runtime: RuntimeName,
    /// Leave out a program, as `build` does; crictl is the machine's then.
    #[arg(long, value_name = "COMPONENT")]
    omit: Vec<String>,
    /// Break things, too, after the workloads.
    #[arg(long, conflicts_with = "case")]
    faults: bool,
    /// Run this case only; several may be given.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Run each case this often in a row, in the same cluster: what fails now and then shows.
    #[arg(long, value_name = "COUNT", default_value = "1")]
    repeat: NonZeroUsize,
    /// Run Kubernetes' own conformance tests, too, after all others.
    #[arg(long)]
    conformance: bool,
    /// Of those the ones whose name has this text; several may be given.
    #[arg(long, value_name = "TEXT", requires = "conformance")]
    focus: Vec<String>,
    /// How many of those run at a time.
    #[arg(long, value_name = "NUMBER", requires = "conformance", default_value = "4")]
    at_a_time: NonZeroUsize,
    /// List the cases, and do nothing.
    #[arg(long, conflicts_with_all = ["case", "faults", "repeat"])]
    list: bool,
    /// Where results go.
    #[arg(long, value_name = "DIR", default_value = "target/e2e")]
    out: PathBuf,
    #[command(flatten)]
    how: BuildFlags,
}

impl E2e {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        if self.list {
            return list(context);
        }
        let cases = chosen(&self.case, self.faults)?;
        let nodes = Nodes::from(self.nodes);
        let init = Init::from(self.init);
        if init == Init::Systemd && nodes == Nodes::Namespaces {
            let message = "machines of namespaces have no systemd";
            return Err(Fault::new(Kind::Usage, message).help("--nodes vm").into());
        }
        let able = Able { nodes, init, other: self.other.is_some() };
        // Of those that are not named, the report says why they do not run.
        let mut named = cases.iter().filter(|_| !self.case.is_empty());
        if let Some((case, why)) = named.find_map(|case| Some((case, able.lack(case)?))) {
            return Err(Fault::new(Kind::Usage, format!("`{}` {why}", case.name)).into());
        }
        let cases: Vec<&Case> =
            cases.into_iter().flat_map(|case| iter::repeat_n(case, self.repeat.get())).collect();
        let suite = if self.conformance {
            Some(Suite::read(
                &context.checkout.root,
                &self.release,
                self.focus.clone(),
                self.at_a_time.get(),
            )?)
        } else {
            None
        };
        let out = context.checkout.root.join(&self.out);
        std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let runtime = Runtime::from(self.runtime);
        let packages: &[&str] = match runtime {
            // One system has both.
            Runtime::Docker => &["podman", "crun"],
            Runtime::Containerd | Runtime::Podman => &[],
        };
        let layout = self.build(context, &self.release, &self.variant)?;
        let other = match &self.other {
            Some(release) => Some((release.as_str(), self.build(context, release, &self.variant)?)),
            None => None,
        };
        let has_flannel = self.variant == FLANNEL.0;
        let kubeadm = has_flannel.then(|| self.build(context, &self.release, FLANNEL.1)).transpose()?;
        let setup = Setup {
            root: &context.checkout.root,
            release: &self.release,
            layout: &layout,
            network: kubeadm.as_ref().map_or(PodNetwork::Routes, |kubeadm| PodNetwork::Flannel { kubeadm }),
            other: other.as_ref().map(|(release, layout)| (*release, layout.as_path())),
            nodes,
            init,
            runtime,
            packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            disks: Vec::new(),
            suite: self.conformance,
            consoles: out.clone(),
        };
        let kit = Kit::new(&setup, &*context.checkout.progress)?;
        let report =
            ::e2e::run(kit, &self.release, &cases, suite.as_ref(), &out, &*context.checkout.progress)?;
        if context.json {
            context.print_json(&report)?;
        } else {
            write_out(&report.summary())?;
            write_out(&format!("{}", out.join("index.html").display()))?;
        }
        report.check(&out)
    }

    /// Builds the image of a release.
    fn build(&self, context: &Context, release: &str, variant: &str) -> Result<PathBuf> {
        let attribute = format!("kubelet-{}-{variant}-amd64", release.replace('.', "_"));
        // It has none of what may be left out of those with kubeadm.
        let omit = if variant == FLANNEL.0 { &[][..] } else { &self.omit };
        let selection = Selection::one(&attribute, omit);
        context.checkout.build_one(&selection, self.how.options())
    }
}

/// What nodes are.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum NodesName {
    #[default]
    Vm,
    Namespaces,
}

impl From<NodesName> for Nodes {
    fn from(name: NodesName) -> Self {
        match name {
            NodesName::Vm => Self::Vm,
            NodesName::Namespaces => Self::Namespaces,
        }
    }
}

fn list(context: &Context) -> Result<()> {
    if context.json {
        let cases: Vec<_> = CASES
            .iter()
            .map(|case| serde_json::json!({"group": case.group, "name": case.name, "about": case.about}))
            .collect();
        return context.print_json(&serde_json::json!({"version": 1, "cases": cases}));
    }
    CASES
        .iter()
        .try_for_each(|case| write_out(&format!("{:9} {:21} {}", case.group.name(), case.name, case.about)))
}
