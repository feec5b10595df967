//! uname, touch and nsenter, each call beside that of coreutils or util-linux: the same exit code, output and effect.

#[path = "common/standin.rs"]
mod standin;

use standin::{Outcome, Standin};

/// How standard error must compare.
#[derive(Clone, Copy)]
enum Says {
    /// The same first line, but for the quotes that depend on the locale.
    Same,
    /// This text in its first line: what is not supported.
    Own(&'static str),
}
use Says::{Own, Same};

/// Runs each line by their program and by ours. In the directory are an old file, a directory, and links.
fn compare(standin: &Standin, name: &str, cases: &[(&str, Says)]) {
    let setup = "mkdir w; cd w; T=/usr/bin/touch; $T -d 2001-02-03T04:05:06.789 old; mkdir dir; $T -d 2002-01-01 dir; \
                 ln -s old link; ln -s nowhere dang; ln -s new made; umask 027;";
    // Times since the start are one: now.
    let shown = r#"ls -A | while read -r f; do stat -c '%n %F %s %a %X %Y' "$f" | awk '$(NF)>1100000000{$(NF)="now"} $(NF-1)>1100000000{$(NF-1)="now"} {print}'; done"#;
    let mut wrong = Vec::new();
    for (line, says) in cases {
        let run = |own: &str| {
            let inside = format!("{own} {setup} ({line}); code=$?; {shown}; cd ..; rm -r w; exit $code");
            standin.run("true", &inside)
        };
        let own = format!("own {name};");
        let (theirs, ours) = (run(""), run(&own));
        let first =
            |outcome: &Outcome| outcome.stderr.lines().next().unwrap_or_default().replace(['‘', '’'], "'");
        let same_words = match says {
            Same => first(&theirs) == first(&ours),
            Own(text) => first(&ours).contains(text),
        };
        if theirs.code != ours.code || theirs.stdout != ours.stdout || !same_words {
            wrong.push(format!("{line}\n  {theirs:?}\n  {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn uname_is_coreutils() {
    let Some(standin) = Standin::new("uname_is_coreutils") else { return };
    compare(
        &standin,
        "uname",
        &[
            // What kubeadm's system checks run.
            ("uname", Same),
            ("uname -r", Same),
            ("uname -a", Same),
            ("uname --all", Same),
            ("uname -snrvm", Same),
            ("uname -m -s", Same),
            ("uname -o", Same),
            ("uname -pi", Same),
            ("uname -ap", Same),
            ("uname --kernel-name --nodename --kernel-release", Same),
            ("uname --kernel-version --machine --operating-system --processor --hardware-platform", Same),
            ("unshare -u sh -c 'hostname odd.example; uname -n'", Same),
            ("uname x", Same),
            ("uname -r x", Same),
            ("uname -z", Same),
            ("uname --bogus", Same),
        ],
    );
}

#[test]
fn touch_is_coreutils() {
    let Some(standin) = Standin::new("touch_is_coreutils") else { return };
    compare(
        &standin,
        "touch",
        &[
            ("touch new", Same),
            ("touch a b ./c/../d dir/e 'f f' -- -g", Same),
            ("touch old", Same),
            ("touch -a old", Same),
            ("touch -m old", Same),
            ("touch -am old", Same),
            ("touch -c old nope", Same),
            ("touch --no-create nope", Same),
            ("touch dir dir/", Same),
            ("touch link", Same),
            ("touch -h link", Same),
            ("touch -h dang nope", Same),
            ("touch made", Same),
            ("touch -r old new", Same),
            ("touch --reference=old -a dir", Same),
            ("touch -mr old dir", Same),
            ("touch -r dang new", Same),
            ("touch -h -r dang link", Same),
            ("touch -f new", Same),
            ("touch no/such/file new", Same),
            ("touch old/x", Same),
            ("touch ''", Same),
            ("touch", Same),
            ("touch -a", Same),
            ("touch -z new", Same),
            ("touch --bogus new", Same),
            ("touch -r", Own("missing argument for option '-r'")),
            ("mkfifo fifo; touch fifo", Same),
            ("chmod 0 old; setpriv --reuid=65534 --regid=65534 --clear-groups touch old", Same),
            ("chmod 777 .; setpriv --reuid=65534 --regid=65534 --clear-groups touch new", Same),
            ("setpriv --reuid=65534 --regid=65534 --clear-groups touch new", Same),
        ],
    );
    let outcome = standin.run("true", "own touch; touch -d yesterday x");
    assert_eq!((outcome.code, outcome.text().as_str()), (1, ""));
    assert!(outcome.stderr.contains("-d or -t is not supported: use -r FILE"));
    assert!(!standin.dir().join("x").exists());
}

/// `$P` is process 1 of namespaces of its own, in a directory of its own.
const TARGET: &str = "unshare -muinpfC sh -c 'hostname there; mount -t tmpfs in-target /mnt; mount -t proc proc /proc; \
      cd /mnt; exec sleep 20' >/dev/null 2>&1 & \
    for i in $(seq 200); do P=$(pgrep -P $!) && grep -q in-target /proc/$P/mountinfo && \
      [ $(cat /proc/$P/comm) = sleep ] && break; sleep 0.05; done;";

#[test]
fn nsenter_is_util_linuxs() {
    let Some(standin) = Standin::new("nsenter_is_util_linuxs") else { return };
    let case = |line: &str| -> String { format!("{TARGET} {line}; code=$?; kill -KILL $P; exit $code") };
    let lines: Vec<(String, Says)> = [
        ("nsenter -t $P -m grep -c in-target /proc/self/mountinfo", Same),
        ("nsenter --target=$P --mount pwd", Same),
        ("nsenter -t $P -m -w pwd", Same),
        ("nsenter -t $P -m -w/usr pwd", Same),
        ("nsenter -t $P -m -r ls -d /mnt", Same),
        ("nsenter -t $P -u uname -n", Same),
        ("nsenter -t $P -u -i -n -C -m uname -n", Same),
        ("nsenter -u/proc/$P/ns/uts uname -n", Same),
        ("nsenter --uts=/proc/$P/ns/uts -- uname -n", Same),
        ("nsenter -t $P -n sh -c 'ls /sys/class/net >/dev/null; tail -n +3 /proc/net/dev | wc -l'", Same),
        ("nsenter -t $P -p -m ls -d /proc/1 /proc/2", Same),
        ("nsenter -t $P -p -m sh -c 'readlink /proc/self | wc -c'", Same),
        ("nsenter -t $P -p -F true", Same),
        ("nsenter -t $P -a sh -c 'uname -n; grep -c in-target /proc/self/mountinfo; exit 9'", Same),
        ("nsenter -t $P -p sh -c 'exit 77'", Same),
        ("nsenter -t $P -p sh -c 'kill -TERM $$'; echo $?", Same),
        ("nsenter -t $P -m sh -c 'kill -KILL $$'; echo $?", Same),
        ("echo in | nsenter -t $P -p cat", Same),
        ("nsenter -t $P -m -- printf '<%s>' a '' -x", Same),
        ("nsenter -t $P -m ls -d -- /", Same),
        ("nsenter -m true", Same),
        ("nsenter -r true", Own("neither filename nor target pid supplied for root")),
        ("nsenter -t x -m true", Same),
        ("nsenter -t 999999 -m true", Same),
        ("nsenter -m/nope true", Same),
        ("nsenter -t $P -m no-such-program", Same),
        ("nsenter -t $P -m /etc/passwd", Same),
        ("nsenter -m/etc/passwd true", Same),
        ("nsenter -t $P true", Same),
        ("nsenter true", Same),
        ("nsenter -z", Same),
        ("nsenter --bogus", Same),
        ("setpriv --reuid=65534 --regid=65534 --clear-groups nsenter -u/proc/self/ns/uts true", Same),
    ]
    .into_iter()
    .map(|(line, says)| (case(line), says))
    .collect();
    let cases: Vec<(&str, Says)> = lines.iter().map(|(line, says)| (line.as_str(), *says)).collect();
    compare(&standin, "nsenter", &cases);
}
