//! Components: what is compiled or extracted, each a file.

use std::collections::BTreeSet;

use anyhow::Result;
use catalog::{Arch, Pack, Release};
use fault::{Fault, Kind};
use gobuild::{Closure, Common, Compilers, Flags, Program, Recipe, Spec, Stamps, Target};
use serde::Serialize;
use store::Key;

use crate::Sources;

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
        pack: Pack,
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

impl Component {
    /// The name of its only file in the store.
    pub const FILE: &str = "file";

    /// Its key: the kind, and the hash of all that decides its bytes.
    pub(crate) fn key(&self) -> Result<Key> {
        let kind = match self.made {
            Made::Go { .. } => "go",
            Made::Rust { .. } => "rust",
            Made::Certificates { .. } => "certificates",
        };
        Key::of(kind, &(VERSION, &self.made))
    }
}

/// As the compiler's library has them.
pub(crate) fn flags(compile: &catalog::Compile, prune: bool) -> Flags {
    let catalog::Compile { tags, gcflags, ldflags } = compile.clone();
    Flags { tags, gcflags, ldflags, prune }
}

/// The Go component of these programs, for a release and architecture.
pub(crate) fn go(
    sources: &Sources,
    flags: Flags,
    release: &Release,
    arch: &Arch,
    programs: &[&catalog::Program],
    pack: Pack,
) -> Result<Component> {
    let (spec, stamps) = closure(release, programs)?;
    let pins = Closure::read(&sources.go(), &spec)?;
    let compilers = Compilers { go: sources.go_for(release)?, zig: &sources.lock.zig.version };
    let programs: Vec<Program> = programs
        .iter()
        .map(|program| Program {
            name: program.name.to_string(),
            package: program.package.clone(),
            init_flags: program.init_flags,
        })
        .collect();
    let common = Common { edits: &sources.edits, join: &sources.join };
    let target = Target::by_name(arch.name.as_str())?;
    let recipe = Recipe::new(programs, pins, target, stamps, flags, compilers, common)?;
    let name = format!("{} {} {}", recipe.name(), release.version, arch.name);
    Ok(Component { name, made: Made::Go { recipe: Box::new(recipe), pack } })
}

/// The one closure that holds the modules of all these programs, and what is stamped into them.
pub(crate) fn closure(release: &Release, programs: &[&catalog::Program]) -> Result<(Spec, Stamps)> {
    let closures: BTreeSet<catalog::Closure> = programs.iter().map(|program| program.closure).collect();
    let version = release.version.to_string();
    let stamps = Stamps::new();
    let stamped = gobuild::Release {
        version: release.version.as_str(),
        commit: release.commit.as_str(),
        date: release.date.as_str(),
    };
    if closures.iter().all(|closure| *closure == catalog::Closure::CniPlugins) {
        let spec = Spec::Cni { version: release.cni_plugins.to_string() };
        return Ok((spec, stamps.cni(release.cni_plugins.as_str())));
    }
    if closures.contains(&catalog::Closure::CniPlugins) {
        let names: Vec<_> = programs.iter().map(|program| program.name.as_str()).collect();
        let message =
            format!("images/catalog.toml: no closure holds the modules of {} together", names.join(", "));
        return Err(Fault::new(Kind::Data, message).into());
    }
    let stamps = stamps.kubernetes(stamped);
    if closures.contains(&catalog::Closure::Kubeadm) {
        let spec = Spec::Kubeadm { release: version, crictl: release.crictl.to_string() };
        return Ok((spec, stamps.crictl(release.crictl.as_str())));
    }
    Ok((Spec::Kube { release: version }, stamps))
}
