//! flannel, the network that the variant of its name is for: its daemon, its manifest, and the images that this names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use gobuild::plain::Own;

use crate::image::{Content, ImageEntry};
use crate::{Lab, Made, Set, debian};

pub(crate) const MODULE: (&str, &str) = ("github.com/flannel-io/flannel", "v0.28.10");
/// What people apply to a cluster.
pub(crate) const MANIFEST: &str = "Documentation/kube-flannel.yml";
/// What its daemon is compiled from.
const MAIN: &str = "main.go";
/// Ways of the daemon to carry packets that it has not here: of one cloud, whose libraries are not served everywhere, and what
/// is partly C.
const LEFT_OUT: [&str; 2] = ["tencentvpc", "udp"];
/// What writes the configuration of CNI on a node.
pub(crate) const INSTALL: &str = "install_conf";
/// What `main` imports of the module.
const OWN: [&str; 16] = [
    "pkg/backend",
    "pkg/backend/alloc",
    "pkg/backend/extension",
    "pkg/backend/hostgw",
    "pkg/backend/ipip",
    "pkg/backend/ipsec",
    "pkg/backend/vxlan",
    "pkg/backend/wireguard",
    "pkg/ip",
    "pkg/ipmatch",
    "pkg/subnet/etcd",
    "pkg/subnet/kube",
    "pkg/trafficmngr",
    "pkg/trafficmngr/iptables",
    "pkg/trafficmngr/nftables",
    "pkg/version",
];
/// And of others.
const OTHERS: [&str; 4] = [
    "github.com/coreos/go-systemd/v22/daemon",
    "github.com/coreos/pkg/flagutil",
    "github.com/joho/godotenv",
    "k8s.io/klog/v2",
];

/// The daemon's `main`.
pub(crate) fn main() -> Own {
    let lines = LEFT_OUT.map(|name| format!("\t_ \"{}/pkg/backend/{name}\"", MODULE.0));
    Own::Without { module: MODULE.0.to_owned(), file: MAIN.to_owned(), lines: lines.into() }
}

/// The other program's package.
pub(crate) fn install_package() -> String {
    format!("{}/cmd/{INSTALL}", MODULE.0)
}

/// All packages that its closure has the modules of.
pub(crate) fn packages() -> Vec<String> {
    let own = OWN.map(|package| format!("{}/{package}", MODULE.0));
    own.into_iter().chain(OTHERS.map(str::to_owned)).chain([install_package()]).collect()
}

impl Lab<'_> {
    /// flannel's manifest as its release has it, and the images that it names. The container that installs flannel's CNI plugin on
    /// nodes has `plugin`, for flannel's own newer one is not served everywhere.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a manifest that names other images; as compiling.
    pub fn flannel(&self, release: &str, plugin: &Path) -> Result<(PathBuf, Vec<Made>)> {
        let manifest = self.program(&Set::Flannel, MANIFEST)?;
        let text = std::fs::read_to_string(&manifest).context("reading flannel's manifest")?;
        let mut names: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
        names.dedup();
        let made = names.into_iter().map(|name| {
            let content = match name.rsplit('/').next().and_then(|last| last.split(':').next()) {
                Some("flannel") => self.daemon()?,
                Some("flannel-cni-plugin") => installer(plugin)?,
                _ => {
                    let message =
                        format!("flannel's manifest names an image that is not known here: `{name}`");
                    return Err(Fault::new(Kind::InvalidData, message).into());
                }
            };
            self.image_of(release, name, &content)
        });
        let made = made.collect::<Result<Vec<_>>>()?;
        Ok((manifest, made))
    }

    /// Where flannel's Dockerfile puts what the manifest starts, beside iptables.
    fn daemon(&self) -> Result<Content> {
        let mut content = Content { files: debian::iptables()?, ..Content::default() };
        for (path, program) in [("opt/bin/flanneld", "flanneld"), ("opt/bin/install-conf", INSTALL)] {
            content.files.insert(path.to_owned(), ImageEntry::File(self.program(&Set::Flannel, program)?));
        }
        Ok(content)
    }
}

/// A plugin, and what copies it.
fn installer(plugin: &Path) -> Result<Content> {
    let mut content = Content::default();
    content.files.insert("bin/busybox".to_owned(), ImageEntry::File(debian::busybox()?));
    content.files.insert("bin/cp".to_owned(), ImageEntry::Link("busybox".to_owned()));
    content.files.insert("flannel".to_owned(), ImageEntry::File(plugin.to_owned()));
    Ok(content)
}
