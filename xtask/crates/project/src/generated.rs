//! Files of the repository that are made of others.

use std::fmt;

use anyhow::Result;
use fault::{Fault, Kind};
use serde::Serialize;

use crate::Checkout;

/// A file that is made of others.
#[derive(Clone, Copy, Debug)]
pub struct GeneratedFile {
    /// From the top of the repository.
    pub path: &'static str,
    /// Where what belongs in it comes from, as in `the sizes give`.
    pub of: &'static str,
    /// The command that makes it.
    pub command: &'static str,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub struct Generated {
    /// From the top of the repository.
    file: &'static str,
    state: State,
    version: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Unchanged,
    Written,
}

impl GeneratedFile {
    /// Makes sure that it is `new`: writes it, whole or not at all, or with `check` fails and names the command that makes it.
    pub fn write(self, checkout: &Checkout, new: &str, check: bool) -> Result<Generated> {
        let Self { path: file, of, command } = self;
        let path = checkout.root.join(file);
        let found = files::read_named(&path, files::DOCUMENT)?;
        if found.as_deref() == Some(new.as_bytes()) {
            return Ok(Generated { file, state: State::Unchanged, version: 1 });
        }
        if check {
            let state = if found.is_some() { format!("is not what {of}") } else { "is missing".to_owned() };
            let fault = Fault::new(Kind::Stale, format!("{file} {state}"));
            return Err(fault.help(format!("`{command}` makes it")).into());
        }
        files::write(&path, new.as_bytes())?;
        Ok(Generated { file, state: State::Written, version: 1 })
    }
}

impl Generated {
    /// Was it right before?
    pub fn is_unchanged(&self) -> bool {
        self.state == State::Unchanged
    }
}

impl fmt::Display for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unchanged => "is up to date",
            State::Written => "was written",
        };
        write!(f, "{} {state}", self.file)
    }
}
