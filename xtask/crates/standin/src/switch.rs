//! A network that machines of namespaces share, and nothing else.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use anyhow::Result;

use crate::{cmd, holder};

const SWITCH: &str = include_str!("../guest/switch");

/// A bridge in a network of its own. It ends when it is dropped, at the latest with this process.
pub struct Switch {
    holder: Child,
}

impl Switch {
    /// One without cables.
    ///
    /// # Errors
    /// [`fault::Kind::Failed`] where the kernel has no bridges, or who asks is not root.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", SWITCH]).process_group(0);
        Ok(Self { holder: holder::start(&mut command, "network for machines")? })
    }

    /// Puts a cable between it and the machine with this process, as its `eth0`.
    pub(crate) fn plug_in(&self, number: u8, process: i32) -> Result<()> {
        let (cable, process) = (cable(number), process.to_string());
        let words = ["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &process];
        self.ip(&words)?;
        self.ip(&["link", "set", &cable, "master", "switch", "up"])
    }

    /// Pulls the cable of the machine of this number, or plugs it in again: without it, nothing comes from the machine or to it.
    ///
    /// # Errors
    /// [`fault::Kind::Failed`] where there is none.
    pub fn plug(&self, number: u8, plugged: bool) -> Result<()> {
        // Not down: the machine would see that, which is another fault.
        let cable = cable(number);
        if plugged {
            self.ip(&["link", "set", &cable, "master", "switch"])
        } else {
            self.ip(&["link", "set", &cable, "nomaster"])
        }
    }

    fn ip(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "ip"]).args(words);
        cmd::ok(&mut command).map(drop)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn cable(number: u8) -> String {
    format!("cable{number}")
}
