//! mount(8) as far as the kubelet, its volume plugins and CSI's k8s.io/mount-utils call it.
//!
//! Option names, exit codes and messages are those of util-linux 2.38, which programs around the kubelet expect.

mod candidates;
mod cli;
pub(crate) mod helper;
mod list;
mod message;
mod options;
mod perform;
mod probe;
mod source;

pub(crate) use cli::version;
pub(crate) use message::describe;

use std::ffi::OsString;

use crate::failure::{err, out};

/// Runs the command; returns its exit code.
pub(crate) fn main(args: Vec<OsString>) -> u8 {
    let done = cli::parse(args).and_then(|action| match action {
        cli::Action::Print(text) => {
            out(&text);
            Ok(())
        }
        cli::Action::List(types) => list::print(types.as_deref()),
        cli::Action::Mount(request) => perform::perform(&request),
    });
    match done {
        Ok(()) => 0,
        Err(failure) => {
            err(&format!("mount: {}", failure.message));
            failure.code
        }
    }
}
