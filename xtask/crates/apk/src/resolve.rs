//! From a world, the packages asked for, to the packages to install and their order, with apk's choices.
//!
//! A name is provided by a package of that name and by packages that say so. Of those that will do, the one
//! that is installed is taken, else the one that provides the highest version of the name, then the one with
//! the highest priority, then the first in the repositories' order. A name that packages provide without a
//! version is not reason enough to choose one of several: unless one is asked for by its own name, or has a
//! priority, it is an error that lists them. Only one package may provide a name with a version. Packages
//! whose `install_if` is fulfilled come along unasked, unless something stands against them.
//!
//! apk never takes back a choice. This does, so it finds a way wherever there is one; where apk finds one the
//! two agree, since choices that leave no choice are made first and the others in apk's order of preference.

mod asked;
mod explain;
mod order;
mod search;

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use crate::depend::Dependency;
use crate::record::Record;
use crate::version::Version;

/// What is asked for, and what there is.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r, 'a> {
    /// What must be there, or with `!` must not.
    pub world: &'a [Dependency],
    /// The packages of each repository, the preferred repository first.
    pub repositories: &'r [&'a [Record]],
    /// Packages that are installed already; they are kept where they will do.
    pub installed: &'r [&'a Record],
}

/// Finds the packages to install: all of them, those installed already too, in the order in which to install
/// them, each after what it needs as far as that is possible.
pub fn resolve<'a>(request: &Request<'_, 'a>) -> Result<Vec<&'a Record>> {
    let universe = PackageIndex::new(request);
    let mut search = search::Search::new(&universe, request.world);
    search.run()?;
    let chosen = order::order(&universe, request.world, search.chosen());
    Ok(chosen.into_iter().map(|at| universe.candidates[at].record).collect())
}

/// A package that could be installed.
struct Candidate<'a> {
    record: &'a Record,
    installed: bool,
    /// The first repository that has it.
    repository: usize,
}

/// A package that provides a name, with which version.
#[derive(Clone, Copy)]
struct Provider<'a> {
    at: usize,
    version: Option<&'a Version>,
}

struct PackageIndex<'a> {
    candidates: Vec<Candidate<'a>>,
    providers: HashMap<&'a str, Vec<Provider<'a>>>,
}

impl<'a> PackageIndex<'a> {
    fn new(request: &Request<'_, 'a>) -> Self {
        let mut universe = Self { candidates: Vec::new(), providers: HashMap::new() };
        let mut seen = HashMap::new();
        let installed = request.installed.iter().map(|record| (*record, true, usize::MAX));
        let there = request.repositories.iter().enumerate();
        let there = there
            .flat_map(|(repository, records)| records.iter().map(move |record| (record, false, repository)));
        for (record, installed, repository) in installed.chain(there) {
            let at = *seen.entry(record.checksum).or_insert_with(|| {
                universe.candidates.push(Candidate { record, installed, repository });
                universe.candidates.len() - 1
            });
            let candidate = &mut universe.candidates[at];
            candidate.repository = candidate.repository.min(repository);
        }
        for (at, candidate) in universe.candidates.iter().enumerate() {
            for (name, version) in provides(candidate.record) {
                universe.providers.entry(name).or_default().push(Provider { at, version });
            }
        }
        universe
    }

    fn providers(&self, name: &str) -> &[Provider<'a>] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }

    fn record(&self, at: usize) -> &'a Record {
        self.candidates[at].record
    }

    /// The packages that may come along, by each of the names that they come along with. Of packages, only those whose names
    /// are seen on the way from the world: names asked for by it or by packages that provide such names, and the names of
    /// packages that come along with these. apk looks at no others: where a package was chosen only for something it provides,
    /// what comes along with its own name does not.
    fn along(&self, world: &'a [Dependency]) -> HashMap<&'a str, Vec<usize>> {
        let mut along: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            for dependency in &candidate.record.install_if {
                along.entry(&dependency.name).or_default().push(at);
            }
        }
        let mut seen = HashSet::new();
        let mut left: Vec<&'a str> = world.iter().map(|dependency| dependency.name.as_str()).collect();
        while let Some(name) = left.pop() {
            if seen.insert(name) {
                for provider in self.providers(name) {
                    left.extend(
                        self.record(provider.at).depends.iter().map(|dependency| dependency.name.as_str()),
                    );
                }
                left.extend(along.get(name).into_iter().flatten().map(|at| self.record(*at).name.as_str()));
            }
        }
        for packages in along.values_mut() {
            packages.retain(|at| seen.contains(self.record(*at).name.as_str()));
        }
        along
    }

    /// Whether a candidate is, or provides, what the dependency means.
    fn is_meant(&self, dependency: &Dependency, at: usize) -> bool {
        let record = self.record(at);
        let named = provides(record).filter(|(name, _)| *name == dependency.name);
        named.into_iter().any(|(_, version)| dependency.means(version, record.checksum))
    }
}

/// All names of a package, its own first.
fn provides(record: &Record) -> impl Iterator<Item = (&str, Option<&Version>)> {
    let own = (record.name.as_str(), Some(&record.version));
    std::iter::once(own)
        .chain(record.provides.iter().map(|provide| (provide.name.as_str(), provide.version.as_ref())))
}

#[cfg(test)]
mod tests;
