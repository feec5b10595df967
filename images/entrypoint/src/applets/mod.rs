//! Small programs of other packages that are looked up on a node, as far as they are called.
//!
//! kubeadm's system checks run `uname`, and its preflight wants `nsenter` and `touch` to be in PATH. Exit codes and
//! messages are those of coreutils 9.1 and util-linux 2.38.

mod nsenter;
mod touch;
mod uname;

use std::ffi::OsString;

use crate::failure::{Failure, err, out};

/// What is done once the command line is understood: the exit code, or why it failed.
type Done = Result<u8, Failure>;

/// uname(1).
pub(crate) fn uname(args: Vec<OsString>) -> u8 {
    said("uname", uname::run(args))
}

/// touch(1).
pub(crate) fn touch(args: Vec<OsString>) -> u8 {
    said("touch", touch::run(args))
}

/// nsenter(1).
pub(crate) fn nsenter(args: Vec<OsString>) -> u8 {
    said("nsenter", nsenter::run(args))
}

fn said(name: &str, done: Done) -> u8 {
    done.unwrap_or_else(|failure| {
        err(&format!("{name}: {}", failure.message));
        failure.code
    })
}

/// An option that a command does not have, in the words of getopt(3).
fn unknown(command: &str, arg: &lexopt::Arg) -> Failure {
    let message = match arg {
        lexopt::Arg::Short(name) => format!("invalid option -- '{name}'"),
        lexopt::Arg::Long(name) => format!("unrecognized option '--{name}'"),
        lexopt::Arg::Value(value) => format!("extra operand '{}'", value.to_string_lossy()),
    };
    Failure::usage(command, &message)
}

/// `--help` and `--version`.
fn print(text: &str) -> u8 {
    out(text);
    0
}
