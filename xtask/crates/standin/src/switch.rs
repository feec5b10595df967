//! A network that machines of namespaces share, and nothing else.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::cmd;

const SWITCH: &str = include_str!("../guest/switch");

/// A bridge in a network of its own. It ends when it is dropped, at the latest with this process.
pub struct Switch {
    holder: Child,
}

impl Switch {
    /// One without cables.
    ///
    /// # Errors
    /// [`Kind::Failed`] where the kernel has no bridges, or who asks is not root.
    pub fn start() -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", SWITCH])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start unshare")?;
        let mut ready = String::new();
        BufReader::new(holder.stdout.take().context("no pipe")?).read_line(&mut ready)?;
        if ready.trim() == "ready" {
            return Ok(Self { holder });
        }
        let mut said = String::new();
        holder.stderr.take().context("no pipe")?.read_to_string(&mut said)?;
        holder.wait()?;
        Err(Fault::new(Kind::Failed, format!("no network for machines:\n{said}"))
            .help("run it as root, on a kernel with bridges and veth")
            .into())
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
    /// [`Kind::Failed`] where there is none.
    pub fn plug(&self, number: u8, plugged: bool) -> Result<()> {
        // Not down: the machine would see that there is no cable, which is another fault.
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
