//! Image indexes: one name for the images of several platforms.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use fault::{Fault, Kind};
use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder, MediaType};

use crate::digest::Digest;
use crate::image::Image;
use crate::json;

/// An index with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The index itself, as canonical JSON.
    pub bytes: Vec<u8>,
    /// The images.
    pub images: Vec<Image>,
}

impl Index {
    /// An index of images, in the order they are given in.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for two images of one platform, and for none at all.
    pub fn new(images: Vec<Image>, annotations: &BTreeMap<String, String>) -> Result<Self> {
        let again = |at: usize| images[..at].iter().any(|image| image.platform == images[at].platform);
        if images.is_empty() || (1..images.len()).any(again) {
            return Err(
                Fault::new(Kind::InvalidData, "an index needs images, each of another platform").into()
            );
        }
        let manifests = images.iter().map(Image::descriptor).collect::<Result<Vec<_>>>()?;
        let bytes = json::canonical(&build(manifests, annotations)?)?;
        Ok(Self { bytes, images })
    }

    /// The digest of the index.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The descriptor of the index itself.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn descriptor(&self) -> Result<Descriptor> {
        Ok(Descriptor::new(MediaType::ImageIndex, self.bytes.len() as u64, self.digest().spec()?))
    }
}

/// An index document over these descriptors.
pub(crate) fn build(
    manifests: Vec<Descriptor>,
    annotations: &BTreeMap<String, String>,
) -> Result<ImageIndex> {
    let mut index = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests);
    if !annotations.is_empty() {
        index = index.annotations(annotations.clone().into_iter().collect::<HashMap<_, _>>());
    }
    Ok(index.build()?)
}
