//! The plan: which components, layers, images and indexes there will be, before anything is fetched or compiled.
//!
//! A [`Plan`] is a pure function of the repository's files (catalog, locks, closures, entrypoint's sources, rootfs
//! files) and the [`Options`]. Every part is keyed by the hash of all that goes into it, so that whoever carries the
//! plan out, the local executor or Nix, can tell what is there already, and gives the same bytes.

mod component;
mod image;
mod layer;
pub mod nix;
mod part;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use catalog::{Attribute, Attributes, Catalog, Scope};
use fault::{Fault, Kind};
use gobuild::Spec;
use oci::compress::Compression;
use serde::Serialize;
use store::Key;

pub use component::{Component, Made, Packing, Upx, spec, unedited};
pub use image::Image;
pub use layer::{Content, Entry, From, Layer};
pub use part::Place;
pub use sources::Sources;

/// What tags and layouts of [`Options::unedited`] images have more than their attribute's, before the compression's.
pub const UNEDITED: &str = "-unedited";

/// The attribute in the name of an image or layout, and what follows it: [`UNEDITED`], if it is that, then the compression's.
pub fn split_name(name: &str) -> (&str, &str) {
    let rest = name.strip_suffix(Compression::Zstd.suffix()).unwrap_or(name);
    name.split_at(rest.strip_suffix(UNEDITED).unwrap_or(rest).len())
}

/// What a user may choose about all images of a build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Programs and components to leave out; recorded in the image.
    pub omit: Vec<String>,
    /// The architectures that indexes are over, by name; all, if none is named.
    pub arches: Vec<String>,
    /// Every Go program by itself, as those who release it make it: no edits of its modules, no raised pins, upstream's
    /// flags ([`catalog::Upstream`]); recorded in the image, which has a tag of its own.
    pub unedited: bool,
    /// How layers are compressed: other digests, same content.
    pub compression: Compression,
    /// A UPX that is not the locked one, accepted by its user; recorded in images with packed programs.
    pub other_upx: Option<Upx>,
}

impl Options {
    fn omits(&self, name: &str) -> bool {
        self.omit.iter().any(|omit| omit == name)
    }

    /// What tags, and the names of layouts, have more than their attribute's.
    pub fn suffix(&self) -> String {
        let edition = if self.unedited { UNEDITED } else { "" };
        format!("{edition}{}", self.compression.suffix())
    }

    /// Is an image for this architecture in an index?
    fn indexes(&self, arch: &catalog::Arch) -> bool {
        self.arches.is_empty() || self.arches.iter().any(|name| arch.name == **name)
    }
}

/// A multi-arch index.
#[derive(Clone, Debug, Serialize)]
pub struct Index {
    /// The attribute.
    pub attribute: String,
    /// The repository and tag.
    pub reference: String,
    /// The attributes of its images, in order.
    pub images: Vec<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub enum Target {
    /// One image, by its attribute.
    Image(String),
    /// An index over several.
    Index(Index),
}

impl Target {
    /// The attribute.
    pub fn attribute(&self) -> &str {
        match self {
            Target::Image(attribute) => attribute,
            Target::Index(index) => &index.attribute,
        }
    }
}

/// All there is to do for some targets.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What was asked for, in that order.
    pub targets: Vec<Target>,
    /// What is added to a target's attribute for the name of its layout.
    pub suffix: String,
    /// Every image needed, by attribute.
    pub images: BTreeMap<String, Image>,
    /// Every layer needed, by key.
    pub layers: BTreeMap<Key, Layer>,
    /// Every component needed, by key.
    pub components: BTreeMap<Key, Component>,
}

impl Plan {
    /// Plans the targets with these names.
    pub fn of(catalog: &Catalog, sources: &Sources, names: &[String], options: &Options) -> Result<Self> {
        check_omit(catalog, &options.omit)?;
        check_arches(catalog, &options.arches)?;
        let attributes = Attributes::of(catalog);
        let mut plan = Self { suffix: options.suffix(), ..Self::default() };
        for name in names {
            let attribute = attributes.get(name)?;
            if plan.targets.iter().any(|target| target.attribute() == attribute.name) {
                continue;
            }
            let target = match attribute.scope {
                Scope::Image(_) => {
                    plan.add_image(catalog, sources, attribute, options)?;
                    Target::Image(attribute.name.clone())
                }
                Scope::Index => plan.index(catalog, sources, attribute, &attributes, options)?,
            };
            plan.targets.push(target);
        }
        Ok(plan)
    }

    fn index(
        &mut self,
        catalog: &Catalog,
        sources: &Sources,
        index: &Attribute<'_>,
        all: &Attributes<'_>,
        options: &Options,
    ) -> Result<Target> {
        let members: Vec<_> = all
            .iter()
            .filter(|other| matches!(other.scope, Scope::Image(arch) if options.indexes(arch)))
            .filter(|other| other.reference() == index.reference())
            .collect();
        for member in &members {
            self.add_image(catalog, sources, member, options)?;
        }
        Ok(Target::Index(Index {
            attribute: index.name.clone(),
            reference: index.reference() + &options.suffix(),
            images: members.iter().map(|member| member.name.clone()).collect(),
            annotations: image::annotations(index, options),
        }))
    }

    fn add_image(
        &mut self,
        catalog: &Catalog,
        sources: &Sources,
        attribute: &Attribute<'_>,
        options: &Options,
    ) -> Result<()> {
        let Scope::Image(arch) = attribute.scope else { return Ok(()) };
        let mut builder = layer::Builder { catalog, sources, attribute, arch, options, plan: self };
        let layers = builder.layers()?;
        let outlines = layers.iter().filter_map(|key| self.layers.get(key)).map(Layer::outline);
        let outlines = outlines.collect::<Result<Vec<_>>>()?;
        oci::layer::check_stack(&outlines.iter().collect::<Vec<_>>())
            .with_context(|| format!("the layers of `{}`", attribute.name))?;
        let upx = self.upx(&layers).cloned();
        let image = image::plan(attribute, arch, sources, layers, upx.as_ref(), options)?;
        self.images.insert(attribute.name.clone(), image);
        Ok(())
    }
}

impl Plan {
    /// The versions of modules that `images/go/edits.toml` edits and that no person has read yet, as `module version`.
    pub fn unread(&self) -> Result<BTreeSet<String>> {
        let mut unread = BTreeSet::new();
        for component in self.components.values() {
            if let Made::Go { recipe, .. } = &component.made {
                unread.extend(recipe.unread()?);
            }
        }
        Ok(unread)
    }

    /// The UPX that packs a program of these layers, if one is packed.
    fn upx(&self, layers: &[Key]) -> Option<&Upx> {
        let layers = layers.iter().filter_map(|key| self.layers.get(key));
        let mut components = layers.flat_map(Layer::components).filter_map(|key| self.components.get(key));
        components.find_map(Component::upx)
    }
}

/// The component of the catalog with this name, for a release and architecture, by itself: packed like this, whatever
/// its policy is.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such component; [`Kind::Usage`] if it is not made of Go programs.
pub fn go_component(
    catalog: &Catalog,
    sources: &Sources,
    name: &str,
    release: &catalog::Release,
    arch: &catalog::Arch,
    pack: catalog::Pack,
    options: &Options,
) -> Result<Component> {
    check_omit(catalog, &options.omit)?;
    let go = go_content(catalog, name)?;
    let programs = layer::programs(catalog, go, release, options);
    let packing = Packing::of(pack, sources, options);
    component::go(catalog, sources, component::flags(&catalog.compile, go), release, arch, &programs, packing)
}

/// The Go closures that planning such a component reads.
///
/// # Errors
/// As [`go_component`].
pub fn go_closures(
    catalog: &Catalog,
    name: &str,
    release: &catalog::Release,
    options: &Options,
) -> Result<Vec<Spec>> {
    let go = go_content(catalog, name)?;
    let programs = layer::programs(catalog, go, release, options);
    let (spec, _) = component::closure(catalog, release, &programs)?;
    Ok(vec![spec])
}

/// The Go programs of a component of the catalog.
///
/// # Errors
/// As [`go_component`].
pub fn go_content<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c catalog::Go> {
    let packable = |component: &&catalog::Component| matches!(component.content(), catalog::Content::Go(_));
    let help = || {
        let all = catalog.components.iter().filter(packable).map(|component| component.name.as_str());
        format!("components of Go programs: {}", all.collect::<Vec<_>>().join(", "))
    };
    match catalog.component(name).map(catalog::Component::content) {
        Some(catalog::Content::Go(go)) => Ok(go),
        Some(_) => Err(Fault::new(Kind::Usage, format!("`{name}` has no Go programs")).help(help()).into()),
        None => {
            Err(Fault::new(Kind::NotFound, format!("there is no component `{name}`")).help(help()).into())
        }
    }
}

/// The Go closures that planning these targets reads, for whoever makes those that are missing. What [`Options::unedited`]
/// ones need depends on closures: until those are there, no others are named.
pub fn closures(
    catalog: &Catalog,
    sources: &Sources,
    names: &[String],
    options: &Options,
) -> Result<Vec<Spec>> {
    let attributes = Attributes::of(catalog);
    let mut specs = Vec::new();
    for name in names {
        let attribute = attributes.get(name)?;
        for component in
            attribute.variant.components.iter().filter_map(|name| catalog.component(name.as_str()))
        {
            let catalog::Content::Go(go) = component.content() else { continue };
            let release = attribute.release;
            let programs = layer::programs(catalog, go, release, options);
            if options.omits(component.name.as_str()) || programs.is_empty() {
                continue;
            }
            let needed = if options.unedited {
                let of = |program| component::needed_unedited(catalog, sources, release, program);
                programs.into_iter().map(of).collect::<Result<Vec<_>>>()?
            } else {
                vec![component::closure(catalog, release, &programs)?.0]
            };
            for spec in needed {
                if !specs.contains(&spec) {
                    specs.push(spec);
                }
            }
        }
    }
    Ok(specs)
}

/// The Alpine bases of these targets, whose locks planning them reads.
pub fn alpine_bases<'c>(catalog: &'c Catalog, names: &[String]) -> Result<Vec<&'c catalog::Alpine>> {
    let attributes = Attributes::of(catalog);
    let mut bases: Vec<&catalog::Alpine> = Vec::new();
    for name in names {
        bases.extend(attributes.get(name)?.base.alpine.as_ref());
    }
    bases.sort_by_key(|alpine| alpine.branch.as_str());
    bases.dedup_by_key(|alpine| alpine.branch.as_str());
    Ok(bases)
}

/// Every architecture must be one of the catalog's.
fn check_arches(catalog: &Catalog, arches: &[String]) -> Result<()> {
    let known = |name: &String| catalog.arches.iter().any(|arch| arch.name == **name);
    let Some(name) = arches.iter().find(|name| !known(name)) else { return Ok(()) };
    let all: Vec<_> = catalog.arches.iter().map(|arch| arch.name.as_str()).collect();
    let fault = Fault::new(Kind::NotFound, format!("there is no architecture `{name}`"));
    Err(fault.help(format!("the catalog has {}", all.join(", "))).into())
}

/// Every name to omit must be a program's or a component's.
fn check_omit(catalog: &Catalog, omit: &[String]) -> Result<()> {
    for name in omit {
        if catalog.program(name).is_none() && catalog.component(name).is_none() {
            return Err(Fault::new(
                Kind::NotFound,
                format!("there is no component or program `{name}` to omit"),
            )
            .help("images/catalog.toml lists them")
            .into());
        }
    }
    Ok(())
}
