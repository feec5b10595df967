//! What a measurement aims at.

use anyhow::Result;
use fault::{Fault, Kind};

/// What it is, how far it is from that, and how far it may be.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) found: f64,
    pub(crate) limit: f64,
    /// Is less better?
    pub(crate) at_most: bool,
}

impl Goal {
    fn met(&self) -> bool {
        if self.at_most { self.found <= self.limit } else { self.found >= self.limit }
    }

    /// A line of a list.
    pub(crate) fn line(&self) -> String {
        let than = if self.at_most { "at most" } else { "at least" };
        let met = if self.met() { "" } else { ": missed" };
        format!("- {}: {:.3}, {than} {} is aimed at{met}", self.what, self.found, self.limit)
    }
}

/// Fails where one is missed, with all of those.
pub(crate) fn check(goals: impl Iterator<Item = Goal>) -> Result<()> {
    let missed: Vec<String> = goals.filter(|goal| !goal.met()).map(|goal| goal.line()).collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Fault::new(Kind::ToolFailed, format!("not what is aimed at:\n{}", missed.join("\n"))).into())
}
