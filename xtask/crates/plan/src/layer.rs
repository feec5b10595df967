//! Layers: which file lies where, with which mode.

use std::path::PathBuf;

use alpine::rootfs::Recipe;
use anyhow::Result;
use catalog::{Arch, Attribute, Content as Kind, Name};
use fstree::tree::Tree;
use oci::compress::Compression;
use serde::Serialize;
use store::{Digest, Key};

use crate::component::{Component, Made};
use crate::{Plan, Planner};

/// Raised when the same entries would give another archive.
const VERSION: u32 = 1;

/// A layer to be written.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// What messages and the image's history call it: its base's or component's name.
    pub name: String,
    /// The time of all its entries, in seconds since 1970.
    pub mtime: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// The root filesystem below all else in it, if it is a base of Alpine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpine: Option<Box<Recipe>>,
    /// What it holds, in no particular order.
    pub entries: Vec<Entry>,
}

/// Something at a path.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Relative to the image's root.
    pub path: String,
    /// What it is.
    pub content: Content,
}

/// What lies at a path.
#[derive(Clone, Debug, Serialize)]
pub enum Content {
    /// A directory.
    Directory {
        /// Its permissions.
        mode: u32,
    },
    /// A file.
    File {
        /// Its permissions.
        mode: u32,
        /// Where its bytes come from.
        from: From,
    },
    /// Another name of a file in the same layer.
    HardLink {
        /// The file.
        to: String,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: String,
    },
}

/// Where a file's bytes come from.
#[derive(Clone, Debug, Serialize)]
pub enum From {
    /// A component, by its key.
    Component(Key),
    /// A file of the repository with this content.
    Repository {
        /// The SHA-256 of its content.
        sha256: Digest,
        /// Where it is; the content decides, not the place.
        #[serde(skip)]
        path: PathBuf,
    },
}

impl Layer {
    /// The encoder and its version belong to the key: another one gives another blob of the same archive.
    fn key(&self) -> Result<Key> {
        Key::of("layer", &(VERSION, self.compression.encoder(), self))
    }

    /// What it holds, without content and without Alpine's files, which nobody has read yet: for questions of place and
    /// mode.
    pub fn outline(&self) -> Result<Tree> {
        let mut tree = Tree::new();
        for entry in &self.entries {
            let outline = match &entry.content {
                Content::Directory { mode } => fstree::tree::Entry::directory(*mode),
                Content::File { mode, .. } => fstree::tree::Entry::file(*mode, &[][..]),
                Content::HardLink { to } => fstree::tree::Entry::hard_link(to),
                Content::Symlink { target } => fstree::tree::Entry::symlink(target),
            };
            tree.insert(&entry.path, outline)?;
        }
        Ok(tree)
    }

    /// The keys of the components that it needs.
    pub fn components(&self) -> impl Iterator<Item = &Key> {
        self.entries.iter().filter_map(|entry| match &entry.content {
            Content::File { from: From::Component(key), .. } => Some(key),
            _ => None,
        })
    }
}

/// What a symbolic link at `path` says to lead to `to`, both relative to the image's root: wherever the image is
/// unpacked, it does not lead out of it.
fn relative(path: &str, to: &str) -> String {
    "../".repeat(path.matches('/').count()) + to
}

/// Plans the layers of one image, and what they need.
pub(crate) struct Builder<'a> {
    pub(crate) planner: Planner<'a>,
    pub(crate) attribute: &'a Attribute<'a>,
    pub(crate) arch: &'a Arch,
    pub(crate) plan: &'a mut Plan,
}

impl Builder<'_> {
    /// The keys of the image's layers, lowest first: the base, then one for each component of the variant.
    pub(crate) fn layers(&mut self) -> Result<Vec<Key>> {
        let base = &self.attribute.base;
        let mut layers = Vec::new();
        layers.extend(self.layer(base.name.as_str(), &base.components, self.alpine()?)?);
        for component in &self.attribute.variant.components {
            layers.extend(self.layer(component.as_str(), std::slice::from_ref(component), None)?);
        }
        Ok(layers)
    }

    /// The root filesystem of the base, if it is one of Alpine's.
    pub(crate) fn alpine(&self) -> Result<Option<Box<Recipe>>> {
        let Some(alpine) = &self.attribute.base.alpine else { return Ok(None) };
        let sources = self.planner.sources;
        let lock = sources.alpine_lock(alpine.branch.as_str())?;
        let keys = sources.alpine_keys()?;
        let product = self.attribute.product.name.as_str();
        Recipe::of(&lock, alpine, self.arch, product, &keys).map(|recipe| Some(Box::new(recipe)))
    }

    /// The key of the layer that holds these components; none if all were omitted.
    pub(crate) fn layer(
        &mut self,
        name: &str,
        components: &[Name],
        alpine: Option<Box<Recipe>>,
    ) -> Result<Option<Key>> {
        let mut entries = Vec::new();
        for component in components {
            if !self.planner.options.omits(component.as_str()) {
                self.entries(component.as_str(), &mut entries)?;
            }
        }
        if entries.is_empty() && alpine.is_none() {
            return Ok(None);
        }
        let mtime = oci::date::parse(self.attribute.release.date.as_str())?;
        let compression = self.planner.options.compression;
        let layer = Layer { name: name.to_owned(), mtime, compression, alpine, entries };
        let key = layer.key()?;
        self.plan.layers.insert(key.clone(), layer);
        Ok(Some(key))
    }

    pub(crate) fn entries(&mut self, component: &str, entries: &mut Vec<Entry>) -> Result<()> {
        let Planner { catalog, sources, options } = self.planner;
        let product = self.attribute.product.name.as_str();
        let component = catalog.component(component).filter(|component| component.is_for(product));
        let Some(component) = component else { return Ok(()) };
        let file = |mode, from| Content::File { mode, from };
        match component.content() {
            Kind::Go(go) => {
                let release = self.attribute.release;
                let programs = self.planner.programs(go, release);
                let packing = self.planner.packing(go.pack);
                let at = |program: &catalog::Program| format!("{}/{}", go.directory, program.name);
                if options.unedited {
                    for program in programs {
                        let packing = packing.clone();
                        let made = self.planner.go_unedited(release, self.arch, program, packing)?;
                        let from = self.component(made)?;
                        entries.push(Entry { path: at(program), content: file(0o755, from) });
                    }
                    return Ok(());
                }
                let Some((first, others)) = programs.split_first() else { return Ok(()) };
                let made = self.planner.go(go, release, self.arch, &programs, packing)?;
                let from = self.component(made)?;
                entries.push(Entry { path: at(first), content: file(0o755, from) });
                // One binary by all its names: it does what the name it is called by says.
                entries.extend(others.iter().map(|other| {
                    let content = Content::HardLink { to: at(first) };
                    Entry { path: at(other), content }
                }));
            }
            Kind::Rust(single) => {
                let inputs = rustbuild::inputs(self.arch, &sources.entrypoint())?;
                sources.same_tools(&inputs)?;
                let name = format!("entrypoint {}", self.arch.name);
                let made = Component { name, made: Made::Rust { inputs: Box::new(inputs) } };
                let from = self.component(made)?;
                entries.push(Entry { path: single.path.clone(), content: file(0o755, from) });
            }
            Kind::Certificates(single) => {
                let sha256 = sources.lock.ca_certificates.member.sha256;
                let made = Component { name: "CA certificates".into(), made: Made::Certificates { sha256 } };
                let from = self.component(made)?;
                entries.push(Entry { path: single.path.clone(), content: file(0o644, from) });
            }
            Kind::Links(links) => entries.extend(links.paths.iter().map(|path| {
                let content = if links.symbolic {
                    Content::Symlink { target: relative(path, &links.to) }
                } else {
                    Content::HardLink { to: links.to.clone() }
                };
                Entry { path: path.clone(), content }
            })),
            Kind::Files(files) => {
                for found in sources.rootfs(&files.source)? {
                    let from = From::Repository { sha256: found.sha256, path: found.from };
                    entries.push(Entry { path: found.path, content: file(found.mode, from) });
                }
            }
            Kind::Directories(directories) => entries.extend(directories.paths.iter().map(|path| {
                let everyones = path.rsplit('/').next() == Some("tmp");
                let mode = if everyones { 0o1777 } else { 0o755 };
                Entry { path: path.clone(), content: Content::Directory { mode } }
            })),
        }
        Ok(())
    }

    fn component(&mut self, component: Component) -> Result<From> {
        let key = component.key()?;
        self.plan.components.insert(key.clone(), component);
        Ok(From::Component(key))
    }
}
