//! The same for what a cluster has a part in: kubeadm's files, a host that is joining one, a kubelet that has none, and
//! a cgroup driver that comes from a cluster and does not fit the host.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::kubelet::join;
use crate::stop::{CONFIG, HOST, USAGE};

const CONTAINERD: &str = "--container-runtime-endpoint=unix:///run/containerd/containerd.sock";
const CONFIG_FILE: &str = "/var/lib/kubelet/config.yaml";
const FLAGS_FILE: &str = "/var/lib/kubelet/kubeadm-flags.env";
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
const IMAGE_CONFIG: &str = "/usr/share/kubelet/config.yaml";

fn node<'a>(release: &str, host: &'a Host) -> Node<'a> {
    Node::new(Image::of(release, ""), &host.0)
}

fn args(node: &Node, user: &str) -> Result<Start, Stop> {
    compose(user.split_whitespace().map(OsString::from).collect(), node)
}

/// kubeadm's file, the variable of the container, the user's arguments, and what comes after the defaults.
#[test]
fn flags_of_kubeadm_come_before_those_of_the_user() {
    for (release, kubeadm, extra, user, expected) in [
        (
            "1.26",
            "--hostname-override=n --node-labels=a=b",
            None,
            "",
            "D CONTAINERD --hostname-override=n --node-labels=a=b",
        ),
        (
            "1.26",
            "--node-ip=1.1.1.1",
            Some("--node-ip=2.2.2.2"),
            "--node-ip=3.3.3.3",
            "D CONTAINERD --node-ip=1.1.1.1 --node-ip=2.2.2.2 --node-ip=3.3.3.3",
        ),
        ("1.26", "", Some("  -v 4 '--node-labels=a=b c'"), "", "D CONTAINERD -v 4 --node-labels=a=b c"),
        // A default is left out whoever gives the flag.
        (
            "1.26",
            "--container-runtime-endpoint=unix:///x",
            None,
            "",
            "D --container-runtime-endpoint=unix:///x",
        ),
        (
            "1.26",
            "--register-node=false",
            Some("--config=/c"),
            "",
            "D-config-register CONTAINERD --register-node=false --config=/c",
        ),
        // What kubeadm of that release writes; and what is left of it after the node's kubelet was upgraded.
        (
            "1.23",
            "--container-runtime=remote --container-runtime-endpoint=unix:///x",
            None,
            "",
            "D --container-runtime=remote --container-runtime-endpoint=unix:///x",
        ),
        (
            "1.26",
            "--container-runtime=remote --container-runtime-endpoint=unix:///x --pod-infra-container-image=p",
            None,
            "",
            "D --container-runtime=remote --container-runtime-endpoint=unix:///x --pod-infra-container-image=p",
        ),
        (
            "1.27",
            "--container-runtime=remote --container-runtime-endpoint=unix:///x",
            None,
            "",
            "D --container-runtime-endpoint=unix:///x",
        ),
        (
            "1.26",
            "--network-plugin cni --hostname-override=n --cni-bin-dir=/x",
            None,
            "",
            "D CONTAINERD --hostname-override=n",
        ),
        ("", "--network-plugin=cni", None, "", "D CONTAINERD --network-plugin=cni"),
        ("1.26", "--hostname-override=n", Some("--v=2"), "--version", "D --v=2 --version"),
    ] {
        let host = Host::new(JOINED).with(FLAGS_FILE, &format!("KUBELET_KUBEADM_ARGS=\"{kubeadm}\"\n"));
        let node = Node { extra: extra.map(str::to_owned), ..node(release, &host) };
        let start = args(&node, user).unwrap_or_else(|stop| panic!("{kubeadm}: {stop}"));
        let expected = expand(expected);
        assert_eq!(line(&start), expected, "{release} | {kubeadm} | {extra:?} | {user}");
    }
}

#[test]
fn files_of_variables_are_read_in_the_order_of_the_drop_in() {
    for (container, files, expected) in [
        (None, &[("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--v=2")][..], "--v=2"),
        (None, &[("/etc/sysconfig/kubelet", "KUBELET_EXTRA_ARGS='--v=2 --v=3'")], "--v=2 --v=3"),
        (None, &[(FLAGS_FILE, "KUBELET_KUBEADM_ARGS=--v=1\nKUBELET_EXTRA_ARGS=--v=2\n")], "--v=1 --v=2"),
        (
            None,
            &[
                (FLAGS_FILE, "KUBELET_KUBEADM_ARGS=--v=1"),
                ("/etc/default/kubelet", "KUBELET_KUBEADM_ARGS=--v=2"),
            ],
            "--v=2",
        ),
        (Some("--v=4"), &[("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--v=2")], "--v=4"),
        (Some(""), &[("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--v=2")], ""),
        (None, &[(FLAGS_FILE, "# KUBELET_KUBEADM_ARGS=--v=1\nOTHER=--v=2")], ""),
    ] {
        let host = files.iter().fold(Host::new(JOINED), |host, (path, text)| host.with(path, text));
        let node = Node { extra: container.map(str::to_owned), ..node("1.26", &host) };
        let expected = expand(&format!("D CONTAINERD {expected}"));
        assert_eq!(line(&args(&node, "").unwrap()), expected, "{files:?}");
    }
}

#[test]
fn flags_that_do_not_fit_are_said() {
    let host =
        |kubeadm: &str| Host::new(JOINED).with(FLAGS_FILE, &format!("KUBELET_KUBEADM_ARGS=\"{kubeadm}\""));
    let old = host("--container-runtime=remote --v=1");
    assert_eq!(
        args(&node("1.27", &old), "").unwrap().notes[..2],
        [
            "/var/lib/kubelet/kubeadm-flags.env: --container-runtime=remote is left out: it was removed in Kubernetes 1.27: leave it out: CRI is the only kind",
            "flags of /var/lib/kubelet/kubeadm-flags.env: --v=1"
        ]
    );
    // Newer than the release: nobody knows what would be lost.
    let stop = args(&node("1.26", &host("--config-dir=/d")), "").unwrap_err();
    assert_eq!(
        (stop.code, stop.message.as_str()),
        (CONFIG, "/var/lib/kubelet/kubeadm-flags.env: Kubernetes 1.26 does not have --config-dir")
    );
    // A person wrote it, who can be asked.
    let new = host("");
    let extra = Node { extra: Some("--network-plugin=cni".to_owned()), ..node("1.26", &new) };
    let stop = args(&extra, "").unwrap_err();
    assert_eq!(stop.message, "KUBELET_EXTRA_ARGS: Kubernetes 1.26 does not have --network-plugin");
}

/// Sets when a file was written, in seconds before now.
fn written(host: &Host, path: &str, ago: u64) {
    let time = SystemTime::now() - Duration::from_secs(ago);
    fs::File::options().write(true).open(at(&host.0, path)).unwrap().set_modified(time).unwrap();
}

/// A host of a cluster.
const JOINED: &str = "joined containerd /var/lib/kubelet/config.yaml=kind:x";
const KUBEADM: &str = "users: [{name: tls-bootstrap-token-user}]";

/// What is on the host (with seconds since it was written), and what is said: none where the kubelet may start.
#[test]
fn kubeadm_has_finished_or_not() {
    let admin = "/etc/kubernetes/admin.conf";
    let own = "/etc/kubernetes/kubelet.conf";
    for (files, says, fatal) in [
        (&[][..], "", false),
        (&[(own, "x", 9)], "", false),
        // join, step by step.
        (
            &[(BOOTSTRAP, KUBEADM, 9)],
            "bootstrap-kubelet.conf is here, /var/lib/kubelet/config.yaml is not yet",
            true,
        ),
        (
            &[(BOOTSTRAP, "x", 900)],
            "bootstrap-kubelet.conf is here, /var/lib/kubelet/config.yaml is not yet",
            true,
        ),
        (&[(BOOTSTRAP, KUBEADM, 9), (CONFIG_FILE, "", 8)], "/var/lib/kubelet/config.yaml is not yet", true),
        (
            &[(BOOTSTRAP, KUBEADM, 9), (CONFIG_FILE, "x", 8)],
            "the /var/lib/kubelet/kubeadm-flags.env that goes with it is not yet",
            false,
        ),
        (
            &[(BOOTSTRAP, KUBEADM, 9), (CONFIG_FILE, "x", 8), (FLAGS_FILE, "", 7)],
            "kubeadm-flags.env that goes with it",
            false,
        ),
        (&[(BOOTSTRAP, KUBEADM, 9), (CONFIG_FILE, "x", 8), (FLAGS_FILE, "x", 7)], "", false),
        (&[(CONFIG_FILE, "x", 8), (FLAGS_FILE, "x", 7), (own, "x", 1)], "", false),
        // Of an earlier join, which failed.
        (
            &[(CONFIG_FILE, "x", 90), (FLAGS_FILE, "x", 90), (BOOTSTRAP, KUBEADM, 9)],
            "the /var/lib/kubelet/config.yaml that goes with it",
            false,
        ),
        (
            &[(CONFIG_FILE, "x", 8), (FLAGS_FILE, "x", 90), (BOOTSTRAP, KUBEADM, 9)],
            "the /var/lib/kubelet/kubeadm-flags.env that",
            false,
        ),
        // A bootstrap kubeconfig that kubeadm did not write: nobody else writes flags.
        (&[(CONFIG_FILE, "x", 90), (BOOTSTRAP, "x", 9)], "", false),
        // init, step by step.
        (&[(admin, "x", 9)], "admin.conf is here", true),
        (&[(admin, "x", 9), (own, "x", 9)], "admin.conf is here", true),
        (&[(admin, "x", 9), (own, "x", 9), (FLAGS_FILE, "x", 9)], "admin.conf is here", true),
        (&[(admin, "x", 9), (own, "x", 9), (FLAGS_FILE, "x", 9), (CONFIG_FILE, "x", 9)], "", false),
        // A node of kubeadm's that has lost its configuration.
        (&[(own, "x", 9), (FLAGS_FILE, "x", 9)], "kubeadm-flags.env is here", true),
    ] {
        let host = files.iter().fold(Host::new(""), |host, (path, text, _)| host.with(path, text));
        for (path, _, ago) in files {
            written(&host, path, *ago);
        }
        let found = join::unfinished(&host.0, &[]);
        let why = found.as_ref().map(|found| found.why.clone()).unwrap_or_default();
        assert!(why.contains(says) && why.is_empty() == says.is_empty(), "{files:?}: {why}");
        assert_eq!(found.is_some_and(|found| found.is_fatal()), fatal, "{files:?}");
        // Files of one's own are nobody else's.
        for flag in ["--config=/c", "--kubeconfig=/k", "--kubeconfig=", "--bootstrap-kubeconfig=/b"] {
            assert_eq!(join::unfinished(&host.0, &given::flags(&[flag.into()])), None, "{flag}");
        }
    }
}

/// While a join goes on the image's own configuration is never what the kubelet gets, whatever is allowed.
#[test]
fn a_start_in_mid_join_is_refused() {
    let host = Host::new("containerd").with(BOOTSTRAP, KUBEADM).with(IMAGE_CONFIG, "kind: x");
    let (start, lacks) = plan(Vec::new(), &node("1.26", &host)).unwrap();
    assert_eq!(line(&start), expand("D CONTAINERD"));
    let stop = lacks.unwrap();
    assert_eq!(
        (stop.code, stop.message.as_str()),
        (
            HOST,
            "join is not finished: /etc/kubernetes/bootstrap-kubelet.conf is here, /var/lib/kubelet/config.yaml is not yet"
        )
    );
    // Named, it is.
    let named = format!("--config={IMAGE_CONFIG}");
    assert_eq!(
        line(&args(&node("1.26", &host), &named).unwrap()),
        expand(&format!("D-config CONTAINERD {named}"))
    );
}

#[test]
fn a_start_waits_for_kubeadm() {
    let wait = |host: &Host, mode: &str| join::wait(&host.0, &[], mode);
    let begin = Instant::now();
    // Nothing to wait for, or not for longer.
    wait(&Host::new(""), "").unwrap();
    wait(&Host::new("joined"), "on").unwrap();
    wait(&Host::new("").with(BOOTSTRAP, KUBEADM), "off").unwrap();
    let late = Host::new("").with(BOOTSTRAP, KUBEADM).with(CONFIG_FILE, "x");
    written(&late, BOOTSTRAP, 61);
    wait(&late, "").unwrap();
    // It would have been a minute.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(wait(&Host::new(""), "maybe").unwrap_err().code, USAGE);

    let step = Duration::from_millis(400);
    for mode in ["", "on"] {
        let host = if mode.is_empty() { Host::new("").with(BOOTSTRAP, KUBEADM) } else { Host::new("") };
        let root = host.0.clone();
        let begin = Instant::now();
        let kubeadm = std::thread::spawn(move || {
            for (path, text) in [(BOOTSTRAP, KUBEADM), (CONFIG_FILE, "x"), (FLAGS_FILE, "x")] {
                std::thread::sleep(step);
                let path = at(&root, path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        });
        join::wait(&host.0, &[], mode).unwrap();
        assert!(begin.elapsed() >= 3 * step, "{:?}", begin.elapsed());
        kubeadm.join().unwrap();
    }
}

const OFF: &str =
    "--authentication-token-webhook=false --authorization-mode=AlwaysAllow --enable-server=false";
const TOKEN: &str = "--authentication-token-webhook=false";

/// The configuration and the user's flags, and what takes the place of asking the cluster.
#[test]
fn without_a_cluster_the_least_that_starts() {
    let anonymous = format!("{OFF} --anonymous-auth=true");
    let always = "--authentication-token-webhook=false --authorization-mode=AlwaysAllow";
    for (config, user, expected) in [
        ("kind: x", "", &*anonymous),
        ("authentication: {anonymous: {enabled: false}}", "", &anonymous),
        ("authentication: {anonymous: {enabled: true}}", "", OFF),
        // kubeadm's.
        (
            "authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /ca}}\nauthorization: {mode: Webhook}",
            "",
            OFF,
        ),
        // A CA, and no wish that cannot be granted.
        ("authentication: {x509: {clientCAFile: /ca}}", "", always),
        ("kind: x", "--client-ca-file=/ca", always),
        ("authentication: {anonymous: {enabled: true}, x509: {clientCAFile: /ca}}", "", OFF),
        // Decided by the user.
        (
            "authentication: {webhook: {enabled: false}, anonymous: {enabled: true}}\nauthorization: {mode: AlwaysAllow}",
            "",
            "",
        ),
        ("authentication: {anonymous: {enabled: true}}\nauthorization: {mode: AlwaysAllow}", "", TOKEN),
        ("authorization: {mode: AlwaysAllow}\nauthentication: {x509: {clientCAFile: /ca}}", "", TOKEN),
        ("authorization: {mode: Webhook}", "--authorization-mode=AlwaysAllow --client-ca-file=/ca", TOKEN),
        (
            "kind: x",
            "--authentication-token-webhook=false --authorization-mode=AlwaysAllow --anonymous-auth",
            "",
        ),
        (
            "authorization: {mode: AlwaysAllow}",
            "",
            "--authentication-token-webhook=false --enable-server=false --anonymous-auth=true",
        ),
        // Without a file the kubelet asks nobody.
        ("kind: x", "--config=", ""),
    ] {
        let host =
            Host::new("containerd").with(CONFIG_FILE, config).with(FLAGS_FILE, "KUBELET_KUBEADM_ARGS=--v=9");
        let file = if user.contains("--config=") { "" } else { "--config=/var/lib/kubelet/config.yaml " };
        for (standalone, user) in
            [(true, user.to_owned()), (false, format!("--kubeconfig= --bootstrap-kubeconfig= {user}"))]
        {
            let node = Node { standalone, ..node("1.26", &host) };
            let start = args(&node, &user).unwrap_or_else(|stop| panic!("{config}: {stop}"));
            let none = if standalone { "--bootstrap-kubeconfig= --kubeconfig= " } else { "" };
            let expected = format!("{file}{none}{expected} {CONTAINERD} {user}");
            assert_eq!(
                line(&start),
                expected.split_whitespace().collect::<Vec<_>>().join(" "),
                "{config} | {user}"
            );
        }
    }
    for release in ["1.22", "1.24", "1.34"] {
        let host = Host::new("containerd").with(IMAGE_CONFIG, "kind: x");
        let start = args(&Node { standalone: true, ..node(release, &host) }, "").unwrap();
        assert!(line(&start).contains(&anonymous) && line(&start).contains(IMAGE_CONFIG), "{}", line(&start));
        assert!(!line(&start).contains("register-node"));
    }
}

#[test]
fn what_no_kubelet_without_a_cluster_can_do_is_refused() {
    for (config, user, code, says) in [
        ("kind: x", "--kubeconfig=/k", USAGE, "a kubelet has a cluster or has none"),
        ("kind: x", "--authorization-mode=Webhook", USAGE, "--authorization-mode=Webhook asks the cluster"),
        ("kind: x", "--authentication-token-webhook", USAGE, "--authentication-token-webhook=true asks"),
        ("kind: x", "--anonymous-auth=false", USAGE, "leaves no way to know a client"),
        ("enableServer: true", "", CONFIG, "the kubelet's server is to be on"),
        ("kind: x", "--enable-server", CONFIG, "the kubelet's server is to be on"),
    ] {
        let host = Host::new("containerd").with(CONFIG_FILE, config);
        let stop = args(&Node { standalone: true, ..node("1.26", &host) }, user).unwrap_err();
        assert_eq!(stop.code, code, "{config} {user}");
        assert!(stop.message.contains(says), "{}", stop.message);
    }
}

/// The host's init, who asks for which driver, and what is added.
#[test]
fn a_driver_that_cannot_work_is_overridden() {
    let own = "--cgroup-driver=cgroupfs";
    for (systemd, config, kubeadm, user, expected) in [
        (Some(false), "systemd", "", "", format!("D CONTAINERD {own}")),
        (Some(false), "cgroupfs", "", "", "D CONTAINERD".to_owned()),
        (Some(true), "systemd", "", "", "D CONTAINERD".to_owned()),
        (None, "systemd", "", "", "D CONTAINERD".to_owned()),
        (Some(false), "systemd", "--v=1", "--v=2", format!("D CONTAINERD --v=1 {own} --v=2")),
        (
            Some(false),
            "cgroupfs",
            "--cgroup-driver=systemd",
            "",
            format!("D CONTAINERD --cgroup-driver=systemd {own}"),
        ),
        // What a person asked for is not overridden: preflight says why it does not work.
        (
            Some(false),
            "systemd",
            "",
            "--cgroup-driver=systemd",
            "D CONTAINERD --cgroup-driver=systemd".to_owned(),
        ),
        (Some(false), "systemd", "", "--cgroup-driver=cgroupfs", format!("D CONTAINERD {own}")),
    ] {
        let host = Host::new("joined containerd")
            .with(CONFIG_FILE, &format!("cgroupDriver: {config}"))
            .with(FLAGS_FILE, &format!("KUBELET_KUBEADM_ARGS=\"{kubeadm}\""));
        let start = args(&Node { systemd, ..node("1.26", &host) }, user).unwrap();
        assert_eq!(line(&start), expand(&expected), "{systemd:?} {config} {kubeadm} {user}");
        let said = start.notes.iter().any(|note| note.contains("this host does not run systemd"));
        assert_eq!(said, expected.contains(own) && !user.contains(own), "{:?}", start.notes);
    }
}

#[test]
fn flags_that_are_added_are_there_in_every_release() {
    let root = Path::new("/nowhere");
    for minor in 22..=34 {
        let release = Node::new(Image::of(&format!("1.{minor}"), ""), root).image.release.unwrap();
        let added: Vec<OsString> = format!("{OFF} --anonymous-auth=true --cgroup-driver=cgroupfs")
            .split(' ')
            .map(OsString::from)
            .collect();
        crate::kubelet::check_flags(&given::flags(&added), release).unwrap();
    }
}
