//! `images/catalog.toml` as a whole, its products, releases, architectures and variants.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use toml::Spanned;

use crate::base::Base;
use crate::budget::Budget;
use crate::compile::Compile;
use crate::component::Component;
use crate::program::Program;
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

/// An architecture, by all its names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Arch {
    /// As in attributes and tags: `arm32v7`.
    pub name: Name,
    /// Alpine's name for it: `armv7`.
    pub alpine: String,
    /// OCI `architecture`, which is Go's GOARCH.
    pub architecture: String,
    /// OCI `variant`.
    pub variant: Option<String>,
    /// The name and value of Go's setting that chooses the instruction set: `GOARM`, `7`.
    pub go_level: (String, String),
    /// zig's name for it, with musl: `arm-linux-musleabihf`.
    pub zig: String,
    /// Rust's: `armv7-unknown-linux-musleabihf`.
    pub rust: String,
    /// `e_machine` of its ELF files.
    pub elf_machine: u16,
    /// The emulator of its programs: `qemu-arm`.
    pub qemu: String,
}

impl Arch {
    /// The OCI platform: `linux/arm/v7`.
    pub fn platform(&self) -> String {
        let variant = self.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("linux/{}{variant}", self.architecture)
    }
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
