//! Flags that others than the user wrote for this node's kubelet: kubeadm's, and those of `KUBELET_EXTRA_ARGS`. On other
//! nodes systemd hands them to the kubelet by kubeadm's drop-in, 10-kubeadm.conf, which reads the same files.

use std::ffi::OsString;

use super::facts::Fact;
use super::node::{EXTRA_ARGS, Node};
use super::release::Release;
use super::{at, check_flags, envfile, given, special, words};
use crate::regular;
use crate::stop::{CONFIG, Stop};

/// Written by `kubeadm init` and `kubeadm join`: name, labels, taints and addresses of the node are here and nowhere else.
/// Source: `cmd/kubeadm/app/phases/kubelet/flags.go` of Kubernetes.
pub(super) const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
const KUBEADM_ARGS: &str = "KUBELET_KUBEADM_ARGS";
/// Files of an administrator's, of Debian's and of Fedora's package, which the drop-in reads after kubeadm's.
const EXTRA_FILES: [&str; 2] = ["/etc/default/kubelet", "/etc/sysconfig/kubelet"];

/// What kubeadm wants, less the flags that a newer release has dropped: kubeadm leaves them in its file when a node is
/// upgraded, where the kubelet would end at them.
pub(super) fn args(node: &Node, notes: &mut Vec<String>) -> Result<Vec<OsString>, Stop> {
    let Some((value, file)) = variable(node, KUBEADM_ARGS)? else { return Ok(Vec::new()) };
    let mut args: Vec<OsString> = words(envfile::words(&value)).collect();
    if let Some(release) = node.image.release {
        drop_removed(&mut args, release, file, notes);
        check_flags(&given::flags(&args), release).map_err(|stop| of_file(stop, file))?;
    }
    if !args.is_empty() {
        let shown: Vec<_> = args.iter().map(|word| word.to_string_lossy()).collect();
        notes.push(format!("flags of {file}: {}", shown.join(" ")));
    }
    Ok(args)
}

/// The flags of `KUBELET_EXTRA_ARGS`: the container's variable, else that of an administrator's file.
pub(super) fn extra(node: &Node) -> Result<Vec<OsString>, Stop> {
    let found = match node.extra.clone() {
        Some(value) => Some((value, None)),
        None => variable(node, EXTRA_ARGS)?.map(|(value, file)| (value, Some(file))),
    };
    let Some((value, file)) = found else { return Ok(Vec::new()) };
    let args: Vec<OsString> = words(envfile::words(&value)).collect();
    if let Some(release) = node.image.release {
        check_flags(&given::flags(&args), release)
            .map_err(|stop| of_file(stop, file.unwrap_or(EXTRA_ARGS)))?;
    }
    Ok(args)
}

fn of_file(stop: Stop, file: &str) -> Stop {
    Stop { code: CONFIG, message: format!("{file}: {}", stop.message), ..stop }
}

/// The value of a variable, and the file that has it: the last of these files, in the drop-in's order.
fn variable(node: &Node, name: &str) -> Result<Option<(String, &'static str)>, Stop> {
    for file in [EXTRA_FILES[1], EXTRA_FILES[0], FLAGS] {
        let path = at(node.root, file);
        let text = match regular::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if regular::is_special(&error) => return Err(special(&path, &error.to_string())),
            // As the drop-in has it (`EnvironmentFile=-`).
            Err(_) => continue,
        };
        if let Some(value) = envfile::value(&text, name) {
            return Ok(Some((value, file)));
        }
    }
    Ok(None)
}

fn drop_removed(args: &mut Vec<OsString>, release: Release, file: &str, notes: &mut Vec<String>) {
    let removed = |name: &str| Fact::flag(name).is_some_and(|fact| fact.was_removed_in(release));
    for flag in given::flags(args).iter().filter(|flag| removed(&flag.name)) {
        let why = Fact::flag(&flag.name).and_then(|fact| fact.missing_in(release)).unwrap_or_default();
        notes.push(format!("{file}: --{}={} is left out: it {why}", flag.name, flag.value));
    }
    given::retain(args, |flag| !removed(&flag.name));
}
