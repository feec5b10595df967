//! Signals: held back and taken one by one, and given back to the child. The only unsafe code here.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// Signals that the kernel raises for a fault of the program itself; holding them back would hang it.
const OWN_FAULTS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, libc::SIGABRT];
/// Signals that end a program which does nothing about them, and are sent for that.
const ENDING: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];
/// The highest signal number on Linux, real-time signals included.
const LAST: i32 = 64;

/// Every signal but those of our own faults, held back from now on and taken with [`Held::next`].
pub(crate) struct Held(libc::sigset_t);

impl Held {
    /// Holds signals back. Does away with an inherited "ignore" for SIGCHLD, under which nothing could be waited for.
    pub(crate) fn hold() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set it is given; sigdelset and pthread_sigmask read an initialised
        // one; signal only resets a disposition to its default, so no handler of ours has to be valid.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            let mut set = set.assume_init();
            for fault in OWN_FAULTS {
                libc::sigdelset(&raw mut set, fault);
            }
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            Self(set)
        }
    }

    /// Lets them through again.
    pub(crate) fn release(&self) {
        // SAFETY: the set is initialised, and a null pointer for the old mask is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const self.0, std::ptr::null_mut()) };
    }

    /// Waits for the next signal and returns its number.
    pub(crate) fn next(&self) -> i32 {
        loop {
            // SAFETY: the set is initialised, and a null pointer for the details is allowed.
            let signal = unsafe { libc::sigwaitinfo(&raw const self.0, std::ptr::null_mut()) };
            if signal > 0 {
                return signal;
            }
        }
    }

    /// The same, but none comes within this time.
    pub(crate) fn next_within(&self, time: Duration) -> Option<i32> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            let limit = libc::timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i32::MAX.into()),
                tv_nsec: i32::try_from(left.subsec_nanos()).unwrap_or(0).into(),
            };
            // SAFETY: both are initialised, and a null pointer for the details is allowed.
            let signal =
                unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const limit) };
            if signal > 0 {
                return Some(signal);
            }
        }
        None
    }
}

/// The process group of a program that is asked something just now; 0 for none.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// A program that is asked something: as long as this value is there, it ends with us.
pub(crate) struct Asked;

impl Asked {
    /// The one that leads this process group.
    pub(crate) fn now(group: Pid) -> Self {
        ASKED.store(group.as_raw_nonzero().get(), Ordering::SeqCst);
        Self
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        ASKED.store(0, Ordering::SeqCst);
    }
}

/// Before anything is started: a signal that ends other programs ends this one, and what it asks something. The kernel
/// does not do it for PID 1, and whatever is waited for then could not be given up.
pub(crate) fn end_by_default() {
    extern "C" fn end(signal: i32) {
        let group = ASKED.load(Ordering::SeqCst);
        // SAFETY: both are async-signal-safe, take numbers only, and the group is one that we made.
        unsafe {
            if group > 0 {
                libc::kill(-group, libc::SIGKILL);
            }
            libc::_exit(128 + signal);
        }
    }
    for signal in ENDING {
        let mut old = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a null pointer for the new action only asks for the old one; what is zero is a valid value of it. The
        // handler is a function of the type that signal(2) wants and does only what a handler may.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr());
            // What is ignored on purpose (nohup) stays so.
            if old.assume_init().sa_sigaction == libc::SIG_DFL {
                let handler: extern "C" fn(i32) = end;
                libc::signal(signal, handler as *const () as libc::sighandler_t);
            }
        }
    }
}

/// Lets the command end as soon as we do, whatever ends us.
pub(crate) fn end_along(command: &mut Command) {
    let child_side =
        || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?);
    // SAFETY: between fork and exec the closure only makes a system call.
    unsafe { command.pre_exec(child_side) };
}

/// Does it end a program that does nothing about it, and is it sent for that?
pub(crate) fn ends(signal: i32) -> bool {
    ENDING.contains(&signal)
}

/// Should a signal that reaches us be passed on to the program we started?
pub(crate) fn is_forwarded(signal: i32) -> bool {
    // SIGPIPE concerns our own output; SIGTTIN and SIGTTOU our own use of the terminal.
    !matches!(signal, libc::SIGCHLD | libc::SIGPIPE | libc::SIGTTIN | libc::SIGTTOU)
}

/// Sends a signal. A process that is gone already needs none.
pub(crate) fn send(pid: Pid, signal: i32) {
    // SAFETY: kill takes two numbers; `pid` is positive, so it names one process.
    unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) };
}

/// Sends a signal to every process of a group.
pub(crate) fn send_group(leader: Pid, signal: i32) {
    // SAFETY: as above; the negative of a process id names the group it leads.
    unsafe { libc::kill(-leader.as_raw_nonzero().get(), signal) };
}

/// Our process group; none where its leader is outside of our pid namespace.
pub(crate) fn own_group() -> Option<Pid> {
    // SAFETY: getpgrp takes nothing and cannot fail. (rustix's takes for granted that the group has a number.)
    Pid::from_raw(unsafe { libc::getpgrp() })
}

/// Lets the command start as from a shell: in a process group of its own, in the terminal's foreground where
/// `foreground` says so, every signal at its default and none held back.
pub(crate) fn prepare(command: &mut Command, foreground: bool) {
    let child_side = move || {
        // While SIGTTOU is held back a background group may take the foreground.
        if foreground {
            let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
        }
        let mut none = MaybeUninit::uninit();
        // SAFETY: all three are async-signal-safe; the set is initialised by sigemptyset before it is read.
        // Numbers that cannot be changed (KILL, STOP, the C library's own) are refused without effect.
        unsafe {
            for signal in 1..=LAST {
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::sigemptyset(none.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        }
        Ok(())
    };
    command.process_group(0);
    // SAFETY: between fork and exec the closure only makes system calls: it neither allocates nor locks.
    unsafe { command.pre_exec(child_side) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forwarded() {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2]
        {
            assert!(is_forwarded(signal));
        }
        for signal in [libc::SIGWINCH, libc::SIGCONT, libc::SIGTSTP, libc::SIGALRM, 40] {
            assert!(is_forwarded(signal));
        }
        assert!(!is_forwarded(libc::SIGCHLD) && !is_forwarded(libc::SIGPIPE));
    }
}
