//! Reasons not to start a program, and their exit codes.
//!
//! The codes are those of sysexits.h, which neither the kubelet nor shells use for anything else.

use std::fmt;

/// The arguments make no sense, or not for this release.
pub(crate) const USAGE: u8 = 64;
/// Something that the host has to provide is not there.
pub(crate) const HOST: u8 = 69;
/// A configuration file says something that cannot be.
pub(crate) const CONFIG: u8 = 78;

/// Why there is no start: what is wrong, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The exit code.
    pub(crate) code: u8,
    /// What is wrong: what was found, where.
    pub(crate) message: String,
    /// What to do, a line each.
    pub(crate) help: Vec<String>,
}

impl Stop {
    /// A refusal that says `message`.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: Vec::new() }
    }

    /// Adds a line of what to do.
    #[must_use]
    pub(crate) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "entrypoint: {}", self.message)?;
        self.help.iter().try_for_each(|line| write!(to, "\n  {line}"))
    }
}
