//! Starts a program and stays its parent: PID 1 of the container, or a subreaper where it is not.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command as Process;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::args::Command;
use crate::failure::err;
use crate::host;
use crate::iptables;
use crate::path;
use crate::signals::{self, Held};

/// Exit code for a program that is there but cannot be executed, as shells have it.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// Exit code for a program that is not there.
pub(crate) const NOT_FOUND: u8 = 127;
/// Where programs are looked up when the container has no PATH.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the command until it ends. Returns its exit code, 128 + N when signal N ended it.
pub(crate) fn run(command: &Command) -> u8 {
    let given = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    let path_variable = host::for_children(&given);
    let name = command.program.to_string_lossy();
    let file = match path::find_program(&command.program, &path_variable) {
        Ok(file) => file,
        Err(true) => {
            err(&format!("entrypoint: {name}: is not an executable file"));
            return NOT_EXECUTABLE;
        }
        Err(false) => {
            err(&format!("entrypoint: {name}: no such program in this image{}", advice(&command.program)));
            return NOT_FOUND;
        }
    };

    let mut process = Process::new(file);
    process.arg0(&command.program).args(&command.args);
    if path_variable != given {
        process.env("PATH", &path_variable);
    }
    if let Err(code) = iptables::prepare(&command.program, &mut process) {
        return code;
    }

    // Until here a signal ends us; from here on it is held back for the program.
    let held = Held::hold();
    let own = rustix::process::getpid();
    if !own.is_init()
        && let Err(error) = rustix::process::set_child_subreaper(Some(own))
    {
        err(&format!("entrypoint: orphans cannot be adopted, so they stay with the host's init: {error}"));
    }
    let terminal = Terminal::ours();
    signals::prepare(&mut process, terminal.is_some());
    let child = match process.spawn() {
        Ok(child) => Pid::from_child(&child),
        Err(error) => {
            err(&format!("entrypoint: {name}: {}", start_failure(&error)));
            return NOT_EXECUTABLE;
        }
    };
    supervise(child, &held, terminal.as_ref())
}

/// Forwards signals and reaps until the child itself has ended.
fn supervise(child: Pid, held: &Held, terminal: Option<&Terminal>) -> u8 {
    loop {
        let signal = held.next();
        if signals::is_forwarded(signal) {
            signals::send(child, signal);
        } else if signal == libc::SIGCHLD
            && let Some(code) = reap(child, terminal)
        {
            if let Some(terminal) = terminal {
                Terminal::give_to(terminal.group);
            }
            return code;
        }
    }
}

/// Takes every child that has ended; the exit code once the one we started has.
fn reap(child: Pid, terminal: Option<&Terminal>) -> Option<u8> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if pid == child => {
                if let Some(code) = exit_code(status) {
                    return Some(code);
                }
                if let Some(terminal) = terminal {
                    terminal.stop_along(child);
                }
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// The exit code to pass on; none for a child that was only stopped.
fn exit_code(status: WaitStatus) -> Option<u8> {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))?;
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

/// The terminal we are in the foreground of. The child takes our place there, so that Ctrl-C reaches it once
/// (from the terminal) and not twice (from us, too).
struct Terminal {
    /// Our own process group; none where its leader is outside of our pid namespace.
    group: Option<Pid>,
}

impl Terminal {
    fn ours() -> Option<Self> {
        let group = signals::own_group();
        let foreground = match rustix::termios::tcgetpgrp(rustix::stdio::stdin()) {
            Ok(foreground) => Some(foreground),
            // A terminal, but its foreground group is outside of our pid namespace.
            Err(Errno::OPNOTSUPP) => None,
            Err(_) => return None,
        };
        (foreground == group).then_some(Self { group })
    }

    /// Brings a process group to the foreground. A terminal that hung up has none, and nobody to tell.
    fn give_to(group: Option<Pid>) {
        if let Some(group) = group {
            let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), group);
        }
    }

    /// The child was stopped (Ctrl-Z): stops as well, for the shell that started us, and continues the child
    /// with us. PID 1 has no such shell and cannot be stopped.
    fn stop_along(&self, child: Pid) {
        let own = rustix::process::getpid();
        if own.is_init() {
            return;
        }
        Self::give_to(self.group);
        signals::send(own, libc::SIGSTOP);
        if rustix::termios::tcgetpgrp(rustix::stdio::stdin()).ok() == self.group {
            Self::give_to(Some(child));
        }
        signals::send_group(child, libc::SIGCONT);
    }
}

/// What to do about a program that is not there.
fn advice(program: &OsStr) -> &'static str {
    match program.to_str() {
        Some("kubeadm" | "crictl") => "; it is in the kubeadm variants: use a tag with -kubeadm",
        Some("kubelet") => "; was /usr/bin or PATH replaced by a mount or a variable of the container?",
        _ => "; name a program of the image, or give only flags (they go to the kubelet)",
    }
}

/// Why an executable file could not be started.
fn start_failure(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => {
            "cannot be executed here: it is built for another architecture, or damaged".to_owned()
        }
        Some(libc::ENOENT) => "cannot be executed: the interpreter it names is not in this image".to_owned(),
        _ => format!("cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_to_start_say_why() {
        assert!(start_failure(&io::Error::from_raw_os_error(libc::ENOEXEC)).contains("architecture"));
        assert!(start_failure(&io::Error::from_raw_os_error(libc::ENOENT)).contains("interpreter"));
        assert!(start_failure(&io::Error::from_raw_os_error(libc::EACCES)).contains("denied"));
    }

    #[test]
    fn kubeadm_is_told_where_to_find() {
        assert!(advice(OsStr::new("kubeadm")).contains("variants"));
        assert!(advice(OsStr::new("foo")).contains("flags"));
    }
}
