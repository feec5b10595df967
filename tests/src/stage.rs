//! A host on which all is well, and an unpacked image whose kubelet is a script that says that it was started.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::bundle::{self, Bundle, Style, stand_in_kubelet};
use crate::host::Host;
use crate::{cmd, host, image, scratch, skip, xtask};

/// Says that it runs, mounts a volume as the kubelet does, and does what else a test wants of it.
const KUBELET: &str = "echo started; [ -z \"$VOLUME\" ] || mount -t tmpfs volume /var/lib/kubelet/volume; [ -z \"$DO\" ] || eval \"$DO\"";
/// The flag that the kubelet gets.
pub const ENDPOINT: &str = "--container-runtime-endpoint=unix:///run/containerd/containerd.sock";
/// The image.
pub const ATTR: &str = "kubelet-v1_26_0-amd64";

/// Host and image; both end with it.
pub struct Stage {
    /// The host.
    pub host: Host,
    /// The image's files.
    pub rootfs: PathBuf,
    /// The directory of the kubelet's stand-in.
    pub kubelet: PathBuf,
    _socket: UnixListener,
    _scratch: tempfile::TempDir,
}

impl Stage {
    /// None where a program is missing that it takes.
    pub fn new() -> Result<Option<Self>> {
        if skip::without(&host::PROGRAMS)? || skip::without(&bundle::PROGRAMS)? {
            return Ok(None);
        }
        let scratch = scratch::dir()?;
        let rootfs = image::unpack(&xtask::layout(ATTR)?, &scratch.path().join("bundle"))?;
        let kubelet = stand_in_kubelet(scratch.path(), KUBELET)?;
        let host = Host::start()?;
        fs::write(host.path("/var/lib/kubelet/config.yaml"), "kind: KubeletConfiguration\n")?;
        fs::create_dir(host.path("/var/lib/kubelet/volume"))?;
        fs::write(host.path("/etc/kubernetes/kubelet.conf"), "kind: Config\n")?;
        let socket = UnixListener::bind(host.path("/run/containerd/containerd.sock"))?;
        Ok(Some(Self { host, rootfs, kubelet, _socket: socket, _scratch: scratch }))
    }

    /// A container that has all that it needs, by the README's recipes.
    pub fn whole(&self, style: Style) -> Bundle {
        let mut bundle = Bundle::new(style, &self.rootfs, &self.host.cgroup(), &[ENDPOINT]);
        for path in ["/sys/fs/cgroup", "/var/log", "/etc/kubernetes", "/run/containerd"] {
            bundle.bind(path, false);
        }
        for path in ["/var/lib/kubelet", "/var/lib/containerd"] {
            bundle.bind(path, true);
        }
        bundle.bind_from(&self.kubelet.to_string_lossy(), "/stand-in", &["rbind"]);
        bundle.list("/process/env")[0] = json!("PATH=/stand-in:/usr/bin");
        bundle
    }

    /// Runs a script on the host; its standard output.
    pub fn on_host(&self, script: &str) -> Result<String> {
        cmd::ok(self.host.command("sh").args(["-ec", script]))
    }

    /// All that there is on the host where a container could have changed it: mounts, and files with their content.
    pub fn state(&self) -> Result<String> {
        self.on_host(
            "cut -d ' ' -f 3- /proc/self/mountinfo | sed 's/ - .*//'; \
             find /etc /opt /var/lib /var/log /run/containerd -xdev -printf '%p %m %s %T@ %l\\n' | sort; \
             cat /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic",
        )
    }
}

/// A root and mounts that share with the host, as `ctr run --rootfs-propagation rshared` gives with `rbind:rshared`.
pub fn shared(bundle: &mut Bundle) {
    bundle.config["linux"]["rootfsPropagation"] = json!("rshared");
    for path in ["/var/lib/kubelet", "/var/lib/containerd"] {
        bundle.bind_from(path, path, &["rbind", "rshared"]);
    }
}
