//! Images that are weighed: in layouts on disk, or built for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use catalog::{Attributes, Catalog, Content, Scope};
use fault::{Fault, Kind};
use oci::compress::Compression;
use oci::layout::LayoutImage;
use plan::Options;
use sizes::Image;
use sizes::budget::Set;
use sizes::measure::{self, Measurer};
use sizes::record::Record;

use crate::{BuildOptions, Checkout, Selection, Session, identity};

/// Images by attribute, or by what else they are called.
pub type Weighed = BTreeMap<String, Image>;

/// Which images to weigh.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Images and indexes; they are built if needed. None: those of the record that are built already.
    pub attributes: Vec<String>,
    /// Layouts that are here, in directories named like their attributes; then nothing is built.
    pub layouts: Option<PathBuf>,
    /// What is left out. None: what the recorded image lacks.
    pub omit: Vec<String>,
}

/// Weighs what was asked for; images of the record that are not built here are left out, with a note.
pub fn weigh(
    checkout: &Checkout,
    request: &Request,
    options: &BuildOptions,
    record: &Record,
) -> Result<Weighed> {
    let catalog = checkout.catalog()?;
    if let Some(dir) = &request.layouts {
        return ready(checkout, &catalog, dir, &request.attributes);
    }
    let session = Session::open(checkout, options.clone())?;
    if request.attributes.is_empty() {
        let mut weighed = Weighed::new();
        let mut absent = Vec::new();
        for (name, recorded) in &record.images {
            if built_already(&session, name, &recorded.omitted)? {
                weighed.extend(built(&session, name, &recorded.omitted)?);
            } else {
                absent.push(name.as_str());
            }
        }
        if !absent.is_empty() {
            let (count, list) = (absent.len(), absent.join(", "));
            checkout
                .progress
                .note(&format!("not weighed, for they are not built here: {count} images: {list}"));
        }
        return Ok(weighed);
    }
    let mut weighed = Weighed::new();
    for name in &request.attributes {
        let recorded = images_of(&catalog, name)?.into_iter().find_map(|image| record.images.get(&image));
        let omit = match recorded {
            Some(recorded) if request.omit.is_empty() => &recorded.omitted,
            _ => &request.omit,
        };
        weighed.extend(built(&session, name, omit)?);
    }
    Ok(weighed)
}

/// The attributes of the images that an attribute stands for: itself, or those of the index.
fn images_of(catalog: &Catalog, name: &str) -> Result<Vec<String>> {
    let attributes = Attributes::of(catalog);
    let asked = attributes.get(name)?;
    let is_meant = |image: &&catalog::Attribute<'_>| {
        let part = matches!(asked.scope, Scope::Index) && image.reference() == asked.reference();
        matches!(image.scope, Scope::Image(_)) && (image.name == asked.name || part)
    };
    Ok(attributes.iter().filter(is_meant).map(|image| image.name.clone()).collect())
}

/// Are all layers of an image in the store, so that nothing has to be compiled?
fn built_already(session: &Session<'_>, name: &str, omit: &[String]) -> Result<bool> {
    let options = Options { omit: omit.to_vec(), ..Options::default() };
    // A lock that is missing, or an attribute that is no more: not built, whatever the reason.
    let Ok(plan) = session.planner(&options).plan(&[name.to_owned()]) else {
        return Ok(false);
    };
    for key in plan.layers.keys() {
        if session.store.find_object(key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Builds and weighs an image, or the images of an index.
fn built(session: &Session<'_>, name: &str, omit: &[String]) -> Result<Weighed> {
    let plan = session.plan(&Selection::one(name, omit))?;
    let scratch = session.store.scratch_dir()?;
    let executor = session.executor()?;
    let mut weighed = Weighed::new();
    for built in executor.build(&plan, scratch.path())? {
        weighed.extend(layout(session.checkout, &session.catalog, &built.layout)?);
    }
    Ok(weighed)
}

/// Weighs the layouts in a directory: those of these attributes, or all that there are.
fn ready(checkout: &Checkout, catalog: &Catalog, dir: &Path, attributes: &[String]) -> Result<Weighed> {
    let all = Attributes::of(catalog);
    let full = |name: &String| {
        let (attribute, suffix) = plan::split_name(name);
        Ok(format!("{}{suffix}", all.get(attribute)?.name))
    };
    let attributes = attributes.iter().map(full).collect::<Result<Vec<_>>>()?;
    let dirs: Vec<PathBuf> = if attributes.is_empty() {
        layouts(dir)?
    } else {
        attributes.iter().map(|name| dir.join(name)).collect()
    };
    let mut weighed = Weighed::new();
    for dir in dirs {
        let found = layout(checkout, catalog, &dir)?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        if attributes.iter().any(|asked| *asked == *name) {
            let (attribute, suffix) = plan::split_name(&name);
            let images = images_of(catalog, attribute)?.into_iter();
            let mut expected = images.map(|image| format!("{image}{suffix}"));
            if let Some(missing) = expected.find(|image| !found.contains_key(image)) {
                let found: Vec<_> = found.into_keys().collect();
                let what = format!("the layout {}", dir.display());
                return Err(Fault::mismatch(what, missing, found.join(", ")).into());
            }
        }
        weighed.extend(found);
    }
    Ok(weighed)
}

/// The layouts in a directory, or the directory itself if it is one.
pub fn layouts(dir: &Path) -> Result<Vec<PathBuf>> {
    if oci::layout::is_there(dir) {
        return Ok(vec![dir.to_owned()]);
    }
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(_) if !dir.is_dir() => {
            return Err(Fault::new(Kind::NotFound, format!("no directory {}", dir.display())).into());
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", dir.display())),
    };
    let entries = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<BTreeSet<_>>>()?;
    let found: Vec<PathBuf> = entries.into_iter().filter(|dir| oci::layout::is_there(dir)).collect();
    if found.is_empty() {
        let message = format!("there is no OCI layout in {}", dir.display());
        return Err(Fault::new(Kind::NotFound, message).into());
    }
    Ok(found)
}

/// Weighs all images of a layout.
pub fn layout(checkout: &Checkout, catalog: &Catalog, dir: &Path) -> Result<Weighed> {
    named(checkout, catalog, dir, &format!("layout {}", dir.display()))
}

/// The same of a layout that people know by another name: what it was pulled by.
pub fn named(checkout: &Checkout, catalog: &Catalog, dir: &Path, layout_name: &str) -> Result<Weighed> {
    let owner = |layer: &str, path: &str| component(checkout, catalog, layer, path);
    let mut measurer = Measurer::new(&owner);
    let task = checkout.progress.task(&format!("weigh {layout_name}"), None);
    let layout = measure::open_foreign(dir, layout_name)?;
    let mut weighed = Weighed::new();
    for image in &layout.images {
        let name = catalogued(catalog, image).unwrap_or_else(|| free(&weighed, image.platform()));
        task.detail(&name);
        let found = measurer.measure(&layout, image).with_context(|| layout_name.to_owned())?;
        let twice = weighed.insert(name.clone(), found).is_some();
        ensure!(!twice, Fault::new(Kind::InvalidData, format!("{layout_name}: two images are {name}")));
    }
    Ok(weighed)
}

/// A platform's name; of its second image, and of further ones, with a number: an index may have several for programs that
/// choose by more than the platform, and a layout several versions.
fn free(taken: &Weighed, platform: String) -> String {
    let numbered = (2..).map(|number| format!("{platform} {number}"));
    let mut names = std::iter::once(platform.clone()).chain(numbered);
    names.find(|name| !taken.contains_key(name)).unwrap_or(platform)
}

/// The name of an image of the catalog. Another edition of it, and another set of manifests for the same images, with
/// another compression, have names of their own.
fn catalogued(catalog: &Catalog, image: &LayoutImage) -> Option<String> {
    let attributes = Attributes::of(catalog);
    let found = identity::attribute(&attributes, image)?;
    let media_type = Compression::Zstd.media_type();
    let zstd = image.manifest.layers().iter().any(|layer| *layer.media_type() == media_type);
    let set = if zstd { Set::Zstd } else { Set::Gzip };
    let edition = if identity::is_unedited(image) { plan::UNEDITED } else { "" };
    Some(format!("{}{edition}{}", found.name, set.suffix()))
}

/// The component that a file of a layer is of. Layers of variants have their component's name; what is in a base is
/// known by its path.
fn component(checkout: &Checkout, catalog: &Catalog, layer: &str, path: &str) -> Option<String> {
    if catalog.component(layer).is_some() {
        return Some(layer.to_owned());
    }
    let base = catalog.bases.iter().find(|base| base.name == *layer)?;
    let components = base.components.iter().filter_map(|name| catalog.component(name.as_str()));
    let owns = |component: &&catalog::Component| match component.content() {
        Content::Go(go) => path.strip_prefix(&go.directory).is_some_and(|rest| rest.starts_with('/')),
        Content::Rust(single) | Content::Certificates(single) => single.path == path,
        Content::Links(links) => links.paths.iter().any(|link| link == path),
        Content::Files(files) => checkout.root.join("images/rootfs").join(&files.source).join(path).is_file(),
        Content::Directories(_) => false,
    };
    components.into_iter().find(owns).map(|component| component.name.to_string())
}
