//! A stand-in host: mount, pid, network and UTS namespaces of its own, in which containerd and the kubelet find
//! the paths of a real one. Everything they write is on tmpfs, and ends with the host's PID 1.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};

use crate::{cgroups, cmd, holder, wait_every, wait_to_the_end};

/// The programs that a stand-in host needs.
pub const PROGRAMS: [&str; 6] = ["unshare", "nsenter", "ip", "bash", "busybox", "tar"];

/// How long an HTTP server may take for a part of its answer.
const HTTP_LIMIT: Duration = Duration::from_secs(5);

/// How often it is looked whether a host has ended.
const END_PAUSE: Duration = Duration::from_millis(100);

/// Who has a host holds the lock of this file: the same one whatever temporary directory somebody has.
const ALONE: &str = "/run/kubelet-images-host.lock";
/// How long others may have theirs, one after the other.
const LONG: Duration = Duration::from_hours(6);

/// What PID 1 does: makes the host, says so, and stays until its standard input is closed, which happens at the
/// latest when the test's process ends.
///
/// `/` is shared, as it is on every host that systemd or an ordinary init booted: without that no mount made by
/// the kubelet's container can be seen outside it.
const INIT: &str = r#"
set -eu
# /run last: what is mounted over it hides the network and containerd of the real host.
mount -t tmpfs -o mode=755 etc /mnt
cp -a /etc/. /mnt/
mount --move /mnt /etc
for at in /var/lib /var/log /opt /run; do mount -t tmpfs -o mode=755 tmpfs $at; done
mkdir -p /var/lib/kubelet /var/lib/containerd /var/log/pods /run/containerd /etc/kubernetes /etc/cni/net.d
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
# With its own name in it: the kubelet looks that up, and no name server answers here.
printf "127.0.0.1 localhost\n192.0.2.10 node\n" > /etc/hosts
rm -f /etc/resolv.conf
echo "nameserver 192.0.2.1" > /etc/resolv.conf
mount --make-rshared /
echo node > /proc/sys/kernel/hostname
ip link set lo up
ip link add uplink type veth peer name cable
ip address add 192.0.2.10/24 dev uplink
ip link set uplink up
ip link set cable up
ip route add default via 192.0.2.1
echo ready
while read -r _; do :; done
"#;

/// Ends when dropped. Only one at a time on a machine: they share its cgroups and its page cache.
#[derive(Debug)]
pub struct Host {
    unshare: Child,
    init: i32,
    cgroup: String,
    /// Is this cgroup the root of the hierarchies that the host sees?
    confined: bool,
    _alone: File,
}

impl Host {
    /// Starts one; waits while another process has one, a test for instance.
    pub fn start() -> Result<Self> {
        let alone = File::create(ALONE).with_context(|| format!("cannot make {ALONE}"))?;
        wait_every(END_PAUSE, "end of another process's host", LONG, || match alone.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("waiting for another process's host"),
        })?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--uts", "--fork", "--mount-proc", "--kill-child=KILL"]);
        // A terminal's Ctrl-C is ours to answer.
        command.process_group(0);
        let unshare = holder::start(command.args(["bash", "-c", INIT]), "stand-in host")?;
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let init = fs::read_to_string(children)?.trim().parse().context("no PID 1 under unshare")?;
        let cgroup = format!("kubelet-images-test-{}", std::process::id());
        let host = Self { unshare, init, cgroup, confined: false, _alone: alone };
        cgroups::make(&host.cgroup)?.iter().try_for_each(|dir| cgroups::hand_down(dir))?;
        Ok(host)
    }

    /// A program to run on the host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.init.to_string();
        command.args(["--target", &target, "--mount", "--pid", "--net", "--uts", "--"]).arg(program);
        command
    }

    /// A socket that listens on an address of the host's.
    pub fn listen(&self, address: &str) -> Result<TcpListener> {
        self.in_network(|| TcpListener::bind(address).with_context(|| format!("listening on {address}")))
    }

    /// The words before a command line that is to run on the host in this directory.
    pub fn entered(&self, dir: &Path) -> Vec<OsString> {
        // Entering a mount namespace leaves the directory, so it is entered again.
        let command = self.command("sh");
        let words = [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_owned);
        let script = ["-c", "cd \"$1\"; shift; exec \"$@\"", "sh"].map(OsString::from);
        words.chain(script).chain([dir.as_os_str().to_owned()]).collect()
    }

    /// Where a path of the host is for our own file operations.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// The cgroup in which all of the host's containers are, relative to the root of each hierarchy that the host sees,
    /// with a `/` before it; empty if it is that root.
    pub fn cgroup(&self) -> String {
        if self.confined { String::new() } else { format!("/{}", self.cgroup) }
    }

    /// Makes [`Host::cgroup`] the root of all that the host sees, for what is not told to keep to a cgroup: a kubelet
    /// with default settings uses the root.
    pub fn confine(&mut self) -> Result<()> {
        for root in cgroups::hierarchies() {
            let own = root.join(&self.cgroup);
            cmd::ok(self.command("mount").arg("--bind").arg(own).arg(&root))?;
        }
        self.confined = true;
        Ok(())
    }

    /// The mounts of the host whose mount point is in this directory.
    pub fn mounts_in(&self, dir: &str) -> Result<Vec<String>> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.init))?;
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        Ok(points.filter(|point| Path::new(point).starts_with(dir)).map(str::to_owned).collect())
    }

    /// The processes in this cgroup of the host's and in all below it, by their ids in our own namespace; the name is
    /// relative to [`Host::cgroup`].
    pub fn processes(&self, cgroup: &str) -> BTreeSet<i32> {
        let listed = |dir: &PathBuf| fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        let lists = cgroups::all(&format!("{}/{cgroup}", self.cgroup));
        lists.iter().map(listed).flat_map(|list| pids(&list)).collect()
    }

    /// What an HTTP server on the host's loopback address answers with code 200; an error otherwise.
    ///
    /// The socket is made by a thread that enters the host's network: no program has to be started, which matters
    /// where the machine's time is being measured.
    pub fn http(&self, port: u16, path: &str) -> Result<String> {
        self.in_network(|| get(port, path))
    }

    /// Does something in the host's network, on a thread of its own: a thread is in one network, and a socket stays in
    /// the one that it was made in.
    fn in_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = File::open(format!("/proc/{}/ns/net", self.init))?;
        let inside = || {
            setns(network, CloneFlags::CLONE_NEWNET).context("cannot enter the host's network")?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().map_err(|_| anyhow!("a thread on the host died"))?)
    }

    /// Ends it, and shows that nothing of it is left on the machine: no process, mount or cgroup.
    pub fn stop(mut self) -> Result<()> {
        self.end()?;
        let left: Vec<_> = cgroups::all(&self.cgroup);
        ensure!(left.is_empty(), "cgroups left behind: {left:?}");
        let left = fs::read_to_string("/proc/self/mountinfo")?;
        ensure!(!left.contains("/io.containerd."), "mounts left behind:\n{left}");
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        drop(self.unshare.stdin.take());
        self.unshare.wait()?;
        // The kernel ends all processes of the namespace; a cgroup can go once the last one is gone.
        wait_to_the_end(END_PAUSE, "empty cgroups", Duration::from_secs(10), || {
            let mut all = cgroups::all(&self.cgroup);
            all.sort_by_key(|dir| std::cmp::Reverse(dir.components().count()));
            Ok(all.iter().filter(|dir| fs::remove_dir(dir).is_err()).count().eq(&0).then_some(()))
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// GET over HTTP/1.0, which ends at the connection's end.
fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(HTTP_LIMIT))?;
    stream.set_write_timeout(Some(HTTP_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head}");
    Ok(body.to_owned())
}

fn pids(list: &str) -> Vec<i32> {
    list.lines().filter_map(|line| line.parse().ok()).collect()
}
