//! What a container lacks is said before the kubelet starts, with what repairs it; and nothing on the host is changed.
//! Real mounts and namespaces by runc; the kubelet is a script that says that it was started.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::bundle::{self, Bundle, Style, stand_in_kubelet};
use tests::host::Host;
use tests::{cmd, host, image, root, scratch, skip, wait_for, xtask};

const ATTR: &str = "kubelet-v1_26_0-micro-amd64";
/// Says that it runs, and mounts a volume as the kubelet does.
const KUBELET: &str = "echo started; [ -z \"$VOLUME\" ] || mount -t tmpfs volume /var/lib/kubelet/volume";
const ENDPOINT: &str = "--container-runtime-endpoint=unix:///run/containerd/containerd.sock";
/// Exit codes that docs/running.md documents.
const USAGE: i32 = 64;
const HOST: i32 = 69;

/// A host on which all is well, and an unpacked image.
struct Stage {
    host: Host,
    rootfs: PathBuf,
    kubelet: PathBuf,
    _socket: UnixListener,
    _scratch: tempfile::TempDir,
}

impl Stage {
    fn new() -> Result<Option<Self>> {
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

    /// A container that has all that it needs.
    fn whole(&self, style: Style) -> Bundle {
        let mut bundle = Bundle::new(style, &self.rootfs, &self.host.cgroup(), &[ENDPOINT]);
        for path in
            ["/sys/fs/cgroup", "/var/log/pods", "/etc/kubernetes", "/etc/machine-id", "/run/containerd"]
        {
            bundle.bind(path, false);
        }
        for path in ["/var/lib/kubelet", "/var/lib/containerd"] {
            bundle.bind(path, true);
        }
        bundle.bind_from(&self.kubelet.to_string_lossy(), "/stand-in", &["rbind"]);
        bundle.list("/process/env")[0] = json!("PATH=/stand-in:/usr/bin");
        bundle
    }

    fn on_host(&self, script: &str) -> Result<String> {
        cmd::ok(self.host.command("sh").args(["-ec", script]))
    }

    /// All that there is on the host where a container could have changed it: mounts, and files with their content.
    fn state(&self) -> Result<String> {
        self.on_host(
            "cut -d ' ' -f 3- /proc/self/mountinfo | sed 's/ - .*//'; \
             find /etc/kubernetes /etc/cni /opt /var/lib /var/log/pods /run/containerd -xdev -printf '%p %m %s %T@ %l\\n' | sort; \
             cat /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic",
        )
    }
}

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
}

const fn broken(
    name: &'static str,
    tweak: fn(&mut Bundle),
    code: Option<i32>,
    says: &'static [&'static str],
) -> Broken {
    Broken { name, setup: "true", cleanup: "true", tweak, code, says }
}

const fn on_host(setup: &'static str, cleanup: &'static str, case: Broken) -> Broken {
    Broken { setup, cleanup, ..case }
}

fn private(bundle: &mut Bundle) {
    bundle.bind_from("/var/lib/kubelet", "/var/lib/kubelet", &["rbind", "rprivate"]);
}

fn flag(bundle: &mut Bundle, flag: &str) {
    bundle.list("/process/args").push(json!(flag));
}

const STOPPED: Option<i32> = Some(HOST);

#[rustfmt::skip]
const BROKEN: &[Broken] = &[
    broken("no /var/lib/kubelet", |it| it.unbind("/var/lib/kubelet"), STOPPED,
        &["error: /var/lib/kubelet: not mounted from the host", "ctr: --rootfs-propagation rshared --mount type=bind,src=/var/lib/kubelet,dst=/var/lib/kubelet,options=rbind:rshared:rw"]),
    broken("no /sys/fs/cgroup", |it| it.unbind("/sys/fs/cgroup"), STOPPED,
        &["error: /sys/fs/cgroup: only this container's own cgroups", "src=/sys/fs/cgroup,dst=/sys/fs/cgroup,options=rbind:rw"]),
    broken("no /var/log/pods", |it| it.unbind("/var/log/pods"), STOPPED,
        &["error: /var/log/pods: not mounted from the host", "src=/var/log/pods,dst=/var/log/pods"]),
    broken("no /etc/kubernetes", |it| it.unbind("/etc/kubernetes"), STOPPED,
        &["error: /etc/kubernetes: not mounted from the host", "src=/etc/kubernetes,dst=/etc/kubernetes"]),
    broken("no socket of the runtime", |it| it.unbind("/run/containerd"), STOPPED,
        &["error: /run/containerd: not mounted from the host (the runtime's socket)", "src=/run/containerd,dst=/run/containerd"]),
    broken("no storage of the runtime", |it| it.unbind("/var/lib/containerd"), STOPPED,
        &["error: /var/lib/containerd: not mounted from the host", "src=/var/lib/containerd"]),
    broken("no machine id", |it| it.unbind("/etc/machine-id"), None,
        &["warning: machine id: no 32 hexadecimal digits", "src=/etc/machine-id,dst=/etc/machine-id,options=rbind:ro"]),
    broken("private, and no repair wanted", |it| { private(it); it.env("KUBELET_REPAIR=off"); }, STOPPED,
        &["error: /var/lib/kubelet: its mount is private, not shared with the host; it is not repaired: repairs are switched off (KUBELET_REPAIR=off)", "options=rbind:rshared:rw"]),
    broken("slave, and no repair wanted", |it| { it.bind_from("/var/lib/kubelet", "/var/lib/kubelet", &["rbind", "rslave"]); it.env("KUBELET_REPAIR=off"); }, STOPPED,
        &["its mount is a slave of the host's, not shared with the host", "KUBELET_REPAIR=off"]),
    broken("private, without the host's processes", |it| { private(it); it.own_namespace("pid"); }, STOPPED,
        &["error: pid namespace: this container has one of its own", "ctr: --with-ns pid:/proc/1/ns/pid", "its mount is private, not shared with the host; this cannot be repaired from inside without the host's pid namespace"]),
    broken("a mount of its own below", |it| { private(it); it.bind_from("/etc/hosts", "/var/lib/kubelet/config.yaml", &["bind"]); }, STOPPED,
        &["it is not repaired: /var/lib/kubelet/config.yaml is mounted below it in this container only"]),
    on_host("mount --bind /var/lib/kubelet /var/lib/kubelet; mount --make-private /var/lib/kubelet", "umount /var/lib/kubelet",
        broken("not shared by the host itself", private, STOPPED,
            &["the host itself shares it with nobody", "on the host: mount --bind /var/lib/kubelet /var/lib/kubelet && mount --make-rshared /var/lib/kubelet"])),
    broken("no pid=host", |it| it.own_namespace("pid"), STOPPED,
        &["error: pid namespace: this container has one of its own"]),
    broken("no net=host", |it| it.own_namespace("network"), STOPPED,
        &["error: network namespace: this container has one of its own", "ctr: --net-host"]),
    broken("no uts=host", |it| it.own_namespace("uts"), None,
        &["warning: UTS namespace: this container has one of its own", "ctr: --with-ns uts:/proc/1/ns/uts"]),
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
    broken("read-only /var/log/pods", |it| it.bind_from("/var/log/pods", "/var/log/pods", &["rbind", "ro"]), STOPPED,
        &["error: /var/log/pods: read-only"]),
    on_host("mount -t tmpfs -o size=16k full /var/log/pods; ! cat /dev/zero 2>/dev/null >/var/log/pods/zero", "umount /var/log/pods",
        broken("full tmpfs", |_| (), STOPPED,
            &["error: /var/log/pods: no free space in its filesystem (tmpfs)", "free some on the host: `df /var/log/pods`"])),
    on_host("mount -t tmpfs -o nr_inodes=3 full /var/log/pods; ! touch /var/log/pods/a /var/log/pods/b /var/log/pods/c 2>/dev/null", "umount /var/log/pods",
        broken("no inodes", |_| (), STOPPED,
            &["error: /var/log/pods: no free inodes in its filesystem (tmpfs)", "df -i"])),
    broken("another directory", |it| it.bind_from("/var/lib/containerd", "/var/log/pods", &["rbind"]), STOPPED,
        &["error: /var/log/pods: another directory than the host's of this path"]),
    on_host("mv /var/lib/kubelet/config.yaml /run/kept", "mv /run/kept /var/lib/kubelet/config.yaml",
        broken("no configuration", |it| flag(it, "--config=/var/lib/kubelet/config.yaml"), STOPPED,
            &["error: configuration: /var/lib/kubelet/config.yaml cannot be read: No such file or directory", "`kubeadm join` writes it"])),
    on_host("mv /etc/kubernetes/kubelet.conf /run/kept", "mv /run/kept /etc/kubernetes/kubelet.conf",
        broken("joined no cluster", |_| (), STOPPED,
            &["error: kubeconfig: neither /etc/kubernetes/kubelet.conf nor /etc/kubernetes/bootstrap-kubelet.conf exists", "run `kubeadm join ...`"])),
    on_host("echo 'authentication: {x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}}' >>/var/lib/kubelet/config.yaml", "sed -i /clientCAFile/d /var/lib/kubelet/config.yaml",
        broken("no certificate of clients", |_| (), STOPPED,
            &["error: authentication.x509.clientCAFile: /etc/kubernetes/pki/ca.crt does not exist", "make it there"])),
    on_host("echo 'resolvConf: /run/systemd/resolve/resolv.conf' >>/var/lib/kubelet/config.yaml", "sed -i /resolvConf/d /var/lib/kubelet/config.yaml",
        broken("no resolv.conf", |_| (), STOPPED,
            &["error: resolv.conf: /run/systemd/resolve/resolv.conf does not exist", "src=/run/systemd/resolve,dst=/run/systemd/resolve"])),
    on_host("echo 'staticPodPath: /srv/pods' >>/var/lib/kubelet/config.yaml", "sed -i /staticPodPath/d /var/lib/kubelet/config.yaml",
        broken("static pods that nobody sees", |_| (), None,
            &["warning: staticPodPath: /srv/pods is not mounted from the host", "src=/srv,dst=/srv"])),
    on_host("mkdir /etc/containerd; echo '  SystemdCgroup = true' >/etc/containerd/config.toml", "rm -r /etc/containerd",
        broken("drivers that differ", |_| (), STOPPED,
            &["error: cgroup driver: cgroupfs, but systemd by /etc/containerd/config.toml", "`cgroupDriver: systemd`"])),
    on_host("echo 'cgroupDriver: systemd' >>/var/lib/kubelet/config.yaml", "sed -i /cgroupDriver/d /var/lib/kubelet/config.yaml",
        broken("no systemd", |_| (), STOPPED,
            &["error: /run/systemd: not mounted from the host", "src=/run/systemd,dst=/run/systemd"])),
    on_host("mv /run/containerd/containerd.sock /run/kept", "mv /run/kept /run/containerd/containerd.sock",
        broken("runtime not running", |_| (), STOPPED,
            &["error: runtime endpoint: /run/containerd/containerd.sock: no such socket", "start the runtime on the host"])),
    broken("swap", |it| it.bind_from("/etc/swaps", "/proc/swaps", &["bind"]), STOPPED,
        &["error: swap: on", "swapoff -a"]),
    broken("loopback name server", |it| it.bind_from("/etc/resolv-stub.conf", "/etc/resolv.conf", &["bind"]), None,
        &["warning: resolv.conf: /etc/resolv.conf names only 127.0.0.53"]),
    broken("told to start nevertheless", |it| { it.unbind("/var/log/pods"); it.env("KUBELET_PREFLIGHT=warn"); }, None,
        &["error: /var/log/pods: not mounted from the host"]),
    broken("warnings are errors", |it| { it.unbind("/etc/machine-id"); it.env("KUBELET_PREFLIGHT=strict"); }, STOPPED,
        &["warning: machine id", "the kubelet is not started: 1 of the above"]),
    broken("a mode that is none", |it| it.env("KUBELET_PREFLIGHT=maybe"), Some(USAGE),
        &["KUBELET_PREFLIGHT=maybe: expected on, strict, warn or off"]),
    broken("podman's mark", |it| { it.own_namespace("network"); it.bind_from("/etc/hosts", "/run/.containerenv", &["bind"]); }, STOPPED,
        &["podman: --network=host"]),
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
        stage.on_host(case.cleanup).context(case.name)?;
        if let Err(error) = judge(case, &out).and_then(|()| {
            ensure!(before == after, "the host was changed from\n{before}\nto\n{after}");
            Ok(())
        }) {
            failures.push(format!("{}: {error:#}", case.name));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    stage.host.stop()
}

fn judge(case: &Broken, out: &cmd::Output) -> Result<()> {
    let all = format!("{}\n{}{}", out.status, out.stdout, out.stderr);
    let started = out.stdout == "started\n";
    ensure!(out.code() == Some(case.code.unwrap_or(0)), "another exit code than {:?}: {all}", case.code);
    ensure!(started == case.code.is_none(), "started, or not: {all}");
    for words in case.says {
        ensure!(out.stderr.contains(words), "does not say `{words}`: {all}");
    }
    Ok(())
}

/// A root and mounts that share with the host, as `ctr run --rootfs-propagation rshared` gives with `rbind:rshared`.
fn shared(bundle: &mut Bundle) {
    bundle.config["linux"]["rootfsPropagation"] = json!("rshared");
    for path in ["/var/lib/kubelet", "/var/lib/containerd"] {
        bundle.bind_from(path, path, &["rbind", "rshared"]);
    }
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
    let out = command(&["--json", ENDPOINT], |it| it.unbind("/var/log/pods"))?;
    let report: serde_json::Value = serde_json::from_str(&out.stdout)?;
    assert_eq!((out.code(), &report["ok"]), (Some(HOST), &json!(false)));
    let rows = report["rows"].as_array().context("no rows")?;
    let row = rows.iter().find(|row| row["name"] == "/var/log/pods").context("no row")?;
    assert_eq!(
        (&row["status"], &row["repair"]["docker"]),
        (&json!("error"), &json!("-v /var/log/pods:/var/log/pods"))
    );
    let out = command(&[ENDPOINT], |it| it.unbind("/var/log/pods"))?;
    assert_eq!(out.code(), Some(HOST));
    for words in [
        "pid namespace",
        "  docker     -v /var/log/pods:/var/log/pods",
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
    let start = std::time::Instant::now();
    let repaired = stage.on_host(&script)?;
    ensure!(start.elapsed().as_secs() < 300, "1,000 starts took {} s", start.elapsed().as_secs());
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
