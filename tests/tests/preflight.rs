//! What a container lacks is said before the kubelet starts, with what repairs it; and nothing on the host is changed.
//! Real mounts and namespaces by runc; the kubelet is a script that says that it was started.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::advice;
use tests::bundle::{Bundle, Style};
use tests::stage::{ATTR, ENDPOINT, Stage, shared};
use tests::{cmd, image, root, scratch, skip, wait_for, xtask};

/// Exit codes that docs/running.md documents.
const USAGE: i32 = 64;
const HOST: i32 = 69;

/// One way to break a set-up.
#[derive(Clone, Copy)]
struct Broken {
    name: &'static str,
    /// Done on the host before, and undone after.
    setup: &'static str,
    cleanup: &'static str,
    tweak: fn(&mut Bundle),
    /// None: the kubelet starts nevertheless.
    code: Option<i32>,
    /// What standard error has.
    says: &'static [&'static str],
    /// Is what to do said in words that a person has to understand? All other advice is done as it is printed, and
    /// has to repair.
    prose: bool,
}

const fn broken(
    name: &'static str,
    tweak: fn(&mut Bundle),
    code: Option<i32>,
    says: &'static [&'static str],
) -> Broken {
    Broken { name, setup: "true", cleanup: "true", tweak, code, says, prose: false }
}

const fn prose(case: Broken) -> Broken {
    Broken { prose: true, ..case }
}

const fn on_host(setup: &'static str, cleanup: &'static str, case: Broken) -> Broken {
    Broken { setup, cleanup, ..case }
}

fn private(bundle: &mut Bundle) {
    bundle.bind_from("/var/lib/kubelet", "/var/lib/kubelet", &["rbind", "rprivate"]);
}

fn only_pod_logs(bundle: &mut Bundle) {
    bundle.unbind("/var/log");
    bundle.bind_from("/var/log/pods", "/var/log/pods", &["rbind"]);
}

fn flag(bundle: &mut Bundle, flag: &str) {
    bundle.list("/process/args").push(json!(flag));
}

const STOPPED: Option<i32> = Some(HOST);
/// Takes iptables from the host; its apt-get gives it back.
const NO_IPTABLES: &str = "mount --bind /dev/null /usr/sbin/iptables; \
    printf '#!/bin/sh\\n[ \"$*\" = \"install iptables\" ] && umount /usr/sbin/iptables\\n' >/run/apt-get; chmod 755 /run/apt-get; \
    mount --bind /run/apt-get /usr/bin/apt-get";
const IPTABLES: &str = "umount /usr/bin/apt-get; umount /usr/sbin/iptables 2>/dev/null || true";

#[rustfmt::skip]
const BROKEN: &[Broken] = &[
    broken("no /var/lib/kubelet", |it| it.unbind("/var/lib/kubelet"), STOPPED,
        &["error: /var/lib/kubelet: not mounted from the host", "ctr: --rootfs-propagation rshared --mount type=bind,src=/var/lib/kubelet,dst=/var/lib/kubelet,options=rbind:rshared:rw"]),
    broken("no /sys/fs/cgroup", |it| it.unbind("/sys/fs/cgroup"), STOPPED,
        &["error: /sys/fs/cgroup: only this container's own cgroups", "src=/sys/fs/cgroup,dst=/sys/fs/cgroup,options=rbind:rw"]),
    broken("no logs", |it| it.unbind("/var/log"), STOPPED,
        &["error: /var/log/pods: not mounted from the host", "warning: /var/log/containers: not mounted from the host", "src=/var/log,dst=/var/log"]),
    broken("no links to logs", only_pod_logs, None,
        &["warning: /var/log/containers: not mounted from the host (links to those logs", "src=/var/log,dst=/var/log"]),
    on_host("mkdir -p /opt/pods; rmdir /var/log/pods; ln -s /opt/pods /var/log/pods", "rm /var/log/pods; mkdir /var/log/pods",
        broken("logs on another disk", |_| (), STOPPED,
            &["error: /var/log/pods: a link to /opt/pods, which is not in this container", "src=/var/log/pods,dst=/var/log/pods"])),
    broken("no /etc/kubernetes", |it| it.unbind("/etc/kubernetes"), STOPPED,
        &["error: /etc/kubernetes: not mounted from the host", "src=/etc/kubernetes,dst=/etc/kubernetes"]),
    broken("no socket of the runtime", |it| it.unbind("/run/containerd"), STOPPED,
        &["error: /run/containerd: not mounted from the host (the runtime's socket)", "src=/run/containerd,dst=/run/containerd"]),
    broken("no storage of the runtime", |it| it.unbind("/var/lib/containerd"), STOPPED,
        &["error: /var/lib/containerd: not mounted from the host", "src=/var/lib/containerd"]),
    on_host("mv /etc/machine-id /run/kept", "mv /run/kept /etc/machine-id",
        broken("no machine id", |_| (), None,
            &["warning: machine id: no 32 hexadecimal digits", "on the host, once: `tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id`"])),
    broken("the image's identity, and no repair wanted", |it| it.env("KUBELET_REPAIR=off"), None,
        &["warning: operating system: Containerized Kubelet (micro), the image's own; the host is Debian", "src=/etc/os-release,dst=/etc/os-release,options=rbind:ro",
          "warning: machine id", "src=/etc/machine-id,dst=/etc/machine-id,options=rbind:ro"]),
    broken("private, and no repair wanted", |it| { private(it); it.env("KUBELET_REPAIR=off"); }, STOPPED,
        &["error: /var/lib/kubelet: its mount is private, not shared with the host; it is not repaired: repairs are switched off (KUBELET_REPAIR=off)", "options=rbind:rshared:rw"]),
    broken("slave, and no repair wanted", |it| { it.bind_from("/var/lib/kubelet", "/var/lib/kubelet", &["rbind", "rslave"]); it.env("KUBELET_REPAIR=off"); }, STOPPED,
        &["its mount is a slave of the host's, not shared with the host", "KUBELET_REPAIR=off"]),
    broken("private, without the host's processes", |it| { private(it); it.own_namespace("pid"); }, STOPPED,
        &["error: pid namespace: this container has one of its own", "ctr: --with-ns pid:/proc/1/ns/pid", "its mount is private, not shared with the host; this cannot be repaired from inside without the host's pid namespace"]),
    prose(broken("a mount of its own below", |it| { private(it); it.bind_from("/etc/hosts", "/var/lib/kubelet/config.yaml", &["bind"]); }, STOPPED,
        &["it is not repaired: /var/lib/kubelet/config.yaml is mounted below it in this container only", "mount it at a path that is not below /var/lib/kubelet"])),
    on_host("mount --bind /var/lib/kubelet /var/lib/kubelet; mount --make-private /var/lib/kubelet", "umount /var/lib/kubelet",
        broken("not shared by the host itself", private, STOPPED,
            &["the host itself shares it with nobody", "on the host, at each of its starts: `mount --make-rshared /var/lib/kubelet`"])),
    broken("no pid=host", |it| it.own_namespace("pid"), STOPPED,
        &["error: pid namespace: this container has one of its own"]),
    broken("no net=host", |it| it.own_namespace("network"), STOPPED,
        &["error: network namespace: this container has one of its own", "ctr: --net-host"]),
    broken("no uts=host", |it| it.own_namespace("uts"), None,
        &["warning: UTS namespace: this container has one of its own", "ctr: --with-ns uts:/proc/1/ns/uts"]),
    broken("a cgroup namespace of its own, and no repair wanted", |it| { it.own_namespace("cgroup"); it.env("KUBELET_REPAIR=off"); }, None,
        &["warning: cgroup namespace: this container has one of its own; it is not repaired: repairs are switched off", "ctr: --with-ns cgroup:/proc/1/ns/cgroup"]),
    broken("unprivileged", |it| {
        for set in ["bounding", "effective", "permitted"] {
            it.list(&format!("/process/capabilities/{set}")).retain(|name| name == "CAP_CHOWN" || name == "CAP_KILL");
        }
    }, STOPPED, &["error: privileges: without CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "ctr: --privileged"]),
    broken("read-only /proc/sys", |it| it.config["linux"]["readonlyPaths"] = json!(["/proc/sys"]), STOPPED,
        &["error: /proc/sys: read-only", "ctr: --privileged"]),
    broken("no /dev/kmsg", |it| it.config["linux"]["devices"] = json!([]), STOPPED,
        &["error: /dev/kmsg: cannot be opened: No such file or directory", "ctr: --privileged"]),
    broken("read-only /var/lib/kubelet", |it| it.bind_from("/var/lib/kubelet", "/var/lib/kubelet", &["rbind", "ro", "rshared"]), STOPPED,
        &["error: /var/lib/kubelet: read-only"]),
    broken("read-only logs", |it| it.bind_from("/var/log", "/var/log", &["rbind", "ro"]), STOPPED,
        &["error: /var/log/pods: read-only", "warning: /var/log/containers: read-only", "src=/var/log,dst=/var/log"]),
    on_host("mount --bind /etc/kubernetes /etc/kubernetes; mount -o remount,bind,ro /etc/kubernetes; mv /var/lib/kubelet/config.yaml /run/kept", "umount /etc/kubernetes; mv /run/kept /var/lib/kubelet/config.yaml",
        prose(broken("read-only on the host", |it| { it.env("KUBELET_WAIT=off"); flag(it, "--kubeconfig=/etc/kubernetes/other.conf"); }, STOPPED,
            &["error: /etc/kubernetes: read-only, as on the host", "on the host: mount something writable at /etc/kubernetes"]))),
    on_host("mount -t tmpfs -o size=16k full /var/log/pods; ! cat /dev/zero 2>/dev/null >/var/log/pods/zero", "umount /var/log/pods",
        prose(broken("full tmpfs", |_| (), STOPPED,
            &["error: /var/log/pods: no free space in its filesystem (tmpfs)", "free some on the host: `df /var/log/pods`"]))),
    on_host("mount -t tmpfs -o nr_inodes=3 full /var/log/pods; ! touch /var/log/pods/a /var/log/pods/b /var/log/pods/c 2>/dev/null", "umount /var/log/pods",
        prose(broken("no inodes", |_| (), STOPPED,
            &["error: /var/log/pods: no free inodes in its filesystem (tmpfs)", "df -i"]))),
    broken("another directory", |it| { it.bind_from("/var/log", "/var/log", &["rbind", "rprivate"]); it.bind_from("/var/lib/containerd", "/var/log/pods", &["rbind"]); }, STOPPED,
        &["error: /var/log/pods: another directory than the host's of this path"]),
    on_host("mv /var/lib/kubelet/config.yaml /run/kept", "mv /run/kept /var/lib/kubelet/config.yaml",
        prose(broken("no configuration", |it| flag(it, "--config=/var/lib/kubelet/config.yaml"), STOPPED,
            &["error: configuration: /var/lib/kubelet/config.yaml cannot be read: No such file or directory", "`kubeadm join` writes it"]))),
    on_host("mv /etc/kubernetes/kubelet.conf /run/kept", "mv /run/kept /etc/kubernetes/kubelet.conf",
        prose(broken("joined no cluster", |_| (), STOPPED,
            &["error: kubeconfig: neither /etc/kubernetes/kubelet.conf nor /etc/kubernetes/bootstrap-kubelet.conf exists", "run `kubeadm join ...`", "KUBELET_STANDALONE=1"]))),
    on_host("mv /etc/kubernetes/kubelet.conf /run/kept; echo x >/etc/kubernetes/bootstrap-kubelet.conf; mv /var/lib/kubelet/config.yaml /run/kept.yaml",
        "mv /run/kept /etc/kubernetes/kubelet.conf; rm /etc/kubernetes/bootstrap-kubelet.conf; mv /run/kept.yaml /var/lib/kubelet/config.yaml",
        prose(broken("a join that is not finished", |it| it.env("KUBELET_WAIT=off"), STOPPED,
            &["error: configuration: /var/lib/kubelet/config.yaml cannot be read", "join is not finished: /etc/kubernetes/bootstrap-kubelet.conf is here, /var/lib/kubelet/config.yaml is not yet"]))),
    prose(broken("no /etc/kubernetes, and no cluster", |it| { it.unbind("/etc/kubernetes"); it.env("KUBELET_STANDALONE=1"); }, None,
        &["the kubelet's server (port 10250) is off"])),
    on_host("echo 'authentication: {x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}}' >>/var/lib/kubelet/config.yaml", "sed -i /clientCAFile/d /var/lib/kubelet/config.yaml",
        prose(broken("no certificate of clients", |_| (), STOPPED,
            &["error: authentication.x509.clientCAFile: /etc/kubernetes/pki/ca.crt does not exist", "make it there"]))),
    on_host("echo 'resolvConf: /run/systemd/resolve/resolv.conf' >>/var/lib/kubelet/config.yaml; mkdir -p /run/systemd/resolve; echo nameserver 192.0.2.1 >/run/systemd/resolve/resolv.conf", "sed -i /resolvConf/d /var/lib/kubelet/config.yaml; rm -r /run/systemd",
        broken("no resolv.conf", |_| (), STOPPED,
            &["error: resolv.conf: /run/systemd/resolve/resolv.conf does not exist", "src=/run/systemd/resolve,dst=/run/systemd/resolve"])),
    on_host("echo 'resolvConf: /run/systemd/resolve/resolv.conf' >>/var/lib/kubelet/config.yaml", "sed -i /resolvConf/d /var/lib/kubelet/config.yaml",
        prose(broken("no resolv.conf on the host either", |_| (), STOPPED,
            &["error: resolv.conf: /run/systemd/resolve/resolv.conf does not exist", "the host has no /run/systemd/resolve/resolv.conf: make it there"]))),
    on_host("mkdir -p /opt/static/pods; echo 'staticPodPath: /opt/static/pods' >>/var/lib/kubelet/config.yaml", "sed -i /staticPodPath/d /var/lib/kubelet/config.yaml",
        broken("static pods that nobody sees", |_| (), None,
            &["warning: staticPodPath: /opt/static/pods is not mounted from the host", "src=/opt/static,dst=/opt/static"])),
    on_host("mkdir -p /run/systemd/system /etc/containerd; echo '  SystemdCgroup = true' >/etc/containerd/config.toml", "rm -r /etc/containerd /run/systemd",
        prose(broken("drivers that differ", |_| (), STOPPED,
            &["error: cgroup driver: cgroupfs, but systemd by /etc/containerd/config.toml", "`cgroupDriver: systemd`"]))),
    on_host("mkdir /etc/containerd; echo '  SystemdCgroup = true' >/etc/containerd/config.toml", "rm -r /etc/containerd",
        prose(broken("a runtime that asks for a systemd that does not run", |_| (), STOPPED,
            &["error: cgroup driver: systemd by /etc/containerd/config.toml on the host, which does not run systemd", "`SystemdCgroup = false` in /etc/containerd/config.toml"]))),
    prose(broken("a driver by flag that cannot work", |it| flag(it, "--cgroup-driver=systemd"), STOPPED,
        &["error: cgroup driver: systemd, and this host does not run systemd", "--cgroup-driver=cgroupfs"])),
    on_host("echo 'cgroupDriver: systemd' >>/var/lib/kubelet/config.yaml", "sed -i /cgroupDriver/d /var/lib/kubelet/config.yaml",
        prose(broken("a driver of the cluster's that cannot work", |_| (), None,
            &["cgroupDriver: systemd is overridden by --cgroup-driver=cgroupfs: this host does not run systemd"]))),
    on_host("mkdir -p /run/systemd/system /run/dbus; echo 'cgroupDriver: systemd' >>/var/lib/kubelet/config.yaml", "rm -r /run/systemd /run/dbus; sed -i /cgroupDriver/d /var/lib/kubelet/config.yaml",
        broken("no systemd", |_| (), STOPPED,
            &["error: /run/systemd: not mounted from the host", "src=/run/systemd,dst=/run/systemd"])),
    on_host("mkdir -p /run/systemd/system /etc/systemd; echo 'shutdownGracePeriod: 1m30s' >>/var/lib/kubelet/config.yaml", "rm -r /run/systemd; sed -i /shutdownGracePeriod/d /var/lib/kubelet/config.yaml",
        broken("nobody waits for pods at a shutdown", |_| (), None,
            &["warning: /etc/systemd: not mounted from the host", "src=/etc/systemd,dst=/etc/systemd,options=rbind:rw"])),
    on_host("mkdir -p /run/systemd/system; echo 'shutdownGracePeriod: 0s' >>/var/lib/kubelet/config.yaml", "rm -r /run/systemd; sed -i /shutdownGracePeriod/d /var/lib/kubelet/config.yaml",
        prose(broken("nobody is to wait for pods at a shutdown", |_| (), None, &[]))),
    on_host("echo 'shutdownGracePeriod: 1m30s' >>/var/lib/kubelet/config.yaml", "sed -i /shutdownGracePeriod/d /var/lib/kubelet/config.yaml",
        prose(broken("nobody could wait for pods without systemd", |_| (), None, &[]))),
    on_host("mv /run/containerd/containerd.sock /run/kept", "mv /run/kept /run/containerd/containerd.sock",
        prose(broken("runtime not running", |_| (), STOPPED,
            &["error: runtime endpoint: /run/containerd/containerd.sock: no such socket", "start the runtime on the host"]))),
    prose(broken("swap", |it| it.bind_from("/etc/swaps", "/proc/swaps", &["bind"]), STOPPED,
        &["error: swap: on", "swapoff -a"])),
    prose(broken("loopback name server", |it| it.bind_from("/etc/resolv-stub.conf", "/etc/resolv.conf", &["bind"]), None,
        &["warning: resolv.conf: /etc/resolv.conf names only 127.0.0.53"])),
    prose(broken("told to start nevertheless", |it| { it.unbind("/var/log"); it.env("KUBELET_PREFLIGHT=warn"); }, None,
        &["error: /var/log/pods: not mounted from the host"])),
    broken("warnings are errors", |it| { only_pod_logs(it); it.env("KUBELET_PREFLIGHT=strict"); }, STOPPED,
        &["warning: /var/log/containers", "the kubelet is not started: 1 of the above"]),
    prose(broken("a mode that is none", |it| it.env("KUBELET_PREFLIGHT=maybe"), Some(USAGE),
        &["KUBELET_PREFLIGHT=maybe: expected on, strict, warn or off"])),
    prose(broken("preflight is off", |it| { it.unbind("/var/log"); it.own_namespace("network"); it.env("KUBELET_PREFLIGHT=off"); }, None, &[])),
    prose(broken("a repair that is none", |it| it.env("KUBELET_REPAIR=maybe"), Some(USAGE),
        &["KUBELET_REPAIR=maybe: expected on, off or host"])),
    broken("podman's mark", |it| { it.own_namespace("network"); it.bind_from("/etc/hosts", "/run/.containerenv", &["bind"]); }, STOPPED,
        &["podman: --network=host"]),
    on_host(NO_IPTABLES, IPTABLES,
        broken("1.24 without iptables", |it| it.env("KUBELET_IMAGE_RELEASE=v1.24.17"), None,
            &["warning: iptables: not found on the host (until Kubernetes 1.24", "`loadBalancerSourceRanges` LETS EVERYBODY IN", "on the host: `apt-get install iptables`"])),
    on_host(NO_IPTABLES, IPTABLES,
        broken("1.26 without iptables", |_| (), None,
            &["warning: iptables: not found on the host (the kubelet keeps neighbours from 127.0.0.1 (CVE-2020-8558)", "makeIPTablesUtilChains: false"])),
    prose(broken("the host's programs are not wanted", |it| it.env("KUBELET_HOST_TOOLS=off"), None,
        &["warning: iptables: the host's is not run: KUBELET_HOST_TOOLS=off", "leave out KUBELET_HOST_TOOLS=off"])),
    // Last: its mount point stays in the root filesystem.
    broken("docker's mark", |it| { it.own_namespace("network"); it.bind_from("/etc/hosts", "/.dockerenv", &["bind"]); }, STOPPED,
        &["docker: --network=host"]),
];

#[test]
fn broken_set_ups_are_explained_and_change_nothing() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    stage.on_host("rm -rf /etc/containerd; printf 'Filename Type Size Used Priority\\n/dev/sda2 partition 1 0 -2\\n' >/etc/swaps; echo nameserver 127.0.0.53 >/etc/resolv-stub.conf")?;
    let mut failures = Vec::new();
    for case in BROKEN {
        stage.on_host(case.setup).context(case.name)?;
        let mut bundle = stage.whole(Style::Ctr);
        // What ctr leaves private is repaired: these are about other things, so all is as it should be at first.
        shared(&mut bundle);
        (case.tweak)(&mut bundle);
        let before = stage.state()?;
        let out = bundle.run(&stage.host, "runc").context(case.name)?;
        let after = stage.state()?;
        let judged = judge(case, &out)
            .and_then(|()| {
                ensure!(before == after, "the host was changed from\n{before}\nto\n{after}");
                Ok(())
            })
            .and_then(|()| if case.prose { Ok(()) } else { follow(&stage, bundle, &out) });
        stage.on_host(case.cleanup).context(case.name)?;
        if let Err(error) = judged {
            failures.push(format!("{}: {error:#}", case.name));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    stage.host.stop()
}

/// Does what was printed; then all has to be well.
fn follow(stage: &Stage, mut bundle: Bundle, out: &cmd::Output) -> Result<()> {
    let advice = advice::printed(&out.stderr);
    ensure!(!advice.is_empty(), "nothing says what to do: {}", out.stderr);
    for piece in &advice {
        piece.apply(&mut bundle, &stage.host)?;
    }
    let again = bundle.run(&stage.host, "runc")?;
    let wrong =
        |line: &&str| line.starts_with("entrypoint: warning: ") || line.starts_with("entrypoint: error: ");
    let wrong: Vec<&str> = again.stderr.lines().filter(wrong).collect();
    ensure!(
        again.code() == Some(0) && again.stdout == "started\n" && wrong.is_empty(),
        "{advice:?} did not repair it: {}\n{}{}",
        again.status,
        again.stdout,
        again.stderr
    );
    Ok(())
}

fn judge(case: &Broken, out: &cmd::Output) -> Result<()> {
    let all = format!("{}\n{}{}", out.status, out.stdout, out.stderr);
    let started = out.stdout == "started\n";
    ensure!(out.code() == Some(case.code.unwrap_or(0)), "another exit code than {:?}: {all}", case.code);
    ensure!(started == case.code.is_none(), "started, or not: {all}");
    // Where nothing is expected, nothing is said.
    ensure!(!case.says.is_empty() || out.stderr.is_empty(), "said something: {all}");
    for words in case.says {
        ensure!(out.stderr.contains(words), "does not say `{words}`: {all}");
    }
    Ok(())
}

#[test]
fn a_whole_set_up_is_silent_in_every_style() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    // crun refuses a cgroup2 with controllers beside cgroups v1, which some machines have.
    stage.on_host("umount /sys/fs/cgroup/unified 2>/dev/null || true")?;
    for (style, runtime) in [(Style::Docker, "runc"), (Style::Docker, "crun"), (Style::Podman, "crun")] {
        let out = stage.whole(style).run(&stage.host, runtime)?;
        assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("started\n", ""), "{style:?} by {runtime}");
    }
    // Without any propagation: one line a repair, and nothing else.
    for runtime in ["runc", "crun"] {
        let out = stage.whole(Style::Ctr).run(&stage.host, runtime)?;
        assert_eq!(out.stdout, "started\n");
        let lines: Vec<&str> = out.stderr.lines().collect();
        ensure!(
            lines.len() == 2
                && lines[0].starts_with("entrypoint: repaired: /var/lib/kubelet: its mount is ")
                && lines[1].starts_with("entrypoint: repaired: /var/lib/containerd: its mount is "),
            "{runtime}: {}",
            out.stderr
        );
    }
    stage.host.stop()
}

/// What is mounted in the container is there on the host, and only with the repair.
/// As docker and podman start it where cgroups are of version 2: nothing is said, and the kubelet is in the host's.
#[test]
fn the_kubelet_is_in_the_hosts_cgroup_namespace() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    for (variables, same) in [
        (&[][..], "the host's\n"),
        (&["KUBELET_PREFLIGHT=off"], "the host's\n"),
        (&["KUBELET_REPAIR=off"], ""),
    ] {
        let mut bundle = stage.whole(Style::Docker);
        bundle.own_namespace("cgroup");
        bundle.env("DO=if [ /proc/self/ns/cgroup -ef /proc/1/ns/cgroup ]; then echo \"the host's\"; fi");
        for variable in variables {
            bundle.env(variable);
        }
        let out = bundle.run(&stage.host, "runc")?;
        assert_eq!(out.stdout, format!("started\n{same}"), "{variables:?}: {}", out.stderr);
        ensure!(out.stderr.is_empty() || same.is_empty(), "{variables:?}: {}", out.stderr);
    }
    stage.host.stop()
}

#[test]
fn a_repaired_mount_is_the_hosts() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    for (variables, seen) in
        [(&["VOLUME=1"][..], true), (&["VOLUME=1", "KUBELET_REPAIR=off", "KUBELET_PREFLIGHT=warn"], false)]
    {
        let mut bundle = stage.whole(Style::Ctr);
        for variable in variables {
            bundle.env(variable);
        }
        let out = bundle.run(&stage.host, "runc")?;
        assert_eq!(out.stdout, "started\n", "{}", out.stderr);
        let mounts = stage.host.mounts_in("/var/lib/kubelet/volume")?;
        assert_eq!(!mounts.is_empty(), seen, "{variables:?}: {mounts:?}\n{}", out.stderr);
        if seen {
            stage.on_host("umount /var/lib/kubelet/volume")?;
        }
    }
    stage.host.stop()
}

#[test]
fn the_command_prints_every_row_and_its_repairs() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let command = |words: &[&str], tweak: fn(&mut Bundle)| -> Result<cmd::Output> {
        let mut bundle = stage.whole(Style::Docker);
        let mut args = vec![json!("/usr/bin/entrypoint"), json!("preflight")];
        args.extend(words.iter().map(|word| json!(word)));
        bundle.config["process"]["args"] = json!(args);
        tweak(&mut bundle);
        bundle.run(&stage.host, "runc")
    };
    let out = command(&["--json", ENDPOINT], |_| ())?;
    let report: serde_json::Value = serde_json::from_str(&out.stdout).with_context(|| out.stdout.clone())?;
    assert_eq!((out.code(), &report["version"], &report["ok"]), (Some(0), &json!(1), &json!(true)));
    let out = command(&["--json", ENDPOINT], |it| it.unbind("/var/log"))?;
    let report: serde_json::Value = serde_json::from_str(&out.stdout)?;
    assert_eq!((out.code(), &report["ok"]), (Some(HOST), &json!(false)));
    let rows = report["rows"].as_array().context("no rows")?;
    let row = rows.iter().find(|row| row["name"] == "/var/log/pods").context("no row")?;
    assert_eq!((&row["status"], &row["repair"]["docker"]), (&json!("error"), &json!("-v /var/log:/var/log")));
    let out = command(&[ENDPOINT], |it| it.unbind("/var/log"))?;
    assert_eq!(out.code(), Some(HOST));
    for words in [
        "pid namespace",
        "  docker     -v /var/log:/var/log",
        "  kubernetes volumes: [",
        "would not start (errors: 1,",
    ] {
        ensure!(out.stdout.contains(words), "{words}:\n{}", out.stdout);
    }
    // It repairs nothing.
    let out = command(&[ENDPOINT], private)?;
    ensure!(out.stdout.contains("repairable /var/lib/kubelet") && out.code() == Some(0), "{}", out.stdout);
    stage.host.stop()
}

/// The table in the README is the one that the program has.
#[test]
fn the_readme_has_the_table_of_mounts() -> Result<()> {
    if skip::without(&["umoci"])? {
        return Ok(());
    }
    let scratch = scratch::dir()?;
    let rootfs = image::unpack(&xtask::layout(ATTR)?, &scratch.path().join("bundle"))?;
    let mut program = std::process::Command::new(rootfs.join("usr/bin/entrypoint"));
    let table = cmd::ok(program.args(["preflight", "--markdown"]))?;
    let readme = fs::read_to_string(root().join("README.md"))?;
    ensure!(
        readme.contains(&table),
        "README.md has not the table of `entrypoint preflight --markdown`:\n{table}"
    );
    Ok(())
}

/// Starting and ending leaves nothing: no mount, no process, no file.
#[test]
fn a_thousand_starts_leave_nothing() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let entrypoint = stage.rootfs.join("usr/bin/entrypoint");
    let script = format!(
        "export PATH={}:$PATH KUBELET_PREFLIGHT=warn; for i in $(seq 1000); do \
         unshare --mount --propagation private {} {ENDPOINT} --root-dir=/var/lib/kubelet 2>&1; done | grep -c 'repaired: /var/lib/kubelet'",
        fast_kubelet(&stage.kubelet)?.display(),
        entrypoint.display()
    );
    let before = (stage.state()?, processes(&stage)?);
    let repaired = stage.on_host(&script)?;
    assert_eq!(repaired, "1000\n");
    // The last of them may still be ending when the script does.
    let same = || Ok((before == (stage.state()?, processes(&stage)?)).then_some(()));
    wait_for("the host's first state", Duration::from_secs(30), same)
        .with_context(|| format!("before: {before:?}, now: {:?}", (stage.state(), processes(&stage))))?;
    stage.host.stop()
}

/// A kubelet that ends at once.
fn fast_kubelet(bin: &Path) -> Result<PathBuf> {
    let dir = bin.join("fast");
    fs::create_dir_all(&dir)?;
    std::os::unix::fs::symlink(skip::which("true").context("no `true`")?, dir.join("kubelet"))?;
    Ok(dir)
}

/// How many processes the host has; those that count not included.
fn processes(stage: &Stage) -> Result<String> {
    stage.on_host("ls /proc | grep -c '^[0-9]'")
}
