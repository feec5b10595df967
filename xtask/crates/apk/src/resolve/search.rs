//! The search: choices are made one by one, and taken back when they lead nowhere.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::Result;
use fault::{Fault, Kind};

use super::asked::Asked;
use super::explain::{self, Failure};
use super::{PackageIndex, Provider, provides};
use crate::depend::Dependency;
use crate::limits;

/// Who asks for something: a chosen package, or the world.
pub(super) type Asker = Option<usize>;

/// Why a candidate cannot be chosen now.
#[derive(Debug, Clone)]
pub(super) enum Obstacle {
    /// Its name, or one it provides, has versions that this dependency does not mean.
    Unmeant(Dependency, Asker),
    /// A conflict of this asker means it.
    Excluded(Dependency, Asker),
    /// Its own conflict means this chosen package.
    Excludes(Dependency, usize),
    /// Its own conflict means itself, which apk 2.12 takes at its word.
    ExcludesItself(Dependency),
    /// A chosen package provides the same name.
    Clash(String, usize),
    /// It needs this, which nothing can fulfil now.
    Needs(Dependency),
    /// It provides the name without a version, as others do, and is not preferred to them.
    Undecided,
}

/// One choice, and what else could have been chosen.
struct Choice {
    chosen: usize,
    others: Vec<usize>,
    /// The package came along by `install_if`: it can also be left out.
    unasked: bool,
}

pub(super) struct Search<'u, 'a> {
    universe: &'u PackageIndex<'a>,
    world: &'a [Dependency],
    choices: Vec<Choice>,
    chosen: HashSet<usize>,
    /// Packages that will not come along by `install_if`, with the number of choices when that was found.
    left_out: Vec<(usize, usize)>,
    /// What is asked for so far.
    asked: Asked<'a>,
    /// The chosen packages by the names they provide.
    provided: HashMap<&'a str, Vec<Provider<'a>>>,
    depths: HashMap<&'a str, usize>,
    /// The packages that come along with a name.
    along: HashMap<&'a str, Vec<usize>>,
    /// Those of them with whose names a package was chosen; some may have been taken back since.
    near: BTreeSet<usize>,
}

impl<'u, 'a> Search<'u, 'a> {
    pub(super) fn new(universe: &'u PackageIndex<'a>, world: &'a [Dependency]) -> Self {
        let mut search = Self {
            universe,
            world,
            choices: Vec::new(),
            chosen: HashSet::new(),
            left_out: Vec::new(),
            asked: Asked::default(),
            provided: HashMap::new(),
            depths: HashMap::new(),
            along: universe.along(world),
            near: BTreeSet::new(),
        };
        search.asked.add(world, None);
        search
    }

    /// The chosen packages, in the order of the choices.
    pub(super) fn chosen(&self) -> Vec<usize> {
        self.choices.iter().map(|choice| choice.chosen).collect()
    }

    pub(super) fn run(&mut self) -> Result<()> {
        // The first dead end is on the way that apk would go, so it is the one to explain.
        let mut first = None;
        for _ in 0..limits::RESOLVER_STEPS {
            match self.next() {
                Ok(None) => match self.come_along() {
                    Some(at) => self.choose(at, Vec::new(), true),
                    None => return Ok(()),
                },
                Ok(Some((at, others))) => self.choose(at, others, false),
                Err(failure) => {
                    first.get_or_insert_with(|| explain::explain(self, &failure));
                    if !self.backtrack() {
                        break;
                    }
                    let of = |choice: &Choice| {
                        (&*self.universe.record(choice.chosen).depends, Some(choice.chosen))
                    };
                    self.asked.again([(self.world, None)].into_iter().chain(self.choices.iter().map(of)));
                }
            }
        }
        let message = first.unwrap_or_else(|| {
            "the packages depend on each other in too many ways to find a choice".to_owned()
        });
        Err(Fault::new(Kind::InvalidData, message)
            .help("change what is asked for, or add what is missing to the repository")
            .into())
    }

    /// The next package to choose and what else would do: one without an alternative if there is such, else of
    /// the name that most hangs on.
    fn next(&mut self) -> Result<Option<(usize, Vec<usize>)>, Failure> {
        let mut best: Option<(usize, Vec<usize>)> = None;
        let mut undecided = None;
        let mut at = 0;
        while let Some((dependency, asker)) = self.asked.open(at) {
            if self.is_there(dependency) {
                self.asked.is_there(at);
                continue;
            }
            at += 1;
            let (fitting, may_be_decided) = self.candidates_for(dependency);
            match fitting.as_slice() {
                // Another choice may bring one of those that provide it.
                [] if may_be_decided => {
                    undecided.get_or_insert(Failure { dependency: dependency.clone(), asker });
                }
                [] => return Err(Failure { dependency: dependency.clone(), asker }),
                [only] if !may_be_decided => return Ok(Some((*only, Vec::new()))),
                _ => {
                    let depth = self.depth(&dependency.name);
                    if best.as_ref().is_none_or(|(most, _)| depth > *most) {
                        best = Some((depth, fitting));
                    }
                }
            }
        }
        match (best, undecided) {
            (Some((_, mut fitting)), _) => Ok(Some((fitting.remove(0), fitting))),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(None),
        }
    }

    fn is_there(&self, dependency: &Dependency) -> bool {
        let there = self.provided.get(dependency.name.as_str()).into_iter().flatten();
        there
            .into_iter()
            .any(|provider| dependency.means(provider.version, self.universe.record(provider.at).checksum))
    }

    /// The candidates that would do for a dependency now, the preferred first; and whether there are others that would do
    /// if something asked for them.
    fn candidates_for(&self, dependency: &Dependency) -> (Vec<usize>, bool) {
        let mut fitting: Vec<Provider<'a>> = Vec::new();
        let mut may_be_decided = false;
        for provider in self.universe.providers(&dependency.name) {
            match self.obstacle(dependency, *provider) {
                // A package that provides the name twice is there twice in a row.
                None if fitting.last().is_none_or(|other| other.at != provider.at) => fitting.push(*provider),
                Some(Obstacle::Undecided) => may_be_decided = true,
                _ => {}
            }
        }
        fitting.sort_by(|a, b| self.compare(*a, *b).reverse());
        (fitting.into_iter().map(|provider| provider.at).collect(), may_be_decided)
    }

    /// Which of two that provide a name is preferred: the greater.
    fn compare(&self, a: Provider<'a>, b: Provider<'a>) -> Ordering {
        let (one, two) = (&self.universe.candidates[a.at], &self.universe.candidates[b.at]);
        let installed = one.installed.cmp(&two.installed);
        let asked = match (a.version, b.version) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        let own = if one.record.name == two.record.name {
            one.record.version.cmp(&two.record.version)
        } else {
            Ordering::Equal
        };
        let priority = one.record.provider_priority.cmp(&two.record.provider_priority);
        installed.then(asked).then(own).then(priority).then(two.repository.cmp(&one.repository))
    }

    /// What stands against choosing a candidate for a dependency on a name that it provides.
    pub(super) fn obstacle(&self, dependency: &Dependency, provider: Provider<'a>) -> Option<Obstacle> {
        let record = self.universe.record(provider.at);
        if !dependency.means(provider.version, record.checksum) {
            return Some(Obstacle::Unmeant(dependency.clone(), None));
        }
        let own_name_asked =
            || self.asked.of(&record.name).iter().any(|(dependency, _)| !dependency.conflict);
        if provider.version.is_none() && record.provider_priority == 0 && !own_name_asked() {
            let mut others = self.universe.providers(&dependency.name).iter();
            if others.any(|other| self.universe.record(other.at).name != record.name) {
                return Some(Obstacle::Undecided);
            }
        }
        self.obstacle_to(provider.at).or_else(|| self.unmet_need(provider.at))
    }

    /// What stands against a candidate among what was chosen and asked for so far.
    fn obstacle_to(&self, at: usize) -> Option<Obstacle> {
        let record = self.universe.record(at);
        for (name, version) in provides(record) {
            for other in self.provided.get(name).into_iter().flatten() {
                if other.at != at && (version.is_some() || other.version.is_some()) {
                    return Some(Obstacle::Clash(name.to_owned(), other.at));
                }
            }
            for (dependency, asker) in self.asked.of(name) {
                let meant = dependency.means(version, record.checksum);
                if dependency.conflict && meant {
                    return Some(Obstacle::Excluded((*dependency).clone(), *asker));
                }
                if !dependency.conflict && !meant {
                    return Some(Obstacle::Unmeant((*dependency).clone(), *asker));
                }
            }
        }
        let conflicts = record.depends.iter().filter(|dependency| dependency.conflict);
        for dependency in conflicts {
            if self.universe.is_meant(dependency, at) {
                return Some(Obstacle::ExcludesItself(dependency.clone()));
            }
            for other in self.provided.get(dependency.name.as_str()).into_iter().flatten() {
                if dependency.means(other.version, self.universe.record(other.at).checksum) {
                    return Some(Obstacle::Excludes(dependency.clone(), other.at));
                }
            }
        }
        None
    }

    /// The first need of a candidate that nothing at all could fulfil now.
    fn unmet_need(&self, at: usize) -> Option<Obstacle> {
        let record = self.universe.record(at);
        let unmet = |dependency: &&Dependency| {
            !self.is_there(dependency) && {
                let mut providers = self.universe.providers(&dependency.name).iter();
                !providers.any(|provider| {
                    let meant =
                        dependency.means(provider.version, self.universe.record(provider.at).checksum);
                    meant && (provider.at == at || self.obstacle_to(provider.at).is_none())
                })
            }
        };
        let needs = record.depends.iter().filter(|dependency| !dependency.conflict);
        needs.into_iter().find(unmet).map(|dependency| Obstacle::Needs(dependency.clone()))
    }

    /// A package that comes along: all that its `install_if` names is there.
    fn come_along(&mut self) -> Option<usize> {
        let mut found: Option<usize> = None;
        for &at in &self.near {
            let record = self.universe.record(at);
            if self.chosen.contains(&at) || self.left_out.iter().any(|(out, _)| *out == at) {
                continue;
            }
            let noticed = record.install_if.iter().any(|condition| self.is_noticed(&condition.name));
            if !noticed
                || !record.install_if.iter().all(|condition| self.is_fulfilled(condition))
                || self.provided.contains_key(record.name.as_str())
            {
                continue;
            }
            if self.obstacle_to(at).is_some() || self.unmet_need(at).is_some() {
                continue;
            }
            let own = |at: usize| Provider { at, version: Some(&self.universe.record(at).version) };
            match found {
                None => found = Some(at),
                Some(other)
                    if self.universe.record(other).name == record.name
                        && self.compare(own(at), own(other)).is_gt() =>
                {
                    found = Some(at);
                }
                Some(_) => {}
            }
        }
        found
    }

    /// Whether apk looks at the packages that come along with a name: a package of that name is chosen, or one that
    /// provides it without a version.
    fn is_noticed(&self, name: &str) -> bool {
        let providers = self.provided.get(name).into_iter().flatten();
        let mut by_whom = providers.map(|provider| (provider.version, self.universe.record(provider.at)));
        by_whom.any(|(version, record)| version.is_none() || record.name == name)
    }

    /// Whether a condition of an `install_if` is fulfilled. One with `!` is not by a name's mere absence: apk judges by what
    /// was chosen for the name, so that another version has to be there.
    fn is_fulfilled(&self, condition: &Dependency) -> bool {
        if !condition.conflict {
            return self.is_there(condition);
        }
        self.provided.contains_key(condition.name.as_str()) && !self.is_there(condition)
    }

    fn choose(&mut self, at: usize, others: Vec<usize>, unasked: bool) {
        let record = self.universe.record(at);
        self.chosen.insert(at);
        for (name, version) in provides(record) {
            self.provided.entry(name).or_default().push(Provider { at, version });
            self.near.extend(self.along.get(name).into_iter().flatten());
        }
        self.asked.add(&record.depends, Some(at));
        self.choices.push(Choice { chosen: at, others, unasked });
    }

    /// Takes back choices to the last that had an alternative, and makes that; false if there is none.
    fn backtrack(&mut self) -> bool {
        while let Some(mut choice) = self.choices.pop() {
            let at = choice.chosen;
            self.chosen.remove(&at);
            let record = self.universe.record(at);
            for (name, _) in provides(record) {
                if let Some(providers) = self.provided.get_mut(name) {
                    providers.retain(|provider| provider.at != at);
                    if providers.is_empty() {
                        self.provided.remove(name);
                    }
                }
            }
            self.asked.remove(&record.depends, at);
            let made = self.choices.len();
            self.left_out.retain(|(_, when)| *when <= made);
            if choice.unasked {
                self.left_out.push((at, made));
                return true;
            }
            if !choice.others.is_empty() {
                let next = choice.others.remove(0);
                self.choose(next, choice.others, false);
                return true;
            }
        }
        false
    }

    /// How long the longest chain of needs below a name is; where needs go in circles, as far as it was followed.
    fn depth(&mut self, name: &'a str) -> usize {
        if let Some(depth) = self.depths.get(name) {
            return *depth;
        }
        // Depth first without recursion: a name is measured when all below it are.
        self.depths.insert(name, 0);
        let mut stack = vec![(name, self.below(name), 0)];
        while let Some((name, below, next)) = stack.last_mut() {
            if let Some(child) = below.get(*next).copied() {
                *next += 1;
                if !self.depths.contains_key(child) {
                    self.depths.insert(child, 0);
                    let children = self.below(child);
                    stack.push((child, children, 0));
                }
                continue;
            }
            let depth =
                below.iter().map(|child| self.depths.get(child).copied().unwrap_or(0) + 1).max().unwrap_or(0);
            self.depths.insert(name, depth);
            stack.pop();
        }
        self.depths.get(name).copied().unwrap_or(0)
    }

    /// The names that a name's providers need.
    fn below(&self, name: &str) -> Vec<&'a str> {
        let providers = self.universe.providers(name).iter();
        providers
            .flat_map(|provider| {
                self.universe.record(provider.at).depends.iter().map(|dependency| dependency.name.as_str())
            })
            .collect()
    }

    /// Why each candidate for a dependency cannot be chosen.
    pub(super) fn obstacles(&self, dependency: &Dependency) -> Vec<(usize, Obstacle)> {
        let providers = self.universe.providers(&dependency.name).iter();
        providers.filter_map(|provider| Some((provider.at, self.obstacle(dependency, *provider)?))).collect()
    }

    pub(super) fn universe(&self) -> &'u PackageIndex<'a> {
        self.universe
    }

    /// Who asked for this chosen package: the first choice, or the world, that it fulfils a need of.
    pub(super) fn asker_of(&self, at: usize) -> Option<Asker> {
        let asked = |dependencies: &'a [Dependency]| {
            dependencies
                .iter()
                .any(|dependency| !dependency.conflict && self.universe.is_meant(dependency, at))
        };
        if asked(self.world) {
            return Some(None);
        }
        let before = self.choices.iter().take_while(|choice| choice.chosen != at);
        before
            .map(|choice| choice.chosen)
            .find(|other| asked(&self.universe.record(*other).depends))
            .map(Some)
    }
}
