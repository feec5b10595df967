//! nsenter(1): a program in namespaces of another process. kubeadm's preflight wants it to be there; what it can do here
//! is to look around on the host from a container that has nothing else.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::Command;

use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Done, print, unknown};
use crate::failure::{Failure, USAGE};
use crate::init::{NOT_EXECUTABLE, NOT_FOUND};
use crate::mount::describe;
use crate::signals;

const HELP: &str = "\
Usage: nsenter [OPTION]... [--] [PROGRAM [ARG]...]

  -t, --target=PID         the process whose namespaces are entered
  -a, --all                all of its namespaces
  -m, --mount[=FILE]       its mount namespace, or that of a file; so with
  -u, --uts  -i, --ipc  -n, --net  -p, --pid  -C, --cgroup  -T, --time
  -r, --root[=DIRECTORY]   its root directory, or this one
  -w, --wd[=DIRECTORY]     its working directory, or this one
  -F, --no-fork            do not fork for a pid namespace
      --help, --version";

/// Namespaces in the order in which they are entered: short and long option, file in /proc/PID/ns, the kernel's type.
const KINDS: [(char, &str, &str, LinkNameSpaceType); 7] = [
    ('C', "cgroup", "cgroup", LinkNameSpaceType::ControlGroup),
    ('i', "ipc", "ipc", LinkNameSpaceType::InterProcessCommunication),
    ('u', "uts", "uts", LinkNameSpaceType::HostNameAndNISDomainName),
    ('n', "net", "net", LinkNameSpaceType::Network),
    ('p', "pid", "pid", LinkNameSpaceType::ProcessID),
    ('m', "mount", "mnt", LinkNameSpaceType::Mount),
    ('T', "time", "time", LinkNameSpaceType::Time),
];

/// What is to be entered: nothing, the target's, or what a path names.
type Wish = Option<Option<OsString>>;

/// One call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    target: Option<u32>,
    all: bool,
    kinds: [Wish; KINDS.len()],
    root: Wish,
    directory: Wish,
    no_fork: bool,
    program: Vec<OsString>,
}

fn parse(args: Vec<OsString>) -> Result<Request, Done> {
    let usage = |error: lexopt::Error| Err(Failure::usage("nsenter", &error.to_string()));
    let mut parser = Parser::from_args(args);
    let mut request = Request::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        let kind = KINDS.iter().position(|(short, long, ..)| arg == Short(*short) || arg == Long(long));
        match arg {
            _ if kind.is_some() => {
                if let Some(wish) = kind.and_then(|kind| request.kinds.get_mut(kind)) {
                    *wish = Some(parser.optional_value());
                }
            }
            Short('t') | Long("target") => {
                let value = parser.value().map_err(usage)?;
                let pid = value.to_str().and_then(|text| text.parse().ok());
                request.target = Some(pid.ok_or_else(|| {
                    Err(Failure::new(USAGE, format!("failed to parse pid: '{}'", value.to_string_lossy())))
                })?);
            }
            Short('a') | Long("all") => request.all = true,
            Short('r') | Long("root") => request.root = Some(parser.optional_value()),
            Short('w') | Long("wd") => request.directory = Some(parser.optional_value()),
            Short('F') | Long("no-fork") => request.no_fork = true,
            Short('h') | Long("help") => return Err(Ok(print(HELP))),
            Short('V') | Long("version") => return Err(Ok(print(&crate::mount::version("nsenter")))),
            Short('U' | 'S' | 'G' | 'W' | 'Z' | 'e')
            | Long(
                "user" | "setuid" | "setgid" | "preserve-credentials" | "wdns" | "follow-context" | "env",
            ) => {
                let message = "user namespaces and credentials are not supported";
                return Err(Err(Failure::new(USAGE, message)));
            }
            Value(program) => {
                request.program.push(program);
                request.program.extend(parser.raw_args().map_err(usage)?);
            }
            other => return Err(Err(unknown("nsenter", &other))),
        }
    }
    Ok(request)
}

pub(super) fn run(args: Vec<OsString>) -> Done {
    match parse(args) {
        Ok(request) => enter(&request),
        Err(done) => done,
    }
}

fn enter(request: &Request) -> Done {
    // All is opened before anything changes: afterwards paths are others.
    let mut namespaces = Vec::new();
    for ((_, _, file, kind), wish) in KINDS.iter().zip(&request.kinds) {
        if let Some(opened) = open(request, wish, &format!("ns/{file}"), OFlags::RDONLY | OFlags::NONBLOCK)? {
            namespaces.push((*file, *kind, opened));
        } else if request.all && is_another(request.target, file) {
            let opened =
                open(request, &Some(None), &format!("ns/{file}"), OFlags::RDONLY | OFlags::NONBLOCK)?;
            namespaces.extend(opened.map(|opened| (*file, *kind, opened)));
        }
    }
    let root = open(request, &request.root, "root", OFlags::PATH)?;
    let directory = open(request, &request.directory, "cwd", OFlags::PATH)?;
    for (file, kind, namespace) in &namespaces {
        move_into_link_name_space(namespace.as_fd(), Some(*kind))
            .map_err(|error| failed(&format!("reassociate to namespace 'ns/{file}' failed"), error))?;
    }
    let own_directory = std::env::current_dir();
    if let Some(root) = &root {
        let changed = rustix::process::fchdir(root).and_then(|()| rustix::process::chroot("."));
        changed.map_err(|error| failed("chroot failed", error))?;
    }
    match &directory {
        Some(directory) => {
            rustix::process::fchdir(directory).map_err(|error| failed("change directory failed", error))?;
        }
        None if root.is_some() => {
            let _ = own_directory.map(std::env::set_current_dir);
        }
        None => {}
    }
    let new_pids = namespaces.iter().any(|(file, ..)| *file == "pid");
    start(&request.program, new_pids && !request.no_fork)
}

/// What a wish names, opened; none without one.
fn open(request: &Request, wish: &Wish, of_target: &str, flags: OFlags) -> Result<Option<OwnedFd>, Failure> {
    let path = match (wish, request.target) {
        (None, _) => return Ok(None),
        (Some(Some(path)), _) => PathBuf::from(path),
        (Some(None), Some(pid)) => PathBuf::from(format!("/proc/{pid}/{of_target}")),
        (Some(None), None) => {
            let message = format!("neither filename nor target pid supplied for {of_target}");
            return Err(Failure::new(USAGE, message));
        }
    };
    match rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(error) => Err(failed(&format!("cannot open {}", path.display()), error)),
    }
}

/// Is it not the namespace that we are in? Some may not be entered again.
fn is_another(target: Option<u32>, file: &str) -> bool {
    let link = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{file}")).ok();
    target.is_some_and(|pid| link(&pid.to_string()) != link("self"))
}

fn failed(what: &str, error: Errno) -> Failure {
    Failure::new(USAGE, format!("{what}: {}", describe(error)))
}

/// Becomes the program, or in a new pid namespace, which only a child is in, waits for it.
fn start(program: &[OsString], fork: bool) -> Done {
    let shell =
        std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let (name, args): (&OsStr, &[OsString]) = match program {
        [name, args @ ..] => (name, args),
        [] => (&shell, &[]),
    };
    let mut command = Command::new(name);
    command.args(args);
    if program.is_empty() {
        command.arg0("-sh");
    }
    let error = if fork {
        match command.spawn() {
            Ok(child) => return wait(Pid::from_child(&child)),
            Err(error) => error,
        }
    } else {
        command.exec()
    };
    let code = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    let text = crate::preflight::describe(&error);
    Err(Failure::new(code, format!("failed to execute {}: {text}", name.to_string_lossy())))
}

/// Ends as the child ends, and stops while it is stopped.
fn wait(child: Pid) -> Done {
    loop {
        let status = match rustix::process::waitpid(Some(child), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) => status,
            Ok(None) | Err(Errno::INTR) => continue,
            Err(error) => return Err(failed("waitpid failed", error)),
        };
        if status.stopped() {
            signals::send(rustix::process::getpid(), libc::SIGSTOP);
            signals::send(child, libc::SIGCONT);
            continue;
        }
        let status = std::process::ExitStatus::from_raw(status.as_raw());
        if let Some(signal) = status.signal() {
            signals::send(rustix::process::getpid(), signal);
            return Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX));
        }
        return Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX));
    }
}
