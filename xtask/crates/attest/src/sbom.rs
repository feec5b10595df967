//! The bill of materials of an image, in no format yet.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use oci::layout::{Layout, LayoutImage};
use sizes::go::Module;

use crate::contents::Contents;
use crate::crates::Crate;
use crate::purl::purl;
use catalog::label;

/// What is said of an image with [`label::UNEDITED`].
const UNEDITED: &str = "unedited: its Go programs are compiled as those who release them do: no module is edited or newer \
                        than the release asks for, and no programs are joined";

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A package of Alpine's.
    Package,
    /// A program.
    Program,
    /// A library: a Go module or a crate.
    Library,
    /// A file.
    File,
    /// What built programs.
    Tool,
}

/// One thing in an image, or what it was built with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its version; empty if it has none.
    pub version: String,
    /// Its licence as its source states it.
    pub licence: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
    /// The SHA-256 of its file or archive, hexadecimal.
    pub sha256: Option<String>,
    /// What else is known.
    pub comment: Option<String>,
    /// The components, by index, that it contains.
    pub contains: Vec<usize>,
}

/// All that is in an image.
#[derive(Clone, Debug)]
pub struct Sbom {
    /// What the image is called.
    pub name: String,
    /// The release.
    pub version: String,
    /// The digest of its manifest, `sha256:...`.
    pub digest: String,
    /// Its time, RFC 3339.
    pub created: String,
    /// Its licences.
    pub licence: Option<String>,
    /// Its package URL.
    pub purl: String,
    /// What else is to be known of all its programs.
    pub comment: Option<&'static str>,
    /// What is in it.
    pub components: Vec<Component>,
}

/// What the build knows and the image does not say.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// The crates of the entrypoint.
    pub crates: Vec<Crate>,
    /// The version of certifi that the CA certificates are of.
    pub certifi: String,
    /// The path of the entrypoint.
    pub entrypoint: String,
    /// The path of the CA certificates.
    pub certificates: String,
}

impl Sbom {
    /// Reads an image and lists what is in it; `build` is given only if it is known to be this image's.
    ///
    /// # Errors
    /// As [`Contents::read`].
    pub fn of(layout: &Layout, image: &LayoutImage, build: Option<&Build>) -> Result<Self> {
        let contents = Contents::read(layout, image)?;
        Self::new(image, &contents, build)
    }

    /// Of what was read already.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn new(image: &LayoutImage, contents: &Contents, build: Option<&Build>) -> Result<Self> {
        let annotations: BTreeMap<String, String> =
            image.manifest.annotations().clone().unwrap_or_default().into_iter().collect();
        let said = |key: &str| annotations.get(key).cloned();
        let digest = image.descriptor.digest().to_string();
        let name = said(label::TITLE).unwrap_or_else(|| "image".into());
        let arch = image.config.architecture().to_string();
        let mut list = List::default();
        list.packages(contents);
        list.programs(contents);
        if let Some(build) = build {
            list.build(contents, build);
        }
        for (tool, title) in [("go", "Go"), ("zig", "zig"), ("rust", "Rust"), ("upx", "UPX")] {
            if let Some(version) = said(&format!("{}{tool}", label::OWN)) {
                list.add(Component {
                    comment: Some("compiler or packer of programs".into()),
                    ..component(Kind::Tool, title, &version)
                });
            }
        }
        let created = image.config.created().clone();
        let created = created.map(|time| oci::date::parse(&time)).transpose().context("the image's time")?;
        Ok(Self {
            version: said(label::VERSION).unwrap_or_default(),
            created: oci::date::rfc3339(created.unwrap_or_default()),
            licence: said(label::LICENSES),
            purl: purl("oci", &name, &digest, &[("arch", &arch)]),
            comment: said(&format!("{}{}", label::OWN, label::UNEDITED))
                .is_some_and(|value| value == "true")
                .then_some(UNEDITED),
            name,
            digest,
            components: list.components,
        })
    }

    /// The 16 bytes of a UUID that stands for a document about this image: version 8, made of the image's digest.
    pub(crate) fn uuid(&self, format: &str) -> String {
        let hash = store::Digest::of(format!("{format} {}", self.digest)).to_string();
        let variant = &hash[17..20];
        format!("{}-{}-8{}-a{variant}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[20..32])
    }
}

fn component(kind: Kind, name: &str, version: &str) -> Component {
    Component {
        kind,
        name: name.to_owned(),
        version: version.to_owned(),
        licence: None,
        purl: None,
        sha256: None,
        comment: None,
        contains: Vec::new(),
    }
}

#[derive(Default)]
struct List {
    components: Vec<Component>,
    /// Where each of them is: an image of somebody else's may name as many as it likes.
    places: HashMap<Component, usize>,
}

impl List {
    fn add(&mut self, component: Component) -> usize {
        let next = self.components.len();
        let index = *self.places.entry(component.clone()).or_insert(next);
        if index == next {
            self.components.push(component);
        }
        index
    }

    fn packages(&mut self, contents: &Contents) {
        for record in &contents.packages {
            let version = record.version.to_string();
            self.add(Component {
                purl: Some(contents.purl(record)),
                licence: Some(record.license.clone()),
                ..component(Kind::Package, &record.name, &version)
            });
        }
    }

    fn programs(&mut self, contents: &Contents) {
        for (path, info) in &contents.programs {
            let standard = info.go.trim_start_matches("go");
            let standard = Component {
                purl: Some(purl("golang", "stdlib", standard, &[])),
                comment: Some("Go's standard library".into()),
                ..component(Kind::Library, "stdlib", standard)
            };
            let mut contains = vec![self.add(standard)];
            for found in std::iter::once(&info.main).chain(&info.dependencies) {
                if !found.path.is_empty() {
                    contains.push(self.add(module(found)));
                }
            }
            let version = if info.main.has_version() { info.main.version.as_str() } else { "" };
            self.add(Component {
                sha256: contents.files.get(path).map(oci::digest::Digest::hex),
                comment: Some("a Go program; what it contains is from its build information".into()),
                contains,
                ..component(Kind::Program, &format!("/{path}"), version)
            });
        }
    }

    fn build(&mut self, contents: &Contents, build: &Build) {
        if let Some(digest) = contents.files.get(&build.entrypoint) {
            let crates = build.crates.iter().map(|found| Component {
                purl: Some(purl("cargo", &found.name, &found.version, &[])),
                licence: found.licence.clone(),
                sha256: found.checksum.clone(),
                ..component(Kind::Library, &found.name, &found.version)
            });
            let contains = crates.map(|component| self.add(component)).collect();
            self.add(Component {
                sha256: Some(digest.hex()),
                comment: Some("a Rust program".into()),
                contains,
                ..component(Kind::Program, &format!("/{}", build.entrypoint), "")
            });
        }
        if let Some(digest) = contents.files.get(&build.certificates) {
            self.add(Component {
                purl: Some(purl("pypi", "certifi", &build.certifi, &[])),
                sha256: Some(digest.hex()),
                comment: Some("Mozilla's CA certificates, as certifi publishes them".into()),
                ..component(Kind::File, &format!("/{}", build.certificates), &build.certifi)
            });
        }
    }
}

/// A module as it was compiled: what stands in its place counts, unless that is an edited copy of the module itself.
pub(crate) fn module(found: &Module) -> Component {
    let (compiled, comment) = match found.replaced.as_deref() {
        None => (found, None),
        Some(local) if local.path.starts_with('.') || local.path.starts_with('/') => {
            (found, Some(format!("an edited copy: {}", local.path)))
        }
        Some(other) => (other, Some(format!("in place of {} {}", found.path, found.version))),
    };
    let version = if compiled.has_version() { compiled.version.as_str() } else { "" };
    let sum = (!compiled.sum.is_empty()).then(|| format!("go.sum {}", compiled.sum));
    let comment: Vec<String> = comment.into_iter().chain(sum).collect();
    Component {
        purl: Some(purl("golang", &compiled.path, version, &[])),
        comment: (!comment.is_empty()).then(|| comment.join("; ")),
        ..component(Kind::Library, &compiled.path, version)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// As the build information of somebody's program may have.
    #[test]
    fn two_hundred_thousand_modules_are_listed_in_seconds_and_each_once() {
        let begin = Instant::now();
        let dependencies = (0..200_000).map(|number| Module {
            path: format!("example.test/m{number}"),
            version: "v1.0.0".into(),
            ..Module::default()
        });
        let info = sizes::go::BuildInfo {
            go: "go1.26.8".into(),
            dependencies: dependencies.collect(),
            ..sizes::go::BuildInfo::default()
        };
        let programs = [("a".to_owned(), info.clone()), ("b".to_owned(), info)].into();
        let mut list = List::default();
        list.programs(&Contents { programs, ..Contents::default() });
        // The standard library, the modules, both programs.
        assert_eq!(list.components.len(), 1 + 200_000 + 2);
        assert_eq!(list.components[200_001].contains, list.components[200_002].contains);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }
}
