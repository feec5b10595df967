//! What a case is: data, of which the table is made.

use std::fmt;

use cluster::Nodes;
use serde::{Deserialize, Serialize};
use vm::Init;

/// What a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Something that a cluster is for.
    Workload,
    /// Something that is broken, and has to be whole again.
    Fault,
    /// One of Kubernetes' own tests.
    Conformance,
}

impl Group {
    /// All, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Workload, Self::Fault, Self::Conformance];

    /// The name of its suite.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workload => "workloads",
            Self::Fault => "faults",
            Self::Conformance => "conformance",
        }
    }
}

/// A machine of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one with the control plane, where kubectl is.
    First,
    /// The one that joined.
    Second,
}

/// A part of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Runs a script of bash on a machine, once: it fails unless what it asserts holds. `rows/prelude.sh` has its functions.
    Run(Place, &'static str),
    /// Restarts the kubelet's container as docs/cluster.md says.
    Restart(Place),
    /// Puts the other release's kubelet in the place of the machine's, or with `false` its own again.
    Replace(Place, bool),
    /// Pulls the machine's cable.
    Unplug(Place),
    /// Plugs it in again.
    Plug(Place),
    /// Restarts the machine, and does there what docs/cluster.md says for a boot.
    Reboot(Place),
    /// The same by taking its power away.
    CutPower(Place),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, place) = match self {
            Self::Run(place, _) => ("a script", place),
            Self::Restart(place) => ("the kubelet's restart", place),
            Self::Replace(place, true) => ("the other release's kubelet", place),
            Self::Replace(place, false) => ("its own kubelet again", place),
            Self::Unplug(place) => ("the cable's end", place),
            Self::Plug(place) => ("the cable", place),
            Self::Reboot(place) => ("the restart", place),
            Self::CutPower(place) => ("the power's end, and the boot after it,", place),
        };
        write!(f, "{what} on the machine {place:?}")
    }
}

/// What a case needs of machines, of which not all have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A kernel of their own: what is changed of it is nobody else's.
    Kernel,
    /// systemd as process 1.
    Systemd,
}

/// A workload or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Which kind.
    pub group: Group,
    /// Its name, which its objects have as the value of the label `e2e`.
    pub name: &'static str,
    /// What it asserts, for people.
    pub about: &'static str,
    /// What is applied before the first case runs, and deleted after this one; empty for what needs nothing but the web server that all cases may use.
    pub manifest: &'static str,
    /// What is done, one after another, up to the first that fails.
    pub steps: &'static [Step],
    /// Where it can run, besides what its steps ask for.
    pub needs: &'static [Need],
}

impl Case {
    /// Does it need the image of another release?
    fn replaces(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Replace(..)))
    }

    /// Does it boot a machine again? One without a kernel of its own cannot.
    fn boots(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Reboot(_) | Step::CutPower(_)))
    }
}

/// What machines are able to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Able {
    /// What they are.
    pub nodes: Nodes,
    /// Their process 1.
    pub init: Init,
    /// Have they another release's image, too?
    pub other: bool,
}

impl Able {
    /// What they lack for a case, if they do, as what it does that they cannot.
    pub fn lack(self, case: &Case) -> Option<&'static str> {
        let has_kernel = self.nodes == Nodes::Vm;
        if case.needs.contains(&Need::Systemd) && self.init != Init::Systemd {
            Some("needs machines with systemd (--init systemd)")
        } else if (case.boots() || case.needs.contains(&Need::Kernel)) && !has_kernel {
            Some("needs machines with kernels of their own (--nodes vm)")
        } else if case.replaces() && !self.other {
            Some("needs the image of another release (--other)")
        } else {
            None
        }
    }
}
