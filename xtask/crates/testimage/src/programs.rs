//! Programs: which there are, from which modules, and their making.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use gobuild::plain::{Own, Plain};
use gobuild::{Closure, Edits, LinkerVars, Spec};
use store::{Key, Object};
use toolchain::Host;

use crate::{Lab, flannel};

/// Where closures are, in a checkout.
pub const CLOSURES: &str = "tests/control-plane";
const KUBERNETES: &str = "k8s.io/kubernetes";
/// Of a release's own, in `cmd`.
const COMMANDS: [&str; 5] =
    ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl"];
/// The one that the API server's own storage is tested with, at the version that the release requires. The go command
/// calls the program `server`.
const ETCD: (&str, &str, &str) = ("etcd", "go.etcd.io/etcd/server/v3", "server");
/// Kubernetes without the clouds, which were compiled in before 1.31.
const TAGS: [&str; 1] = ["providerless"];

const COREDNS: &str = "github.com/coredns/coredns";
/// Those of which closures are here, oldest first: kubeadm of v1.25 and v1.26 names the first one, that of v1.37 the last.
const COREDNS_VERSIONS: [&str; 2] = ["v1.9.3", "v1.14.6"];
/// Where it starts, and the plugins that kubeadm's Corefile names: with all others, the libraries of three clouds would
/// be compiled.
const COREDNS_PACKAGES: [&str; 11] = [
    "coremain",
    "plugin/cache",
    "plugin/errors",
    "plugin/forward",
    "plugin/health",
    "plugin/kubernetes",
    "plugin/loadbalance",
    "plugin/loop",
    "plugin/metrics",
    "plugin/ready",
    "plugin/reload",
];

/// The name of crictl's module in newer versions; under its older one it is not served everywhere.
const CRI_TOOLS: (&str, &str) = ("sigs.k8s.io/cri-tools", "v1.34.0");

/// What Kubernetes' own tests are run by, and what of theirs is in images: the last element of each is the program's file.
const SUITE: [&str; 4] = [
    "github.com/onsi/ginkgo/v2/ginkgo",
    "k8s.io/kubernetes/test/images/agnhost",
    "k8s.io/kubernetes/test/images/nonewprivs",
    "k8s.io/sample-apiserver",
];
/// What the names of their closures begin with.
const SUITE_DIR: &str = "suite-";
const SUITE_TESTS: &str = "k8s.io/kubernetes/test/e2e";
/// The file that those tests are.
const E2E_TEST: &str = "e2e.test";
/// What images of the suite have besides programs.
const SUITE_FILES: [&str; 6] = [
    "test/images/agnhost/porter/localhost.crt",
    "test/images/agnhost/porter/localhost.key",
    "test/images/kitten/html/data.json",
    "test/images/kitten/html/kitten.jpg",
    "test/images/nautilus/html/data.json",
    "test/images/nautilus/html/nautilus.jpg",
];

/// Programs of one closure, compiled together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// What is a release's own, and etcd.
    ControlPlane {
        /// As in `v1.26.0`.
        release: String,
    },
    /// `CoreDNS`, with the plugins that kubeadm configures.
    CoreDns {
        /// As in `v1.14.6`.
        version: &'static str,
    },
    /// Kubernetes' own tests of a cluster (`e2e.test`), their runner, and the programs of the images that they use.
    Suite {
        /// As in `v1.26.0`.
        release: String,
    },
    /// crictl, newer than the releases: it speaks to runtimes that speak CRI v1.
    Crictl,
    /// flannel's daemon, and what writes its configuration of CNI.
    Flannel,
}

impl Set {
    /// The `CoreDNS` for an image with this tag: the oldest that is not older, or the newest. What a kubeadm configures, those
    /// after its own know, too.
    pub(crate) fn coredns(tag: &str) -> Self {
        let number = |version: &str| -> Vec<u32> {
            version.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect()
        };
        let [.., newest] = COREDNS_VERSIONS;
        let found = COREDNS_VERSIONS.into_iter().find(|version| number(version) >= number(tag));
        Self::CoreDns { version: found.unwrap_or(newest) }
    }

    /// What its closure is for.
    pub fn spec(&self) -> Spec {
        let other = |(module, version): (&str, &str), packages: Vec<String>| Spec::Programs {
            name: format!("{}-{version}", module.rsplit('/').next().unwrap_or(module)),
            module: module.to_owned(),
            version: version.to_owned(),
            packages,
            tests: Vec::new(),
        };
        match self {
            Set::ControlPlane { release } => Spec::Programs {
                name: release.clone(),
                module: KUBERNETES.to_owned(),
                version: release.clone(),
                packages: self.packages(),
                tests: Vec::new(),
            },
            Set::Suite { release } => Spec::Programs {
                name: format!("{SUITE_DIR}{release}"),
                module: KUBERNETES.to_owned(),
                version: release.clone(),
                packages: self.packages(),
                tests: self.tests(),
            },
            Set::CoreDns { version } => other((COREDNS, version), coredns_imports().into()),
            Set::Crictl => other(CRI_TOOLS, self.packages()),
            Set::Flannel => other(flannel::MODULE, flannel::packages()),
        }
    }

    /// The `main` packages that others wrote.
    fn packages(&self) -> Vec<String> {
        match self {
            Set::ControlPlane { .. } => {
                let commands = COMMANDS.map(|name| format!("{KUBERNETES}/cmd/{name}"));
                commands.into_iter().chain([ETCD.1.to_owned()]).collect()
            }
            Set::Suite { .. } => SUITE.map(str::to_owned).into(),
            Set::CoreDns { .. } => Vec::new(),
            Set::Crictl => vec![format!("{}/cmd/crictl", CRI_TOOLS.0)],
            Set::Flannel => vec![flannel::install_package()],
        }
    }

    /// Packages whose tests are programs of it.
    fn tests(&self) -> Vec<String> {
        match self {
            Set::Suite { .. } => vec![SUITE_TESTS.to_owned()],
            _ => Vec::new(),
        }
    }

    /// Files of a module that it has, too.
    fn files(&self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Set::Suite { .. } => Some((KUBERNETES, &SUITE_FILES)),
            Set::Flannel => Some((flannel::MODULE.0, &[flannel::MANIFEST])),
            _ => None,
        }
    }

    /// Build tags: the suite's own sources know the clouds.
    fn tags(&self) -> &'static [&'static str] {
        if matches!(self, Set::Suite { .. }) { &[] } else { &TAGS }
    }

    /// The `main` package that is nobody's as it is.
    fn own(&self) -> Option<Own> {
        match self {
            Set::CoreDns { .. } => {}
            Set::Flannel => return Some(flannel::main()),
            _ => return None,
        }
        let [main, plugins @ ..] = coredns_imports();
        let plugins = plugins.map(|path| format!("_ \"{path}\"")).join("\n\t");
        Some(Own::Text(format!(
            "package main\n\nimport (\n\t\"{main}\"\n\t{plugins}\n)\n\nfunc main() {{ coremain.Run() }}\n"
        )))
    }

    /// A program's file, as the go command names it, if it is one of the set's.
    fn file(&self, program: &str) -> Option<&'static str> {
        match self {
            Set::ControlPlane { .. } if program == ETCD.0 => Some(ETCD.2),
            Set::ControlPlane { .. } => COMMANDS.into_iter().find(|name| *name == program),
            Set::CoreDns { .. } => (program == "coredns").then_some("own"),
            Set::Crictl => (program == "crictl").then_some("crictl"),
            Set::Flannel if program == "flanneld" => Some("own"),
            Set::Flannel => [flannel::INSTALL, flannel::MANIFEST].into_iter().find(|name| *name == program),
            Set::Suite { .. } => SUITE
                .into_iter()
                .filter_map(|package| package.rsplit('/').next())
                .chain([E2E_TEST])
                .chain(SUITE_FILES)
                .find(|name| *name == program),
        }
    }
}

/// What `CoreDNS` is put together from: where it starts, and its plugins.
fn coredns_imports() -> [String; 11] {
    COREDNS_PACKAGES.map(|package| format!("{COREDNS}/{package}"))
}

/// The sets whose closures are in the checkout at `root`.
pub fn committed(root: &Path) -> Result<Vec<Set>> {
    let dir = root.join(CLOSURES);
    let entries = fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))?;
    let names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    let of_releases = names.into_iter().filter_map(|name| match name.strip_prefix(SUITE_DIR) {
        Some(release) => Some(Set::Suite { release: release.to_owned() }),
        None => name.starts_with('v').then_some(Set::ControlPlane { release: name }),
    });
    let mut sets: Vec<Set> = of_releases.collect();
    sets.extend(COREDNS_VERSIONS.map(|version| Set::CoreDns { version }));
    sets.extend([Set::Crictl, Set::Flannel]);
    Ok(sets)
}

impl Lab<'_> {
    /// A program of a set, compiled now or found in the store.
    pub fn program(&self, set: &Set, name: &str) -> Result<PathBuf> {
        let file = set.file(name).ok_or_else(|| {
            Fault::new(
                Kind::NotFound,
                format!("`{name}` is not among the programs of {}", set.spec().dir().display()),
            )
        })?;
        self.set(set)?.file(file)
    }

    /// Makes the closure of a set if it is not here, as builds of images do.
    pub fn ensure_closure(&self, set: &Set) -> Result<Closure> {
        let (root, spec) = (self.closures(), set.spec());
        if !Closure::is_there(&root, &spec) {
            self.progress.note(&format!("{CLOSURES}/{} is missing: making it", spec.dir().display()));
            let work = self.store.scratch_dir()?;
            gobuild::generate(&spec, None, &Edits::default(), &self.go()?, work.path(), self.progress)?
                .write(&root, &spec)?;
        }
        let closure = Closure::read(&root, &spec)?;
        closure.check(&spec)?;
        Ok(closure)
    }

    /// Compares the closure of a set with one that is made now.
    pub fn check_closure(&self, set: &Set) -> Result<()> {
        let work = self.store.scratch_dir()?;
        let tools = self.go()?;
        gobuild::check(&self.closures(), &set.spec(), &Edits::default(), &tools, work.path(), self.progress)
    }

    fn set(&self, set: &Set) -> Result<Object> {
        let closure = self.ensure_closure(set)?;
        let arch = Host::current()?.arch();
        let stamps = match set {
            Set::ControlPlane { release } | Set::Suite { release } => {
                let release = self.release(release)?;
                LinkerVars::new().kubernetes(gobuild::Release {
                    version: release.version.as_str(),
                    commit: release.commit.as_ref().map(catalog::Name::as_str),
                    date: release.date.as_str(),
                })
            }
            Set::CoreDns { .. } | Set::Crictl | Set::Flannel => LinkerVars::new(),
        };
        let (packages, tests, own) = (set.packages(), set.tests(), set.own());
        let closure_text = (&closure.go_mod, &closure.go_sum);
        // Of what most sets do not have their keys say nothing.
        let more = set.files().map(|files| (&tests, Some(files)));
        let version = &self.lock.go.version;
        let inputs = (1, closure_text, &packages, &own, set.tags(), &stamps, arch, version);
        let key = match more {
            None => Key::of("test-programs", &inputs)?,
            Some(more) => Key::of("test-programs", &(inputs, more))?,
        };
        let name = set.spec().dir().display().to_string();
        self.store.object(&key, &format!("programs of {name}"), self.progress, |dir| {
            let (tools, work) = (self.go()?, self.store.scratch_dir()?);
            let jobs = std::thread::available_parallelism().map_or(1, usize::from);
            Plain {
                name: &name,
                closure: &closure,
                arch,
                packages: &packages,
                tests: &tests,
                files: set.files(),
                own: own.as_ref(),
                tags: set.tags(),
                stamps: &stamps,
            }
            .build(&tools, jobs, work.path(), dir, self.progress)
        })
    }
}
