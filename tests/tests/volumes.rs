//! Volumes on micro, which has no tools of its own, in a machine with a real process 1: formatted, checked, mounted and grown
//! by the host's programs, NFS by the host's helper.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use progress::Silent;
use store::Store;
use tests::vm::NFS_SERVER;
use tests::{scratch, skip, xtask};
use vm::accel::Accel;
use vm::{Arch, Console, Flavour, Init, Machine, Options, Runtime, System, archive};

const ATTR: &str = "kubelet-v1_26_0-amd64";
const HOST: &str = include_str!("volumes/host.sh");
const POD: &str = include_str!("volumes/pod.yaml");
/// What the machine has from the tests for pods, as the vm library imports it.
const POD_IMAGE: &str = "localhost/busybox:latest";
/// Emulated, on a machine that has other work.
const LONG: Duration = Duration::from_mins(15);

/// A machine whose kubelet is healthy. It ends when it is dropped.
struct Node {
    machine: Machine,
    _files: tempfile::TempDir,
}

impl Node {
    fn start() -> Result<Self> {
        let layout = xtask::layout(ATTR)?;
        let files = scratch::dir()?;
        let store = Store::open(Store::default_root()?)?;
        let flavour = Flavour {
            arch: Arch::Amd64,
            init: Init::Busybox,
            runtime: Runtime::Containerd,
            packages: vec!["nfs-kernel-server".to_owned()],
        };
        let system = System::of(&flavour, &store, &Silent)?;
        let packed = files.path().join("image.tar");
        let names = archive::pack(&layout, Arch::Amd64, &std::fs::File::create(&packed)?)?;
        ensure!(names.len() == 1, "{names:?}");
        let accel = Accel::find(&system, &store, &Silent)?;
        let console = Console::Log(files.path().join("console.log"));
        let options = Options { images: vec![packed], ..Options::new(accel, console) };
        drop(store);
        let mut machine = Machine::boot(&system, &options)?;
        machine.wait_runtime(Runtime::Containerd)?;
        machine.import(Runtime::Containerd, 0)?;
        machine.ok(&format!("set -e\n{NFS_SERVER}"), LONG).context("a server of NFS")?;
        machine.ok(&HOST.replace("IMAGE", &names[0]), LONG)?;
        Ok(Self { machine, _files: files })
    }

    /// Runs a line in the kubelet's container, with the PATH that the entrypoint gives.
    fn inside(&mut self, id: &str, words: &str) -> Result<String> {
        let line = format!("ctr task exec --exec-id {id} kubeletd /usr/bin/entrypoint {words}");
        self.machine.ok(&line, LONG)
    }

    /// Runs a line on the host until it ends well.
    fn until(&mut self, what: &str, line: &str) -> Result<()> {
        let script = format!(
            "for i in $(seq 300); do {line} && exit 0; sleep 1; done; tail -n 60 /var/log/kubelet.log; exit 1"
        );
        self.machine.ok(&script, LONG).map(drop).with_context(|| what.to_owned())
    }
}

/// The calls of k8s.io/mount-utils and of volumes of `volumeMode: Block`, compiled.
fn mount_utils(out: &Path) -> Result<bool> {
    let source = tests::root().join("images/entrypoint/tests/mount_utils");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(out).arg(".").current_dir(source);
    go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly -buildvcs=false");
    let built = go.output()?;
    let why = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success() || why.contains("dial tcp"), "{why}");
    Ok(built.status.success())
}

#[test]
fn volumes_of_every_kind_by_the_hosts_programs() -> Result<()> {
    if skip::unless_full("volumes in a virtual machine: some minutes")
        || skip::without(&["qemu-system-x86_64", "mmdebstrap", "go"])?
    {
        return Ok(());
    }
    let program = scratch::dir()?;
    let program = program.path().join("mount_utils");
    if !mount_utils(&program)? {
        return skip::for_want_of("Go's modules");
    }
    let mut node = Node::start()?;

    // What the kubelet does with a block device, and with NFS.
    node.machine.put(&std::fs::read(program)?, 0o755, "/var/lib/kubelet/mount_utils")?;
    node.machine.ok("mkdir /var/lib/kubelet/test; truncate -s 32M /var/lib/kubelet/device", LONG)?;
    let words = "/var/lib/kubelet/mount_utils /var/lib/kubelet/test /var/lib/kubelet/device 127.0.0.1:/";
    let said = node.inside("volumes", words)?;
    ensure!(
        said.trim()
            == "attached\nformatted once: kept\nresized: true true, then false, grown true\next4 as xfs: true\nNFS\ndone",
        "{said}"
    );
    let left = node
        .machine
        .ok("cat /srv/export/data; ! grep /var/lib/kubelet/test /proc/mounts; losetup -a", LONG)?;
    ensure!(left.trim() == "over NFS", "{left}");

    // The kubelet itself, for a pod.
    node.machine.put(
        POD.replace("POD_IMAGE", POD_IMAGE).as_bytes(),
        0o644,
        "/etc/kubernetes/manifests/writer.yaml",
    )?;
    node.until("the pod writes to its volume", "grep -qx 'from the pod' /srv/export/file 2>/dev/null")?;
    node.machine.ok("grep ' nfs4 ' /proc/mounts | grep -q /var/lib/kubelet/pods/", LONG)?;
    node.machine.ok("rm /etc/kubernetes/manifests/writer.yaml", LONG)?;
    node.until("the volume is unmounted on the host", "! grep -q /var/lib/kubelet/pods/ /proc/mounts")?;

    // The rules are in the host's iptables, by the host's program.
    let (inside, outside) =
        (node.inside("version", "iptables --version")?, node.machine.ok("iptables --version", LONG)?);
    ensure!(inside == outside && inside.starts_with("iptables v"), "{inside} {outside}");
    node.machine.ok("iptables-save -t mangle | grep -q KUBE-IPTABLES-HINT", LONG)?;
    Ok(())
}
