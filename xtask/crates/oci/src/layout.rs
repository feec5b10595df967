//! Image layouts on disk: a directory with `oci-layout`, `index.json` and `blobs/sha256`.

mod attach;
mod attachment;
mod blobs;
mod closure;
mod docker;
mod incoming;
mod open;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::image::Descriptor;

use crate::digest::Digest;
use crate::image::Image;
use crate::index::{self, Index};
use crate::json;

pub use attach::{Document, attach};
pub use attachment::{
    Attachment, SIMPLE_SIGNING, is_referrer, is_signature, is_signature_tag, signature_tag,
};
pub use closure::{Blob as Stored, Closure, Document as Reached};
pub use incoming::Incoming;
pub use open::{Layout, LayoutImage, Limits, open};
pub use write::{matches, write};

/// Is this directory meant to be a layout?
pub fn is_there(dir: &Path) -> bool {
    dir.join(MARK_FILE).exists()
}

/// The file that makes a directory a layout.
pub(crate) const MARK_FILE: &str = "oci-layout";

/// Its content.
pub(crate) const MARK: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The annotation that names an image within a layout: the tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's annotation for the whole name it gives an image when importing.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Where a blob's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    Path(PathBuf),
    Memory(Vec<u8>),
}

/// A blob with the size and bytes that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) size: u64,
    pub(crate) bytes: Bytes,
}

/// The names under which a layout presents its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The tag, such as `v1.26.0-micro`, for tools that address an image as `DIRECTORY:TAG`.
    pub reference: Option<String>,
    /// The whole name, such as `example.org/kubelet:v1.26.0-micro`, that containerd gives the image.
    pub containerd: Option<String>,
}

/// All that goes into a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    pub(crate) index_json: Vec<u8>,
    pub(crate) blobs: BTreeMap<Digest, Blob>,
}

impl Contents {
    /// A layout of one image.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn image(image: &Image, names: &Names) -> Result<Self> {
        let mut contents = Self::under(image.descriptor()?, names)?;
        contents.add(image);
        Ok(contents)
    }

    /// A layout of an index with all its images.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn index(index: &Index, names: &Names) -> Result<Self> {
        let mut contents = Self::under(index.descriptor()?, names)?;
        contents.memory(&index.bytes);
        index.images.iter().for_each(|image| contents.add(image));
        Ok(contents)
    }

    fn under(mut root: Descriptor, names: &Names) -> Result<Self> {
        let annotations: HashMap<String, String> =
            [(REF_NAME, &names.reference), (CONTAINERD_NAME, &names.containerd)]
                .into_iter()
                .filter_map(|(key, name)| Some((key.to_owned(), name.clone()?)))
                .collect();
        if !annotations.is_empty() {
            root.set_annotations(Some(annotations));
        }
        let index_json = json::canonical(&index::build(vec![root], &BTreeMap::new())?)?;
        Ok(Self { index_json, blobs: BTreeMap::new() })
    }

    fn memory(&mut self, bytes: &[u8]) {
        let blob = Blob { size: bytes.len() as u64, bytes: Bytes::Memory(bytes.to_vec()) };
        self.blobs.insert(Digest::of(bytes), blob);
    }

    fn add(&mut self, image: &Image) {
        self.memory(&image.manifest);
        self.memory(&image.config);
        for layer in &image.layers {
            let blob = Blob { size: layer.layer.size, bytes: Bytes::Path(layer.path.clone()) };
            self.blobs.insert(layer.layer.digest, blob);
        }
    }

    /// The bytes of all blobs together.
    pub fn size(&self) -> u64 {
        self.blobs.values().map(|blob| blob.size).sum()
    }
}

#[cfg(test)]
mod tests;
