//! Components: what is compiled or extracted, each a file.

use std::collections::BTreeSet;

use anyhow::Result;
use catalog::{Arch, Catalog, Name, Pack, Release};
use fault::{Fault, Kind};
use gobuild::{Carried, Closure, Common, Compilers, Edits, Flags, LinkerVars, Program, Recipe, Spec, Target};
use serde::Serialize;
use store::Key;

use crate::{Planner, Sources};

/// Raised when the same inputs would give another file.
const VERSION: u32 = 1;

/// A file to be made.
#[derive(Clone, Debug, Serialize)]
pub struct Component {
    /// What messages call it: `kubelet v1.26.0 amd64`.
    pub name: String,
    /// How it is made.
    pub made: Made,
}

/// How a component is made.
#[derive(Clone, Debug, Serialize)]
pub enum Made {
    /// Compiled from Go modules.
    Go {
        /// All that decides the binary.
        recipe: Box<Recipe>,
        /// How it is packed.
        #[serde(flatten)]
        packing: Packing,
    },
    /// Compiled from the entrypoint's crate.
    Rust {
        /// All that decides the binary.
        inputs: Box<rustbuild::Inputs>,
    },
    /// Extracted from the locked bundle.
    Certificates {
        /// The SHA-256 of the bundle as it is published.
        sha256: store::Digest,
    },
}

/// How a program is packed, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packing {
    /// The method.
    pub pack: Pack,
    /// What packs it, if something does: another version gives other bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upx: Option<Upx>,
}

/// A UPX.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Upx {
    /// Its version.
    pub version: String,
    /// The SHA-256 of the program, if it is not of the locked version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<store::Digest>,
}

impl std::fmt::Display for Upx {
    /// As images record it: `4.2.4`, or `4.2.2 sha256:...` for one that is not locked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.other {
            None => f.write_str(&self.version),
            Some(sha256) => write!(f, "{} sha256:{sha256}", self.version),
        }
    }
}

impl Component {
    /// The name of its only file in the store.
    pub const FILE: &str = "file";

    /// Its key: the kind, and the hash of all that decides its bytes.
    pub fn key(&self) -> Result<Key> {
        let kind = match self.made {
            Made::Go { .. } => "go",
            Made::Rust { .. } => "rust",
            Made::Certificates { .. } => "certificates",
        };
        Key::of(kind, &(VERSION, &self.made))
    }
}

impl Component {
    /// What packs it, if something does.
    pub fn upx(&self) -> Option<&Upx> {
        match &self.made {
            Made::Go { packing, .. } => packing.upx.as_ref(),
            _ => None,
        }
    }

    /// The same as the linker made it, if it is packed.
    pub fn plain(&self) -> Option<Self> {
        match &self.made {
            Made::Go { recipe, packing: Packing { pack, .. } } if *pack != Pack::None => {
                let packing = Packing { pack: Pack::None, upx: None };
                Some(Self { name: self.name.clone(), made: Made::Go { recipe: recipe.clone(), packing } })
            }
            _ => None,
        }
    }
}

impl Planner<'_> {
    /// By the locked UPX, unless the user accepted another.
    pub(crate) fn packing(self, pack: Pack) -> Packing {
        let locked = || Upx { version: self.sources.lock.upx.version.clone(), other: None };
        let upx = (pack != Pack::None).then(|| self.options.other_upx.clone().unwrap_or_else(locked));
        Packing { pack, upx }
    }

    /// The Go component of these programs, for a release and architecture.
    pub(crate) fn go(
        self,
        go: &catalog::Go,
        release: &Release,
        arch: &Arch,
        programs: &[&catalog::Program],
        packing: Packing,
    ) -> Result<Component> {
        let catalog::Compile { tags, gcflags, ldflags, .. } = self.catalog.compile.clone();
        let (prune, templates) = (go.prune, go.templates);
        let flags = Flags { tags, gcflags, ldflags, prune, templates, ..Flags::default() };
        let from = closure(self.catalog, release, programs)?;
        let recipe = recipe(self.sources, from, flags, &self.sources.edits, release, arch, programs)?;
        let name = format!("{} {} {}", recipe.name(), release.version, arch.name);
        Ok(Component { name, made: Made::Go { recipe: Box::new(recipe), packing } })
    }

    /// The Go component of one program as those who release it make it: [`Options::unedited`](crate::Options::unedited).
    pub(crate) fn go_unedited(
        self,
        release: &Release,
        arch: &Arch,
        program: &catalog::Program,
        packing: Packing,
    ) -> Result<Component> {
        let upstream = self.catalog.compile.upstream_of(program.closure, program.version_in(release));
        let upstream = upstream.ok_or_else(|| {
            let message = format!("images/catalog.toml: no [[compile.upstream]] is for {}", program.name);
            Fault::new(Kind::InvalidData, message)
                .help("say there how it is compiled by those who release it")
        })?;
        let pure = upstream.cgo.iter().all(|name| *name != *program.name.as_str());
        let flags = Flags { tags: upstream.tags.clone(), pure, ..Flags::default() };
        let from = self.closure_unedited(release, program)?;
        let recipe = recipe(self.sources, from, flags, &Edits::default(), release, arch, &[program])?;
        let name = format!("{} {} {} unedited", recipe.name(), release.version, arch.name);
        Ok(Component { name, made: Made::Go { recipe: Box::new(recipe), packing } })
    }

    /// The closure with the modules of a program's own release, and what is stamped into it.
    fn closure_unedited(self, release: &Release, program: &catalog::Program) -> Result<(Spec, LinkerVars)> {
        let (spec, stamps) = closure(self.catalog, release, &[program])?;
        let sources = self.sources;
        match &spec {
            Spec::Kubeadm { crictl, package, .. } => {
                let stamps = LinkerVars::new().crictl(gobuild::module_of(package), crictl);
                Ok((Spec::Crictl { version: crictl.clone(), package: package.clone() }, stamps))
            }
            // Where no pin raises a version, the release's own is the same.
            Spec::Kube { release }
                if sources.edits.raise(&Closure::read(&sources.go(), &spec)?.go_mod)? =>
            {
                Ok((Spec::KubeUnedited { release: release.clone() }, stamps))
            }
            _ => Ok((spec, stamps)),
        }
    }

    /// The closure that [`Planner::go_unedited`] reads; while the release's own is missing, which tells, that one.
    pub(crate) fn needed_unedited(self, release: &Release, program: &catalog::Program) -> Result<Spec> {
        let (own, _) = closure(self.catalog, release, &[program])?;
        if matches!(own, Spec::Kube { .. }) && !Closure::is_there(&self.sources.go(), &own) {
            return Ok(own);
        }
        self.closure_unedited(release, program).map(|(spec, _)| spec)
    }
}

fn recipe(
    sources: &Sources,
    (spec, stamps): (Spec, LinkerVars),
    flags: Flags,
    edits: &Edits,
    release: &Release,
    arch: &Arch,
    programs: &[&catalog::Program],
) -> Result<Recipe> {
    let pins = Closure::read(&sources.go(), &spec)?;
    let compilers = Compilers { go: sources.go_for(release)?, zig: &sources.lock.zig.version };
    let programs: Vec<Program> = programs
        .iter()
        .map(|program| Program {
            name: program.name.to_string(),
            package: package(program, release),
            init_flags: program.init_flags,
        })
        .collect();
    let common = Common { edits, join: &sources.join };
    let target = Target::of(arch);
    Recipe::new(programs, pins, target, stamps, flags, compilers, common)
}

/// The import path of a program in a release: in the module that it moved to, where it is carried on.
fn package(program: &catalog::Program, release: &Release) -> String {
    let own = program.package_in(release);
    match program.carried_in(release) {
        Some((module, _)) => gobuild::package_moved(own, module),
        None => own.to_owned(),
    }
}

/// The one closure that holds the modules of all these programs, and what is stamped into them.
pub(crate) fn closure(
    catalog: &Catalog,
    release: &Release,
    programs: &[&catalog::Program],
) -> Result<(Spec, LinkerVars)> {
    let closures: BTreeSet<catalog::Closure> = programs.iter().map(|program| program.closure).collect();
    let stamps = LinkerVars::new();
    let stamped = gobuild::Release {
        version: release.version.as_str(),
        commit: release.commit.as_ref().map(Name::as_str),
        date: release.date.as_str(),
    };
    if closures.iter().all(|closure| *closure == catalog::Closure::CniPlugins) {
        let mut spec = spec(catalog, release, catalog::Closure::CniPlugins)?;
        if let Spec::Cni { packages, carried, .. } = &mut spec {
            for program in programs {
                let Some((module, version)) = program.carried_in(release) else { continue };
                packages.push(package(program, release));
                carried.push(Carried {
                    program: program.name.to_string(),
                    module: module.to_owned(),
                    version: version.to_owned(),
                });
            }
        }
        return Ok((spec, stamps.cni(release.cni_plugins.as_str())));
    }
    if closures.contains(&catalog::Closure::CniPlugins) {
        let names: Vec<_> = programs.iter().map(|program| program.name.as_str()).collect();
        let message =
            format!("images/catalog.toml: no closure holds the modules of {} together", names.join(", "));
        return Err(Fault::new(Kind::InvalidData, message).into());
    }
    let stamps = stamps.kubernetes(stamped);
    if closures.contains(&catalog::Closure::Kubeadm) {
        let spec = spec(catalog, release, catalog::Closure::Kubeadm)?;
        let stamps = stamps.crictl(spec.crictl_module().unwrap_or_default(), release.crictl.as_str());
        return Ok((spec, stamps));
    }
    Ok((spec(catalog, release, catalog::Closure::Kube)?, stamps))
}

/// The closures that a component of these programs takes, by which of them are kept: each with the programs that it needs, and
/// after those that need more.
pub(crate) fn choices<'c>(
    catalog: &'c Catalog,
    release: &Release,
    programs: &[&'c catalog::Program],
) -> Result<Vec<(Vec<&'c str>, Spec)>> {
    // crictl's modules are more than Kubernetes' own; a plugin that is carried on comes with its own version's.
    let decides = |program: &catalog::Program| match program.closure {
        catalog::Closure::Kube => false,
        catalog::Closure::Kubeadm => true,
        catalog::Closure::CniPlugins => program.carried_in(release).is_some(),
    };
    let deciding: Vec<&str> =
        programs.iter().filter(|program| decides(program)).map(|program| program.name.as_str()).collect();
    let mut choices = Vec::new();
    for subset in (0..1_u32 << deciding.len()).rev() {
        let is_in = |(place, _): &(usize, &&str)| subset >> place & 1 == 1;
        let needs: Vec<&str> = deciding.iter().enumerate().filter(is_in).map(|(_, name)| *name).collect();
        let kept = programs.iter().copied();
        let kept: Vec<_> =
            kept.filter(|program| !decides(program) || needs.contains(&program.name.as_str())).collect();
        if !kept.is_empty() {
            choices.push((needs, closure(catalog, release, &kept)?.0));
        }
    }
    Ok(choices)
}

/// The closures that only [`Options::unedited`](crate::Options::unedited) images of a release may need, whether they are there or not.
///
/// # Errors
/// As [`spec`].
pub fn unedited(catalog: &Catalog, release: &Release) -> Result<Vec<Spec>> {
    let mut specs = vec![Spec::KubeUnedited { release: release.version.to_string() }];
    if let Spec::Kubeadm { crictl, package, .. } = spec(catalog, release, catalog::Closure::Kubeadm)? {
        specs.push(Spec::Crictl { version: crictl, package });
    }
    Ok(specs)
}

/// What a closure of a release is for.
///
/// # Errors
/// [`Kind::InvalidData`] if the catalog has no program of it.
pub fn spec(catalog: &Catalog, release: &Release, closure: catalog::Closure) -> Result<Spec> {
    let version = release.version.to_string();
    Ok(match closure {
        catalog::Closure::CniPlugins => {
            let plugins = catalog.programs.iter().filter(|program| program.closure == closure);
            let plugins = plugins.filter(|program| program.is_in(release));
            let packages = plugins.map(|program| program.package_in(release).to_owned()).collect();
            Spec::Cni { version: release.cni_plugins.to_string(), packages, carried: Vec::new() }
        }
        catalog::Closure::Kube => Spec::Kube { release: version },
        catalog::Closure::Kubeadm => {
            let crictl = catalog.programs.iter().find(|program| program.closure == closure);
            let crictl = crictl.ok_or_else(|| {
                Fault::new(Kind::InvalidData, "images/catalog.toml: no program has `closure = \"kubeadm\"`")
            })?;
            let package = crictl.package_in(release).to_owned();
            Spec::Kubeadm { release: version, crictl: release.crictl.to_string(), package }
        }
    })
}
