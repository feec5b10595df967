//! The order of installation: each package after what it needs, as apk does it.

use std::collections::{HashMap, HashSet};

use super::{PackageIndex, provides};
use crate::depend::Dependency;

/// Orders the chosen packages: for the world's names in the order of their bytes, first what a package needs
/// in the order it says so, then it, then those that come along once it is there. Where needs go in circles
/// the package that was come to first waits for the others.
pub(super) fn order(universe: &PackageIndex<'_>, world: &[Dependency], chosen: Vec<usize>) -> Vec<usize> {
    let mut providers: HashMap<&str, usize> = HashMap::new();
    for &at in &chosen {
        for (name, _) in provides(universe.record(at)) {
            providers.entry(name).or_insert(at);
        }
        providers.insert(&universe.record(at).name, at);
    }
    let mut along: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_index = chosen.clone();
    by_index.sort_unstable();
    for at in by_index {
        for dependency in &universe.record(at).install_if {
            along.entry(&dependency.name).or_default().push(at);
        }
    }
    let mut ordering = Ordering { universe, providers, along, started: HashSet::new(), order: Vec::new() };
    let mut names: Vec<&Dependency> = world.iter().filter(|dependency| !dependency.conflict).collect();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    for dependency in names {
        if let Some(at) = ordering.providers.get(dependency.name.as_str()) {
            ordering.visit(*at);
        }
    }
    // What only came along with what was itself no part of the world's needs.
    for at in chosen {
        ordering.visit(at);
    }
    ordering.order
}

struct Ordering<'u, 'a> {
    universe: &'u PackageIndex<'a>,
    providers: HashMap<&'a str, usize>,
    along: HashMap<&'a str, Vec<usize>>,
    started: HashSet<usize>,
    order: Vec<usize>,
}

/// What is left to do for a package: its needs from this one on, or what comes along from this one on.
enum Step {
    Needs(usize, usize),
    Along(usize, usize),
}

impl Ordering<'_, '_> {
    fn visit(&mut self, at: usize) {
        let mut steps = Vec::new();
        self.start(at, &mut steps);
        while let Some(step) = steps.pop() {
            match step {
                Step::Needs(at, next) => {
                    if let Some(dependency) = self.universe.record(at).depends.get(next) {
                        steps.push(Step::Needs(at, next + 1));
                        let need = self.providers.get(dependency.name.as_str()).copied();
                        if let Some(need) = need.filter(|_| !dependency.conflict) {
                            self.start(need, &mut steps);
                        }
                    } else {
                        self.order.push(at);
                        steps.push(Step::Along(at, 0));
                    }
                }
                Step::Along(at, next) => {
                    let name = self.universe.record(at).name.as_str();
                    if let Some(&other) = self.along.get(name).and_then(|along| along.get(next)) {
                        steps.push(Step::Along(at, next + 1));
                        let conditions = self
                            .universe
                            .record(other)
                            .install_if
                            .iter()
                            .filter(|dependency| !dependency.conflict);
                        let mut conditions =
                            conditions.map(|dependency| self.providers.get(dependency.name.as_str()));
                        if conditions
                            .all(|provider| provider.is_some_and(|provider| self.started.contains(provider)))
                        {
                            self.start(other, &mut steps);
                        }
                    }
                }
            }
        }
    }

    fn start(&mut self, at: usize, steps: &mut Vec<Step>) {
        if self.started.insert(at) {
            steps.push(Step::Needs(at, 0));
        }
    }
}
