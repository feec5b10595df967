//! Pinned closures: the go.mod and go.sum of a release, checked without a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::modfile::{HEADER, ModFile};
use crate::sumfile::SumFile;

/// The module of every closure; joined programs are packages in it.
pub const MODULE: &str = "containerized-kubelet";
pub(crate) const KUBERNETES: &str = "k8s.io/kubernetes";
/// How the module of crictl ends, whatever comes before it.
pub(crate) const CRI_TOOLS: &str = "/cri-tools";
pub(crate) const CNI_PLUGINS: &str = "github.com/containernetworking/plugins";
/// The first line of the go.mod of [`Spec::Programs`].
const PROGRAMS_HEADER: &str = "// Code generated for tests by the crate testimage. DO NOT EDIT.";
/// Modules that every release keeps in its own repository and publishes as v0.Y.Z; the rest of them is known by
/// having a plain version too.
const STAGING: [&str; 10] = [
    "k8s.io/api",
    "k8s.io/apimachinery",
    "k8s.io/apiserver",
    "k8s.io/client-go",
    "k8s.io/component-base",
    "k8s.io/component-helpers",
    "k8s.io/cri-api",
    "k8s.io/kube-proxy",
    "k8s.io/kubelet",
    "k8s.io/mount-utils",
];

/// What a closure is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// kubelet, kubeadm and kube-proxy of a release.
    Kube {
        /// The release, as in `v1.26.0`.
        release: String,
    },
    /// The same with crictl.
    Kubeadm {
        /// The release, as in `v1.26.0`.
        release: String,
        /// crictl's version, as in `v1.26.0`.
        crictl: String,
        /// crictl's package, as in `sigs.k8s.io/cri-tools/cmd/crictl`; its module is what stands before `/cmd/`.
        package: String,
    },
    /// The same as [`Spec::Kube`] without the pins of `images/go/edits.toml`.
    KubeUnedited {
        /// The release, as in `v1.26.0`.
        release: String,
    },
    /// crictl alone, with the modules of its own release.
    Crictl {
        /// Its version, as in `v1.37.0`.
        version: String,
        /// Its package, as for [`Spec::Kubeadm`].
        package: String,
    },
    /// The CNI plugins.
    Cni {
        /// Their version, as in `v0.9.1`.
        version: String,
        /// The packages of those that this version has, and of those that are carried on.
        packages: Vec<String>,
        /// Those that are carried on beside it.
        carried: Vec<Carried>,
    },
    /// Programs that no image of ours has: what tests run beside them.
    Programs {
        /// The directory of their closure.
        name: String,
        /// The module whose requirements and replacements they are built with.
        module: String,
        /// Its version.
        version: String,
        /// Their packages, of this module or of one that it requires.
        packages: Vec<String>,
        /// Packages whose tests become programs, of which the closure has all that they need.
        tests: Vec<String>,
    },
}

/// A program of an older version of its module, which the newer one beside it has no more. As two versions of a module cannot
/// be in one closure, the older stands in for the module that the program moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The program.
    pub program: String,
    /// The module that it moved to.
    pub module: String,
    /// The version of the CNI plugins that stands in for it.
    pub version: String,
}

/// The import path of a CNI plugin's package in the module that it moved to.
pub fn package_moved(package: &str, module: &str) -> String {
    package.replacen(CNI_PLUGINS, module, 1)
}

impl Spec {
    /// Where its files are, below `images/go`; those of [`Spec::Programs`] below a directory of their user's.
    pub fn dir(&self) -> PathBuf {
        match self {
            Spec::Kube { release } => Path::new(release).join("kube"),
            Spec::Kubeadm { release, .. } => Path::new(release).join("kubeadm"),
            Spec::KubeUnedited { release } => Path::new(release).join("kube-unedited"),
            Spec::Crictl { version, .. } => PathBuf::from(format!("crictl-{version}")),
            Spec::Cni { version, carried, .. } => {
                let carried =
                    carried.iter().map(|Carried { program, version, .. }| format!("-{program}-{version}"));
                PathBuf::from(format!("cni-plugins-{version}{}", carried.collect::<String>()))
            }
            Spec::Programs { name, .. } => PathBuf::from(name),
        }
    }

    /// The modules named by it, with their versions: first the one whose requirements and replacements it starts from.
    pub(crate) fn direct(&self) -> Vec<(&str, &str)> {
        match self {
            Spec::Kube { release } | Spec::KubeUnedited { release } => vec![(KUBERNETES, release)],
            Spec::Kubeadm { release, crictl, .. } => {
                vec![(KUBERNETES, release), (self.crictl_module().unwrap_or_default(), crictl)]
            }
            Spec::Crictl { version, .. } => vec![(self.crictl_module().unwrap_or_default(), version)],
            Spec::Cni { version, .. } => vec![(CNI_PLUGINS, version)],
            Spec::Programs { module, version, .. } => vec![(module, version)],
        }
    }

    /// Those that are carried on.
    pub(crate) fn carried(&self) -> &[Carried] {
        match self {
            Spec::Cni { carried, .. } => carried,
            _ => &[],
        }
    }

    /// The module of crictl, where it is a part.
    pub fn crictl_module(&self) -> Option<&str> {
        match self {
            Spec::Kubeadm { package, .. } | Spec::Crictl { package, .. } => Some(module_of(package)),
            _ => None,
        }
    }

    /// The packages whose tests become programs.
    pub(crate) fn tests(&self) -> &[String] {
        match self {
            Spec::Programs { tests, .. } => tests,
            _ => &[],
        }
    }

    /// Do the pins of `images/go/edits.toml` apply to it?
    pub(crate) fn is_pinned(&self) -> bool {
        !matches!(self, Spec::KubeUnedited { .. } | Spec::Crictl { .. })
    }

    /// The version of the release's staging modules: `v0.26.0` for `v1.26.0`. `None` for what is not a release of
    /// Kubernetes.
    pub(crate) fn staging_version(&self) -> Result<Option<String>> {
        let release = match self {
            Spec::Kube { release } | Spec::KubeUnedited { release } | Spec::Kubeadm { release, .. } => {
                release
            }
            Spec::Programs { module, version, .. } if module == KUBERNETES => version,
            Spec::Programs { .. } | Spec::Crictl { .. } | Spec::Cni { .. } => return Ok(None),
        };
        let rest = release.strip_prefix("v1.").filter(|rest| {
            let parts: Vec<&str> = rest.split('.').collect();
            parts.len() == 2 && parts.iter().all(|part| part.parse::<u32>().is_ok())
        });
        let Some(rest) = rest else {
            return Err(Fault::new(
                Kind::InvalidData,
                format!("`{release}` is not a release of Kubernetes (v1.Y.Z)"),
            )
            .into());
        };
        Ok(Some(format!("v0.{rest}")))
    }

    /// The canonical text of a go.mod for it.
    pub(crate) fn text(&self, file: &ModFile) -> String {
        let direct = self.direct().into_iter().map(|(path, _)| path);
        let text =
            file.text(&direct.chain(self.carried().iter().map(|it| it.module.as_str())).collect::<Vec<_>>());
        match self {
            Spec::Programs { .. } => text.replacen(HEADER, PROGRAMS_HEADER, 1),
            _ => text,
        }
    }
}

/// The module of a program: what stands before `/cmd/` in the import path of its package.
pub fn module_of(package: &str) -> &str {
    package.split_once("/cmd/").map_or(package, |(module, _)| module)
}

/// The text of a pinned go.mod and go.sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// go.mod.
    pub go_mod: String,
    /// go.sum.
    pub go_sum: String,
}

impl Closure {
    /// Is there one for `spec` below `root`, the directory `images/go`?
    pub fn is_there(root: &Path, spec: &Spec) -> bool {
        root.join(spec.dir()).join("go.sum").is_file()
    }

    /// Reads the closure for `spec` below `root`, the directory `images/go`.
    pub fn read(root: &Path, spec: &Spec) -> Result<Self> {
        let dir = root.join(spec.dir());
        let read = |name: &str| {
            let file = dir.join(name);
            fs::read_to_string(&file).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    let fault = Fault::new(Kind::NotFound, format!("there is no {}", file.display()));
                    let fault = fault.help("`cargo xtask lock go` makes it, where its modules are available");
                    anyhow::Error::from(fault)
                }
                _ => anyhow::Error::from(error).context(format!("reading {}", file.display())),
            })
        };
        Ok(Self { go_mod: read("go.mod")?, go_sum: read("go.sum")? })
    }

    /// Writes it where [`Closure::read`] finds it. Each file is replaced whole, go.sum first: a go.sum with lines
    /// too many is harmless.
    pub fn write(&self, root: &Path, spec: &Spec) -> Result<()> {
        let dir = root.join(spec.dir());
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        for (name, text) in [("go.sum", &self.go_sum), ("go.mod", &self.go_mod)] {
            let file = dir.join(name);
            files::write(&file, text.as_bytes())?;
        }
        Ok(())
    }

    /// Checks all that needs no network: the versions that `spec` wants, canonical form, and a sum for everything
    /// that is required. Takes milliseconds.
    pub fn check(&self, spec: &Spec) -> Result<()> {
        let name = spec.dir().join("go.mod").display().to_string();
        let sums_name = spec.dir().join("go.sum").display().to_string();
        let file = ModFile::parse(&name, &self.go_mod)?;
        let sums = SumFile::parse(&sums_name, &self.go_sum)?;
        let stale = |what: String| {
            let help = "`cargo xtask lock go` updates it";
            Err(anyhow::Error::from(Fault::new(Kind::Stale, what).help(help)))
        };
        if file.module != MODULE {
            return stale(format!("{name}: the module is `{}`, not `{MODULE}`", file.module));
        }
        if !file.go.starts_with("1.") {
            return stale(format!("{name}: `go {}` is not a version of the language", file.go));
        }
        let carried = spec.carried().iter().map(|it| (it.module.as_str(), CNI_PLUGINS, it.version.as_str()));
        let direct = spec.direct().into_iter().map(|(path, version)| (path, path, version));
        for (path, by, version) in direct.chain(carried) {
            let found = file.used(path).map(|(used, version)| format!("{used} {version}"));
            let wanted = format!("{by} {version}");
            if found.as_ref() != Some(&wanted) {
                let found = found.unwrap_or_else(|| format!("no {path}"));
                return stale(format!("{name}: requires {found}, not {wanted}"));
            }
        }
        if matches!(spec, Spec::Kube { .. } | Spec::KubeUnedited { .. })
            && let Some(crictl) = file.require.keys().find(|module| module.ends_with(CRI_TOOLS))
        {
            return stale(format!("{name}: requires {crictl}, which belongs beside it"));
        }
        check_staging(spec, &file).or_else(|what| stale(format!("{name}: {what}")))?;
        if file.replace.values().any(|by| by.version.is_none()) {
            return stale(format!("{name}: replaces a module by a directory"));
        }
        for path in file.require.keys() {
            let Some((path, version)) = file.used(path) else { continue };
            for found in [sums.module(&path, &version), sums.go_mod(&path, &version)] {
                if found.is_none() {
                    return stale(format!(
                        "{sums_name}: has no sum for {path} {version}, or none for its go.mod"
                    ));
                }
            }
        }
        if spec.text(&file) != self.go_mod {
            return stale(format!("{name}: is not in the form the generator writes"));
        }
        Ok(())
    }
}

fn check_staging(spec: &Spec, file: &ModFile) -> Result<(), String> {
    let Some(wanted) = spec.staging_version().map_err(|error| error.to_string())? else { return Ok(()) };
    for path in STAGING {
        if file.used(path) != Some((path.to_owned(), wanted.clone())) {
            return Err(format!("{path} is not replaced by its {wanted}"));
        }
    }
    for ((path, _), by) in &file.replace {
        // Other modules of the project have other numbers: v2.x, or a date and commit.
        let plain = |version: &String| version.starts_with("v0.") && !version.contains('-');
        if path.starts_with("k8s.io/") && by.version.as_ref().is_some_and(|v| plain(v) && *v != wanted) {
            return Err(format!(
                "{path} is replaced by {} {}, not {wanted}",
                by.path,
                by.version.as_deref().unwrap_or("")
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/go")
    }

    fn kubeadm(release: &str, crictl: &str) -> Spec {
        let package = "github.com/kubernetes-sigs/cri-tools/cmd/crictl".into();
        Spec::Kubeadm { release: release.into(), crictl: crictl.into(), package }
    }

    /// With crictl's module by its name of today.
    fn renamed(release: &str, crictl: &str) -> Spec {
        let package = "sigs.k8s.io/cri-tools/cmd/crictl".into();
        Spec::Kubeadm { release: release.into(), crictl: crictl.into(), package }
    }

    fn with_flannel() -> Spec {
        let carried = Carried {
            program: "flannel".into(),
            module: "github.com/flannel-io/cni-plugin".into(),
            version: "v0.9.1".into(),
        };
        Spec::Cni { version: "v1.10.0".into(), packages: Vec::new(), carried: vec![carried] }
    }

    fn committed() -> Vec<Spec> {
        let kube = |release: &str| Spec::Kube { release: release.into() };
        vec![
            kube("v1.37.2"),
            renamed("v1.37.2", "v1.37.0"),
            kube("v1.36.3"),
            renamed("v1.36.3", "v1.34.0"),
            kube("v1.35.4"),
            renamed("v1.35.4", "v1.34.0"),
            kube("v1.34.4"),
            renamed("v1.34.4", "v1.34.0"),
            kube("v1.26.0"),
            kubeadm("v1.26.0", "v1.26.0"),
            kube("v1.25.5"),
            kubeadm("v1.25.5", "v1.25.0"),
            kube("v1.24.9"),
            kubeadm("v1.24.9", "v1.24.2"),
            kube("v1.24.17"),
            Spec::Cni { version: "v0.9.1".into(), packages: Vec::new(), carried: Vec::new() },
            Spec::Cni { version: "v1.10.0".into(), packages: Vec::new(), carried: Vec::new() },
            with_flannel(),
            Spec::KubeUnedited { release: "v1.26.0".into() },
            Spec::Crictl { version: "v1.37.0".into(), package: "sigs.k8s.io/cri-tools/cmd/crictl".into() },
        ]
    }

    #[test]
    fn every_committed_closure_is_whole() {
        for spec in committed() {
            let closure = Closure::read(&root(), &spec).unwrap();
            closure.check(&spec).unwrap_or_else(|error| panic!("{}: {error}", spec.dir().display()));
        }
    }

    #[test]
    fn what_differs_is_named() {
        let spec = kubeadm("v1.26.0", "v1.26.0");
        let good = Closure::read(&root(), &spec).unwrap();
        let error = |from: &str, to: &str| {
            let mod_changed = Closure { go_mod: good.go_mod.replace(from, to), ..good.clone() };
            let sum_changed = Closure { go_sum: good.go_sum.replace(from, to), ..good.clone() };
            let changed = if mod_changed == good { sum_changed } else { mod_changed };
            let error = changed.check(&spec).unwrap_err();
            assert_eq!(fault::exit_code(&error), 9, "{error}");
            error.to_string()
        };
        insta::assert_snapshot!(error("cri-tools v1.26.0\n", "cri-tools v1.25.0\n"), @"v1.26.0/kubeadm/go.mod: requires github.com/kubernetes-sigs/cri-tools v1.25.0, not github.com/kubernetes-sigs/cri-tools v1.26.0");
        insta::assert_snapshot!(error("=> k8s.io/api v0.26.0", "=> k8s.io/api v0.26.1"), @"v1.26.0/kubeadm/go.mod: k8s.io/api is not replaced by its v0.26.0");
        insta::assert_snapshot!(error("=> k8s.io/metrics v0.26.0", "=> k8s.io/metrics v0.25.0"), @"v1.26.0/kubeadm/go.mod: k8s.io/metrics is replaced by k8s.io/metrics v0.25.0, not v0.26.0");
        insta::assert_snapshot!(error("=> k8s.io/metrics v0.26.0", "=> ./metrics"), @"v1.26.0/kubeadm/go.mod: replaces a module by a directory");
        insta::assert_snapshot!(error("module containerized-kubelet", "module kube"), @"v1.26.0/kubeadm/go.mod: the module is `kube`, not `containerized-kubelet`");
        insta::assert_snapshot!(error("\n\nrequire", "\nrequire"), @"v1.26.0/kubeadm/go.mod: is not in the form the generator writes");
        insta::assert_snapshot!(error("k8s.io/kubernetes v1.26.0/go.mod", "k8s.io/kubernetes v1.26.1/go.mod"), @"v1.26.0/kubeadm/go.sum: has no sum for k8s.io/kubernetes v1.26.0, or none for its go.mod");
    }

    #[test]
    fn crictl_belongs_only_beside() {
        let kubeadm = kubeadm("v1.26.0", "v1.26.0");
        let closure = Closure::read(&root(), &kubeadm).unwrap();
        let error = closure.check(&Spec::Kube { release: "v1.26.0".into() }).unwrap_err();
        insta::assert_snapshot!(error, @"v1.26.0/kube/go.mod: requires github.com/kubernetes-sigs/cri-tools, which belongs beside it");
    }

    #[test]
    fn what_is_written_reads_back_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec::Cni { version: "v0.9.1".into(), packages: Vec::new(), carried: Vec::new() };
        let closure = Closure { go_mod: "m".into(), go_sum: "s".into() };
        assert_eq!(fault::exit_code(&Closure::read(dir.path(), &spec).unwrap_err()), 4);
        closure.write(dir.path(), &spec).unwrap();
        assert_eq!(Closure::read(dir.path(), &spec).unwrap(), closure);
        assert_eq!(fs::read_dir(dir.path().join(spec.dir())).unwrap().count(), 2);
    }
}
