//! The sources, as far as they are in Go's module cache, and what the scanner finds in them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::table::Row;

/// Is that all a place runs, or could the argument not be followed to its end?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    Part,
}

/// A call that runs a program or looks it up.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) program: String,
    /// The commands whose packages have it.
    pub(crate) names: Vec<String>,
    /// Package, file and function.
    pub(crate) at: String,
}

impl Place {
    /// The program's name, without directories.
    pub(crate) fn base(&self) -> &str {
        self.program.rsplit('/').next().unwrap_or_default()
    }
}

/// What one release's sources have.
pub(crate) struct Release {
    pub(crate) name: String,
    /// The minor release of Kubernetes; none for what has releases of its own.
    pub(crate) minor: Option<u8>,
    /// The commands that were looked at.
    pub(crate) names: Vec<String>,
    pub(crate) places: Vec<Place>,
}

impl Release {
    /// Can this release say whether a row is right?
    pub(crate) fn is_of(&self, row: &Row) -> bool {
        // `ip` of a newer plugin: the row is right if one of the releases has it.
        self.minor.is_some() && row.who.iter().any(|who| self.names.contains(who))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.name)
    }
}

/// What there is, and what is not, with the reason.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) releases: Vec<Release>,
    pub(crate) skipped: Vec<String>,
}

/// A module whose commands are looked at.
struct Of {
    module: &'static str,
    /// The closure in images/go of a version, if it has one there.
    closure: fn(&str) -> String,
    commands: &'static [(&'static str, &'static str)],
    /// Is its version that of Kubernetes?
    kubernetes: bool,
}

const MODULES: [Of; 4] = [
    Of {
        module: "k8s.io/kubernetes",
        closure: |version| format!("{version}/kube"),
        commands: &[
            ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            ("kubeadm", "k8s.io/kubernetes/cmd/kubeadm"),
            ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        ],
        kubernetes: true,
    },
    Of {
        module: "sigs.k8s.io/cri-tools",
        closure: |_| String::new(),
        commands: &[("crictl", "sigs.k8s.io/cri-tools/cmd/crictl")],
        kubernetes: false,
    },
    Of {
        module: "github.com/kubernetes-sigs/cri-tools",
        closure: |version| format!("{version}/kubeadm"),
        commands: &[("crictl", "github.com/kubernetes-sigs/cri-tools/cmd/crictl")],
        kubernetes: false,
    },
    Of {
        module: "github.com/containernetworking/plugins",
        closure: |version| format!("cni-plugins-{version}"),
        commands: &[("cni", "github.com/containernetworking/plugins/plugins/...")],
        kubernetes: false,
    },
];

/// Every release of [`MODULES`] that is in the module cache, of each minor release of Kubernetes the newest.
pub(crate) fn releases() -> Found {
    let mut found = Found::default();
    let Some(cache) = cache() else {
        found.skipped.push("Go is not here".to_owned());
        return found;
    };
    for of in &MODULES {
        let mut versions = versions(&cache, of.module);
        if of.kubernetes {
            // The catalog's own, or else the newest of a minor release.
            let mut newest = BTreeMap::new();
            versions.sort_by_key(|version| (of.committed(version).is_some(), patch(version)));
            for version in versions {
                newest.insert(minor(&version), version);
            }
            versions = newest.into_values().collect();
        }
        for version in versions {
            match of.scan(&cache, &version) {
                Ok(places) => found.releases.push(Release {
                    name: format!("{} {version}", of.module),
                    minor: minor(&version).filter(|_| of.kubernetes),
                    names: of.commands.iter().map(|(name, _)| (*name).to_owned()).collect(),
                    places,
                }),
                Err(why) => found.skipped.push(format!("{} {version}: {why}", of.module)),
            }
        }
    }
    found
}

/// Go's module cache.
fn cache() -> Option<PathBuf> {
    let output = Command::new("go").args(["env", "GOMODCACHE"]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
}

/// A file of a module, of every version that is in the cache.
pub(crate) fn files(module: &str, path: &str) -> Vec<(String, String)> {
    let Some(cache) = cache() else { return vec![] };
    let read = |version: String| {
        let text = fs::read_to_string(cache.join(format!("{module}@{version}")).join(path)).ok()?;
        Some((version, text))
    };
    versions(&cache, module).into_iter().filter_map(read).collect()
}

/// The versions of a module that are unpacked in the cache.
fn versions(cache: &Path, module: &str) -> Vec<String> {
    let (parent, last) = module.rsplit_once('/').expect("a module's path");
    let dirs = fs::read_dir(cache.join(parent)).into_iter().flatten().flatten();
    let names = dirs.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_prefix(last)?.strip_prefix('@')?.to_owned())).collect()
}

fn minor(version: &str) -> Option<u8> {
    version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
}

fn patch(version: &str) -> u32 {
    version.rsplit('.').next().and_then(|patch| patch.parse().ok()).unwrap_or(0)
}

impl Of {
    fn committed(&self, version: &str) -> Option<PathBuf> {
        let closure = (self.closure)(version);
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../go").join(&closure);
        (!closure.is_empty() && dir.join("go.mod").exists()).then_some(dir)
    }

    /// What the scanner finds; or why it could not look.
    fn scan(&self, cache: &Path, version: &str) -> Result<Vec<Place>, String> {
        let name = format!("{}-{version}", self.module).replace('/', "-");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir).unwrap();
        if let Some(closure) = self.committed(version) {
            for file in ["go.mod", "go.sum"] {
                fs::copy(closure.join(file), dir.join(file)).unwrap();
            }
        } else {
            let of = fs::read_to_string(cache.join(format!("{}@{version}/go.mod", self.module))).unwrap();
            fs::write(dir.join("go.mod"), closure(&of, self.module, version)).unwrap();
        }
        let mut scan = Command::new(scanner()?);
        scan.args(self.commands.iter().map(|(name, package)| format!("{name}={package}")));
        let output = offline(&mut scan).current_dir(&dir).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            return Err(format!("not all of its modules are in Go's module cache: {first}"));
        }
        Ok(String::from_utf8(output.stdout).unwrap().lines().map(place).collect())
    }
}

/// A go.mod that requires a module, and what that requires itself: Kubernetes' own modules have the same version.
fn closure(of: &str, module: &str, version: &str) -> String {
    let own = format!("v0.{}", version.strip_prefix("v1.").unwrap_or_default());
    let mut text = format!("module closure\n\nrequire {module} {version}\n");
    for line in of.lines().filter(|line| !line.starts_with("module ") && !line.starts_with("godebug")) {
        let staging =
            line.trim().strip_prefix("replace ").unwrap_or(line.trim()).split_once(" => ./staging/");
        text += &match staging {
            Some((name, _)) if line.starts_with('\t') => format!("\t{name} => {name} {own}"),
            Some((name, _)) => format!("replace {name} => {name} {own}"),
            // A version of no time, which `./staging` stands for.
            None if line.ends_with(" v0.0.0") || line.contains(" v0.0.0 ") => {
                line.replacen(" v0.0.0", &format!(" {own}"), 1)
            }
            None => line.to_owned(),
        };
        text.push('\n');
    }
    text
}

fn offline(command: &mut Command) -> &mut Command {
    let settings = [
        ("GOFLAGS", "-mod=mod"),
        ("GOPROXY", "off"),
        ("GOSUMDB", "off"),
        ("GOTOOLCHAIN", "local"),
        ("GOWORK", "off"),
        ("GOOS", "linux"),
        ("GOARCH", "amd64"),
        ("CGO_ENABLED", "1"),
    ];
    command.envs(settings)
}

/// The scanner, compiled.
fn scanner() -> Result<&'static Path, String> {
    static SCANNER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scan");
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(&program).args(["scan.go", "resolve.go", "calls.go"]).current_dir(dir);
        let output = offline(&mut go).env("CGO_ENABLED", "0").output().map_err(|error| error.to_string())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(program)
    };
    SCANNER.get_or_init(build).as_deref().map_err(Clone::clone)
}

/// A line of the scanner.
fn place(line: &str) -> Place {
    let cells: Vec<&str> = line.split('\t').collect();
    let [kind, program, names, at] = cells[..] else { panic!("a line of the scanner: {line}") };
    Place {
        kind: if kind == "run" { Kind::Whole } else { Kind::Part },
        program: program.to_owned(),
        names: names.split(',').map(str::to_owned).collect(),
        at: at.to_owned(),
    }
}

#[test]
fn a_closure_is_made_of_a_module() {
    let of = "module k8s.io/kubernetes\n\ngo 1.26\n\nrequire (\n\tk8s.io/api v0.0.0\n\tgolang.org/x/y v0.0.0-2020\n\tk8s.io/z v0.0.0 // indirect\n)\n\n\
        replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
    let made = closure(of, "k8s.io/kubernetes", "v1.37.2");
    assert!(made.starts_with("module closure\n\nrequire k8s.io/kubernetes v1.37.2\n"));
    assert!(
        made.contains("\tk8s.io/api v0.37.2\n\tgolang.org/x/y v0.0.0-2020\n\tk8s.io/z v0.37.2 // indirect\n"),
        "{made}"
    );
    assert!(made.contains("\tk8s.io/api => k8s.io/api v0.37.2\n"), "{made}");
}
