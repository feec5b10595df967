//! Why there is no choice of packages: who asks for what, and what stands against each candidate.

use std::fmt::Write as _;

use super::search::{Asker, Obstacle, Search};
use crate::depend::Dependency;

/// How many candidates an explanation lists.
const SHOWN: usize = 12;

/// Something asked for that nothing can fulfil.
pub(super) struct Failure {
    pub(super) dependency: Dependency,
    pub(super) asker: Asker,
}

/// The whole explanation, several lines.
pub(super) fn explain(search: &Search<'_, '_>, failure: &Failure) -> String {
    let Failure { dependency, asker } = failure;
    let mut out =
        format!("nothing can be installed for `{dependency}`, required by {}", chain(search, *asker));
    let obstacles = search.obstacles(dependency);
    if obstacles.is_empty() {
        let _ = write!(out, "\n  no package has or provides `{}`", dependency.name);
    }
    for (at, obstacle) in obstacles.iter().take(SHOWN) {
        let _ = write!(
            out,
            "\n  {}: {}",
            search.universe().record(*at).id(),
            describe(search, obstacle, dependency)
        );
    }
    if let Some(more) = obstacles.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        let _ = write!(out, "\n  and {more} more");
    }
    out
}

fn describe(search: &Search<'_, '_>, obstacle: &Obstacle, dependency: &Dependency) -> String {
    let id = |at: usize| search.universe().record(at).id();
    match obstacle {
        Obstacle::Unmeant(wanted, None) if wanted == dependency => "another version".to_owned(),
        Obstacle::Unmeant(wanted, asker) => {
            format!("not `{wanted}`, as required by {}", chain(search, *asker))
        }
        Obstacle::Excluded(conflict, asker) => {
            format!("excluded by `{conflict}` of {}", chain(search, *asker))
        }
        Obstacle::Excludes(conflict, at) => format!("excludes {} by `{conflict}`", chain(search, Some(*at))),
        Obstacle::ExcludesItself(conflict) => format!("excludes itself by `{conflict}`"),
        Obstacle::Clash(name, at) => format!("provides `{name}`, as {} does", chain(search, Some(*at))),
        Obstacle::Needs(need) => {
            let mut out = format!("requires `{need}`, ");
            match search.obstacles(need).as_slice() {
                [] => out.push_str("which no package has or provides"),
                all => {
                    let reasons: Vec<String> = all
                        .iter()
                        .take(SHOWN)
                        .map(|(at, obstacle)| match obstacle {
                            Obstacle::Needs(need) => format!("{} requires `{need}`", id(*at)),
                            other => format!("{} ({})", id(*at), describe(search, other, need)),
                        })
                        .collect();
                    let _ = write!(out, "but {}", reasons.join(", "));
                }
            }
            out
        }
        Obstacle::Undecided => "provides it without a version, and nothing says which to prefer".to_owned(),
    }
}

/// A package and who asked for it, up to the world.
fn chain(search: &Search<'_, '_>, asker: Asker) -> String {
    let mut out = String::new();
    let mut next = asker;
    // As long as there are choices the chain goes up, for it only follows earlier ones.
    while let Some(at) = next {
        if !out.is_empty() {
            out.push_str(" < ");
        }
        out.push_str(&search.universe().record(at).id());
        match search.asker_of(at) {
            Some(above) => next = above,
            None => return out + " (installed along with others)",
        }
    }
    if out.is_empty() { "the world".to_owned() } else { out + " < the world" }
}
