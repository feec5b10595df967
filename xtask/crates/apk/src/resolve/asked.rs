//! What is asked for, and what of it has yet to be looked at.

use std::collections::{HashMap, HashSet, VecDeque};

use super::search::Asker;
use crate::depend::Dependency;

/// A dependency, and who was the first to ask for it.
pub(super) type Ask<'a> = (&'a Dependency, Asker);

/// All that is asked for. What is asked for again, word for word, changes nothing: most packages need the same few.
#[derive(Default)]
pub(super) struct Asked<'a> {
    by_name: HashMap<&'a str, Vec<Ask<'a>>>,
    /// What was looked at and was not there, in the order in which it was asked for.
    waiting: Vec<Ask<'a>>,
    /// What was not looked at, in the order in which it was asked for.
    coming: VecDeque<Ask<'a>>,
    /// All that ever was in either.
    known: HashSet<&'a Dependency>,
}

impl<'a> Asked<'a> {
    /// Adds what somebody asks for.
    pub(super) fn add(&mut self, dependencies: &'a [Dependency], asker: Asker) {
        for dependency in dependencies {
            let asked = self.by_name.entry(&dependency.name).or_default();
            if asked.iter().all(|(other, _)| *other != dependency) {
                asked.push((dependency, asker));
            }
        }
        self.look_at(dependencies, asker);
    }

    /// Takes back what the last asker asked for: what others asked for before is still theirs.
    pub(super) fn remove(&mut self, dependencies: &[Dependency], asker: usize) {
        for dependency in dependencies {
            if let Some(asked) = self.by_name.get_mut(dependency.name.as_str()) {
                asked.retain(|(_, other)| *other != Some(asker));
            }
        }
    }

    /// What is asked for by a name.
    pub(super) fn of(&self, name: &str) -> &[Ask<'a>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// What is asked for and was not there when it was looked at, by its place; beyond it what comes next.
    pub(super) fn open(&mut self, at: usize) -> Option<Ask<'a>> {
        if at == self.waiting.len() {
            self.waiting.push(self.coming.pop_front()?);
        }
        self.waiting.get(at).copied()
    }

    /// What is at this place is there: it will be there until a choice is taken back.
    pub(super) fn is_there(&mut self, at: usize) {
        self.waiting.remove(at);
    }

    /// Looks at everything again, of these askers in this order.
    pub(super) fn again(&mut self, all: impl Iterator<Item = (&'a [Dependency], Asker)>) {
        self.waiting.clear();
        self.coming.clear();
        self.known.clear();
        all.for_each(|(dependencies, asker)| self.look_at(dependencies, asker));
    }

    fn look_at(&mut self, dependencies: &'a [Dependency], asker: Asker) {
        for dependency in dependencies {
            if !dependency.conflict && self.known.insert(dependency) {
                self.coming.push_back((dependency, asker));
            }
        }
    }
}
