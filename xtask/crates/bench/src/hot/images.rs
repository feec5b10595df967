//! Images: planned, and looked into.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use attest::sbom::Sbom;
use catalog::{Attributes, Catalog, Scope};
use fault::{Fault, Kind};
use oci::digest::Digest;
use oci::image::{Image, LayerBlob, Spec};
use oci::layer::Layer;
use oci::layout::{Contents, Names};
use oci::read::{Encoding, Limits, list};
use plan::{Options, Planner, Sources};
use progress::Silent;
use sizes::measure::Measurer;

use super::layers::{compress, deep, spread, tree, without_directories};
use super::{DEPTHS, FILES, HotPath, Setup, Work};

/// How many files lie deep.
const DEEP: u64 = 1_000;

pub(super) const PATHS: &[HotPath] = &[
    HotPath {
        name: "plan",
        unit: "images",
        sizes: &[1, 2, 4, 8, 16, 32, 64],
        counted: Some(2),
        prepare: |setup, size| planned(setup.root, usize::try_from(size)?),
    },
    HotPath {
        name: "sbom-files",
        unit: "files",
        sizes: FILES,
        counted: Some(500),
        prepare: |setup, size| with_files(setup, size).map(sbom),
    },
    HotPath {
        name: "sbom-deep",
        unit: "names in each path",
        sizes: DEPTHS,
        counted: None,
        prepare: |setup, size| with_deep(setup, size).map(sbom),
    },
    HotPath {
        name: "size-files",
        unit: "files",
        sizes: FILES,
        counted: None,
        prepare: |setup, size| with_files(setup, size).map(weighed),
    },
    HotPath {
        name: "size-deep",
        unit: "names in each path",
        sizes: DEPTHS,
        counted: None,
        prepare: |setup, size| with_deep(setup, size).map(weighed),
    },
];

/// The catalog's first images without Alpine, for which locks may be missing.
fn planned(root: &Path, count: usize) -> Result<Work> {
    let catalog = Catalog::read(&root.join("images/catalog.toml"))?;
    let sources = Sources::read(root)?;
    let attributes = Attributes::of(&catalog);
    let images =
        attributes.iter().filter(|it| matches!(it.scope, Scope::Image(_)) && it.base.alpine.is_none());
    let names: Vec<String> = images.map(|it| it.name.clone()).take(count).collect();
    if names.len() < count {
        let message = format!("the catalog has {} images without Alpine, not {count}", names.len());
        return Err(Fault::new(Kind::InvalidData, message).into());
    }
    let options = Options::default();
    Ok(Box::new(move || {
        let planner = Planner { catalog: &catalog, sources: &sources, options: &options };
        planner.plan(&names).map(drop)
    }))
}

fn sbom(layout: PathBuf) -> Work {
    Box::new(move || {
        let layout = sizes::measure::open(&layout)?;
        for image in &layout.images {
            attest::spdx::write(&Sbom::of(&layout, image, None)?)?;
        }
        Ok(())
    })
}

fn weighed(layout: PathBuf) -> Work {
    Box::new(move || {
        let layout = sizes::measure::open(&layout)?;
        let mut measurer = Measurer::new(&|_, _| None);
        layout.images.iter().try_for_each(|image| measurer.measure(&layout, image).map(drop))
    })
}

fn with_files(setup: &Setup<'_>, count: u64) -> Result<PathBuf> {
    let blob = setup.scratch.join("layer");
    let layer = compress(&tree((0..count).map(spread))?, &mut fs::File::create(&blob)?)?;
    layout(setup.scratch, layer, blob, "v1")
}

/// An image of somebody else's, with no entry for any directory.
fn with_deep(setup: &Setup<'_>, names: u64) -> Result<PathBuf> {
    let archive = without_directories((0..DEEP).map(|number| deep(names, number)))?;
    let blob = setup.scratch.join("layer");
    fs::write(&blob, &archive)?;
    let listing = list(&*archive, Encoding::Tar, &Limits::default())?;
    let layer = Layer {
        media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        digest: Digest::of(&archive),
        size: archive.len() as u64,
        diff_id: listing.diff_id,
        tar_size: listing.tar_size,
        unpacked_size: listing.unpacked_size,
        encoder: String::new(),
    };
    layout(setup.scratch, layer, blob, "v1")
}

/// A layout of one image with this layer and tag.
pub(super) fn layout(scratch: &Path, layer: Layer, blob: PathBuf, tag: &str) -> Result<PathBuf> {
    let spec = Spec {
        platform: "linux/amd64".parse()?,
        created: 1,
        env: [].into(),
        entrypoint: vec!["/program".to_owned()],
        cmd: Vec::new(),
        healthcheck: None,
        labels: [("tag".to_owned(), tag.to_owned())].into(),
        annotations: [].into(),
    };
    let image = Image::new(&spec, vec![LayerBlob { layer, path: blob, created_by: "files".to_owned() }])?;
    let names = Names { reference: Some(tag.to_owned()), containerd: None };
    let to = scratch.join(tag);
    oci::layout::write(&to, &Contents::image(&image, &names)?, &Silent)?;
    Ok(to)
}
