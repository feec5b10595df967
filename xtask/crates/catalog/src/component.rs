//! Components: what layers are made of.

use serde::{Deserialize, Serialize};

use crate::model::{Catalog, Name, Release};
use crate::program::Program;

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
    /// Those that go on where the release's version of their module has them no more ([`Program::moved_to`]).
    #[serde(default)]
    pub carry: Vec<Name>,
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
    /// The programs of its list that it has in a release.
    pub fn programs_in<'c>(
        &self,
        catalog: &'c Catalog,
        release: &Release,
    ) -> impl Iterator<Item = &'c Program> {
        let known = self.programs.iter().filter_map(|name| catalog.program(name.as_str()));
        known.filter(|program| self.has(program, release))
    }

    /// Is this program of its list among those that it has in a release?
    pub fn has(&self, program: &Program, release: &Release) -> bool {
        let carried = self.carry.iter().any(|name| *name == *program.name.as_str())
            && program.carried_in(release).is_some();
        carried || program.is_in(release)
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
