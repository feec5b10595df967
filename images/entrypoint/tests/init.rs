//! The parent of the container's program: exit codes, signals, orphans, the terminal; as PID 1 and otherwise.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const ENTRYPOINT: &str = env!("CARGO_BIN_EXE_entrypoint");

/// A command that runs the entrypoint: with `pid_1`, as the first process of a pid namespace.
fn entrypoint(pid_1: bool, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "30"]);
    if pid_1 {
        command.args(["unshare", "-pf", "--kill-child", "--mount-proc"]);
    }
    command.arg(ENTRYPOINT).args(args);
    command
}

/// Both ways to run it, the first only for root.
fn ways(test: &str) -> Vec<bool> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout == b"0\n" {
        return vec![true, false];
    }
    eprintln!("skipped {test} as PID 1: it needs root for a pid namespace");
    vec![false]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of this test alone.
fn scratch(test: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("entrypoint-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn program(path: &std::path::Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn exit_codes_are_passed_on() {
    for pid_1 in ways("exit_codes_are_passed_on") {
        for (script, code) in [
            ("exit 0", 0),
            ("exit 7", 7),
            ("exit 255", 255),
            ("kill -KILL $$", 137),
            ("kill -TERM $$", 143),
            ("kill -SEGV $$", 139),
        ] {
            let output = entrypoint(pid_1, &["sh", "-c", script]).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{script}, PID 1: {pid_1}");
        }
    }
}

#[test]
fn what_cannot_be_started_is_explained() {
    let dir = scratch("start");
    fs::write(dir.join("data"), "x").unwrap();
    program(&dir.join("garbage"), "\u{7f}ELF, but no program");
    program(&dir.join("orphaned"), "#!/no/such/interpreter\n");
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for pid_1 in ways("what_cannot_be_started_is_explained") {
        for (name, code, says) in [
            ("no-such-program".to_owned(), 127, "no such program in this image"),
            (path("nothing"), 127, "no such program in this image"),
            (path("data"), 126, "is not an executable file"),
            (path("orphaned"), 126, "the interpreter it names is not in this image"),
            ("crictl".to_owned(), 127, "use a tag with -kubeadm"),
        ] {
            let output = entrypoint(pid_1, &[&name]).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{name}");
            assert!(text(&output.stderr).contains(says), "{name}: {}", text(&output.stderr));
        }
        // The GNU C library, other than the one in the images, hands such a file to a shell.
        if cfg!(target_env = "musl") {
            let output = entrypoint(pid_1, &[&path("garbage")]).output().unwrap();
            assert_eq!(output.status.code(), Some(126));
            assert!(text(&output.stderr).contains("built for another architecture"));
        }
    }
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_kubelet_is_started_with_its_flags() {
    let dir = scratch("kubelet");
    program(&dir.join("kubelet"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
    let path = format!("{}:/usr/bin:/bin", dir.display());
    let run = |release: &str, args: &[&str]| {
        let mut command = entrypoint(false, args);
        command.env("PATH", &path).env("KUBELET_IMAGE_RELEASE", release).env("KUBELET_PREFLIGHT", "off");
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    // What this machine has must not matter.
    fs::write(dir.join("kubeconfig"), "").unwrap();
    let kubeconfig = format!("--kubeconfig={}/kubeconfig", dir.display());
    let joined =
        [&kubeconfig, "--bootstrap-kubeconfig=", "--container-runtime-endpoint=unix:///x", "--config=/x y"];
    let lines = joined.join("\n") + "\n";
    assert_eq!(run("v1.26.0", &joined), (0, format!("--register-node\n{lines}"), String::new()));
    let (code, args, _) = run("v1.23.17", &joined);
    assert_eq!((code, args), (0, format!("--register-node\n--container-runtime=remote\n{lines}")));
    let (code, args, said) = run("", &joined);
    assert_eq!((code, args), (0, format!("--register-node\n{lines}")));
    assert!(said.starts_with("entrypoint: KUBELET_IMAGE_RELEASE is not set"), "{said}");
    // Without a cluster there is no node to register, and nobody to ask about clients.
    let alone = [&["--kubeconfig="], &joined[1..]].concat();
    let (code, args, said) = run("v1.26.0", &alone);
    assert_eq!(code, 0);
    assert!(args.contains("--enable-server=false\n") && !args.contains("--register-node"), "{args}");
    assert!(args.ends_with(&(alone.join("\n") + "\n")), "{args}");
    assert!(said.contains("port 10250) is off"), "{said}");
    // As given.
    assert_eq!(run("v1.26.0", &["kubelet", "--v=2"]), (0, "--v=2\n".into(), String::new()));
    // The kubelet would refuse these, by either way.
    for args in [&["--network-plugin=cni"][..], &["kubelet", "--network-plugin=cni"]] {
        let (code, args, said) = run("v1.26.0", args);
        assert_eq!((code, args), (64, String::new()));
        assert!(said.contains("--network-plugin was removed in Kubernetes 1.24"), "{said}");
    }
    assert_eq!(run("v1.23.17", &["kubelet", "--network-plugin=cni"]).0, 0);
    fs::remove_dir_all(dir).unwrap();
}

/// A container that was given nothing is told all that it lacks at once; and is started all the same if that is wanted.
#[test]
fn a_start_that_the_host_prevents_says_all_that_is_missing() {
    let dir = scratch("nothing");
    program(&dir.join("kubelet"), "#!/bin/sh\necho started\n");
    let path = format!("{}:/usr/bin:/bin", dir.display());
    let run = |mode: &str, args: &[&str]| {
        let mut command = entrypoint(false, args);
        command.env("PATH", &path).env("KUBELET_IMAGE_RELEASE", "v1.26.0").env("KUBELET_PREFLIGHT", mode);
        let output = command.env("KUBELET_REPAIR", "off").output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let flags = [
        "--config=/none/config.yaml",
        "--kubeconfig=/none/kubelet.conf",
        "--bootstrap-kubeconfig=",
        "--container-runtime-endpoint=unix:///none/x.sock",
    ];
    let (code, started, said) = run("", &flags);
    assert_eq!((code, started.as_str()), (69, ""), "{said}");
    let at = |words: &str| said.find(words).unwrap_or_else(|| panic!("does not say `{words}`: {said}"));
    let last = at("entrypoint: the kubelet is not started: ");
    for words in [
        "error: configuration: /none/config.yaml cannot be read",
        "error: runtime endpoint: /none/x.sock",
        "error: kubeconfig: /none/kubelet.conf does not exist",
    ] {
        assert!(at(words) < last, "{said}");
    }
    let (code, started, said) = run("warn", &flags);
    assert!(code == 0 && started == "started\n" && said.contains("error: kubeconfig: "), "{said}");
    let (code, started, said) = run("off", &flags);
    assert_eq!((code, started.as_str(), said.as_str()), (0, "started\n", ""));
    // What the flags themselves say wrongly is all that is said of them; and the command does not call it a start.
    let (code, started, said) = run("warn", &[&["--network-plugin=cni"][..], &flags].concat());
    assert!(code == 64 && started.is_empty() && !said.contains("error: "), "{said}");
    let mut command =
        entrypoint(false, &[&["preflight", "--json", "--network-plugin=cni"][..], &flags].concat());
    let output = command.env("KUBELET_IMAGE_RELEASE", "v1.26.0").output().unwrap();
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(69));
    assert!(
        report.contains(r#""ok":false"#) && report.contains(r#"{"name":"command line","status":"error""#),
        "{report}"
    );
    fs::remove_dir_all(dir).unwrap();
}

/// Serves `answer` to everyone who asks, until the test ends.
fn serve(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// As the health check of an image does: a second program in the container of a kubelet.
#[test]
fn the_probe_finds_its_kubelet() {
    let dir = scratch("probe");
    // A process by that name whose arguments end with those of the test.
    let script = "#!/bin/bash\nexec -a kubelet bash -c 'echo ready >$READY; sleep 20 & wait' - \"$@\"\n";
    program(&dir.join("kubelet"), script);
    let good = serve("HTTP/1.1 200 OK\r\n\r\nok");
    let bad =
        serve("HTTP/1.1 500 Internal Server Error\r\n\r\n[+]ping ok\n[-]syncloop failed: reason withheld\n");
    let config = dir.join("config.yaml");
    fs::write(&config, format!("healthzPort: {good}\n")).unwrap();
    for (flags, code, says) in [
        (vec![format!("--config={}", config.display())], 0, "ok"),
        (vec!["--config=config.yaml".to_owned()], 0, "ok"),
        (
            vec!["--config".into(), config.display().to_string(), format!("--healthz-port={bad}")],
            1,
            "[-]syncloop failed",
        ),
        (vec!["--healthz-port=0".to_owned()], 0, "turned off"),
    ] {
        let ready = dir.join("ready");
        let _ = fs::remove_file(&ready);
        // A mount namespace of its own is what tells a container's kubelet from others, where there is one.
        let isolated = ways("the_probe_finds_its_kubelet").len() == 2;
        let inside = if isolated { &["unshare", "-m"][..] } else { &["env"][..] };
        let mut container = Command::new(inside[0])
            .args(&inside[1..])
            .args([ENTRYPOINT, dir.join("kubelet").to_str().unwrap()])
            .args(&flags)
            .current_dir(&dir)
            .env("READY", &ready)
            .spawn()
            .unwrap();
        wait_for(ready.to_str().unwrap(), "ready");
        let entered = |program: &[&str]| {
            let id = container.id().to_string();
            let enter = ["nsenter", "-m", "-t", &id];
            let words = [if isolated { &enter[..] } else { &[][..] }, program].concat();
            Command::new(words[0]).args(&words[1..]).output().unwrap()
        };
        let output = entered(&[ENTRYPOINT, "probe"]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!((output.status.code(), said.contains(says)), (Some(code), true), "{flags:?}: {said}");
        // What is given wins over what was found.
        let output = entered(&[ENTRYPOINT, "probe", &format!("--healthz-port={bad}")]);
        assert_eq!(output.status.code(), Some(1));
        if isolated {
            let output = Command::new(ENTRYPOINT).arg("probe").output().unwrap();
            let said = text(&output.stderr);
            assert_eq!(
                (output.status.code(), said.contains("no kubelet runs in this container")),
                (Some(1), true),
                "{said}"
            );
        }
        signal(container.id(), "TERM");
        container.wait().unwrap();
    }
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_probe_takes_only_what_it_knows() {
    for (args, code) in [(&["--help"][..], 0), (&["--bogus"], 64), (&["x"], 1), (&["--healthz-port", "x"], 1)]
    {
        let output = Command::new(ENTRYPOINT).arg("probe").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
    }
}

/// Starts a shell script under the entrypoint and waits for its first line.
fn start(pid_1: bool, script: &str) -> (Child, String) {
    let dir = scratch(&format!("signals-{pid_1}"));
    let log = dir.join("log");
    let script = format!("exec >{}; {script}", log.display());
    let child = entrypoint(pid_1, &["sh", "-c", &script]).stderr(Stdio::null()).spawn().unwrap();
    let log = log.to_str().unwrap().to_owned();
    wait_for(&log, "ready");
    (child, log)
}

fn wait_for(log: &str, line: &str) {
    let begin = Instant::now();
    loop {
        let seen = fs::read_to_string(log).unwrap_or_default();
        if seen.lines().any(|found| found == line) {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "no {line} in {seen:?}");
        sleep(Duration::from_millis(10));
    }
}

/// The process under `parent`, by name, however deep.
fn descendant(parent: u32, name: &str) -> u32 {
    let begin = Instant::now();
    loop {
        let mut queue = vec![parent];
        while let Some(pid) = queue.pop() {
            if fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name) {
                return pid;
            }
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            queue.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "no {name} below {parent}");
        sleep(Duration::from_millis(10));
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn signals_are_forwarded() {
    let names = ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "WINCH", "TERM"];
    let traps = names.map(|name| format!("trap 'echo {name}' {name}; ")).concat();
    let script = format!("{traps} trap 'exit 42' PWR; echo ready; while :; do sleep 0.05; done");
    for pid_1 in ways("signals_are_forwarded") {
        let (mut child, log) = start(pid_1, &script);
        let init = descendant(child.id(), "entrypoint");
        for name in names {
            signal(init, name);
            wait_for(&log, name);
        }
        signal(init, "PWR");
        assert_eq!(child.wait().unwrap().code(), Some(42));
        let seen = fs::read_to_string(&log).unwrap();
        assert_eq!(seen.lines().skip(1).collect::<Vec<_>>(), names, "once each");
    }
}

#[test]
fn a_stop_and_a_continue_reach_the_program() {
    for pid_1 in ways("a_stop_and_a_continue_reach_the_program") {
        let (mut child, _) = start(pid_1, "echo ready; exec sleep 20");
        let init = descendant(child.id(), "entrypoint");
        let program = descendant(init, "sleep");
        let state = || {
            text(&fs::read(format!("/proc/{program}/stat")).unwrap()).split(' ').nth(2).unwrap().to_owned()
        };
        let wait = |wanted: &str| {
            let begin = Instant::now();
            while state() != wanted {
                assert!(begin.elapsed() < Duration::from_secs(15), "state {} not {wanted}", state());
                sleep(Duration::from_millis(10));
            }
        };
        signal(init, "TSTP");
        wait("T");
        signal(init, "CONT");
        wait("S");
        signal(init, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(143));
    }
}

#[test]
fn orphans_are_adopted_and_reaped() {
    // Each subshell ends at once and leaves its sleep an orphan of the entrypoint.
    let script = "for i in $(seq 40); do (sleep 3 &) ; done; sleep 0.2; \
        p=$PPID; echo adopted $(cat /proc/$p/task/$p/children | wc -w); \
        for i in $(seq 200); do n=$(cat /proc/$p/task/$p/children | wc -w); [ $n = 1 ] && break; sleep 0.1; done; echo left $n";
    for pid_1 in ways("orphans_are_adopted_and_reaped") {
        let output = entrypoint(pid_1, &["sh", "-c", script]).output().unwrap();
        assert_eq!(text(&output.stdout), "adopted 41\nleft 1\n", "PID 1: {pid_1}");
    }
}

#[test]
fn the_program_starts_with_clean_signals() {
    // Background jobs of a shell ignore INT and QUIT; these and more must not be inherited.
    let script =
        format!("trap '' TERM HUP CHLD PIPE USR1; {ENTRYPOINT} grep -E '^Sig(Blk|Ign):' /proc/self/status");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let masks: Vec<u64> = text(&output.stdout)
        .lines()
        .map(|line| u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap())
        .collect();
    // Signals 32 to 34 belong to the C library, which lets nobody change them.
    assert_eq!(masks.iter().map(|mask| mask & !(7 << 31)).collect::<Vec<_>>(), [0, 0]);
}

/// Runs a line on a terminal of its own, and types these keys once it has printed `ready`, however long that takes.
fn on_terminal(line: &str, keys: &[u8]) -> Output {
    let mut child = Command::new("timeout")
        .args(["60", "script", "-qec", line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"ready") && stdout.read(&mut byte).unwrap() > 0 {
        seen.push(byte[0]);
    }
    stdin.write_all(keys).unwrap();
    stdout.read_to_end(&mut seen).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Output { stdout: seen, ..output }
}

#[test]
fn the_program_reads_from_the_terminal() {
    for pid_1 in ways("the_program_reads_from_the_terminal") {
        let prefix = if pid_1 { "unshare -pf --mount-proc " } else { "" };
        let line = format!("{prefix}{ENTRYPOINT} sh -c 'echo ready; read x; echo got=$x'");
        let output = on_terminal(&line, b"hello\n");
        assert!(text(&output.stdout).contains("got=hello"), "{}", text(&output.stdout));
    }
}

#[test]
fn ctrl_c_reaches_the_program_once() {
    for pid_1 in ways("ctrl_c_reaches_the_program_once") {
        let prefix = if pid_1 { "unshare -pf --mount-proc " } else { "" };
        let script = "n=0; trap 'n=$((n+1))' INT; echo ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.3; done; echo count=$n";
        let output =
            on_terminal(&format!("{prefix}{ENTRYPOINT} sh -c \"{script}\"").replace('$', "\\$"), b"\x03");
        assert!(text(&output.stdout).contains("count=1"), "{}", text(&output.stdout));
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_to_the_shell() {
    // In the background `sleep` is forked. In the foreground some shells vfork it, and hang where a stop comes between
    // that and its exec: they cannot be stopped while they wait for it.
    let line = format!(
        "bash -c 'set -m; {ENTRYPOINT} sh -c \"sleep 1.2 & echo ready; wait; echo done\"; echo stopped=$?; fg; echo end=$?'"
    );
    let output = on_terminal(&line, b"\x1a");
    let seen = text(&output.stdout);
    // 128 + SIGSTOP.
    assert!(seen.contains("stopped=147") && seen.contains("done") && seen.contains("end=0"), "{seen}");
}

/// Alone in namespaces with empty /run and /tmp, so that all which is there afterwards was left behind. Every other start
/// is ended by a signal, and each leaves an orphan to its parent.
const CYCLES: &str = r#"
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; mkfifo /tmp/started
state() { wc -l </proc/self/mountinfo; find /run /tmp | wc -l; set -- /proc/[0-9]*; echo $#; }
before=$(state); i=0; wrong=0
while [ $i -lt 500 ]; do
    "$1" sh -c '(exec true &); exit 3'; [ $? = 3 ] || wrong=$((wrong + 1))
    "$1" sh -c '(exec true &); echo started >/tmp/started; exec sleep 60' &
    read -r line </tmp/started; kill -TERM $!; wait $!; [ $? = 143 ] || wrong=$((wrong + 1))
    i=$((i + 1))
done
echo wrong $wrong
# The shell reaps the last orphans while it waits for something.
i=0; while [ "$(state)" != "$before" ] && [ $i -lt 50 ]; do sleep 0.1; i=$((i + 1)); done
[ "$(state)" = "$before" ] && echo clean || { echo "$before"; state; ls -d /proc/[0-9]*; }
"#;

#[test]
fn a_thousand_starts_leave_nothing_behind() {
    if ways("a_thousand_starts_leave_nothing_behind").len() < 2 {
        return;
    }
    // The program itself must not vanish under the new /tmp.
    let own = fs::canonicalize(ENTRYPOINT).unwrap();
    assert!(
        !own.starts_with("/tmp") && !own.starts_with("/run"),
        "{}: built below /tmp or /run",
        own.display()
    );
    let output = Command::new("unshare")
        .args(["-pfm", "--mount-proc", "--propagation", "private", "sh", "-c", CYCLES, "sh"])
        .arg(own)
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "wrong 0\nclean\n", "{}", text(&output.stderr));
}
