//! The errors people see.
//!
//! Every failure that a user can cause or repair is a [`Fault`]: what failed and on what, what was expected
//! and found where that applies, and what to do next. It travels inside [`anyhow::Error`], so callers add
//! context as usual; [`of`] finds it again for the exit code and the hint.

use std::fmt;

/// The kinds of failure, each with its documented exit code (docs/exit-codes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The command line makes no sense.
    Usage,
    /// A file of this repository (catalog, lock) is invalid.
    InvalidData,
    /// No such attribute, release, component or file.
    NotFound,
    /// An input is not available: network, mirror, module proxy, or `--offline`.
    Unavailable,
    /// An input or a cached object is not what its hash, size or signature says.
    Mismatch,
    /// A tool is missing or has another version than the locked one.
    Tool,
    /// A compiler or another tool ran and failed.
    ToolFailed,
    /// A generated file or a lock is out of date (`--check`, `--locked`).
    Stale,
    /// The disk or the store failed: full, read-only, no permission.
    Storage,
    /// An image is larger than its budget allows (`size check`).
    Budget,
    /// There is no vulnerability database that could be asked (`advisories`).
    Database,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

impl Kind {
    /// All kinds, in order of their exit codes.
    pub const ALL: [Kind; 12] = [
        Kind::Usage,
        Kind::InvalidData,
        Kind::NotFound,
        Kind::Unavailable,
        Kind::Mismatch,
        Kind::Tool,
        Kind::ToolFailed,
        Kind::Stale,
        Kind::Storage,
        Kind::Budget,
        Kind::Database,
        Kind::Interrupted,
    ];

    /// The exit code of the process. 1 is left for what is not a [`Fault`]: a bug.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::InvalidData => 3,
            Kind::NotFound => 4,
            Kind::Unavailable => 5,
            Kind::Mismatch => 6,
            Kind::Tool => 7,
            Kind::ToolFailed => 8,
            Kind::Stale => 9,
            Kind::Storage => 10,
            Kind::Budget => 11,
            Kind::Database => 20,
            Kind::Interrupted => 130,
        }
    }
}

/// A failure that a user can cause or repair.
#[derive(Debug)]
pub struct Fault {
    kind: Kind,
    message: String,
    help: Option<String>,
}

impl Fault {
    /// A fault with its message: a lowercase fragment that names the thing it is about.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None }
    }

    /// Says what to do next, best as a command to run.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A [`Kind::Mismatch`]: `what` is not what was expected.
    pub fn mismatch(what: impl fmt::Display, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self::new(
            Kind::Mismatch,
            format!("{what} is not what was expected\n  expected {expected}\n  found    {found}"),
        )
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do next, if there is something.
    pub fn hint(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The fault inside an error, if there is one.
pub fn of(error: &anyhow::Error) -> Option<&Fault> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// Is the fault inside an error of this kind?
pub fn is(error: &anyhow::Error, kind: Kind) -> bool {
    of(error).is_some_and(|fault| fault.kind() == kind)
}

/// The exit code for an error: its fault's, else 10 for a failed file operation, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(fault) = of(error) {
        return fault.kind().exit_code();
    }
    if error.chain().any(<dyn std::error::Error>::is::<std::io::Error>) {
        Kind::Storage.exit_code()
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn exit_codes_are_distinct_and_never_those_of_success_or_a_bug() {
        let codes: Vec<u8> = Kind::ALL.iter().map(|kind| kind.exit_code()).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(codes, sorted);
        assert!(!codes.contains(&0) && !codes.contains(&1));
    }

    #[test]
    fn a_fault_is_found_under_context() {
        let error = Err::<(), _>(Fault::new(Kind::Tool, "no zig").help("run x"))
            .context("build of y")
            .context("outer")
            .unwrap_err();
        assert_eq!(of(&error).and_then(Fault::hint), Some("run x"));
        assert_eq!(exit_code(&error), 7);
    }

    #[test]
    fn a_failed_file_operation_is_the_storage_code_and_the_rest_is_a_bug() {
        let io = anyhow::Error::new(std::io::Error::other("disk")).context("writing");
        assert_eq!(exit_code(&io), 10);
        assert_eq!(exit_code(&anyhow::anyhow!("?")), 1);
    }

    #[test]
    fn the_documentation_lists_every_kind() {
        let page = include_str!("../../../../docs/exit-codes.md");
        for kind in Kind::ALL {
            assert!(page.contains(&format!("\n| {} | {kind:?} | ", kind.exit_code())), "{kind:?}");
        }
    }
}
