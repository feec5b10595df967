//! A machine of a cluster: a virtual one, or one of namespaces.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use standin::switch::Switch;
use vm::accel::Accel;
use vm::{Console, Options, Runtime, Sink, System, guest};

use crate::group::LONG;

/// What machines are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nodes {
    /// Virtual machines: each has a kernel of its own, and needs nobody's rights.
    #[default]
    Vm,
    /// Namespaces of this machine, whose kernel they share: quick, and root's.
    Namespaces,
}

impl Nodes {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Namespaces => "namespaces",
        }
    }
}

/// What a machine is made of.
pub(crate) struct Parts<'a> {
    pub(crate) number: u8,
    pub(crate) system: &'a System,
    /// Of virtual machines.
    pub(crate) accel: Option<Accel>,
    /// In MiB; machines of namespaces share all that this one has.
    pub(crate) memory: u32,
    /// Empty disks, in bytes.
    pub(crate) disks: &'a [u64],
    pub(crate) images: Vec<PathBuf>,
    pub(crate) runtime: Runtime,
    /// Where a machine with a console writes it.
    pub(crate) console: PathBuf,
}

/// A machine of a cluster. It ends when it is dropped, and nothing of it is left.
pub enum Machine {
    /// Of QEMU's.
    Virtual(Box<vm::Machine>),
    /// Of the kernel's.
    Namespaces(standin::machine::Machine),
}

/// What joins machines of a cluster.
pub(crate) enum Network {
    Virtual(vm::Network),
    Namespaces(Switch),
}

impl Network {
    pub(crate) fn new(nodes: Nodes) -> Result<Self> {
        Ok(match nodes {
            Nodes::Vm => Self::Virtual(vm::Network::new()?),
            Nodes::Namespaces => {
                let lacks = standin::lacks(&standin::machine::PROGRAMS);
                if !lacks.is_empty() {
                    let message = format!("machines of namespaces cannot be made here: {}", lacks.join(", "));
                    return Err(Fault::new(Kind::Tool, message).help("--nodes vm needs no root").into());
                }
                Self::Namespaces(Switch::start()?)
            }
        })
    }

    /// Pulls the cable of a machine, or plugs it in again.
    pub(crate) fn plug(&self, number: u8, plugged: bool) -> Result<()> {
        match self {
            Self::Virtual(network) => network.plug(number, plugged),
            Self::Namespaces(switch) => switch.plug(number, plugged),
        }
    }

    /// Boots a machine of it.
    pub(crate) fn boot(&self, parts: Parts<'_>) -> Result<Machine> {
        match self {
            Self::Virtual(network) => {
                let accel = parts.accel.context("a virtual machine, and nothing to run it")?;
                let options = Options {
                    memory: parts.memory,
                    disks: parts.disks.to_vec(),
                    images: parts.images,
                    network: Some(network.card(parts.number)?),
                    ..Options::new(accel, Console::Log(parts.console))
                };
                Ok(Machine::Virtual(Box::new(vm::Machine::boot(parts.system, &options)?)))
            }
            Self::Namespaces(switch) => {
                let parts = standin::machine::Parts {
                    number: parts.number,
                    name: &vm::network::name(parts.number),
                    address: &vm::network::address(parts.number),
                    root: &|to: &Path| parts.system.write_root(to),
                    guest: &|dir: &Path| parts.system.write_guest(dir),
                    images: &parts.images,
                    runtime: parts.runtime.name(),
                };
                Ok(Machine::Namespaces(standin::machine::Machine::start(&parts, switch)?))
            }
        }
    }
}

impl Machine {
    /// Runs a script as root, for at most `limit`; returns its exit code, 124 if it was ended after its time.
    ///
    /// # Errors
    /// [`Kind::ToolFailed`] if the machine ends or restarts in the meantime; a script that fails is not an error.
    pub fn run(&mut self, script: &str, limit: Duration, sink: &mut Sink<'_>) -> Result<i32> {
        match self {
            Self::Virtual(machine) => Ok(machine.run(script, limit, sink)?.code),
            Self::Namespaces(machine) => machine.run(script, limit, sink.stdout, sink.stderr),
        }
    }

    /// Runs a script and returns what it wrote to standard output.
    ///
    /// # Errors
    /// As [`Machine::run`], and [`Kind::ToolFailed`] with all it wrote if it fails.
    pub fn ok(&mut self, script: &str, limit: Duration) -> Result<String> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = self.run(script, limit, &mut Sink { stdout: &mut stdout, stderr: &mut stderr })?;
        guest::answer(script, code, &stdout, &stderr)
    }

    /// Waits until its runtimes answer, and pods' image is there.
    pub(crate) fn wait_runtime(&mut self, runtime: Runtime) -> Result<()> {
        self.ok(&guest::up(runtime), LONG).map(drop).context("waiting for the machine's container runtime")
    }

    /// Imports the image of this place into the runtime's.
    pub(crate) fn import(&mut self, runtime: Runtime, index: usize) -> Result<()> {
        self.ok(&guest::import(runtime, index), LONG).map(drop).context("importing an image in the machine")
    }

    /// Begins to end it, where that takes its time; dropping waits.
    pub(crate) fn give_up(&mut self) {
        if let Self::Namespaces(machine) = self {
            machine.give_up();
        }
    }

    /// Restarts it: from within, or by taking its `power` away.
    pub(crate) fn restart(&mut self, power: bool) -> Result<()> {
        match self {
            Self::Virtual(machine) if power => machine.cut_power(),
            Self::Virtual(machine) => machine.reboot(),
            Self::Namespaces(_) => {
                Err(Fault::new(Kind::Usage, "a machine of namespaces has no kernel of its own to restart")
                    .into())
            }
        }
    }
}
