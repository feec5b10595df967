//! The types of `images/catalog.toml`, field by field.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::budget::Budget;
use crate::compile::Compile;
use crate::validate;

/// The version of the format that this library reads.
pub(crate) const VERSION: u32 = 1;

/// A name where it stands in the file, so that an error can show its line.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Name(pub(crate) Spanned<String>);

impl Name {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        self.0.get_ref()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

/// The whole catalog.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The version of this format: 1.
    pub(crate) version: Spanned<u32>,
    /// What has a repository of its own.
    #[serde(rename = "product")]
    pub products: Vec<Product>,
    /// Kubernetes releases, newest first.
    #[serde(rename = "release")]
    pub releases: Vec<Release>,
    /// Architectures, in the order of an index.
    #[serde(rename = "arch")]
    pub arches: Vec<Arch>,
    /// Bases: the lowest layer.
    #[serde(rename = "base")]
    pub bases: Vec<Base>,
    /// Variants: the layers above.
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
    /// How Go programs are compiled.
    pub compile: Compile,
    /// Components: what layers are made of.
    #[serde(rename = "component")]
    pub components: Vec<Component>,
    /// Go programs.
    #[serde(rename = "program")]
    pub programs: Vec<Program>,
    /// How much images may weigh.
    pub budget: Budget,
}

/// Something with a repository of its own: the kubelet, kube-proxy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// The first word of its attributes.
    pub name: Name,
    /// The repository's name in a registry.
    pub repository: String,
    /// `org.opencontainers.image.title`.
    pub title: String,
    /// `org.opencontainers.image.description`.
    pub description: String,
    /// `org.opencontainers.image.source`.
    pub source: String,
    /// `org.opencontainers.image.licenses`, an SPDX expression.
    pub licenses: String,
    /// The image's entrypoint.
    pub entrypoint: Vec<String>,
    /// The image's environment. Values may have [`PLACEHOLDERS`].
    pub env: BTreeMap<String, String>,
    /// How to ask a container of it whether it is well.
    pub healthcheck: Option<Healthcheck>,
}

/// What stands for a property of the image in a value of its environment.
pub const PLACEHOLDERS: [&str; 2] = ["{release}", "{variant}"];

/// A command that ends with 0 in a container that is well.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Healthcheck {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Seconds between two of them.
    pub interval: u32,
    /// Seconds after which one has failed.
    pub timeout: u32,
    /// Seconds after a start in which failures do not count.
    pub start_period: u32,
    /// How many in a row must fail.
    pub retries: u32,
}

/// A Kubernetes release.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Release {
    /// `vX.Y.Z`.
    pub version: Name,
    /// The git commit the release was made from; programs and images say none where it is not known.
    pub commit: Option<Name>,
    /// The release's build date, RFC 3339 in UTC: the time of everything in its images.
    pub date: Name,
    /// The Go toolchain that compiles it, without the `go`.
    pub go: Name,
    /// The version of the CNI plugins.
    pub cni_plugins: Name,
    /// The version of crictl.
    pub crictl: Name,
}

impl Release {
    /// The version as attributes spell it: `v1_26_0`.
    pub fn attribute(&self) -> String {
        self.version.as_str().replace('.', "_")
    }

    /// Major, minor and patch.
    pub fn numbers(&self) -> (u32, u32, u32) {
        validate::version_numbers(self.version.as_str()).unwrap_or_default()
    }
}

/// An architecture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arch {
    /// As in attributes and tags: `arm32v7`.
    pub name: Name,
    /// Alpine's name for it: `armv7`.
    pub alpine: String,
    /// OCI `architecture`.
    pub architecture: String,
    /// OCI `variant`.
    pub variant: Option<String>,
}

impl Arch {
    /// The OCI platform: `linux/arm/v7`.
    pub fn platform(&self) -> String {
        let variant = self.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("linux/{}{variant}", self.architecture)
    }
}

/// The lowest layer of an image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// As in tags; also the suffix in attributes, unless it is the variant's default ([`Catalog::default_base`]).
    pub name: Name,
    /// The base of attributes that name none, of variants that come on it.
    #[serde(default)]
    pub default: bool,
    /// The Alpine it is made of, if it is.
    pub alpine: Option<Alpine>,
    /// What it holds.
    pub components: Vec<Name>,
}

impl Base {
    /// The name as attributes spell it: `alpine3_15`.
    pub fn attribute(&self) -> String {
        self.name.as_str().replace('.', "_")
    }
}

/// Alpine as a base: a root filesystem that it publishes, and packages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alpine {
    /// The branch: `v3.15`.
    pub branch: Name,
    /// Where its files are when no mirror has them, without a slash at its end.
    pub url: Name,
    /// The branch's repositories, the preferred one first.
    pub repositories: Vec<Name>,
    /// The packages added for each product, as `apk add` takes them.
    pub worlds: BTreeMap<String, Vec<Name>>,
    /// The root filesystems, by architecture.
    pub rootfs: BTreeMap<String, Rootfs>,
    /// What is known of packages' scripts.
    #[serde(default, rename = "script")]
    pub scripts: Vec<Script>,
}

/// A root filesystem that Alpine publishes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// Its path below Alpine's URL.
    pub path: Name,
    /// In bytes.
    pub size: u64,
    /// Its published SHA-256.
    pub sha256: Name,
}

/// A script of a package: it is never run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Whose it is.
    pub package: String,
    /// When apk would run it: `post-install`, `trigger`.
    pub kind: String,
    /// Of its text, if no other is meant.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Why what it would do is done.
    pub done: String,
}

/// What is added to a base.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The product it is a variant of.
    pub product: Name,
    /// Its name in reports.
    pub name: Name,
    /// Its part in attributes and tags: its name, unless stated (empty for the plain one).
    pub suffix: Option<String>,
    /// The bases it comes on: all, unless stated.
    pub bases: Option<Vec<Name>>,
    /// Its layers, lowest first.
    pub components: Vec<Name>,
}

impl Variant {
    /// Its part in attributes and tags, empty for the plain variant.
    pub fn suffix(&self) -> &str {
        self.suffix.as_deref().unwrap_or(self.name.as_str())
    }
}

/// What a layer is made of: exactly one kind of content.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its name, for `--omit` and reports.
    pub name: Name,
    /// The only product whose images have it, where a base has more.
    pub product: Option<Name>,
    go: Option<Go>,
    rust: Option<Single>,
    links: Option<Links>,
    certificates: Option<Single>,
    files: Option<Files>,
    directories: Option<Directories>,
}

/// Where a component's content comes from.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Go programs.
    Go(&'a Go),
    /// The entrypoint, in Rust, and its path.
    Rust(&'a Single),
    /// More names for a file of the same layer, or symbolic links.
    Links(&'a Links),
    /// The bundle of certificate authorities, and its path.
    Certificates(&'a Single),
    /// Files as they are in `images/rootfs`.
    Files(&'a Files),
    /// Empty directories.
    Directories(&'a Directories),
}

/// Go programs, joined in one binary if there are several.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Go {
    /// Names of `[[program]]`s: a release has those that are in the versions it takes ([`Program::is_in`]).
    pub programs: Vec<Name>,
    /// The version of the CNI plugins, where it is not the release's.
    pub cni_plugins: Option<Name>,
    /// The directory in the image, relative to its root.
    pub directory: String,
    /// Whether and how UPX packs the binary.
    #[serde(default)]
    pub pack: Pack,
    /// Must the linker be able to drop methods that nobody calls? A binary in which something keeps them is refused.
    #[serde(default)]
    pub prune: bool,
    /// Do its programs make text by templates, which find by name the methods that they name in their sources?
    #[serde(default)]
    pub templates: bool,
}

impl Go {
    /// A release as this component takes it: with the component's own version of the CNI plugins, if it states one.
    pub fn of<'r>(&self, release: &'r Release) -> Cow<'r, Release> {
        match &self.cni_plugins {
            Some(version) => Cow::Owned(Release { cni_plugins: version.clone(), ..release.clone() }),
            None => Cow::Borrowed(release),
        }
    }
}

/// One file of the image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Single {
    /// The path in the image, relative to its root.
    pub path: String,
}

/// More names for a file, or symbolic links.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The file, relative to the image's root.
    pub to: String,
    /// Its other names, relative to the image's root.
    pub paths: Vec<String>,
    /// Are they symbolic links, to anything, and not hard links to a file of the same layer?
    #[serde(default)]
    pub symbolic: bool,
}

/// Files that go in as they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The directory in `images/rootfs`.
    pub source: String,
}

/// Empty directories.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directories {
    /// Their paths, relative to the image's root. Those called `tmp` are everyone's, with the sticky bit.
    pub paths: Vec<String>,
}

impl Component {
    /// Do images of this product have it?
    pub fn is_for(&self, product: &str) -> bool {
        self.product.as_ref().is_none_or(|only| *only == *product)
    }

    /// Its content. `None` or several kinds are refused when the catalog is read.
    pub(crate) fn contents(&self) -> Vec<Content<'_>> {
        let go = self.go.as_ref().map(Content::Go);
        let rust = self.rust.as_ref().map(Content::Rust);
        let links = self.links.as_ref().map(Content::Links);
        let certificates = self.certificates.as_ref().map(Content::Certificates);
        let files = self.files.as_ref().map(Content::Files);
        let directories = self.directories.as_ref().map(Content::Directories);
        [go, rust, links, certificates, files, directories].into_iter().flatten().collect()
    }

    /// Where its content comes from.
    ///
    /// # Panics
    /// Never for a component of a [`Catalog`]: reading it checks that there is exactly one.
    pub fn content(&self) -> Content<'_> {
        self.contents()[0]
    }
}

/// UPX's method for a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pack {
    /// As the linker made it.
    #[default]
    None,
    /// UPX's own compression: quick to start, larger.
    Nrv,
    /// LZMA: smallest on disk, slow to start.
    Lzma,
}

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

impl Catalog {
    /// Reads and validates the catalog; an error names the file, the line and what is wrong there.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the catalog {} cannot be read", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and validates; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        validate::parse(text, file)
    }

    /// The component of this name.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name == *name)
    }

    /// The program of this name.
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == *name)
    }

    /// The release of this version, `vX.Y.Z`.
    pub fn release(&self, version: &str) -> Option<&Release> {
        self.releases.iter().find(|release| release.version == *version)
    }
}
