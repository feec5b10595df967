//! Runs programs in an unpacked image: in a container of runc's where they are this machine's, else by qemu in a chroot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{cmd, qemu, skip};

const NET_ADMIN: &str = "CAP_NET_ADMIN";

/// An unpacked image.
#[derive(Debug)]
pub struct Inside {
    arch: String,
    bundle: PathBuf,
}

impl Inside {
    /// What umoci unpacked into this directory, for this architecture of the catalog's.
    pub fn new(arch: &str, bundle: &Path) -> Result<Self> {
        if arch != "amd64" {
            let emulator = qemu::program(arch)?;
            let to = bundle.join("rootfs").join(&emulator);
            fs::copy(skip::which(&emulator).context("no emulator")?, to)?;
        }
        Ok(Self { arch: arch.to_owned(), bundle: bundle.to_owned() })
    }

    /// Runs a program to its end, and returns standard output; a failure is an error. It may look at the network's rules, as
    /// the README's containers may: without that `nf_tables` answers nobody.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        if self.arch != "amd64" {
            return self.emulated(args);
        }
        configure(&self.bundle, |config| {
            config["process"]["args"] = args.into();
            for set in ["bounding", "effective", "permitted"] {
                if let Some(set) = config["process"]["capabilities"][set].as_array_mut() {
                    set.retain(|capability| capability != NET_ADMIN);
                    set.push(NET_ADMIN.into());
                }
            }
        })?;
        let id = format!("kubelet-images-test-{}", std::process::id());
        cmd::ok(Command::new("runc").arg("run").arg("--bundle").arg(&self.bundle).arg(id))
    }

    fn emulated(&self, args: &[&str]) -> Result<String> {
        // With /proc, for mount's list; in a mount namespace of its own, so that nothing of it stays.
        let script = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(self.bundle.join("rootfs"));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg(format!("/{}", qemu::program(&self.arch)?));
        cmd::ok(command.args(args))
    }
}

/// Writes the configuration of a bundle's container: with its own mounts, processes and names, but the network of who
/// runs it, without terminal, and the machine's cgroups left alone.
pub fn configure(bundle: &Path, edit: impl FnOnce(&mut Value)) -> Result<()> {
    let file = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file)?)?;
    config["process"]["terminal"] = false.into();
    config["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }]);
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| {
            mount["type"] != "cgroup" && mount["type"] != "mqueue" && mount["type"] != "sysfs"
        });
    }
    edit(&mut config);
    fs::write(&file, serde_json::to_vec(&config)?).context("a container's configuration")
}
