//! Hosts whose directories are links, disks of their own, private or read-only: pods keep their volumes over restarts of
//! the kubelet's container, and nothing on the host is changed but by its wish. Real mounts and namespaces by runc.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::advice;
use tests::bundle::{Bundle, Style};
use tests::cmd::Output;
use tests::stage::{Stage, shared};

/// One way in which a host has the kubelet's directory.
struct Layout {
    name: &'static str,
    /// Done on a host that has a plain directory.
    setup: &'static str,
    /// Where the kubelet has it.
    root_dir: &'static str,
    flag: Option<&'static str>,
}

const fn layout(name: &'static str, setup: &'static str) -> Layout {
    Layout { name, setup, root_dir: "/var/lib/kubelet", flag: None }
}

const LAYOUTS: [Layout; 7] = [
    layout("a plain directory", "true"),
    layout(
        "a link to a directory of the same filesystem",
        "mv /var/lib/kubelet /var/lib/elsewhere; ln -s elsewhere /var/lib/kubelet",
    ),
    layout(
        "a link to another disk",
        "mkdir /opt/disk; mount -t tmpfs disk /opt/disk; mv /var/lib/kubelet /opt/disk/; ln -s /opt/disk/kubelet /var/lib/kubelet",
    ),
    layout(
        "a link to a link in a linked directory",
        "mkdir /opt/disk; mount -t tmpfs disk /opt/disk; mkdir /opt/disk/deep; mv /var/lib/kubelet /opt/disk/deep/; \
         ln -s /opt/disk/deep /opt/way; ln -s ../way/kubelet /opt/disk/link; ln -s /opt/disk/link /var/lib/kubelet",
    ),
    layout(
        "a disk of its own",
        "mv /var/lib/kubelet /opt/kept; mkdir /var/lib/kubelet; mount -t tmpfs disk /var/lib/kubelet; cp -a /opt/kept/. /var/lib/kubelet/",
    ),
    layout(
        "a bind mount",
        "mkdir -p /opt/disk/other; mv /var/lib/kubelet /opt/disk/; mkdir /var/lib/kubelet; mount --bind /opt/disk/kubelet /var/lib/kubelet",
    ),
    Layout {
        name: "a directory by --root-dir",
        setup: "mkdir /opt/kubelet",
        root_dir: "/opt/kubelet",
        flag: Some("--root-dir=/opt/kubelet/"),
    },
];

/// What a kubelet leaves mounted: volumes in memory, a subPath of one, and many more.
const MAKE: &str = "\
    mkdir -p $AT/pods/a/volume $AT/pods/a/subpath; \
    mount -t tmpfs volume $AT/pods/a/volume; mkdir $AT/pods/a/volume/sub; echo kept >$AT/pods/a/volume/sub/file; \
    mount --bind $AT/pods/a/volume/sub $AT/pods/a/subpath; \
    for i in $(seq 100); do mkdir -p $AT/pods/$i; mount -t tmpfs many $AT/pods/$i || exit; done; \
    cat $AT/pods/a/subpath/file";
const LOOK: &str = "cat $AT/pods/a/subpath/file";
const UNMOUNT: &str = "umount $AT/pods/a/subpath && umount $AT/pods/a/volume && for i in $(seq 100); do umount $AT/pods/$i || exit; done; echo gone";

fn with(stage: &Stage, style: Style, layout: &Layout, script: &str) -> Bundle {
    let mut bundle = stage.whole(style);
    bundle.env(&format!("AT={}", layout.root_dir));
    bundle.env(&format!("DO={script}"));
    if let Some(flag) = layout.flag {
        bundle.bind(layout.root_dir, true);
        // Of the usual place the configuration is still wanted.
        bundle.list("/process/args").push(json!(flag));
    }
    bundle
}

/// What was said that is not a repair.
fn complaints(out: &Output) -> Vec<&str> {
    out.stderr.lines().filter(|line| !line.starts_with("entrypoint: repaired: ")).collect()
}

#[test]
fn pods_keep_their_volumes_wherever_the_directory_is() -> Result<()> {
    for layout in &LAYOUTS {
        let Some(stage) = Stage::new()? else { return Ok(()) };
        stage.on_host(layout.setup).context(layout.name)?;
        let real = stage.on_host(&format!("readlink -f {}", layout.root_dir))?;
        let mounted = |count: usize| -> Result<()> {
            let found = stage.host.mounts_in(&format!("{}/pods", real.trim()))?;
            ensure!(found.len() == count, "{}: not {count} volumes on the host: {found:?}", layout.name);
            Ok(())
        };
        // Without any propagation, which is repaired, and with all of it.
        for (style, script, says) in [
            (Style::Ctr, MAKE, "kept"),
            (Style::Ctr, LOOK, "kept"),
            (Style::Docker, LOOK, "kept"),
            (Style::Ctr, UNMOUNT, "gone"),
        ] {
            let runtime = if style == Style::Docker { "crun" } else { "runc" };
            stage.on_host("umount /sys/fs/cgroup/unified 2>/dev/null || true")?;
            let out = with(&stage, style, layout, script).run(&stage.host, runtime)?;
            let repaired = out.stderr.contains(&format!("entrypoint: repaired: {}", layout.root_dir));
            ensure!(
                out.code() == Some(0)
                    && out.stdout == format!("started\n{says}\n")
                    && complaints(&out).is_empty()
                    && repaired == (style == Style::Ctr),
                "{}, {style:?}, {script}: {}\n{}{}",
                layout.name,
                out.status,
                out.stdout,
                out.stderr
            );
            mounted(if script == UNMOUNT { 0 } else { 102 })?;
        }
        stage.host.stop()?;
    }
    Ok(())
}

/// A host whose init left everything private: the kubelet is not started, and what to do is said and does it; or it is
/// done from inside, if the user wants that.
#[test]
fn a_host_that_shares_nothing_is_changed_only_if_it_is_allowed() -> Result<()> {
    for layout in [&LAYOUTS[0], &LAYOUTS[2], &LAYOUTS[4]] {
        for allowed in [false, true] {
            let Some(stage) = Stage::new()? else { return Ok(()) };
            stage.on_host(layout.setup).context(layout.name)?;
            stage.on_host("mount --make-rprivate /")?;
            let context = || format!("{}, allowed: {allowed}", layout.name);
            let before = stage.state()?;
            let mut bundle = with(&stage, Style::Ctr, layout, MAKE);
            if allowed {
                bundle.env("KUBELET_REPAIR=host");
            } else {
                let out = bundle.run(&stage.host, "runc")?;
                let said = &out.stderr;
                ensure!(out.code() == Some(69) && out.stdout.is_empty(), "{}: {}", context(), out.stdout);
                ensure!(
                    said.contains("error: /var/lib/kubelet: its mount is private, not shared with the host; the host itself shares it with nobody")
                        // Nothing is mounted in the runtime's storage, so that is as good as it is.
                        && !said.contains("/var/lib/containerd"),
                    "{}: {said}",
                    context()
                );
                assert_eq!(before, stage.state()?, "{}", context());
                for piece in advice::printed(said) {
                    piece.apply(&mut bundle, &stage.host)?;
                }
            }
            // A second time it is shared.
            for script in [MAKE, LOOK] {
                bundle.env(&format!("DO={script}"));
                let out = bundle.run(&stage.host, "runc")?;
                ensure!(
                    out.stdout == "started\nkept\n" && complaints(&out).is_empty(),
                    "{}: {}{}",
                    context(),
                    out.stdout,
                    out.stderr
                );
                let volume = stage.on_host("cat /var/lib/kubelet/pods/a/volume/sub/file")?;
                assert_eq!(volume, "kept\n", "{}", context());
            }
            stage.host.stop()?;
        }
    }
    Ok(())
}

/// A way to start a container: its name, what it changes.
type Tweak = (&'static str, fn(&mut Bundle));

/// Makes the kernel one of before Linux 5.2: it does not know these calls.
fn old_kernel(bundle: &mut Bundle) {
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{
            "names": ["openat2", "open_tree", "move_mount", "mount_setattr", "fsopen"],
            "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
        }],
    });
}

/// The node is called what the host is, and has its id, without a mount for it; nothing of that is on the host or in the
/// image afterwards.
#[test]
fn a_node_says_what_its_host_is() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let tweaks: [Tweak; 6] = [
        ("as it is", |_| ()),
        ("read-only root", |it| it.config["root"]["readonly"] = json!(true)),
        ("shared root", shared),
        ("old kernel", |it| {
            shared(it);
            old_kernel(it);
        }),
        ("a /tmp of its own", |it| it.bind_from("/opt", "/tmp", &["rbind", "rshared"])),
        ("preflight off", |it| it.env("KUBELET_PREFLIGHT=off")),
    ];
    // Links as distributions have them; an id where only D-Bus has it.
    for setup in [
        "true",
        "rm /etc/os-release; mkdir -p /etc/static; echo 'PRETTY_NAME=\"A Test\"' >/opt/os; ln -s /opt/os /etc/static/os-release; ln -s /etc/static/os-release /etc/os-release",
        "rm /etc/os-release; echo PRETTY_NAME=Buildroot >/etc/os-release; mkdir -p /var/lib/dbus; mv /etc/machine-id /var/lib/dbus/; echo uninitialized >/etc/machine-id",
    ] {
        stage.on_host(setup)?;
        let name = stage.on_host("cat /etc/os-release")?;
        for (what, tweak) in tweaks {
            let mut bundle = stage.whole(Style::Ctr);
            bundle.env("DO=cat /etc/os-release /etc/machine-id; ls /tmp | grep copy; echo x 2>/dev/null >/etc/os-release && echo written");
            tweak(&mut bundle);
            let before = stage.state()?;
            let out = bundle.run(&stage.host, "runc")?;
            let expected = format!("started\n{name}0123456789abcdef0123456789abcdef\n");
            ensure!(
                out.stdout == expected && complaints(&out).is_empty(),
                "{what}, {setup}: {}\n{}",
                out.stdout,
                out.stderr
            );
            assert_eq!(before, stage.state()?, "{what}, {setup}");
            let image = fs::read_to_string(stage.rootfs.join("etc/os-release"))?;
            ensure!(image.contains("ID=containerized-kubelet"), "{what}: the image has {image}");
        }
    }
    // What a user mounts is taken as it is.
    let mut bundle = stage.whole(Style::Docker);
    stage.on_host("echo PRETTY_NAME=Mine >/opt/mine")?;
    bundle.bind_from("/opt/mine", "/etc/os-release", &["bind"]);
    bundle.env("DO=cat /etc/os-release");
    let out = bundle.run(&stage.host, "runc")?;
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("started\nPRETTY_NAME=Mine\n", ""));
    stage.host.stop()
}

/// In a container whose root is read-only all is well, with the directories that the kubelet looks for in it.
#[test]
fn the_containers_root_may_be_read_only() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    // The kubelet makes them on the host.
    stage.on_host("rmdir /var/log/pods")?;
    for style in [Style::Docker, Style::Ctr] {
        let mut bundle = stage.whole(style);
        bundle.config["root"]["readonly"] = json!(true);
        bundle.env("DO=ls -d /usr/libexec/kubernetes/kubelet-plugins/volume/exec; touch /x 2>/dev/null || echo read-only; readlink /var/run");
        let out = bundle.run(&stage.host, "runc")?;
        let expected = "started\n/usr/libexec/kubernetes/kubelet-plugins/volume/exec\nread-only\n../run\n";
        ensure!(
            out.stdout == expected && complaints(&out).is_empty(),
            "{style:?}: {}{}",
            out.stdout,
            out.stderr
        );
    }
    stage.host.stop()
}

/// Where `/run/...` is mounted, a configuration may call it `/var/run/...`.
#[test]
fn var_run_is_run() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let mut bundle = stage.whole(Style::Docker);
    let args = bundle.list("/process/args");
    args.retain(|word| !word.as_str().is_some_and(|word| word.starts_with("--container-runtime-endpoint")));
    args.push(json!("--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock"));
    let out = bundle.run(&stage.host, "runc")?;
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("started\n", ""));
    stage.host.stop()
}
