//! Tables: a host, an image and a user's arguments, and the kubelet's arguments of them; or the refusal.

mod cluster;
mod special;

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::compose::{Start, plan};
use super::node::Node;
use super::release::Image;
use super::{at, given};
use crate::stop::Stop;

/// A root directory with these things in it, and nothing else.
struct Host(PathBuf);

impl Host {
    /// `joined` has a kubeconfig; other words are `PATH=CONTENT` (`;` for a new line), or the path of a socket.
    fn new(has: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("entrypoint-host-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let place = |path: &str| {
            let path = at(&root, path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for thing in has.split_whitespace() {
            if let Some((path, content)) = thing.split_once('=') {
                fs::write(
                    place(path),
                    content.replace(';', "\n").replace(':', ": ").replace(": ///", ":///"),
                )
                .unwrap();
                continue;
            }
            let socket = match thing {
                "joined" => {
                    fs::write(place("/etc/kubernetes/kubelet.conf"), "").unwrap();
                    continue;
                }
                "containerd" => "/run/containerd/containerd.sock",
                "crio" => "/var/run/crio/crio.sock",
                "crio-in-run" => "/run/crio/crio.sock",
                "cri-dockerd" => "/var/run/cri-dockerd.sock",
                "docker" => "/var/run/docker.sock",
                other => panic!("{other}"),
            };
            drop(UnixListener::bind(place(socket)).unwrap());
        }
        Self(root)
    }

    /// With a file of this text.
    fn with(self, path: &str, text: &str) -> Self {
        let path = at(&self.0, path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn compose(user: Vec<OsString>, node: &Node) -> Result<Start, Stop> {
    let (start, lacks) = plan(user, node)?;
    lacks.map_or(Ok(start), Err)
}

/// An image by its tag without base, `1.26` or `1.26-kubeadm-cni`.
fn start(image: &str, host: &str, args: &str) -> Result<Start, Stop> {
    let (release, variant) = image.split_once('-').unwrap_or((image, "kubelet"));
    let args: Vec<OsString> = args.split_whitespace().map(OsString::from).collect();
    compose(args, &Node::new(Image::of(release, variant), &Host::new(host).0))
}

fn line(start: &Start) -> String {
    let words: Vec<_> = start.args.iter().map(|word| word.to_str().unwrap()).collect();
    words.join(" ")
}

/// The defaults as `D`; each can be taken out by a word: `D-config` and so on.
fn expand(expected: &str) -> String {
    let defaults = [
        ("-config", "--config=/var/lib/kubelet/config.yaml"),
        ("-register", "--register-node"),
        ("-bootstrap", "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"),
        ("-kubeconfig", "--kubeconfig=/etc/kubernetes/kubelet.conf"),
    ];
    let words = expected.split_whitespace().flat_map(|word| match word.strip_prefix('D') {
        Some(without) => {
            defaults.iter().filter(|(name, _)| !without.contains(name)).map(|(_, flag)| *flag).collect()
        }
        None => vec![match word {
            "CONTAINERD" => "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            "CRIO" => "--container-runtime-endpoint=unix:///var/run/crio/crio.sock",
            "REMOTE" => "--container-runtime=remote",
            "CNI" => "--network-plugin=cni",
            word => word,
        }],
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Image, host, arguments of the user, arguments of the kubelet.
const STARTS: &[(&str, &str, &str, &str)] = &[
    // No arguments: each release and variant.
    ("1.22", "joined containerd", "", "D REMOTE CONTAINERD"),
    ("1.23", "joined containerd", "", "D REMOTE CONTAINERD"),
    ("1.24", "joined containerd", "", "D CONTAINERD"),
    ("1.25", "joined containerd", "", "D CONTAINERD"),
    ("1.26", "joined containerd", "", "D CONTAINERD"),
    ("1.27", "joined containerd", "", "D CONTAINERD"),
    ("1.34", "joined containerd", "", "D CONTAINERD"),
    ("1.23-flannel", "joined containerd", "", "D CNI REMOTE CONTAINERD"),
    ("1.23-cni", "joined containerd", "", "D CNI REMOTE CONTAINERD"),
    ("1.23-kubeadm", "joined containerd", "", "D REMOTE CONTAINERD"),
    ("1.23-kubeadm-cni", "joined containerd", "", "D CNI REMOTE CONTAINERD"),
    ("1.24-flannel", "joined containerd", "", "D CONTAINERD"),
    ("1.24-cni", "joined containerd", "", "D CONTAINERD"),
    ("1.24-kubeadm", "joined containerd", "", "D CONTAINERD"),
    ("1.24-kubeadm-cni", "joined containerd", "", "D CONTAINERD"),
    ("1.25-flannel", "joined containerd", "", "D CONTAINERD"),
    ("1.25-cni", "joined containerd", "", "D CONTAINERD"),
    ("1.25-kubeadm", "joined containerd", "", "D CONTAINERD"),
    ("1.25-kubeadm-cni", "joined containerd", "", "D CONTAINERD"),
    ("1.26-flannel", "joined containerd", "", "D CONTAINERD"),
    ("1.26-cni", "joined containerd", "", "D CONTAINERD"),
    ("1.26-kubeadm", "joined containerd", "", "D CONTAINERD"),
    ("1.26-kubeadm-cni", "joined containerd", "", "D CONTAINERD"),
    ("1.27-cni", "joined containerd", "", "D CONTAINERD"),
    // Other runtimes.
    ("1.23", "joined docker", "", "D"),
    ("1.23-cni", "joined docker", "", "D CNI"),
    ("1.23-cni", "joined docker containerd", "", "D CNI"),
    ("1.23", "joined docker containerd", "--container-runtime=docker", "D --container-runtime=docker"),
    ("1.23", "joined crio", "", "D REMOTE CRIO"),
    ("1.24", "joined crio", "", "D CRIO"),
    ("1.26", "joined crio-in-run", "", "D --container-runtime-endpoint=unix:///run/crio/crio.sock"),
    ("1.26", "joined docker containerd", "", "D CONTAINERD"),
    (
        "1.26",
        "joined cri-dockerd docker",
        "",
        "D --container-runtime-endpoint=unix:///var/run/cri-dockerd.sock",
    ),
    // Named by the user, so not looked for: two may be there, or none.
    (
        "1.26",
        "joined crio containerd",
        "--container-runtime-endpoint=unix:///x",
        "D --container-runtime-endpoint=unix:///x",
    ),
    ("1.26", "joined", "--container-runtime-endpoint unix:///x", "D --container-runtime-endpoint unix:///x"),
    (
        "1.23",
        "joined",
        "--container-runtime-endpoint=unix:///x",
        "D REMOTE --container-runtime-endpoint=unix:///x",
    ),
    (
        "1.23",
        "joined",
        "--container-runtime-endpoint=unix:///var/run/dockershim.sock",
        "D --container-runtime-endpoint=unix:///var/run/dockershim.sock",
    ),
    ("1.23", "joined containerd", "--container-runtime=remote", "D CONTAINERD --container-runtime=remote"),
    ("1.26", "joined containerd", "--container-runtime=remote", "D CONTAINERD --container-runtime=remote"),
    ("1.23-cni", "joined docker", "--network-plugin=kubenet", "D --network-plugin=kubenet"),
    // Named by the configuration, which older releases do not read.
    ("1.27", "joined /var/lib/kubelet/config.yaml=containerRuntimeEndpoint:unix:///x", "", "D"),
    (
        "1.26",
        "joined /var/lib/kubelet/config.yaml=containerRuntimeEndpoint:unix:///x;imageServiceEndpoint:unix:///y",
        "",
        "D --container-runtime-endpoint=unix:///x --image-service-endpoint=unix:///y",
    ),
    (
        "1.23",
        "joined /c=containerRuntimeEndpoint:unix:///x",
        "--config=/c",
        "D-config REMOTE --container-runtime-endpoint=unix:///x --config=/c",
    ),
    (
        "1.29",
        "joined containerd /d/10-a.conf=containerRuntimeEndpoint:unix:///x /d/20.txt=a:b",
        "--config-dir=/d",
        "D --config-dir=/d",
    ),
    // The user's flags win, in every form; what they do not name stays.
    ("1.26", "joined containerd", "--v=4", "D CONTAINERD --v=4"),
    ("1.26", "joined containerd", "-v 4", "D CONTAINERD -v 4"),
    ("1.26", "joined containerd", "--config=/x", "D-config CONTAINERD --config=/x"),
    ("1.26", "joined containerd", "--config /x", "D-config CONTAINERD --config /x"),
    ("1.26", "joined containerd", "--config=", "D-config CONTAINERD --config="),
    ("1.26", "joined containerd", "--config=/x --config=/y", "D-config CONTAINERD --config=/x --config=/y"),
    (
        "1.26",
        "joined containerd",
        "--hostname-override --config=/x",
        "D CONTAINERD --hostname-override --config=/x",
    ),
    ("1.26", "joined containerd", "--register-node=false", "D-register CONTAINERD --register-node=false"),
    ("1.26", "joined containerd", "--register_node=false", "D-register CONTAINERD --register_node=false"),
    ("1.26", "containerd /k=", "--kubeconfig=/k", "D-kubeconfig CONTAINERD --kubeconfig=/k"),
    (
        "1.26",
        "containerd /b=",
        "--bootstrap-kubeconfig=/b",
        "D-bootstrap CONTAINERD --bootstrap-kubeconfig=/b",
    ),
    (
        "1.26",
        "containerd /etc/kubernetes/bootstrap-kubelet.conf= /var/lib/kubelet/config.yaml=kind:x",
        "",
        "D CONTAINERD",
    ),
    (
        "1.26",
        "joined containerd",
        "--cluster-dns=10.0.0.1 --cluster-dns=10.0.0.2 --node-labels=a=b",
        "D CONTAINERD --cluster-dns=10.0.0.1 --cluster-dns=10.0.0.2 --node-labels=a=b",
    ),
    ("1.26", "joined containerd", "-- --config=/x", "D CONTAINERD -- --config=/x"),
    // The configuration's word on what the defaults say.
    (
        "1.26",
        "joined containerd /var/lib/kubelet/config.yaml=registerNode:false",
        "",
        "D-register CONTAINERD",
    ),
    ("1.22", "joined containerd /var/lib/kubelet/config.yaml=registerNode:false", "", "D REMOTE CONTAINERD"),
    (
        "1.26",
        "joined containerd /usr/share/kubelet/config.yaml=kind:x",
        "",
        "--config=/usr/share/kubelet/config.yaml D-config CONTAINERD",
    ),
    (
        "1.26",
        "joined containerd /usr/share/kubelet/config.yaml=a:b /var/lib/kubelet/config.yaml=a:b",
        "",
        "D CONTAINERD",
    ),
    // It will only print.
    ("1.26", "", "--version", "D --version"),
    ("1.26", "crio containerd", "-h", "D -h"),
    // Without the image's environment: nothing that depends on the release.
    ("", "joined containerd", "--network-plugin=cni", "D CONTAINERD --network-plugin=cni"),
    ("", "joined containerd", "", "D CONTAINERD"),
    // Flags that a release still has, or already.
    ("1.23-cni", "joined docker", "--cni-bin-dir=/x", "D CNI --cni-bin-dir=/x"),
    ("1.26", "joined containerd", "--no-such-flag=1", "D CONTAINERD --no-such-flag=1"),
    ("1.28", "joined containerd", "--config-dir=/none", "D CONTAINERD --config-dir=/none"),
];

#[test]
fn arguments_of_the_kubelet() {
    assert!(STARTS.len() >= 30);
    for (image, host, args, expected) in STARTS {
        let start = start(image, host, args).unwrap_or_else(|stop| panic!("{image} {host} {args}: {stop}"));
        assert_eq!(line(&start), expand(expected), "{image} | {host} | {args}");
    }
}

/// Every argument that was made is one which the release knows: no row of the table starts what cannot start.
#[test]
fn no_release_is_given_what_it_does_not_have() {
    for (image, host, args, _) in STARTS.iter().filter(|(image, ..)| !image.is_empty()) {
        let start = start(image, host, args).unwrap();
        let release = Image::of(image.split('-').next().unwrap(), "").release.unwrap();
        super::check_flags(&given::flags(&start.args), release).unwrap();
    }
}

fn refusal(image: &str, host: &str, args: &str) -> String {
    let stop = start(image, host, args).expect_err(args);
    format!("{stop}\nexit code {}", stop.code)
}

#[test]
fn refusals() {
    for (image, host, args, expected) in [
        (
            "1.26",
            "joined containerd",
            "--network-plugin=cni --cni_bin_dir /opt/cni/bin --network-plugin=cni",
            "entrypoint: Kubernetes 1.26 does not have --network-plugin, --cni-bin-dir
  --network-plugin was removed in Kubernetes 1.24: leave it out: the runtime on the host runs the CNI plugins and has its own setting
  --cni-bin-dir was removed in Kubernetes 1.24: the runtime on the host runs the CNI plugins and has its own setting (containerd: plugins.\"io.containerd.grpc.v1.cri\".cni.bin_dir)
exit code 64",
        ),
        (
            "1.27",
            "joined containerd",
            "--container-runtime=remote",
            "entrypoint: Kubernetes 1.27 does not have --container-runtime
  --container-runtime was removed in Kubernetes 1.27: leave it out: CRI is the only kind
exit code 64",
        ),
        (
            "1.26",
            "joined containerd",
            "--config-dir=/d --version",
            "entrypoint: Kubernetes 1.26 does not have --config-dir
  --config-dir is known from Kubernetes 1.28 on
exit code 64",
        ),
        (
            "1.26",
            "joined containerd /var/lib/kubelet/config.yaml=kind:x;networkPlugin:cni",
            "",
            "entrypoint: /var/lib/kubelet/config.yaml: there is no networkPlugin in a kubelet's configuration
  the flag --network-plugin was removed in Kubernetes 1.24: leave it out: the runtime on the host runs the CNI plugins and has its own setting
exit code 78",
        ),
        (
            "1.26",
            "joined containerd crio",
            "",
            "entrypoint: 2 container runtimes are here: containerd (/run/containerd/containerd.sock), CRI-O (/var/run/crio/crio.sock); choose one by a flag:
  --container-runtime-endpoint=unix:///run/containerd/containerd.sock
  --container-runtime-endpoint=unix:///var/run/crio/crio.sock
exit code 64",
        ),
        (
            "1.23",
            "joined docker containerd crio",
            "",
            "entrypoint: 2 container runtimes are here: CRI-O (/var/run/crio/crio.sock), docker (/var/run/docker.sock); choose one by a flag:
  --container-runtime-endpoint=unix:///var/run/crio/crio.sock
  --container-runtime=docker
exit code 64",
        ),
        (
            "1.26",
            "joined",
            "",
            "entrypoint: no container runtime: none of /run/containerd/containerd.sock (containerd), /var/run/crio/crio.sock (CRI-O), /var/run/cri-dockerd.sock (cri-dockerd) is here
  mount your runtime's socket directory at the same path, for containerd /run/containerd
  or name it: --container-runtime-endpoint=unix:///PATH/OF/ITS.sock
exit code 69",
        ),
        (
            "1.26",
            "containerd",
            "",
            "entrypoint: no kubeconfig: neither /etc/kubernetes/kubelet.conf nor /etc/kubernetes/bootstrap-kubelet.conf is here
  to join a cluster: mount /etc/kubernetes, let `kubeadm join` write it, and start this again
  without a cluster: KUBELET_STANDALONE=1 in the container's environment, or --kubeconfig=
exit code 69",
        ),
    ] {
        assert_eq!(refusal(image, host, args), expected, "{args}");
    }
    assert!(refusal("1.26", "joined docker", "").contains("since Kubernetes 1.24 docker needs cri-dockerd"));
    assert!(
        refusal("1.26", "containerd", "--bootstrap-kubeconfig=")
            .contains("/etc/kubernetes/kubelet.conf is not here")
    );
    assert!(refusal("", "joined crio containerd", "").contains("choose one"));
}

/// What the host lacks leaves out nothing that is known, so that all else that is wrong can be said with it.
#[test]
fn refused_for_the_host_the_arguments_are_made_nevertheless() {
    for (host, expected) in [("", "D --v=1"), ("joined", "D --v=1"), ("containerd", "D CONTAINERD --v=1")] {
        let root = Host::new(host);
        let (start, lacks) = plan(vec!["--v=1".into()], &Node::new(Image::of("1.26", ""), &root.0)).unwrap();
        assert_eq!(line(&start), expand(expected), "{host}");
        assert_eq!(lacks.map(|stop| stop.code), Some(crate::stop::HOST), "{host}");
    }
}

#[test]
fn what_is_chosen_is_said() {
    let notes = |image: &str, host: &str| start(image, host, "").unwrap().notes;
    assert_eq!(
        notes("1.26", "joined containerd"),
        ["container runtime: containerd, unix:///run/containerd/containerd.sock"]
    );
    let host = "joined docker /var/lib/kubelet/config.yaml=containerLogMaxWorkers:2;containerRuntimeEndpoint:unix:///x";
    assert_eq!(
        notes("1.26", host),
        [
            "/var/lib/kubelet/config.yaml: containerLogMaxWorkers is known from Kubernetes 1.30 on; this kubelet ignores it"
        ]
    );
    assert_eq!(notes("1.30", host), [""; 0]);
    let image = notes("1.26", "joined crio /usr/share/kubelet/config.yaml=kind:x");
    assert!(image[0].contains("the image's own is used"), "{image:?}");
    assert!(notes("", "joined crio")[0].contains("KUBELET_IMAGE_RELEASE is not set"));
}

#[test]
fn the_hosts_files_are_only_read() {
    let host = Host::new("joined containerd /usr/share/kubelet/config.yaml=kind:x");
    let list = || {
        let mut seen: Vec<(PathBuf, std::time::SystemTime)> = Vec::new();
        let mut queue = vec![host.0.clone()];
        while let Some(dir) = queue.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                seen.push((entry.path(), entry.metadata().unwrap().modified().unwrap()));
                queue.extend(entry.path().is_dir().then(|| entry.path()));
            }
        }
        seen
    };
    let before = list();
    compose(Vec::new(), &Node::new(Image::of("v1.26.0", "cni"), &host.0)).unwrap();
    assert_eq!(list(), before);
}

#[test]
fn bytes_that_are_no_text_pass_unchanged() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"--node-labels=\xff\xfe".to_vec());
    let host = Host::new("joined containerd");
    let start = compose(vec![odd.clone()], &Node::new(Image::of("v1.26.0", ""), &host.0)).unwrap();
    assert_eq!(start.args.last(), Some(&odd));
}
