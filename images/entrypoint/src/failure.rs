//! Failures with the exit codes of mount(8).

use std::ffi::OsStr;
use std::io::Write;

/// Incorrect invocation or permissions.
pub(crate) const USAGE: u8 = 1;
/// A system error, here: the mount table cannot be read.
pub(crate) const SYSTEM: u8 = 2;
/// The mount or umount failed.
pub(crate) const MOUNT: u8 = 32;

/// What to print after `mount: ` or `umount: `, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// A failure that says `message`.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A failure about one mount point: `target: message.`
    pub(crate) fn at(code: u8, target: &OsStr, message: &str) -> Self {
        Self::new(code, format!("{}: {message}.", target.to_string_lossy()))
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(command: &str, message: &str) -> Self {
        Self::new(USAGE, format!("{message}\nTry '{command} --help' for more information."))
    }
}

/// Writes a line to standard output. Whoever closed it does not want the rest.
pub(crate) fn out(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line to standard error; there is nowhere to report that it is closed.
pub(crate) fn err(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
