//! `mount` and `umount` beside util-linux's: the same call in two mount namespaces that begin alike must end
//! with the same exit code, the same table of mounts and the same message.

mod common;
#[path = "common/go_program.rs"]
mod go_program;

use common::{Host, Outcome};

/// How our standard error must compare.
enum Says {
    /// The same first line.
    Same,
    /// This text in its first line, better than, or all we can say of what util-linux says.
    Own(&'static str),
}
use Says::{Own, Same};

/// Directories a b c/, c a tmpfs with `nosuid,size=1m`, s a shared tmpfs; files f g; links blink -> b, dang -> nothing.
/// `cd` is that directory. Each case is what is run after a preparation by util-linux.
const CASES: &[(&str, &str, Says)] = &[
    // What the kubelet calls.
    ("", "mount -t tmpfs -o size=64k tmpfs $D/b", Same),
    ("", "mount -t tmpfs -o size=64k,mode=1777,uid=5,gid=6 tmpfs b", Same),
    ("", "mount -o bind $D/a $D/b", Same),
    ("mount --bind a b", "mount -o bind,remount,ro $D/a $D/b", Same),
    ("mount --bind a b", "mount -o bind,remount $D/a $D/b", Same),
    ("mount --bind c b", "mount -o bind,remount,ro,nosuid,nodev,noexec,relatime c b", Same),
    ("mount --bind -o nosuid,noexec a b", "mount -o bind,remount,ro a b", Same),
    ("", "mount --no-canonicalize -o bind /proc/self/root$D/a $D/b", Same),
    ("", "mount --no-canonicalize -o bind /proc/$$/fd/9 $D/f", Same),
    ("", "mount -o bind,_netdev $D/a $D/b", Same),
    ("", "mount --make-rshared $D", Same),
    // Bind.
    ("", "mount --bind a b", Same),
    ("", "mount -B -o ro,nosuid a b", Same),
    ("mount -t tmpfs u a/sub", "mount --rbind a b", Same),
    ("mount -t tmpfs u a/sub", "mount --bind a b", Same),
    ("mount -t tmpfs u a/sub", "mount -R -o ro a b", Same),
    ("", "mount --bind f g", Same),
    ("", "mount --bind a f", Same),
    ("", "mount --bind f a", Same),
    ("", "mount --bind a nope", Same),
    ("", "mount --bind nope b", Same),
    ("", "mount --bind a blink", Same),
    ("", "mount --bind blink a", Same),
    ("", "mount --bind a dang", Same),
    ("", "mount -c --bind a ./blink", Same),
    ("", "mount -o bind,noatime,nodiratime a b", Same),
    ("", "mount -o bind,nosymfollow a b", Same),
    ("", "mount -o bind,relatime a b", Same),
    ("", "mount -o bind,strictatime,sync a b", Same),
    ("mount --bind -o noatime a b", "mount -o remount,bind,nodev b", Same),
    ("mount --bind -o ro,nosuid a b", "mount -o remount,bind,rw b", Same),
    ("", "mount --bind c b", Same),
    ("", "mount -o bind,loop a c", Same),
    ("", "mount --bind a", Own("a source and a mount point are needed")),
    // Propagation.
    ("", "mount --make-shared c", Same),
    ("mount --make-shared c", "mount --make-private c", Same),
    ("", "mount --make-slave s", Same),
    ("", "mount --make-unbindable c", Same),
    ("mount --make-unbindable c", "mount --bind c b", Same),
    ("", "mount --make-rslave $D", Same),
    ("", "mount --make-rprivate $D", Same),
    ("", "mount --make-runbindable c", Same),
    ("", "mount --make-slave --make-shared s", Same),
    ("", "mount -o bind,rshared a b", Same),
    ("", "mount -o bind,slave s b", Same),
    ("", "mount -o rbind,rprivate,ro s b", Same),
    ("", "mount --bind s b", Same),
    ("mount --bind s b", "mount -t tmpfs p s/n", Same),
    ("", "mount -t tmpfs -o shared,nosuid x b", Same),
    ("", "mount --make-shared a", Same),
    ("", "mount --make-shared nope", Same),
    ("", "mount --make-bogus a", Same),
    ("", "mount -o private,shared c", Same),
    // tmpfs and other filesystems without a device.
    ("", "mount -t tmpfs x b", Same),
    ("", "mount -t tmpfs a b", Same),
    ("", "mount -t tmpfs -r x b", Same),
    ("", "mount -t tmpfs -o ro -w x b", Same),
    ("", "mount -t tmpfs -w -o ro x b", Same),
    ("", "mount -t tmpfs -o size=1m -o mode=700 -o nodev x b", Same),
    (
        "",
        "mount -t tmpfs -o defaults,noatime,_netdev,nofail,x-foo=1,X-bar,comment=abc,size=1m,user x b",
        Same,
    ),
    ("", "mount -t tmpfs -o mand,nomand,iversion,lazytime,dirsync,nodiratime,nosymfollow x b", Same),
    ("", "mount -t tmpfs -o rw,suid,nosuid,dev,exec,noexec,sync,async x b", Same),
    ("", "mount -t tmpfs -o strictatime,nosuid x b", Same),
    ("", "mount -t tmpfs -o ,,ro,, x b", Same),
    ("", "mount -t tmpfs -o '' x b", Same),
    ("", "mount -t tmpfs -o 'context=\"a,b\"' x b", Same),
    ("", "mount -t tmpfs -o bogus=1 x b", Same),
    ("", "mount -t tmpfs x f", Same),
    ("", "mount -t tmpfs x nope", Same),
    ("", "mount -t tmpfs '' b", Same),
    ("", "mount -t tmpfs --source y --target b", Same),
    ("", "mount -t tmpfs 'with space' b", Same),
    ("mkdir 'e e\\'", "mount -t tmpfs x 'e e\\'", Same),
    ("", "mount -t tmpfs,ext4 x b", Same),
    ("", "mount -t proc proc b", Same),
    ("", "mount -t hugetlbfs -o pagesize=2Mi nodev b", Same),
    ("", "mount -t tmpfs -o size=64k,noswap tmpfs b", Same),
    ("", "mount --no-canonicalize -t tmpfs -o size=64k tmpfs $D/b", Same),
    ("", "mount -t sysfs -o ro,nosuid,nodev,noexec sysfs b", Same),
    ("", "mount -t devpts -o newinstance,ptmxmode=0666 devpts b", Same),
    ("", "mount -t overlay -o lowerdir=a:c,upperdir=up,workdir=wk overlay b", Same),
    ("", "mount -nt tmpfs x blink", Same),
    ("", "mount -ft tmpfs x b", Same),
    ("", "mount -f -t nosuch x b", Same),
    ("", "mount -t tmpfs -o X-mount.mkdir x n/n", Same),
    ("", "mount -t tmpfs -m=0700 x n/nn", Same),
    // Remount and move.
    ("", "mount -o remount,ro c", Same),
    ("", "mount -o remount,noexec c", Same),
    ("", "mount -o remount,size=2m t1 c", Same),
    ("", "mount -o remount,size=2m t1", Same),
    ("", "mount --target c -o remount,noexec", Same),
    ("mount -t tmpfs -o ro,noatime x b", "mount -o remount,rw b", Same),
    ("", "mount -o remount,ro a", Same),
    ("", "mount -o remount,ro nope", Same),
    ("", "mount -o remount,bind,ro a b", Same),
    ("", "mount -o remount,bogus=1 c", Same),
    ("", "mount --move c a", Same),
    ("", "mount -M c nope", Same),
    ("", "mount --move a b", Own("wrong fs type, bad option")),
    ("", "mount -o move c b", Same),
    // Devices and types that are not there.
    ("", "mount a b", Same),
    ("", "mount f b", Own("f is not a block device, and this mount makes no loop devices")),
    ("", "mount -t ext4 -o loop f b", Own("-o loop: this mount makes no loop devices")),
    ("", "mount -t ext4 /dev/null b", Same),
    ("", "mount -t ext4 /dev/nope b", Same),
    ("", "mount /dev/nope b", Same),
    ("", "mount nope b", Same),
    ("", "mount -t auto x b", Same),
    ("", "mount -t nosuch / b", Same),
    ("", "mount -t bind a b", Same),
    ("", "mount -t nfs h:/x b", Own("needs the helper program /sbin/mount.nfs")),
    ("", "mount h:/x b", Own("needs the helper program /sbin/mount.nfs")),
    ("", "mount -t cifs //h/x b", Own("needs the helper program /sbin/mount.cifs")),
    ("", "mount -t fuse.foo h b", Own("needs the helper program /sbin/mount.fuse.foo")),
    ("", "mount LABEL=nope b", Same),
    ("", "mount -U nope b", Own("can't find UUID=nope")),
    ("", "mount /nope", Same),
    // Command lines.
    ("", "mount a b c", Same),
    ("", "mount -z", Same),
    ("", "mount --bogus", Same),
    ("", "mount -o remount", Same),
    ("", "mount -o", Own("missing argument for option '-o'")),
    ("", "mount -v -t tmpfs vv b", Same),
    ("", "mount -v --bind a b", Same),
    ("", "mount -v --make-private s", Same),
    ("", "mount --move -v c a", Same),
    ("", "mount", Same),
    ("", "mount -l -t tmpfs,proc", Same),
    ("", "mount -t notmpfs", Same),
    ("", "$AS_NOBODY mount --bind a b", Same),
    // umount.
    ("", "umount c", Same),
    ("", "umount $D/c", Same),
    ("", "umount ./c/../c/", Same),
    ("", "umount t1", Same),
    ("mount --bind c blink", "umount blink", Same),
    ("mount -t tmpfs x c", "umount c", Same),
    ("mount -t tmpfs x c", "umount c c", Same),
    ("", "umount c s", Same),
    ("", "umount -l c", Same),
    ("", "umount -f c", Same),
    ("", "umount -f a", Same),
    ("", "umount -f -l a", Same),
    ("", "umount -lf c s", Same),
    ("", "umount -n -i -d c", Same),
    ("", "umount -c c", Own("")),
    ("", "umount --no-canonicalize $D/c", Same),
    ("", "umount -t tmpfs c", Same),
    ("", "umount --fake c", Same),
    ("", "umount -v c", Same),
    ("", "cd c; umount $D/c", Same),
    ("", "cd c; umount -l $D/c", Same),
    ("mount -t tmpfs x c/m 2>&1; mkdir c/m; mount -t tmpfs x c/m", "umount c", Same),
    ("mkdir c/m; mount -t tmpfs x c/m; mkdir c/m/n; mount --bind a c/m/n", "umount -R c", Same),
    ("mkdir c/m; mount -t tmpfs x c/m", "umount -l c", Same),
    ("mount --bind s b; mount -t tmpfs x s/n", "umount b/n", Same),
    ("mkdir 'e e'; mount -t tmpfs x 'e e'", "umount 'e e'", Same),
    ("mount --bind f g", "umount g", Same),
    ("", "umount a", Same),
    ("", "umount f", Same),
    ("", "umount nope", Same),
    ("", "umount dang", Same),
    ("", "umount nope a", Same),
    ("", "umount c a", Same),
    ("", "umount -q a", Same),
    ("", "umount -R a", Same),
    ("", "umount -l a", Same),
    ("", "umount", Same),
    ("", "umount -z c", Same),
    ("", "umount ''", Same),
    ("", "$AS_NOBODY umount c", Same),
];

#[test]
fn the_same_as_util_linux() {
    let Some(host) = Host::new("the_same_as_util_linux") else { return };
    let mut differences = Vec::new();
    for (setup, line, says) in CASES {
        let theirs = host.run(setup, line, false);
        let ours = host.run(setup, line, true);
        differences.extend(compare(setup, line, says, &theirs, &ours));
    }
    assert!(
        differences.is_empty(),
        "{} of {} cases:\n{}",
        differences.len(),
        CASES.len(),
        differences.join("\n")
    );
}

fn compare(setup: &str, line: &str, says: &Says, theirs: &Outcome, ours: &Outcome) -> Option<String> {
    let mut wrong = Vec::new();
    if theirs.code != ours.code {
        wrong.push(format!("exit code {} instead of {}", ours.code, theirs.code));
    }
    if theirs.mounts != ours.mounts {
        wrong.push(format!("mounts\n{}\ninstead of\n{}", ours.mounts, theirs.mounts));
    }
    if theirs.stdout != ours.stdout {
        wrong.push(format!("prints {:?} instead of {:?}", ours.stdout, theirs.stdout));
    }
    match says {
        Same if theirs.first_error != ours.first_error => {
            wrong.push(format!("says {:?} instead of {:?}", ours.first_error, theirs.first_error));
        }
        Own(text) if !ours.first_error.contains(text) => {
            wrong.push(format!("says {:?} without {text:?}", ours.first_error));
        }
        _ => {}
    }
    (!wrong.is_empty()).then(|| format!("[{setup}] {line}\n  {}", wrong.join("\n  ")))
}

/// `x` is not a file here, and helpers stand in an overlay of /usr/sbin: they print how they were called.
const HELPERS: &str = "mkdir hu hw; mount -t overlay -o lowerdir=/usr/sbin,upperdir=hu,workdir=hw o /usr/sbin; \
    for t in mount.fakefs mount.fuse mount.nfs umount.tmpfs; do \
    printf '#!/bin/sh\\necho \"$0|$*\"; exit 7\\n' >/usr/sbin/$t; chmod +x /usr/sbin/$t; done";

#[test]
fn helpers_are_called_as_util_linux_calls_them() {
    let Some(host) = Host::new("helpers_are_called_as_util_linux_calls_them") else { return };
    for line in [
        "mount -t fakefs x b",
        "mount -t fakefs f blink",
        "mount -t fakefs -o ro,nosuid,_netdev,x-a=1,X-b,comment=q,foo=bar,defaults,context=xx x b",
        "mount -sfnv -t fakefs -o foo x b",
        "mount -t fakefs -r x b",
        "mount -i -t fakefs x b",
        "mount -t fakefs -o rw,bind a b",
        "mount -t fuse.foo -o allow_other x b",
        "mount -t nfs -o vers=4.1 h:/p b",
        "mount h:/p b",
        "umount c",
        "umount -nv c",
        "umount -fl c",
        "umount -i c",
    ] {
        let (theirs, ours) = (host.run(HELPERS, line, false), host.run(HELPERS, line, true));
        assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{line}");
        assert_eq!(ours.mounts, theirs.mounts, "{line}");
    }
}

/// An ext4 filesystem on a loop device, `$L`; writable or not.
fn on_a_device(flags: &str) -> String {
    format!(
        "truncate -s 8M img; mkfs.ext4 -q -F img; L=$(losetup {flags} --show -f img); \
         trap 'umount $D/b 2>/dev/null; losetup -d $L 2>/dev/null' EXIT"
    )
}

#[test]
fn devices_are_mounted_as_by_util_linux() {
    let Some(host) = Host::new("devices_are_mounted_as_by_util_linux") else { return };
    if host.run(&on_a_device(""), "test -b $L", false).code != 0 {
        eprintln!(
            "skipped devices_are_mounted_as_by_util_linux: no loop devices, or no mkfs.ext4, on this machine"
        );
        return;
    }
    for (flags, line) in [
        ("", "mount -t ext4 $L b"),
        ("", "mount $L b"),
        ("", "mount -t auto -o ro,defaults $L b"),
        ("", "mount -t noxfs,btrfs $L b"),
        ("", "mount -t xfs $L b"),
        ("", "mount -t ext4 -o bogus $L b"),
        ("", "mount $L b && mount $L c"),
        ("", "mount $L b && umount $L"),
        ("-r", "mount -t ext4 $L b"),
        ("-r", "mount -w -t ext4 $L b"),
        ("-r", "mount -t ext4 -r $L b && mount -o remount,rw b"),
        ("", "mount $L b && umount -d b && losetup $L >/dev/null"),
    ] {
        let setup = on_a_device(flags);
        let (theirs, ours) = (host.run(&setup, line, false), host.run(&setup, line, true));
        assert_eq!((ours.code, &ours.first_error), (theirs.code, &theirs.first_error), "{line}");
        assert_eq!(ours.mounts, theirs.mounts, "{line}");
    }
}

/// The Go library that the kubelet and CSI drivers mount with, where nothing but our `mount` and `umount` is in PATH: no
/// `systemd-run` either.
#[test]
fn mount_utils_mounts_and_unmounts_with_it() {
    let Some(host) = Host::new("mount_utils_mounts_and_unmounts_with_it") else { return };
    let program = host.path("mount_utils");
    if !go_program::mount_utils("mount_utils_mounts_and_unmounts_with_it", &program) {
        return;
    }
    let line = format!("env PATH={} {} $D/a", host.path("bin").display(), program.display());
    let outcome = host.run("", &line, true);
    assert_eq!(
        (outcome.code, &*outcome.stdout),
        (0, "unmount of nothing: <nil>\ndone\n"),
        "{}",
        outcome.first_error
    );
}
