//! Go programs, and the versions of their modules that have them.

use serde::Deserialize;

use crate::model::{Name, Release};
use crate::validate;

/// Which pinned Go modules a program is compiled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closure {
    /// The CNI plugins'.
    CniPlugins,
    /// A release's own.
    Kube,
    /// A release's with crictl's: it holds all of the former.
    Kubeadm,
}

/// A Go `main` package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// The name it is called by.
    pub name: Name,
    /// Its import path.
    pub package: Name,
    /// Its import paths in older versions, the oldest first.
    #[serde(default, rename = "earlier")]
    pub earlier: Vec<Earlier>,
    /// The closure that holds its modules.
    pub closure: Closure,
    /// The first version of its module that has it, if not all had it from the start.
    pub since: Option<Name>,
    /// The last version of its module that has it, if newer ones do not.
    pub until: Option<Name>,
    /// The module that it is in since then. Where a component carries it on ([`crate::Go::carry`]), that last version stands in for
    /// this module.
    pub moved_to: Option<Name>,
    /// Does it read flags that packages register while they are initialised?
    #[serde(default)]
    pub init_flags: bool,
}

/// The import path of a program before its module was given another name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    /// The last version of the module that has it, as in `v1.30.0`.
    pub until: Name,
    /// The import path.
    pub package: String,
}

impl Program {
    /// Its import path in a release: by the version of the module that the release takes it from.
    pub fn package_in(&self, release: &Release) -> &str {
        self.package_of(self.version_in(release))
    }

    /// The version of its module that a release takes it from.
    pub fn version_in<'r>(&self, release: &'r Release) -> &'r str {
        match self.closure {
            Closure::CniPlugins => release.cni_plugins.as_str(),
            Closure::Kube => release.version.as_str(),
            Closure::Kubeadm => release.crictl.as_str(),
        }
    }

    /// Does the version of its module that a release takes have it?
    pub fn is_in(&self, release: &Release) -> bool {
        self.is_in_version(self.version_in(release))
    }

    /// Where it is carried on in a release, whose version of its module has it no more: the module that it moved to, and the
    /// version of its own that stands in for that.
    pub fn carried_in(&self, release: &Release) -> Option<(&str, &str)> {
        let (module, until) = (self.moved_to.as_ref()?, self.until.as_ref()?);
        let numbers = validate::version_numbers;
        let is_past = numbers(self.version_in(release)) > numbers(until.as_str());
        is_past.then(|| (module.as_str(), until.as_str()))
    }

    /// Does this version of its module have it?
    pub(crate) fn is_in_version(&self, version: &str) -> bool {
        let numbers = |version: &str| validate::version_numbers(version);
        let version = numbers(version);
        self.since.as_ref().is_none_or(|since| numbers(since.as_str()) <= version)
            && self.until.as_ref().is_none_or(|until| version <= numbers(until.as_str()))
    }

    /// Its import path in a version of its module.
    pub fn package_of(&self, version: &str) -> &str {
        let numbers = validate::version_numbers;
        let earlier = self.earlier.iter().find(|earlier| numbers(version) <= numbers(earlier.until.as_str()));
        earlier.map_or(self.package.as_str(), |earlier| &earlier.package)
    }

    /// All its import paths, the newest first.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        let earlier = self.earlier.iter().rev().map(|earlier| earlier.package.as_str());
        std::iter::once(self.package.as_str()).chain(earlier)
    }
}
