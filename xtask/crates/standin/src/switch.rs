//! A network that machines of namespaces share, and nothing else.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use anyhow::Result;

use crate::{cmd, holder};

const SWITCH: &str = include_str!("../guest/switch");
/// What kubelets set for the whole kernel.
const SETTINGS: [&str; 6] = [
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/keys/root_maxkeys",
    "/proc/sys/kernel/keys/root_maxbytes",
];
/// Where that is kept as it was, while there is a network.
const KEPT: &str = "/run/kubelet-images-kernel";

/// A bridge in a network of its own. It ends when it is dropped, at the latest with this process.
pub struct Switch {
    holder: Child,
}

impl Switch {
    /// One without cables.
    ///
    /// # Errors
    /// [`fault::Kind::ToolFailed`] where the kernel has no bridges, or who asks is not root.
    pub fn start() -> Result<Self> {
        Self::keeping(&SETTINGS.join(" "), Path::new(KEPT))
    }

    /// One after which these files are as they were.
    fn keeping(settings: &str, kept: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", SWITCH]).process_group(0);
        command.env("SETTINGS", settings).env("KEPT", kept);
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
    /// [`fault::Kind::ToolFailed`] where there is none.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_of_several_networks_leaves_the_kernel_as_the_first_found_it() {
        let lacks = crate::lacks(&crate::machine::PROGRAMS);
        if !lacks.is_empty() {
            return skip::say(&lacks.join(", "));
        }
        let dir = tempfile::tempdir().unwrap();
        let (setting, kept) = (dir.path().join("panic"), dir.path().join("kept"));
        fs::write(&setting, "0\n").unwrap();
        let start = || Switch::keeping(setting.to_str().unwrap(), &kept).unwrap();
        let now = || fs::read_to_string(&setting).unwrap();
        for _ in 0..2 {
            let first = start();
            // As a kubelet does.
            fs::write(&setting, "10\n").unwrap();
            let second = start();
            drop(first);
            assert_eq!(now(), "10\n", "the second one's kubelets want it");
            drop(second);
            assert_eq!(now(), "0\n");
            assert!(!kept.exists());
        }
    }
}
