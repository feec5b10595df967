//! Hosts that have the kubelet's directory elsewhere, share nothing, or are read-only: pods run, and stay over a restart.

use anyhow::{Context, Result, ensure};
use tests::skip;
use tests::vm::{self, Kind, Session};

const ATTR: &str = "kubelet-v1_26_0-amd64";

/// Functions that start the kubelet's container by the README's command, with more flags, and end it.
fn functions(session: &mut Session) -> Result<String> {
    let image = session.image(ATTR, "ctr")?;
    let command = vm::readme("ctr run -d")?.replace("localhost/kubelet:v1.26.0-micro", &image);
    let (bind, run) = command.split_once("ctr run -d").context("the README has another command")?;
    Ok(format!(
        r#"{bind}
start() {{
  : >/var/log/kubelet.log
  ctr run -d --env KUBELET_STANDALONE=1 --log-uri file:///var/log/kubelet.log "$@" {run}
}}
stopped() {{ ctr tasks ls | grep -q 'kubeletd.*STOPPED'; }}
end() {{
  ctr tasks kill --signal SIGTERM kubeletd 2>/dev/null || true
  await 60 stopped
  ctr tasks rm kubeletd >/dev/null 2>&1 || true
  ctr containers rm kubeletd
}}
runs() {{
  if ! await 180 healthy || ! await 180 says "$1" app= || grep -e 'entrypoint: error' -e 'entrypoint: warning' /var/log/kubelet.log >&2; then
    tail -n 60 /var/log/kubelet.log >&2
    exit 1
  fi
}}
pods() {{ ctr --namespace k8s.io tasks ls --quiet | sort; }}
gone() {{ ! grep -q "$1" /proc/1/mountinfo; }}
"#
    ))
}

/// Another disk behind a link: pods outlive the kubelet's container, their logs are found on the host, and the node says
/// what the host is.
#[test]
fn a_directory_on_another_disk_keeps_its_pods_over_a_restart() -> Result<()> {
    vm::with(Kind::Plain, |session| {
        let script = functions(session)?
            + r#"
rm -rf /var/lib/kubelet
mkdir -p /srv/disk /etc/kubernetes
truncate -s 64M /var/tmp/disk
mkfs.ext4 -q /var/tmp/disk
modprobe loop
mount -o loop /var/tmp/disk /srv/disk
mkdir /srv/disk/kubelet
ln -s /srv/disk/kubelet /var/lib/kubelet
static_pod linked
start
runs linked
before=$(pods)
grep -q ' /srv/disk/kubelet/pods/.*tmpfs' /proc/1/mountinfo
end
start
runs linked
grep 'entrypoint: repaired: /var/lib/kubelet' /var/log/kubelet.log
[ "$before" = "$(pods)" ]
cat /var/log/containers/linked-*.log
root=/proc/$(pidof kubelet)/root
cmp $root/etc/os-release /etc/os-release
cmp $root/etc/machine-id /etc/machine-id
rm /etc/kubernetes/manifests/linked.yaml
await 120 gone /srv/disk/kubelet/pods
end
rm /var/lib/kubelet
umount /srv/disk
rm /var/tmp/disk
"#;
        let said = session.run(&script)?;
        ensure!(said.contains("entrypoint: repaired: ") && said.contains("app=\"linked\""), "{said}");
        Ok(())
    })
}

/// An init that leaves `/` private: the start is refused, or the directory is shared on the host where that is allowed.
#[test]
fn a_host_that_shares_nothing_is_told_so_or_shares_the_directory() -> Result<()> {
    if skip::unless_full("a host that shares nothing, in a machine") {
        return Ok(());
    }
    vm::with(Kind::Plain, |session| {
        let script = functions(session)?
            + r"
mkdir -p /var/lib/kubelet /etc/kubernetes
mount --make-rprivate /
start
await 60 stopped
grep 'shares it with nobody' /var/log/kubelet.log
gone ' /var/lib/kubelet '
end
static_pod alone
start --env KUBELET_REPAIR=host
runs alone
pod_log alone
grep ' /var/lib/kubelet/pods/.*/scratch .*tmpfs' /proc/1/mountinfo
rm /etc/kubernetes/manifests/alone.yaml
await 120 gone ' /var/lib/kubelet/pods/'
end
umount /var/lib/kubelet
mount --make-rshared /
";
        let said = session.run(&script)?;
        ensure!(said.contains("size=8192k"), "the volume is not in the pod: {said}");
        Ok(())
    })
}

/// The host's root is read-only but for /var, and the container's is altogether.
#[test]
fn roots_may_be_read_only() -> Result<()> {
    if skip::unless_full("read-only roots in a machine") {
        return Ok(());
    }
    vm::with(Kind::Plain, |session| {
        let script = functions(session)?
            + r#"
mkdir -p /var/lib/kubelet /etc/kubernetes
static_pod fixed
mount --bind /var /var
# What it has open is on the other mount.
old=$(pidof containerd)
kill "$old"
another() { [ -n "$(pidof containerd)" ] && [ "$(pidof containerd)" != "$old" ] && ctr version; }
await 60 another
mount -o remount,bind,ro /
! touch /etc/written 2>/dev/null
start --read-only
runs fixed
pod_log fixed
cat /var/log/containers/fixed-*.log >/dev/null
grep -c 'read-only file system' /var/log/kubelet.log || true
end
mount -o remount,bind,rw /
"#;
        let said = session.run(&script)?;
        ensure!(said.contains("size=8192k") && said.ends_with("\n0\n"), "{said}");
        // Its /var and its containerd are not the host's any more.
        session.reboot(::vm::Runtime::Containerd)
    })
}
