//! The machines that cases run on.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use cluster::Cluster;
use vm::Sink;

use crate::{Place, logs};

/// What a script wrote, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Two machines of a cluster.
pub trait Machines {
    /// Runs a script as root.
    ///
    /// # Errors
    /// Where the machine is gone; a script that fails is none.
    fn run(&mut self, place: Place, script: &str, limit: Duration) -> Result<Said>;

    /// Restarts the kubelet's container.
    ///
    /// # Errors
    /// Where that fails.
    fn restart(&mut self, place: Place) -> Result<()>;

    /// Puts the `other` release's kubelet in the place of a machine's, or its own again.
    ///
    /// # Errors
    /// Where that fails.
    fn replace(&mut self, place: Place, other: bool) -> Result<()>;

    /// Pulls a machine's cable, or plugs it in.
    ///
    /// # Errors
    /// Where there is none.
    fn plug(&mut self, place: Place, plugged: bool) -> Result<()>;

    /// Reboots a machine: from within, or by taking its `power` away.
    ///
    /// # Errors
    /// Where it does not come up again.
    fn boot(&mut self, place: Place, power: bool) -> Result<()>;

    /// Writes the logs of all machines into a directory, and returns their names.
    ///
    /// # Errors
    /// Where it cannot be written to.
    fn collect(&mut self, dir: &Path) -> Result<Vec<String>>;
}

impl Machines for Cluster {
    fn run(&mut self, place: Place, script: &str, limit: Duration) -> Result<Said> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let sink = &mut Sink { stdout: &mut stdout, stderr: &mut stderr };
        let code = self.nodes[index(place)].machine.run(script, limit, sink)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code, stdout: text(&stdout), stderr: text(&stderr) })
    }

    fn restart(&mut self, place: Place) -> Result<()> {
        self.restart_kubelet(index(place))
    }

    fn replace(&mut self, place: Place, other: bool) -> Result<()> {
        self.replace_kubelet(index(place), other)
    }

    fn plug(&mut self, place: Place, plugged: bool) -> Result<()> {
        Cluster::plug(self, index(place), plugged)
    }

    fn boot(&mut self, place: Place, power: bool) -> Result<()> {
        Cluster::restart(self, index(place), power)
    }

    fn collect(&mut self, dir: &Path) -> Result<Vec<String>> {
        logs::collect(self, dir)?;
        Ok(self.nodes.iter().map(|node| node.name.clone()).collect())
    }
}

fn index(place: Place) -> usize {
    match place {
        Place::First => 0,
        Place::Second => 1,
    }
}
