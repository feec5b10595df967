//! The host's programs by their links, from a container on a stand-in host: the same as if the host itself ran them.

#[path = "common/go_program.rs"]
mod go_program;
#[path = "common/standin.rs"]
mod standin;

use std::time::{Duration, Instant};

use standin::Standin;

/// The host's own run of a line, and the container's by a link of the same name.
fn both(standin: &Standin, program: &str, line: &str) -> (standin::Outcome, standin::Outcome) {
    let host = format!("{program}; export ODD=\"$(printf 'a\\377\\nb')\"");
    let direct = format!("nsenter --mount=/proc/1/ns/mnt --wd=$D sh -c '{}'", line.replace('\'', "'\\''"));
    let by_link = format!("link show; PATH=$L:$PATH; {line}");
    (standin.run(&host, &direct), standin.run(&host, &by_link))
}

#[test]
fn arguments_environment_and_streams_are_as_they_are() {
    let Some(standin) = Standin::new("arguments_environment_and_streams_are_as_they_are") else { return };
    // A copy of a real program, and a script.
    let shell = "cp /bin/dash /usr/local/sbin/show";
    let script =
        r#"program show 'for word; do printf "<%s>" "$word"; done; echo "$ODD"; cat; echo err >&2; exit 7'"#;
    for (program, line) in [
        (shell, "show -c 'echo $0 $1 $PPID >/dev/null; echo \"$0|$1|$ODD\"' show \"$ODD\""),
        (shell, "show -c 'echo $0'; show -c 'pwd; umask; ulimit -n; exit 3'"),
        (script, "echo in | show"),
        (script, "show '' '*' \"$(printf '\\001\\377\\n x')\" -- --help -V '\"' </dev/null"),
        (script, "show $(seq 20000) </dev/null"),
        (script, "show 2>&1 </dev/null | head -1"),
    ] {
        let (direct, by_link) = both(&standin, program, line);
        assert!(!direct.stdout.is_empty(), "{line}: {direct:?}");
        assert_eq!(by_link.code, direct.code, "{line}: {}", by_link.stderr);
        assert_eq!(by_link.stdout, direct.stdout, "{line}");
        assert_eq!(by_link.stderr, direct.stderr, "{line}");
    }
}

#[test]
fn megabytes_pass_unchanged() {
    let Some(standin) = Standin::new("megabytes_pass_unchanged") else { return };
    let outcome = standin.run(
        "cp /bin/cat /usr/local/sbin/pump",
        "link pump; head -c 20000000 /dev/urandom >data; sha256sum <data; $L/pump <data | $L/pump | sha256sum; rm data",
    );
    let text = outcome.text();
    let sums: Vec<&str> = text.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1] && sums[0].len() > 64, "{outcome:?}");
}

#[test]
fn exit_codes_and_signals_are_the_programs() {
    let Some(standin) = Standin::new("exit_codes_and_signals_are_the_programs") else { return };
    let outcome = standin.run(
        "program end 'exit $1'; program die 'kill -$1 $$'",
        "link end die; for c in 0 1 2 4 8 77 126 127 255; do $L/end $c; echo $?; done; \
         for s in TERM KILL PIPE; do sh -c \"$L/die $s; echo \\$?\"; done",
    );
    assert_eq!(outcome.text().replace('\n', " "), "0 1 2 4 8 77 126 127 255 143 137 141", "{outcome:?}");
    // The link is the program: the same process, which its caller can signal.
    let outcome = standin.run(
        "program wait 'trap \"echo term; exit 9\" TERM; echo $$; while :; do sleep 0.05; done'",
        "link wait; $L/wait >out & until test -s out; do sleep 0.05; done; test $! = $(cat out) || echo other; \
         kill -TERM $!; wait $!; echo $?; cat out | tail -1",
    );
    assert_eq!(outcome.text(), "9\nterm", "{outcome:?}");
}

#[test]
fn the_directory_is_the_hosts_of_the_same_path() {
    let Some(standin) = Standin::new("the_directory_is_the_hosts_of_the_same_path") else { return };
    let outcome = standin.run(
        "program where 'pwd; ls'; mkdir -p both; touch both/on-host",
        "link where; mount -t tmpfs none both; mkdir both/only-here; \
         cd $D/both; $L/where; cd only-here; $L/where | head -1; cd /; rmdir $D/gone 2>/dev/null; \
         mkdir $D/gone; cd $D/gone; rmdir $D/gone; $L/where | head -1",
    );
    let both = standin.dir().join("both");
    // A mount of the container only covers its own.
    assert_eq!(outcome.text(), format!("{}\non-host\n/\n/", both.display()), "{outcome:?}");
}

#[test]
fn programs_of_the_host_find_those_of_the_host() {
    let Some(standin) = Standin::new("programs_of_the_host_find_those_of_the_host") else { return };
    let outcome = standin.run(
        "program outer 'echo $PATH; inner'; program inner 'echo inner'; mkdir odd; \
         printf '#!/bin/sh\\necho odd\\n' >odd/outer; chmod +x odd/outer",
        "link outer inner; PATH=/usr/bin:$L /usr/libexec/host/outer; KUBELET_HOST_TOOLS=$D/odd:/x $L/outer",
    );
    let text = outcome.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("/usr/bin:/usr/local/sbin:") && !lines[0].contains("libexec"), "{text}");
    assert_eq!(lines[1..], ["inner", "odd"]);
}

#[test]
fn what_the_host_does_not_have_is_said() {
    let Some(standin) = Standin::new("what_the_host_does_not_have_is_said") else { return };
    let says = |host: &str, inside: &str, expected: &str| {
        let outcome = standin.run(host, &format!("link no-such; {inside}"));
        assert_eq!((outcome.code, outcome.stdout.as_slice()), (127, &b""[..]), "{inside}: {outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{inside}: {}", outcome.stderr);
    };
    says("true", "$L/no-such", "no-such: not found on the host");
    // Neither a directory, nor a file that cannot be executed, nor a link to nothing is one.
    says("cd /usr/local/sbin; mkdir no-such", "$L/no-such", "not found on the host");
    says("echo >/usr/local/sbin/no-such", "$L/no-such", "not found on the host");
    says("ln -s nowhere /usr/local/sbin/no-such", "$L/no-such", "not found on the host");
}

#[test]
fn where_the_host_is_closed_is_said_with_what_opens_it() {
    let Some(standin) = Standin::new("where_the_host_is_closed_is_said_with_what_opens_it") else { return };
    for (inside, expected) in [
        ("unshare -pf --mount-proc $L/show", "--pid=host"),
        ("unshare -pf --mount-proc sh -c '$0; exit $?' $L/show", "--pid=host"),
        ("setpriv --reuid=65534 --regid=65534 --clear-groups $L/show", "--privileged"),
        ("setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin $L/show", "--privileged"),
        ("setpriv --bounding-set=-sys_chroot --inh-caps=-sys_chroot $L/show", "--privileged"),
        ("unshare -U $L/show", "--privileged"),
        ("KUBELET_HOST_TOOLS=off $L/show", "KUBELET_HOST_TOOLS=off"),
        ("umount /proc; $L/show", "--privileged"),
    ] {
        let outcome = standin.run("program show 'echo ran'", &format!("link show; {inside}"));
        if inside.starts_with("umount") {
            // Without /proc a link cannot tell what it is called: it is the entrypoint, which starts the kubelet.
            assert_ne!(outcome.text(), "ran");
            continue;
        }
        assert_eq!((outcome.code, outcome.text().as_str()), (127, ""), "{inside}: {outcome:?}");
        assert!(outcome.stderr.starts_with("show: the host's is not run: "), "{inside}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{inside}: {}", outcome.stderr);
    }
}

#[test]
fn a_read_only_root_will_do() {
    let Some(standin) = Standin::new("a_read_only_root_will_do") else { return };
    let outcome = standin.run(
        "program show 'echo ran'",
        "link show/show other; for m in / /tmp /usr/libexec /usr/local/sbin; do \
           mount -o remount,bind,ro $m 2>/dev/null || { mount --bind $m $m; mount -o remount,bind,ro $m; }; done; \
         cd /; touch /usr/libexec/x 2>/dev/null && echo writable; /usr/libexec/entrypoint sh -c 'show; command -v show'",
    );
    assert_eq!(outcome.text(), "ran\n/usr/libexec/host/show/show", "{outcome:?}");
}

#[test]
fn a_link_never_runs_itself() {
    let Some(standin) = Standin::new("a_link_never_runs_itself") else { return };
    // The host is itself a container of the same image: its program is a link, of the same file or of a copy.
    let image = "mount -t tmpfs image /usr/libexec; mkdir /usr/libexec/host; cp entrypoint /usr/libexec/host/show; \
                 ln -s /usr/libexec/host/show /usr/local/sbin/show";
    let start = Instant::now();
    let outcome = standin.run(image, "link show; timeout 20 $L/show");
    assert_eq!(outcome.code, 127, "{outcome:?}");
    assert!(outcome.stderr.starts_with("show: the host's is not run: "), "{outcome:?}");
    // The very same file is not taken for the host's.
    let same = "ln -s $D/entrypoint /usr/local/sbin/show";
    let inside = "touch $L/show; mount --bind $D/entrypoint $L/show; timeout 20 $L/show";
    let outcome = standin.run(same, inside);
    assert_eq!((outcome.code, outcome.stderr.trim()), (127, "show: not found on the host"), "{outcome:?}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_hosts_root_is_that_of_its_process_1() {
    let Some(standin) = Standin::new("the_hosts_root_is_that_of_its_process_1") else { return };
    // An init that changed its root directory, as from an initramfs without switch_root.
    let outcome = standin.run(
        "program show 'echo outer'; mkdir root; mount --rbind / root; mount -t tmpfs none root/usr/local/sbin; \
         printf '#!/bin/sh\\necho inner; ls -d /usr/local/sbin/*\\n' >root/usr/local/sbin/show; chmod +x root/usr/local/sbin/show; \
         exec chroot root sh -c 'cd \"$0\"; unshare -m --propagation unchanged sh -c \"$1\" sh \"$0\" \"$2\"; exit $?' \"$D\" \"$3\" \"$4\"",
        "link show; $L/show",
    );
    assert_eq!(outcome.text(), "inner\n/usr/local/sbin/show", "{outcome:?}");
}

#[test]
fn only_what_the_host_has_is_in_path() {
    let Some(standin) = Standin::new("only_what_the_host_has_is_in_path") else { return };
    let links = "link there/there absent/absent mkfs.odd; own kubelet; own image; link image/image";
    let look = "/usr/libexec/entrypoint sh -c 'for p in there absent mkfs.odd image; do command -v $p || echo no $p; done'";
    let host = "program there 'echo ran'; program image 'echo hosts'";
    let outcome = standin.run(host, &format!("{links}; {look}"));
    // What asks in PATH is not told of a program that the host does not have; the image's own comes first.
    assert_eq!(
        outcome.text(),
        "/usr/libexec/host/there/there\nno absent\n/usr/libexec/host/mkfs.odd\n/usr/local/sbin/image",
        "{outcome:?}"
    );
    for closed in ["export KUBELET_HOST_TOOLS=off", "PATH=$PATH"] {
        let start = if closed.starts_with("PATH") { "unshare -pf --mount-proc " } else { "" };
        let outcome = standin.run(host, &format!("{links}; {closed}; {start}{look}"));
        assert!(outcome.text().starts_with("no there\nno absent\n"), "{closed}: {outcome:?}");
    }
    // Started by name, too.
    let outcome =
        standin.run(host, &format!("{links}; /usr/libexec/entrypoint there; /usr/libexec/entrypoint absent"));
    assert_eq!((outcome.code, outcome.text().as_str()), (127, "ran"), "{outcome:?}");
    assert!(outcome.stderr.contains("absent: no such program in this image"), "{outcome:?}");
}

#[test]
fn a_blkid_that_takes_data_for_an_empty_disk_is_not_run() {
    let Some(standin) = Standin::new("a_blkid_that_takes_data_for_an_empty_disk_is_not_run") else { return };
    let outcome = standin.run(
        "program blkid 'exit 0'; mount --bind /usr/local/sbin/blkid /usr/sbin/blkid",
        "link blkid; $L/blkid -p /dev/null",
    );
    assert_eq!(outcome.code, 127, "{outcome:?}");
    assert!(outcome.stderr.contains("blkid is not run: it is not util-linux's"), "{outcome:?}");
    // One that is, further down, is taken.
    let outcome = standin.run("program blkid 'exit 0'", "link blkid; $L/blkid -V");
    assert!(outcome.text().contains("util-linux"), "{outcome:?}");
}

/// A helper that mounts a tmpfs; and what is mounted on the host.
const HELPER: &str =
    "program mount.nfs 'echo \"$@\"; exec mount -t tmpfs \"nfs\" \"$2\"'; mkdir -p plain shared/v";
const ON_HOST: &str = "nsenter --mount=/proc/1/ns/mnt grep -c 'tmpfs nfs' /proc/1/mountinfo";

#[test]
fn the_hosts_helpers_mount_where_it_is_seen() {
    let Some(standin) = Standin::new("the_hosts_helpers_mount_where_it_is_seen") else { return };
    let outcome = standin.run(
        HELPER,
        &format!(
            "own mount; own umount; mount -t nfs -o vers=4.1,ro srv:/x $D/shared/v; echo $?; {ON_HOST}; \
             grep -c 'tmpfs nfs' /proc/self/mountinfo; umount $D/shared/v; echo $?; {ON_HOST}; grep -c 'tmpfs nfs' /proc/self/mountinfo; \
             mount srv:/y $D/shared/v"
        ),
    );
    let v = standin.dir().join("shared/v");
    let v = v.display();
    assert_eq!(
        outcome.text(),
        format!("srv:/x {v} -o ro,vers=4.1\n0\n1\n1\n0\n0\n0\nsrv:/y {v} -o rw"),
        "{outcome:?}"
    );
    assert_eq!(outcome.code, 0);
    // Nothing is mounted on the host where it would not be seen here.
    for (inside, why) in [
        ("mount -t nfs srv:/x $D/plain", "not shared with the host"),
        ("mkdir /usr/libexec/here; mount -t nfs srv:/x /usr/libexec/here", "on the host: No such file"),
        (
            "mount -t tmpfs none $D/shared/v; mount --make-private $D/shared/v; mount -t nfs srv:/x $D/shared/v",
            "shared",
        ),
        ("mount --make-slave $D/shared; mount -t nfs srv:/x $D/shared/v", "not shared with the host"),
    ] {
        let outcome = standin.run(HELPER, &format!("own mount; ({inside}); code=$?; {ON_HOST}; exit $code"));
        assert_eq!((outcome.code, outcome.text().as_str()), (32, "0"), "{inside}: {outcome:?}");
        assert!(outcome.stderr.contains(why), "{inside}: {}", outcome.stderr);
    }
    // Without one, and with the image's own.
    let outcome = standin.run("mkdir -p shared/v", "own mount; mount -t nfs srv:/x $D/shared/v");
    assert_eq!(outcome.code, 32);
    assert!(outcome.stderr.contains("which is not in this image; not found on the host"), "{outcome:?}");
    let outcome = standin.run(HELPER, "own mount; KUBELET_HOST_TOOLS=off mount -t nfs srv:/x $D/shared/v");
    assert!(outcome.code == 32 && outcome.stderr.contains("KUBELET_HOST_TOOLS=off"), "{outcome:?}");
}

#[test]
fn a_scope_is_made_only_for_what_is_seen() {
    let Some(standin) = Standin::new("a_scope_is_made_only_for_what_is_seen") else { return };
    let host = format!(
        "{HELPER}; program systemd-run 'while [ \"$1\" != -- ]; do shift; done; shift; echo scope; exec \"$@\"'"
    );
    let mount = |at: &str| {
        format!(
            "link systemd-run; own mount; $L/systemd-run --description=x --scope -- mount -t tmpfs nfs {at}; echo $?; {ON_HOST}; grep -c 'tmpfs nfs' /proc/self/mountinfo"
        )
    };
    assert_eq!(standin.run(&host, &mount("$D/shared/v")).text(), "scope\n0\n1\n1");
    assert_eq!(standin.run(&host, &mount("$D/plain")).text(), "0\n0\n1");
    // mount-utils tries it out, and does without where that fails.
    let outcome = standin.run(
        "mount --bind /bin/false /usr/bin/systemd-run 2>/dev/null || true",
        "link systemd-run; $L/systemd-run --description='Kubernetes systemd probe' --scope true",
    );
    assert_ne!(outcome.code, 0, "{outcome:?}");
}

/// The Go library that the kubelet formats, checks, mounts and grows volumes with, where PATH has nothing but our `mount` and
/// `umount` and the links.
#[test]
fn mount_utils_makes_volumes_by_the_hosts_programs() {
    let name = "mount_utils_makes_volumes_by_the_hosts_programs";
    let Some(standin) = Standin::new(name) else { return };
    if standin
        .run("losetup -f && command -v mkfs.ext4 resize2fs >/dev/null || mkdir nothing", "test ! -d nothing")
        .code
        != 0
    {
        eprintln!("skipped {name}: no loop devices, or no e2fsprogs, on this machine");
        return;
    }
    if !go_program::mount_utils(name, &standin.dir().join("mount_utils")) {
        return;
    }
    let tools = "link losetup/losetup blkid blockdev dumpe2fs fsck mkfs.ext4 resize2fs; own mount; own umount; export PATH=/usr/local/sbin";
    let outcome = standin.run(
        "truncate -s 32M shared/img; trap 'losetup -j $D/shared/img | cut -d: -f1 | xargs -r losetup -d' EXIT",
        &format!("{tools}; /usr/libexec/entrypoint $D/mount_utils $D/shared $D/shared/img"),
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    let may_grow = u64::from_str_radix(capabilities, 16).unwrap() >> 24 & 1 == 1;
    let resized = if may_grow {
        "true true, then false, grown true"
    } else {
        "true, but this machine has no CAP_SYS_RESOURCE"
    };
    assert_eq!(
        outcome.text(),
        format!("attached\nformatted once: kept\nresized: {resized}\next4 as xfs: true\ndone"),
        "{outcome:?}"
    );
    // Without mkfs on the host the error of the volume says so.
    let outcome = standin.run(
        "truncate -s 32M shared/img; trap 'losetup -j $D/shared/img | cut -d: -f1 | xargs -r losetup -d' EXIT; \
         mkdir -p up work; mount -t overlay -o lowerdir=/usr/sbin,upperdir=up,workdir=work o /usr/sbin; rm /usr/sbin/mkfs.ext4",
        &format!("{tools}; /usr/libexec/entrypoint $D/mount_utils $D/shared $D/shared/img"),
    );
    assert!(
        outcome.text().contains("mkfs.ext4: not found on the host; it is for making a filesystem"),
        "{outcome:?}"
    );
}

#[test]
fn the_way_is_short() {
    let Some(standin) = Standin::new("the_way_is_short") else { return };
    let outcome = standin.run(
        "cp /bin/true /usr/local/sbin/yes-man",
        "link yes-man; now() { date +%s%N; }; a=$(now); for i in $(seq 200); do $L/yes-man; done; b=$(now); \
         for i in $(seq 200); do /bin/true; done; c=$(now); echo $(( (b-a)/200000 )) $(( (c-b)/200000 ))",
    );
    let micros: Vec<u64> = outcome.text().split(' ').map(|word| word.parse().unwrap()).collect();
    eprintln!("a host's program by its link: {} µs, directly: {} µs", micros[0], micros[1]);
    assert!(micros[0] < micros[1] + 100_000, "{micros:?}");
}
