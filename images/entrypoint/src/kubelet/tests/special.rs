//! Pipes, sockets and devices where files are expected: each is refused by name, in time, and nothing waits for it.

use std::ffi::OsString;
use std::fs;

use super::super::node::Node;
use super::super::release::Image;
use super::super::{at, join};
use super::{Host, compose};
use crate::regular::tests::{in_time, specials};
use crate::stop::CONFIG;

const CONFIG_FILE: &str = "/var/lib/kubelet/config.yaml";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";

/// Every file that a start reads, and a flag that names it, if it is not read without one.
const FILES: [(&str, &str); 7] = [
    (CONFIG_FILE, ""),
    ("/etc/kubernetes/kubelet.conf", ""),
    (BOOTSTRAP, ""),
    ("/var/lib/kubelet/kubeadm-flags.env", ""),
    ("/etc/default/kubelet", ""),
    ("/etc/sysconfig/kubelet", ""),
    ("/etc/kubelet.d/sub/10.conf", "--config-dir=/etc/kubelet.d"),
];

#[test]
fn nothing_waits_for_what_is_not_a_file() {
    for (file, flag) in FILES {
        let host = Host::new("joined containerd").with(CONFIG_FILE, "kind: KubeletConfiguration\n");
        let beside = at(&host.0, "/specials");
        for (special, what) in specials(&beside) {
            let path = at(&host.0, file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = fs::remove_file(&path);
            // A link, as a mount of a Secret has them, is followed.
            std::os::unix::fs::symlink(&special, &path).unwrap();
            let root = host.0.clone();
            let args: Vec<OsString> = flag.split_whitespace().map(Into::into).collect();
            let refused = in_time(move || {
                let node = Node::new(Image::of("1.34", "kubelet"), &root);
                // What the wait for kubeadm looks at, too.
                join::unfinished(&root, &[]);
                compose(args, &node).unwrap_err()
            });
            assert_eq!(refused.code, CONFIG, "{file}: {what}: {refused}");
            let expected = format!("{}: it is {what}, not a regular file", path.display());
            assert!(refused.message.contains(&expected), "{expected}\n{refused}");
        }
    }
    // What only prints reads none of what is for a start.
    let host = Host::new("containerd");
    fs::create_dir_all(at(&host.0, "/var/lib/kubelet")).unwrap();
    let (fifo, _) = specials(&at(&host.0, "/specials")).swap_remove(0);
    std::os::unix::fs::symlink(fifo, at(&host.0, CONFIG_FILE)).unwrap();
    let node = Node::new(Image::of("1.34", "kubelet"), &host.0);
    compose(vec!["--version".into()], &node).unwrap();
}
