//! Reads a layout that may have been made by anyone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use progress::Task;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::attachment::{self, Attachment};
use super::{CONTAINERD_NAME, MARK, MARK_FILE, blobs, docker};
use crate::digest::Digest;
use crate::json;
use crate::read::{self, Encoding};
use crate::sizes::Sizes;

/// How much of a layout is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an index, a manifest or a config; they are held in memory.
    pub document: u64,
    /// Images and indexes, all together.
    pub images: usize,
    /// What is attached to them.
    pub attachments: usize,
    /// Indexes within indexes.
    pub depth: usize,
    /// Read what other builders make: images in Docker's format, whole or in part, and indexes in which buildx attached
    /// manifests for a platform that is unknown, which are passed over. For who looks at sizes: to who says that images are
    /// verified, nothing is an exception.
    pub foreign: bool,
    /// What holds for each layer.
    pub layer: read::Limits,
}

impl Default for Limits {
    /// 4 MiB, which registries are told to allow at least; 1,000 images and as many attachments; 3 deep.
    fn default() -> Self {
        Self {
            document: 4 << 20,
            images: 1_000,
            attachments: 1_000,
            depth: 3,
            foreign: false,
            layer: read::Limits::default(),
        }
    }
}

/// An image of a layout, its manifest and config verified and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutImage {
    /// What the index says of it: digest, platform, annotations.
    pub descriptor: Descriptor,
    /// Its manifest.
    pub manifest: ImageManifest,
    /// Its config.
    pub config: ImageConfiguration,
}

impl LayoutImage {
    /// The platform, such as `linux/arm64/v8`, by its config.
    pub fn platform(&self) -> String {
        let (os, architecture) = (self.config.os(), self.config.architecture());
        let variant = self.config.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{os}/{architecture}{variant}").chars().filter(|char| !char.is_control()).collect()
    }
}

/// A layout whose documents are read; layers are not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
    limits: Limits,
    /// Indexes that are reached from the roots.
    indexes: Vec<Descriptor>,
    /// `index.json`.
    pub index: ImageIndex,
    /// What `index.json` presents: all of its entries that are not attachments.
    pub roots: Vec<Descriptor>,
    /// All images that are reached from the roots, each once, in the order of the indexes.
    pub images: Vec<LayoutImage>,
    /// What is attached to images, in the order of `index.json`.
    pub attachments: Vec<Attachment>,
}

/// Opens a layout and reads its indexes, manifests and configs, verifying the digest and size of each.
///
/// # Errors
/// [`Kind::Mismatch`] for a blob that is not what its descriptor says, [`Kind::InvalidData`] for what is not a layout, of another media
/// type or over a limit, and what the file system gives.
pub fn open(dir: &Path, limits: &Limits) -> Result<Layout> {
    let mark: Value = parse(MARK_FILE, &blobs::top(dir, MARK_FILE, limits.document)?)?;
    if mark["imageLayoutVersion"] != "1.0.0" {
        let message = format!(
            "oci-layout: expected imageLayoutVersion \"1.0.0\", found {}",
            mark["imageLayoutVersion"]
        );
        return Err(data(message));
    }
    let bytes = blobs::top(dir, "index.json", limits.document)?;
    let index: ImageIndex = typed("index.json", &bytes, &MediaType::ImageIndex, &MediaType::ImageIndex)?;
    let mut layout = Layout {
        dir: dir.to_owned(),
        limits: *limits,
        indexes: Vec::new(),
        index: index.clone(),
        roots: Vec::new(),
        images: Vec::new(),
        attachments: Vec::new(),
    };
    layout.read(&index)?;
    Ok(layout)
}

impl Layout {
    fn read(&mut self, index: &ImageIndex) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut attached = BTreeSet::new();
        for descriptor in index.manifests() {
            exec::interrupt::check()?;
            if self.attachments.len() >= self.limits.attachments {
                let message = format!("the layout has more than {} attachments", self.limits.attachments);
                return Err(data(message));
            }
            match self.attachment(descriptor)? {
                Some(attachment) if attached.insert(digest_of(descriptor)?) => {
                    self.attachments.push(attachment);
                }
                Some(_) => {}
                None => {
                    self.roots.push(descriptor.clone());
                    self.walk(descriptor, 1, &mut seen)?;
                }
            }
        }
        Ok(())
    }

    /// An entry of `index.json`, if it is an attachment.
    fn attachment(&self, descriptor: &Descriptor) -> Result<Option<Attachment>> {
        if !attachment::may_be(descriptor) {
            return Ok(None);
        }
        let manifest: ImageManifest = self.document(descriptor, &MediaType::ImageManifest)?;
        let is = attachment::is(descriptor, &manifest);
        Ok(is.then(|| Attachment { descriptor: descriptor.clone(), manifest }))
    }

    /// Reads what is in an image's place: an image, or an index over such. Nothing else may be there, whatever it says
    /// that it is: somebody would run it. Each document is read once.
    fn walk(
        &mut self,
        descriptor: &Descriptor,
        depth: usize,
        seen: &mut BTreeSet<(Digest, String)>,
    ) -> Result<()> {
        exec::interrupt::check()?;
        if !seen.insert((digest_of(descriptor)?, descriptor.media_type().to_string())) {
            return Ok(());
        }
        if seen.len() > self.limits.images {
            return Err(data(format!("the layout has more than {} images and indexes", self.limits.images)));
        }
        match self.kind(descriptor) {
            MediaType::ImageIndex if depth < self.limits.depth => {
                let below: ImageIndex = self.document(descriptor, &MediaType::ImageIndex)?;
                self.indexes.push(descriptor.clone());
                let skips = self.limits.foreign;
                let mut images = below.manifests().iter().filter(|it| !(skips && attachment::is_buildx(it)));
                images.try_for_each(|child| self.walk(child, depth + 1, seen))
            }
            MediaType::ImageIndex => {
                Err(data(format!("indexes lie more than {} deep in each other", self.limits.depth)))
            }
            MediaType::ImageManifest => self.image(descriptor),
            other => Err(no_image(descriptor, other)),
        }
    }

    fn image(&mut self, descriptor: &Descriptor) -> Result<()> {
        let manifest: ImageManifest = self.document(descriptor, &MediaType::ImageManifest)?;
        if *self.kind(manifest.config()) != MediaType::ImageConfig {
            let (digest, found) = (manifest.config().digest(), manifest.config().media_type());
            return Err(data(format!("config {digest}: expected {}, found {found}", MediaType::ImageConfig)));
        }
        let config: ImageConfiguration = self.document(manifest.config(), &MediaType::ImageConfig)?;
        let (layers, diff_ids) = (manifest.layers().len(), config.rootfs().diff_ids().len());
        if layers != diff_ids {
            let digest = descriptor.digest();
            return Err(Fault::mismatch(
                format!("image {digest}"),
                format!("a diff ID for each of {layers} layers"),
                diff_ids,
            )
            .into());
        }
        for layer in manifest.layers() {
            self.encoding(layer)?;
            digest_of(layer)?;
        }
        self.images.push(LayoutImage { descriptor: descriptor.clone(), manifest, config });
        Ok(())
    }

    fn document<T: DeserializeOwned>(&self, descriptor: &Descriptor, media_type: &MediaType) -> Result<T> {
        let name = format!("blob {}", digest_of(descriptor)?);
        typed(&name, &self.bytes(descriptor)?, media_type, descriptor.media_type())
    }

    /// What a descriptor's media type is to OCI.
    fn kind<'d>(&self, descriptor: &'d Descriptor) -> &'d MediaType {
        let media_type = descriptor.media_type();
        if self.limits.foreign { docker::as_oci(media_type).unwrap_or(media_type) } else { media_type }
    }

    fn encoding(&self, layer: &Descriptor) -> Result<Encoding> {
        Encoding::of(self.kind(layer).as_ref())
    }

    /// The bytes of a small blob, such as a document that is attached: of the size and digest that its descriptor says.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it is missing or another; [`Kind::InvalidData`] if it is larger than [`Limits::document`].
    pub fn bytes(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        blobs::bytes(&self.dir, &digest_of(descriptor)?, descriptor.size(), self.limits.document)
    }

    /// What containerd calls what is in it, such as `localhost/kubelet:v1.26.0-micro`: the names that its index gives.
    pub fn names(&self) -> Vec<&str> {
        let annotations = self.roots.iter().filter_map(|descriptor| descriptor.annotations().as_ref());
        annotations.filter_map(|all| all.get(CONTAINERD_NAME)).map(String::as_str).collect()
    }

    /// The files at its top, by name, without what is attached: for a copy of what [`Layout::reached`] gives.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn top(&self) -> Result<[(&'static str, Vec<u8>); 2]> {
        let mut index = serde_json::to_value(&self.index)?;
        index["manifests"] = serde_json::to_value(&self.roots)?;
        Ok([(MARK_FILE, MARK.to_vec()), ("index.json", json::canonical(&index)?)])
    }

    /// All that the roots reach: indexes, manifests, configs and layers, some of them several times.
    pub fn reached(&self) -> impl Iterator<Item = &Descriptor> {
        let images = self.images.iter().flat_map(|image| {
            [&image.descriptor, image.manifest.config()].into_iter().chain(image.manifest.layers())
        });
        self.indexes.iter().chain(images)
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A blob, of the size and digest that its descriptor says.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it is missing or another; [`Kind::InvalidData`] for a link, or what is not a file.
    pub fn blob(&self, descriptor: &Descriptor) -> Result<File> {
        blobs::verified(&self.dir, &digest_of(descriptor)?, descriptor.size())
    }

    /// Verifies every layer: its size, digest and, decompressed, its diff ID. A layer that several images share is read
    /// once. `task` is told the bytes of the blobs.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] naming the blob, what was expected and found; [`Kind::InvalidData`] for one that cannot be decompressed or is
    /// over the limit; [`Kind::Interrupted`].
    pub fn verify(&self, task: &dyn Task) -> Result<()> {
        let mut done = BTreeSet::new();
        for image in &self.images {
            for (descriptor, diff_id) in image.manifest.layers().iter().zip(image.config.rootfs().diff_ids())
            {
                let digest = digest_of(descriptor)?;
                let media_type = descriptor.media_type().to_string();
                if !done.insert((digest, descriptor.size(), media_type.clone(), diff_id.clone())) {
                    continue;
                }
                let file = self.blob(descriptor)?;
                let (found, _) = read::diff_id(file, self.encoding(descriptor)?, &self.limits.layer)
                    .with_context(|| format!("layer {digest}"))?;
                if found.to_string() != *diff_id {
                    return Err(
                        Fault::mismatch(format!("the archive in layer {digest}"), diff_id, found).into()
                    );
                }
                task.advance(descriptor.size());
            }
        }
        Ok(())
    }

    /// The entries of an image's layers, lowest first.
    ///
    /// # Errors
    /// As [`read::list`], and [`Kind::Mismatch`] for a blob of another size.
    pub fn list(&self, image: &LayoutImage) -> Result<Vec<read::Listing>> {
        let list = |descriptor| {
            let digest = digest_of(descriptor)?;
            let file = blobs::open(&self.dir, &digest, descriptor.size())?;
            let encoding = self.encoding(descriptor)?;
            read::list(file, encoding, &self.limits.layer).with_context(|| format!("layer {digest}"))
        };
        image.manifest.layers().iter().map(list).collect()
    }

    /// Reads one layer of an image to its end, the lowest being 0, and shows its files to `see`. All that is said of it is
    /// verified: size and digest of the blob first, the diff ID of the archive on the way.
    ///
    /// # Errors
    /// As [`Layout::verify`] and [`read::list_with`]; [`Kind::InvalidData`] if there is no such layer.
    pub fn contents(
        &self,
        image: &LayoutImage,
        index: usize,
        see: &mut read::FileVisitor<'_>,
    ) -> Result<read::Listing> {
        let (digest, file, descriptor, diff_id) = self.verified_layer(image, index)?;
        let encoding = self.encoding(descriptor)?;
        let listing = read::list_with(file, encoding, &self.limits.layer, see)
            .with_context(|| format!("layer {digest}"))?;
        if listing.diff_id.to_string() != *diff_id {
            let what = format!("the archive in layer {digest}");
            return Err(Fault::mismatch(what, diff_id, listing.diff_id).into());
        }
        Ok(listing)
    }

    /// Writes the archive in one layer of an image, the lowest being 0, decompressed; returns its size. What was written is
    /// verified by then: the blob's digest and the archive's diff ID.
    ///
    /// # Errors
    /// As [`Layout::contents`], and what `out` gives.
    pub fn decompress(&self, image: &LayoutImage, index: usize, out: &mut dyn Write) -> Result<u64> {
        let (digest, file, descriptor, diff_id) = self.verified_layer(image, index)?;
        let encoding = self.encoding(descriptor)?;
        let (found, size) =
            read::copy(file, encoding, &self.limits.layer, out).with_context(|| format!("layer {digest}"))?;
        if found.to_string() != *diff_id {
            return Err(Fault::mismatch(format!("the archive in layer {digest}"), diff_id, found).into());
        }
        Ok(size)
    }

    /// Opens the blob of a layer whose digest is what its descriptor says; the diff ID is what the archive's should be.
    fn verified_layer<'i>(
        &self,
        image: &'i LayoutImage,
        index: usize,
    ) -> Result<(Digest, File, &'i Descriptor, &'i str)> {
        let (layers, diff_ids) = (image.manifest.layers(), image.config.rootfs().diff_ids());
        let (Some(descriptor), Some(diff_id)) = (layers.get(index), diff_ids.get(index)) else {
            return Err(data(format!("image {} has no layer {index}", image.descriptor.digest())));
        };
        Ok((digest_of(descriptor)?, self.blob(descriptor)?, descriptor, diff_id))
    }

    /// What an image costs to pull and to keep; reads all of its layers.
    ///
    /// # Errors
    /// As [`Layout::list`].
    pub fn sizes(&self, image: &LayoutImage) -> Result<Sizes> {
        let blobs = image.manifest.layers().iter().chain([image.manifest.config()]);
        Ok(Sizes {
            // Saturating: the numbers are anyone's.
            compressed: blobs.map(Descriptor::size).fold(0, u64::saturating_add),
            extracted: self
                .list(image)?
                .iter()
                .map(|listing| listing.unpacked_size)
                .fold(0, u64::saturating_add),
        })
    }
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| data(format!("{name}: {error}")))
}

fn no_image(descriptor: &Descriptor, media_type: &MediaType) -> anyhow::Error {
    let digest = descriptor.digest();
    if docker::as_oci(media_type).is_some() {
        let message = format!("{digest}: it is in Docker's format ({media_type}), expected OCI's");
        let help = "images built here are OCI's; `skopeo copy --format oci` makes one of it, which has another digest";
        return Fault::new(Kind::InvalidData, message).help(help).into();
    }
    data(format!("{digest}: media type {media_type} is neither an image's nor an index's"))
}

/// Parses a document of a media type, which it may call by the name that its descriptor has for it. It must not pass for one
/// of another type: a manifest that is an index as well is one thing to one client and the other to the next.
pub(super) fn typed<T: DeserializeOwned>(
    name: &str,
    bytes: &[u8],
    media_type: &MediaType,
    called: &MediaType,
) -> Result<T> {
    let value: Value = parse(name, bytes)?;
    let expected = called.to_string();
    if let Some(found) = value.get("mediaType")
        && *found != *expected
    {
        return Err(data(format!("{name}: expected media type {expected:?}, found {found}")));
    }
    let foreign: &[&str] = match media_type {
        MediaType::ImageIndex => &["layers", "config", "fsLayers"],
        MediaType::ImageManifest => &["manifests", "fsLayers"],
        _ => &[],
    };
    if let Some(key) = foreign.iter().find(|key| value.get(**key).is_some()) {
        return Err(data(format!("{name}: {key:?} does not belong into a document of type {expected:?}")));
    }
    let schema = value.get("schemaVersion");
    if *media_type != MediaType::ImageConfig && schema.and_then(Value::as_u64) != Some(2) {
        return Err(data(format!(
            "{name}: expected schemaVersion 2, found {}",
            schema.unwrap_or(&Value::Null)
        )));
    }
    // From the bytes again, not the value, which has forgotten about a key that is there twice.
    parse(name, bytes)
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest> {
    descriptor.digest().as_ref().parse()
}

fn data(message: String) -> anyhow::Error {
    Fault::new(Kind::InvalidData, message).into()
}
