//! How Go programs are compiled: our way, and that of those who release them.

use serde::Deserialize;

use crate::model::Name;
use crate::program::Closure;
use crate::validate::version_numbers;

/// How Go programs are compiled, beyond what static programs always need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compile {
    /// Build tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// `PATTERN=FLAGS` for the compiler; the last whose pattern fits a package counts.
    #[serde(default)]
    pub gcflags: Vec<String>,
    /// Flags of the linker, each one word.
    #[serde(default)]
    pub ldflags: Vec<String>,
    /// What `build --unedited` takes instead: as upstream's own scripts have it, of each closure the newest first.
    #[serde(default)]
    pub upstream: Vec<Upstream>,
}

/// How a closure's programs are compiled by those who release them. Flags of compiler and linker that do more than leave
/// symbols and paths out have none of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Whose programs.
    pub closure: Closure,
    /// The first version of their module that is compiled like this; without it, all before those of other entries.
    pub from: Option<Name>,
    /// Build tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The programs that are compiled with cgo; the others are without.
    #[serde(default)]
    pub cgo: Vec<Name>,
}

impl Compile {
    /// How the programs of a closure are compiled upstream, in a version of their module.
    pub fn upstream_of(&self, closure: Closure, version: &str) -> Option<&Upstream> {
        let has = |from: &Name| version_numbers(version) >= version_numbers(from.as_str());
        self.upstream.iter().find(|entry| entry.closure == closure && entry.from.as_ref().is_none_or(has))
    }
}
