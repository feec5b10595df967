//! Reads a layout that may have been made by anyone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use progress::Task;
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::CONTAINERD_NAME;
use crate::digest::{Digest, hash_reader};
use crate::read::{self, Encoding};
use crate::sizes::Sizes;

/// How much of a layout is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an index, a manifest or a config; they are held in memory.
    pub document: u64,
    /// Images, all indexes together.
    pub images: usize,
    /// Indexes within indexes.
    pub depth: usize,
    /// What holds for each layer.
    pub layer: read::Limits,
}

impl Default for Limits {
    /// 4 MiB, which registries are told to allow at least; 1,000 images; 3 deep.
    fn default() -> Self {
        Self { document: 4 << 20, images: 1_000, depth: 3, layer: read::Limits::default() }
    }
}

/// An image of a layout, its manifest and config verified and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the index says of it: digest, platform, annotations.
    pub descriptor: Descriptor,
    /// Its manifest.
    pub manifest: ImageManifest,
    /// Its config.
    pub config: ImageConfiguration,
}

/// A manifest that says something about another one: an SBOM, provenance, a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What the index says of it.
    pub descriptor: Descriptor,
    /// Its manifest, verified.
    pub manifest: ImageManifest,
}

/// The media type of what cosign signs; only its signatures have layers of it.
/// Source: <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

impl Attachment {
    /// Is this an attachment, and no image? It names its subject or what it is, or is a signature of cosign's.
    fn is(manifest: &ImageManifest) -> bool {
        let layers = manifest.layers();
        let signature =
            !layers.is_empty() && layers.iter().all(|layer| layer.media_type().to_string() == SIMPLE_SIGNING);
        manifest.subject().is_some() || manifest.artifact_type().is_some() || signature
    }
}

/// A layout whose documents are read; layers are not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
    limits: Limits,
    /// `index.json`.
    pub index: ImageIndex,
    /// All images, in the order of their indexes.
    pub images: Vec<Found>,
    /// What is attached to images, in the order of the indexes.
    pub attachments: Vec<Attachment>,
}

/// Opens a layout and reads its indexes, manifests and configs, verifying the digest and size of each.
///
/// # Errors
/// [`Kind::Mismatch`] for a blob that is not what its descriptor says, [`Kind::Data`] for what is no layout, of another media
/// type or over a limit, and what the file system gives.
pub fn open(dir: &Path, limits: &Limits) -> Result<Layout> {
    let mark: Value = parse("oci-layout", &read_document(&dir.join("oci-layout"), "oci-layout", limits)?)?;
    if mark["imageLayoutVersion"] != "1.0.0" {
        let message = format!(
            "oci-layout: expected imageLayoutVersion \"1.0.0\", found {}",
            mark["imageLayoutVersion"]
        );
        return Err(data(message));
    }
    let bytes = read_document(&dir.join("index.json"), "index.json", limits)?;
    let index: ImageIndex = typed("index.json", &bytes, &MediaType::ImageIndex)?;
    let mut layout = Layout {
        dir: dir.to_owned(),
        limits: *limits,
        index: index.clone(),
        images: Vec::new(),
        attachments: Vec::new(),
    };
    layout.walk(&index, 1)?;
    Ok(layout)
}

impl Layout {
    fn walk(&mut self, index: &ImageIndex, depth: usize) -> Result<()> {
        for descriptor in index.manifests() {
            exec::interrupt::check()?;
            if self.images.len() + self.attachments.len() >= self.limits.images {
                return Err(data(format!("the layout has more than {} images", self.limits.images)));
            }
            match descriptor.media_type() {
                MediaType::ImageIndex if depth < self.limits.depth => {
                    let below: ImageIndex = self.document(descriptor, &MediaType::ImageIndex)?;
                    self.walk(&below, depth + 1)?;
                }
                MediaType::ImageIndex => {
                    return Err(data(format!(
                        "indexes lie more than {} deep in each other",
                        self.limits.depth
                    )));
                }
                MediaType::ImageManifest => self.image(descriptor)?,
                other => {
                    let name = descriptor.digest();
                    return Err(data(format!(
                        "{name}: media type {other} is neither an image's nor an index's"
                    )));
                }
            }
        }
        Ok(())
    }

    fn image(&mut self, descriptor: &Descriptor) -> Result<()> {
        let manifest: ImageManifest = self.document(descriptor, &MediaType::ImageManifest)?;
        if Attachment::is(&manifest) {
            self.attachments.push(Attachment { descriptor: descriptor.clone(), manifest });
            return Ok(());
        }
        if *manifest.config().media_type() != MediaType::ImageConfig {
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
            Encoding::of(layer.media_type().as_ref())?;
            digest_of(layer)?;
        }
        self.images.push(Found { descriptor: descriptor.clone(), manifest, config });
        Ok(())
    }

    fn document<T: DeserializeOwned>(&self, descriptor: &Descriptor, media_type: &MediaType) -> Result<T> {
        typed(&format!("blob {}", digest_of(descriptor)?), &self.bytes(descriptor)?, media_type)
    }

    /// The bytes of a small blob, such as a document that is attached: of the size and digest that its descriptor says.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] if it is missing or another; [`Kind::Data`] if it is larger than [`Limits::document`].
    pub fn bytes(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let digest = digest_of(descriptor)?;
        let name = format!("blob {digest}");
        let bytes =
            read_document(&self.blob(&digest), &name, &self.limits).map_err(|e| missing(&digest, e))?;
        if bytes.len() as u64 != descriptor.size() {
            return Err(wrong_size(&digest, descriptor.size(), bytes.len() as u64));
        }
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Fault::mismatch(name, digest, found).into());
        }
        Ok(bytes)
    }

    /// What containerd calls what is in it, such as `localhost/kubelet:v1.26.0-micro`: the names that its index gives.
    pub fn names(&self) -> Vec<&str> {
        let annotations =
            self.index.manifests().iter().filter_map(|descriptor| descriptor.annotations().as_ref());
        annotations.filter_map(|all| all.get(CONTAINERD_NAME)).map(String::as_str).collect()
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs").join("sha256").join(digest.hex())
    }

    /// Opens a layer's blob, if it has the size that its descriptor says.
    fn layer(&self, descriptor: &Descriptor) -> Result<(Digest, File)> {
        let digest = digest_of(descriptor)?;
        let opened = open_regular(&self.blob(&digest)).with_context(|| format!("blob {digest}"));
        let (file, size) = opened.map_err(|error| missing(&digest, error))?;
        if size != descriptor.size() {
            return Err(wrong_size(&digest, descriptor.size(), size));
        }
        Ok((digest, file))
    }

    /// Verifies every layer: its size, digest and, decompressed, its diff ID. A layer that several images share is read
    /// once. `task` is told the bytes of the blobs.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] naming the blob, what was expected and found; [`Kind::Data`] for one that cannot be decompressed or is
    /// over the limit; [`Kind::Interrupted`].
    pub fn verify(&self, task: &dyn Task) -> Result<()> {
        let mut done = BTreeSet::new();
        for image in &self.images {
            for (descriptor, diff_id) in image.manifest.layers().iter().zip(image.config.rootfs().diff_ids())
            {
                let (digest, mut file) = self.layer(descriptor)?;
                let media_type = descriptor.media_type().to_string();
                if !done.insert((digest, media_type.clone(), diff_id.clone())) {
                    continue;
                }
                let (found, _) = hash_reader(&mut file, descriptor.size())?;
                if found != digest {
                    return Err(Fault::mismatch(format!("blob {digest}"), digest, found).into());
                }
                let (_, file) = self.layer(descriptor)?;
                let (found, _) = read::diff_id(file, Encoding::of(&media_type)?, &self.limits.layer)
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
    pub fn list(&self, image: &Found) -> Result<Vec<read::Listing>> {
        let list = |descriptor| {
            let (digest, file) = self.layer(descriptor)?;
            let encoding = Encoding::of(descriptor.media_type().as_ref())?;
            read::list(file, encoding, &self.limits.layer).with_context(|| format!("layer {digest}"))
        };
        image.manifest.layers().iter().map(list).collect()
    }

    /// Reads one layer of an image to its end, the lowest being 0, and shows its files to `see`. All that is said of it is
    /// verified: size and digest of the blob first, the diff ID of the archive on the way.
    ///
    /// # Errors
    /// As [`Layout::verify`] and [`read::list_with`]; [`Kind::Data`] if there is no such layer.
    pub fn contents(&self, image: &Found, index: usize, see: &mut read::See<'_>) -> Result<read::Listing> {
        let (digest, file, descriptor, diff_id) = self.verified_layer(image, index)?;
        let encoding = Encoding::of(descriptor.media_type().as_ref())?;
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
    pub fn decompress(&self, image: &Found, index: usize, out: &mut dyn Write) -> Result<u64> {
        let (digest, file, descriptor, diff_id) = self.verified_layer(image, index)?;
        let encoding = Encoding::of(descriptor.media_type().as_ref())?;
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
        image: &'i Found,
        index: usize,
    ) -> Result<(Digest, File, &'i Descriptor, &'i str)> {
        let (layers, diff_ids) = (image.manifest.layers(), image.config.rootfs().diff_ids());
        let (Some(descriptor), Some(diff_id)) = (layers.get(index), diff_ids.get(index)) else {
            return Err(data(format!("image {} has no layer {index}", image.descriptor.digest())));
        };
        let (digest, mut file) = self.layer(descriptor)?;
        let (found, _) = hash_reader(&mut file, descriptor.size())?;
        if found != digest {
            return Err(Fault::mismatch(format!("blob {digest}"), digest, found).into());
        }
        let (_, file) = self.layer(descriptor)?;
        Ok((digest, file, descriptor, diff_id))
    }

    /// What an image costs to pull and to keep; reads all of its layers.
    ///
    /// # Errors
    /// As [`Layout::list`].
    pub fn sizes(&self, image: &Found) -> Result<Sizes> {
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

/// Opens a regular file and tells its size; a link, a pipe or a device in its place is refused, not followed.
pub(super) fn open_regular(path: &Path) -> Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let refuse = || Fault::new(Kind::Data, format!("{} is not a regular file", path.display()));
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(refuse().into()),
        Err(error) => {
            let error = std::io::Error::from(error);
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refuse().into());
    }
    Ok((file, metadata.len()))
}

fn read_document(path: &Path, name: &str, limits: &Limits) -> Result<Vec<u8>> {
    let (file, _) = open_regular(path).with_context(|| format!("{name} of the layout"))?;
    let mut bytes = Vec::new();
    file.take(limits.document.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits.document {
        return Err(data(format!("{name}: more than {} bytes", limits.document)));
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| data(format!("{name}: {error}")))
}

/// Parses a document that must not pass for one of another type: a manifest that is an index as well is one thing to
/// one client and the other to the next.
fn typed<T: DeserializeOwned>(name: &str, bytes: &[u8], media_type: &MediaType) -> Result<T> {
    let value: Value = parse(name, bytes)?;
    let expected = media_type.to_string();
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

/// A blob that is not there is the layout's fault, and not the disk's.
fn missing(digest: &Digest, error: anyhow::Error) -> anyhow::Error {
    let cause = error.downcast_ref::<std::io::Error>();
    if cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound) {
        return Fault::new(Kind::Mismatch, format!("the layout has no blob {digest}"))
            .help("copy it again: it is incomplete")
            .into();
    }
    error
}

fn wrong_size(digest: &Digest, expected: u64, found: u64) -> anyhow::Error {
    Fault::mismatch(format!("blob {digest}"), format!("{expected} bytes"), format!("{found} bytes")).into()
}

fn data(message: String) -> anyhow::Error {
    Fault::new(Kind::Data, message).into()
}
