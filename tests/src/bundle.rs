//! An image's root filesystem as an OCI bundle, with the configuration that docker, podman or ctr would write for it, run
//! by an OCI runtime on a stand-in host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cmd;
use crate::host::Host;

/// The programs that it needs.
pub const PROGRAMS: [&str; 3] = ["runc", "crun", "umoci"];

/// Whose habits the configuration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `docker run`: binds are private unless asked for, and the root is shared where one of them is.
    Docker,
    /// `podman run`: the same, with a slave root and its mark in /run.
    Podman,
    /// `ctr run`: binds as they are given, no propagation anywhere.
    Ctr,
}

/// Names of capabilities by number, as in linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A container to be, privileged and in all of the host's namespaces but for mounts and IPC.
#[derive(Clone, Debug)]
pub struct Bundle {
    style: Style,
    /// config.json; tests change what they are about.
    pub config: Value,
}

impl Bundle {
    /// For an unpacked image: these arguments follow its entrypoint.
    pub fn new(style: Style, rootfs: &Path, cgroup: &str, args: &[&str]) -> Self {
        let words: Vec<&str> = ["/usr/bin/entrypoint"].iter().chain(args).copied().collect();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": words,
                "env": [
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "KUBELET_IMAGE_RELEASE=v1.26.0",
                ],
                "cwd": "/",
            },
            "root": {"path": rootfs},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                    "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                    "options": ["nosuid", "noexec", "nodev", "relatime"]},
                {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            ],
            "linux": {
                "cgroupsPath": format!("{cgroup}/bundle"),
                "resources": {"devices": [{"allow": true, "access": "rwm"}]},
                "namespaces": [{"type": "mount"}, {"type": "ipc"}],
            },
        });
        let mut bundle = Self { style, config };
        bundle.privileged();
        if style == Style::Podman {
            bundle.config["linux"]["rootfsPropagation"] = json!("rslave");
        }
        for file in ["/etc/resolv.conf", "/etc/hosts"] {
            bundle.bind(file, false);
        }
        bundle
    }

    /// Binds a path of the host at the same place, shared where this style can say so.
    pub fn bind(&mut self, path: &str, shared: bool) {
        let propagation = match (self.style, shared) {
            (Style::Ctr, _) => None,
            (_, true) => Some("rshared"),
            (_, false) => Some("rprivate"),
        };
        let options: Vec<&str> = ["rbind"].into_iter().chain(propagation).collect();
        if shared && self.style != Style::Ctr {
            self.config["linux"]["rootfsPropagation"] = json!("rshared");
        }
        self.bind_from(path, path, &options);
    }

    /// Binds a path of the host with these options; takes the place of another mount there.
    pub fn bind_from(&mut self, source: &str, path: &str, options: &[&str]) {
        self.unbind(path);
        let mount = json!({"destination": path, "type": "bind", "source": source, "options": options});
        self.list("/mounts").push(mount);
    }

    /// Takes a mount away again.
    pub fn unbind(&mut self, path: &str) {
        self.list("/mounts").retain(|mount| mount["destination"] != path || mount["type"] != "bind");
    }

    /// Gives the container a namespace of its own.
    pub fn own_namespace(&mut self, name: &str) {
        self.list("/linux/namespaces").push(json!({"type": name}));
    }

    /// Takes the namespace of its own away again.
    pub fn hosts_namespace(&mut self, name: &str) {
        self.list("/linux/namespaces").retain(|namespace| namespace["type"] != name);
    }

    /// All capabilities, devices and paths that a container can be given, as `--privileged` does it.
    pub fn privileged(&mut self) {
        let all = current_capabilities();
        self.config["process"]["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
        self.config["linux"]["devices"] =
            json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]);
        self.config["linux"]["readonlyPaths"] = json!([]);
    }

    /// Sets a variable, `NAME=VALUE`; its earlier value is gone.
    pub fn env(&mut self, variable: &str) {
        let name = variable.split('=').next().unwrap_or_default();
        let is_other = |set: &Value| set.as_str().and_then(|set| set.split('=').next()) != Some(name);
        let all = self.list("/process/env");
        all.retain(is_other);
        all.push(json!(variable));
    }

    /// A list of the configuration.
    ///
    /// # Panics
    ///
    /// Where it has none of this name.
    pub fn list(&mut self, pointer: &str) -> &mut Vec<Value> {
        self.config
            .pointer_mut(pointer)
            .and_then(Value::as_array_mut)
            .expect("the configuration has this list")
    }

    /// Where the bundle is written on the host.
    const DIR: &str = "/run/bundle";

    /// Writes it on the host.
    pub fn write(&self, host: &Host) -> Result<()> {
        fs::create_dir_all(host.path(Self::DIR))?;
        let text = serde_json::to_vec_pretty(&self.config)?;
        fs::write(host.path(Self::DIR).join("config.json"), text).context("cannot write config.json")
    }

    /// Runs it to its end by `runc` or `crun`.
    pub fn run(&self, host: &Host, runtime: &str) -> Result<cmd::Output> {
        self.write(host)?;
        cmd::output(host.command("timeout").args(["60", runtime, "run", "--bundle", Self::DIR, "bundle"]))
    }

    /// Starts it in the background; [`Bundle::end`] ends it.
    pub fn start(&self, host: &Host, runtime: &str, log: &str) -> Result<()> {
        self.write(host)?;
        let script =
            format!("exec {runtime} run --detach --bundle {} bundle >{log} 2>&1 </dev/null", Self::DIR);
        cmd::ok(host.command("sh").args(["-c", &script])).map(|_| ())
    }

    /// Ends what was started, as `docker stop` does, and removes it.
    pub fn end(host: &Host, runtime: &str) -> Result<()> {
        cmd::ok(host.command(runtime).args(["kill", "bundle", "TERM"]))?;
        crate::wait_for("end of the container", std::time::Duration::from_secs(30), || {
            let state = cmd::output(host.command(runtime).args(["state", "bundle"]))?;
            Ok((!state.stdout.contains("\"running\"")).then_some(()))
        })?;
        cmd::ok(host.command(runtime).args(["delete", "bundle"])).map(|_| ())
    }
}

/// A directory with a program `kubelet` for /bin/sh's language, and a static busybox that runs it; its path in PATH
/// before all others makes it the kubelet.
pub fn stand_in_kubelet(dir: &Path, script: &str) -> Result<PathBuf> {
    let bin = dir.join("stand-in");
    fs::create_dir_all(&bin)?;
    fs::copy(crate::skip::which("busybox").context("no busybox")?, bin.join("busybox"))?;
    let kubelet = bin.join("kubelet");
    fs::write(&kubelet, format!("#!/stand-in/busybox sh\n{script}\n"))?;
    fs::set_permissions(&kubelet, fs::Permissions::from_mode(0o755))?;
    Ok(bin)
}

/// Those of this process: what a runtime can give at most.
fn current_capabilities() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let has = |(number, _): &(usize, &&str)| mask >> number & 1 == 1;
    CAPABILITIES.iter().enumerate().filter(has).map(|(_, name)| format!("CAP_{name}")).collect()
}
