//! What a check found.

use super::flags::Repair;

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// As it must be.
    Ok,
    /// Not as it must be, and put right at the start.
    Repairable,
    /// It cannot be known from here.
    Unknown,
    /// Not as it should be; the kubelet starts nevertheless.
    Warning,
    /// The kubelet would fail.
    Error,
}

impl Status {
    /// Its word in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Repairable => "repairable",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A row of what was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A path, or what else was looked at.
    pub(crate) name: String,
    pub(crate) status: Status,
    /// What was found, and what was expected where that is not the same.
    pub(crate) found: String,
    /// What it is for.
    pub(crate) why: &'static str,
    /// What puts it right; none where nothing is wrong.
    pub(crate) repair: Option<Repair>,
}

impl Finding {
    /// All is well with it.
    pub(crate) fn ok(name: &str, why: &'static str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Ok, found: found.into(), why, repair: None }
    }

    /// It is not, or not known to be.
    pub(crate) fn bad(
        status: Status,
        name: &str,
        why: &'static str,
        found: impl Into<String>,
        repair: Repair,
    ) -> Self {
        Self { name: name.to_owned(), status, found: found.into(), why, repair: Some(repair) }
    }
}
