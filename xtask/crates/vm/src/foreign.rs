//! Packages of an architecture whose programs do not run here: unpacked, and put right by hand as far as a host for
//! containers needs it. Nothing of theirs is run, so no emulator has to be registered with this machine's kernel.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::{Flavour, Init};

/// What their installation would have linked.
const LINKS: [(&str, &str); 9] = [
    ("usr/bin/awk", "mawk"),
    ("usr/sbin/ebtables", "ebtables-nft"),
    ("usr/sbin/ip6tables", "ip6tables-nft"),
    ("usr/sbin/ip6tables-restore", "ip6tables-nft-restore"),
    ("usr/sbin/ip6tables-save", "ip6tables-nft-save"),
    ("usr/sbin/iptables", "iptables-nft"),
    ("usr/sbin/iptables-restore", "iptables-nft-restore"),
    ("usr/sbin/iptables-save", "iptables-nft-save"),
    ("usr/bin/which", "which.debianutils"),
];
/// The users and groups that each system has.
const ACCOUNTS: [&str; 2] = ["passwd", "group"];

/// Is there such a system?
///
/// # Errors
/// [`Kind::Usage`] for systemd, whose units and users are made by the installation of packages.
pub(crate) fn check(flavour: &Flavour) -> Result<()> {
    if flavour.init == Init::Systemd {
        let message = format!("a machine for {} has no systemd on this machine", flavour.arch.name());
        let help =
            "its packages are only unpacked here; take --init busybox, or a machine of that architecture";
        return Err(Fault::new(Kind::Usage, message).help(help).into());
    }
    Ok(())
}

/// Makes a system of what was unpacked.
pub(crate) fn complete(root: &Path) -> Result<()> {
    for name in ACCOUNTS {
        let from = root.join(format!("usr/share/base-passwd/{name}.master"));
        fs::copy(&from, root.join("etc").join(name))
            .with_context(|| format!("copying {}", from.display()))?;
    }
    for (link, target) in LINKS {
        let link = root.join(link);
        // Not every system has the package.
        if link.with_file_name(target).symlink_metadata().is_ok() && link.symlink_metadata().is_err() {
            symlink(target, &link).with_context(|| format!("linking {}", link.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in ["usr/share/base-passwd", "usr/sbin", "usr/bin", "etc"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for name in ACCOUNTS {
            fs::write(root.join(format!("usr/share/base-passwd/{name}.master")), name).unwrap();
        }
        fs::write(root.join("usr/sbin/iptables-nft"), "").unwrap();
        complete(root).unwrap();
        assert_eq!(fs::read_to_string(root.join("etc/group")).unwrap(), "group");
        assert_eq!(fs::read_link(root.join("usr/sbin/iptables")).unwrap(), Path::new("iptables-nft"));
        assert!(root.join("usr/bin/awk").symlink_metadata().is_err());
    }
}
