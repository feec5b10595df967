//! What is built: a value that holds all that decides the bytes of a binary.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde::Serialize;

use crate::edit::{self, Edit, Edits};
use crate::templates::Templates;

/// Raised whenever this crate would make other bytes from the same recipe.
const RECIPE_VERSION: u32 = 3;

/// A Go program: a `main` package and the name it is called by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The file name it is called by.
    pub name: String,
    /// The import path of its `main` package.
    pub package: String,
    /// It reads flags that its packages registered while they were initialised, as the kubelet reads cAdvisor's.
    /// Of joined programs at most one may; the others start with none, so they never show flags not their own.
    pub init_flags: bool,
}

impl Program {
    /// `k8s.io/kubernetes/cmd/NAME`, for kubelet, kubeadm and kube-proxy.
    pub fn kubernetes(name: &str) -> Self {
        let package = format!("k8s.io/kubernetes/cmd/{name}");
        Self { name: name.to_owned(), package, init_flags: name != "kubeadm" }
    }

    /// A plugin of `github.com/containernetworking/plugins`; `kind` is its directory: `ipam`, `main` or `meta`.
    pub fn cni(kind: &str, name: &str) -> Self {
        let package = format!("github.com/containernetworking/plugins/plugins/{kind}/{name}");
        Self { name: name.to_owned(), package, init_flags: false }
    }
}

/// The machine a program is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// GOARCH.
    pub goarch: String,
    /// The name and value of the setting that chooses the instruction set; else Go's lowest is taken.
    pub level: Option<(String, String)>,
    /// zig's name for it; without one nothing of C is compiled.
    pub zig: Option<String>,
    /// `e_machine` of its ELF files.
    #[serde(skip)]
    pub elf_machine: u16,
    /// The emulator of its programs.
    #[serde(skip)]
    pub qemu: String,
}

impl Target {
    /// An architecture of images.
    pub fn of(arch: &catalog::Arch) -> Self {
        Self {
            goarch: arch.architecture.clone(),
            level: Some(arch.go_level.clone()),
            zig: Some(arch.zig.clone()),
            elf_machine: arch.elf_machine,
            qemu: arch.qemu.clone(),
        }
    }

    /// One by its GOARCH, which if empty is this machine's, for what has no C and is not checked: modules that are asked for,
    /// and programs that run here.
    pub(crate) fn plain(goarch: &str) -> Self {
        Self { goarch: goarch.to_owned(), level: None, zig: None, elf_machine: 0, qemu: String::new() }
    }
}

/// Which commit, made when, a program says it was built from.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// The version with its `v`, as in `v1.26.0`.
    pub version: &'a str,
    /// The git commit, 40 hex digits, where it is known.
    pub commit: Option<&'a str>,
    /// The commit's date, RFC 3339 in UTC.
    pub date: &'a str,
}

/// How packages are compiled and linked, beyond what static programs for a target always need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flags {
    /// Build tags.
    pub tags: Vec<String>,
    /// `PATTERN=FLAGS` for the compiler, as `go build -gcflags` has them: the last whose pattern fits a package counts.
    pub gcflags: Vec<String>,
    /// Flags of the linker, each one word.
    pub ldflags: Vec<String>,
    /// The linker must be able to drop methods that nobody calls.
    pub prune: bool,
    /// Programs make text by templates, which find by name the methods that they name in their sources.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub templates: bool,
    /// Without C (`CGO_ENABLED=0`): then Go's own linker links.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pure: bool,
}

impl Flags {
    /// The value of `CGO_ENABLED`.
    pub(crate) fn cgo(&self) -> &'static str {
        if self.pure { "0" } else { "1" }
    }

    fn check(&self) -> Result<()> {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && !"'\"\\,".contains(c));
        let word = |text: &String| !text.is_empty() && plain(text);
        let pattern = |text: &String| {
            text.split_once('=').is_some_and(|(pattern, flags)| {
                word(&pattern.to_owned()) && !pattern.starts_with('-') && flags.split(' ').all(plain)
            })
        };
        let bad = [
            ("build tag", self.tags.iter().find(|tag| !word(tag))),
            ("flag PATTERN=FLAGS for the compiler", self.gcflags.iter().find(|flags| !pattern(flags))),
            ("flag for the linker", self.ldflags.iter().find(|flag| !word(flag))),
        ];
        match bad.into_iter().find_map(|(what, found)| Some((what, found?))) {
            Some((what, bad)) => {
                Err(Fault::new(Kind::InvalidData, format!("`{bad}` is not a {what}")).into())
            }
            None => Ok(()),
        }
    }
}

/// Strings the linker writes into package variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkerVars(BTreeMap<String, String>);

impl LinkerVars {
    /// Nothing is stamped.
    pub fn new() -> Self {
        Self::default()
    }

    /// What Kubernetes' commands say with `--version`. Without a commit they say none: what stands in their sources is the
    /// placeholder of an archive.
    #[must_use]
    pub fn kubernetes(mut self, release: Release<'_>) -> Self {
        let mut numbers = release.version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        for package in ["k8s.io/client-go/pkg/version", "k8s.io/component-base/version"] {
            for (name, value) in [
                ("buildDate", release.date),
                ("gitCommit", release.commit.unwrap_or_default()),
                ("gitMajor", major),
                ("gitMinor", minor),
                ("gitTreeState", "clean"),
                ("gitVersion", release.version),
            ] {
                self.0.insert(format!("{package}.{name}"), value.to_owned());
            }
        }
        self
    }

    /// What crictl, of this module, says with `--version`: the version with its `v`, as its own release v1.26.0 does.
    #[must_use]
    pub fn crictl(mut self, module: &str, version: &str) -> Self {
        self.0.insert(format!("{module}/pkg/version.Version"), version.to_owned());
        self
    }

    /// What the CNI plugins say of themselves.
    #[must_use]
    pub fn cni(mut self, version: &str) -> Self {
        let name = "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion";
        self.0.insert(name.to_owned(), version.to_owned());
        self
    }

    /// The linker's flags. Values are words: the go command splits them at spaces.
    pub(crate) fn flags(&self) -> Result<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-+._:/".contains(c);
        let mut flags = String::new();
        for (name, value) in &self.0 {
            if !value.chars().all(plain) {
                let message =
                    format!("`{value}` cannot be stamped into {name}: letters, digits and -+._:/ only");
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
            flags.push_str(" -X ");
            flags.push_str(name);
            flags.push('=');
            flags.push_str(value);
        }
        Ok(flags)
    }
}

/// The Go that joins programs into one binary: file name to text, of `images/go/join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JoinSource(pub(crate) BTreeMap<String, String>);

impl JoinSource {
    /// The files that there must be.
    const FILES: [&str; 3] = ["flags.go", "main.go", "pflags.go"];

    /// Reads the directory.
    pub fn read(dir: &Path) -> Result<Self> {
        let read = |name: &str| {
            let text = fs::read_to_string(dir.join(name))
                .with_context(|| format!("reading {}", dir.join(name).display()))?;
            Ok((name.to_owned(), text))
        };
        Self::FILES.into_iter().map(read).collect::<Result<_>>().map(Self)
    }
}

/// All that decides the bytes of a binary, and nothing else: its serialised form is what a cache key is made of.
#[derive(Clone, Debug, Serialize)]
pub struct Recipe {
    version: u32,
    /// One program, or several to be joined.
    pub programs: Vec<Program>,
    /// The text of the pinned go.mod.
    pub go_mod: String,
    /// The text of the pinned go.sum.
    pub go_sum: String,
    /// Edits of its modules.
    pub edits: Vec<Edit>,
    /// The change of Go's templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<Templates>,
    /// The machine it is for.
    pub target: Target,
    /// Build tags, and flags of the compiler and the linker.
    pub flags: Flags,
    /// What the linker writes into package variables.
    pub stamps: LinkerVars,
    /// The version of Go, as in `1.26.8`.
    pub go: String,
    /// The version of zig, as in `0.13.0`.
    pub zig: String,
    /// The Go that joins; only when there are several programs.
    pub join: Option<JoinSource>,
}

/// What `images/go` has for all recipes.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// Edits of modules.
    pub edits: &'a Edits,
    /// The Go that joins programs.
    pub join: &'a JoinSource,
}

/// The versions of the compilers.
#[derive(Clone, Copy, Debug)]
pub struct Compilers<'a> {
    /// Of Go, as in `1.26.8`.
    pub go: &'a str,
    /// Of zig, as in `0.13.0`.
    pub zig: &'a str,
}

impl Recipe {
    /// A recipe for `programs`, joined when there are several. Programs are sorted: their order decides nothing.
    pub fn new(
        mut programs: Vec<Program>,
        closure: crate::Closure,
        target: Target,
        stamps: LinkerVars,
        flags: Flags,
        compilers: Compilers<'_>,
        common: Common<'_>,
    ) -> Result<Self> {
        flags.check()?;
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        check_programs(&programs)?;
        let join = (programs.len() > 1).then(|| common.join.clone());
        Ok(Self {
            version: RECIPE_VERSION,
            programs,
            edits: common.edits.of(&closure.go_mod)?,
            templates: common.edits.templates.clone().filter(|_| flags.templates),
            go_mod: closure.go_mod,
            go_sum: closure.go_sum,
            target,
            flags,
            stamps,
            go: compilers.go.to_owned(),
            zig: compilers.zig.to_owned(),
            join,
        })
    }

    /// The versions of modules, and of Go, that `images/go/edits.toml` edits and that no person has read yet, as `module
    /// version`.
    pub fn unread(&self) -> Result<BTreeSet<String>> {
        let mut unread = edit::unread(&self.edits, &self.go_mod)?;
        let go = self.templates.as_ref().filter(|templates| !templates.is_read(&self.go));
        unread.extend(go.map(|_| format!("go {}", self.go)));
        Ok(unread)
    }

    /// For messages: the names of the programs, or the first few of many.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.programs.iter().map(|program| program.name.as_str()).collect();
        match names.as_slice() {
            [first, .., last] if names.len() > 3 => format!("{first} .. {last} ({} programs)", names.len()),
            _ => names.join("+"),
        }
    }
}

fn check_programs(programs: &[Program]) -> Result<()> {
    let bad = |message: String| Err(Fault::new(Kind::InvalidData, message).into());
    if programs.is_empty() {
        return bad("there is no program to build".into());
    }
    for program in programs {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        if program.name.is_empty() || program.name.starts_with(['-', '.']) || !program.name.chars().all(plain)
        {
            return bad(format!("`{}` is not a name for a program", program.name));
        }
    }
    if let Some(twice) = programs.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return bad(format!("two programs are called `{}`", twice[0].name));
    }
    let mut flagged = programs.iter().filter(|program| program.init_flags);
    if let (Some(one), Some(other)) = (flagged.next(), flagged.next()) {
        return bad(format!(
            "{} and {} cannot be joined: each reads flags registered while packages are initialised, \
             and would show the other's",
            one.name, other.name
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_sorted_and_only_words() {
        let mut release = Release { version: "v1.26.0", commit: None, date: "2022-12-08T19:51:45Z" };
        let flags = LinkerVars::new().kubernetes(release).flags().unwrap();
        assert!(flags.contains(" -X k8s.io/component-base/version.gitCommit= -X "), "{flags}");
        release.commit = Some("b46a3f8");
        let module = "github.com/kubernetes-sigs/cri-tools";
        let flags = LinkerVars::new().kubernetes(release).crictl(module, "v1.26.0").flags().unwrap();
        assert!(flags.contains(" -X k8s.io/component-base/version.gitCommit=b46a3f8 -X "), "{flags}");
        assert!(flags.contains(" -X k8s.io/component-base/version.gitMinor=26 "), "{flags}");
        assert!(flags.starts_with(
            " -X github.com/kubernetes-sigs/cri-tools/pkg/version.Version=v1.26.0 -X k8s.io/client-go"
        ));
        let error = LinkerVars::new().cni("v0.9.1 -X evil=1").flags().unwrap_err();
        insta::assert_snapshot!(error, @"`v0.9.1 -X evil=1` cannot be stamped into github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion: letters, digits and -+._:/ only");
    }

    #[test]
    fn flags_are_words() {
        let error = |tags: &[&str], gcflags: &[&str], ldflags: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|flag| (*flag).to_owned()).collect();
            let flags =
                Flags { tags: own(tags), gcflags: own(gcflags), ldflags: own(ldflags), ..Flags::default() };
            flags.check().map_err(|error| error.to_string())
        };
        assert!(
            error(&["providerless"], &["all=-l", "std=", "k8s.io/...=-l -B"], &["-funcalign=16"]).is_ok()
        );
        insta::assert_snapshot!(error(&["a,b"], &[], &[]).unwrap_err(), @"`a,b` is not a build tag");
        insta::assert_snapshot!(error(&[], &["-l"], &[]).unwrap_err(), @"`-l` is not a flag PATTERN=FLAGS for the compiler");
        insta::assert_snapshot!(error(&[], &[], &["-X 'a=b'"]).unwrap_err(), @"`-X 'a=b'` is not a flag for the linker");
    }

    #[test]
    fn programs_that_cannot_be_joined_are_refused() {
        let error = |programs: &[Program]| check_programs(programs).unwrap_err().to_string();
        insta::assert_snapshot!(error(&[]), @"there is no program to build");
        let kubelet = Program::kubernetes("kubelet");
        insta::assert_snapshot!(error(&[kubelet.clone(), kubelet.clone()]), @"two programs are called `kubelet`");
        insta::assert_snapshot!(error(&[Program::kubernetes("kube-proxy"), kubelet]), @"kube-proxy and kubelet cannot be joined: each reads flags registered while packages are initialised, and would show the other's");
        insta::assert_snapshot!(error(&[Program::cni("main", "../bridge")]), @"`../bridge` is not a name for a program");
    }
}
