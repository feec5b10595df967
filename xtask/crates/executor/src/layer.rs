//! Writes layers.

use std::fs::{self, File};
use std::io::BufWriter;

use alpine::fetch::Fetcher;
use alpine::rootfs::Recipe;
use anyhow::{Context as _, Result};
use fstree::tree::{Entry, Source, Tree};
use oci::image::LayerBlob;
use oci::read::Encoding;
use plan::{Component, Content, From, Layer};
use store::{Key, Object};

use super::Executor;

/// The names of a layer's files in the store.
const BLOB: &str = "layer";
const RECORD: &str = "layer.json";
/// All of them.
pub const FILES: [&str; 2] = [BLOB, RECORD];

impl Executor<'_> {
    /// The layer's blob, from the store or made now.
    pub(super) fn layer(&self, key: &Key, layer: &Layer) -> Result<LayerBlob> {
        blob(&self.layer_object(key, layer)?, &layer.name)
    }

    /// The layer, from the store or made now.
    pub fn layer_object(&self, key: &Key, layer: &Layer) -> Result<Object> {
        let name = format!("layer {}", layer.name);
        self.timings.measure(&name, || {
            self.store.object(key, &name, self.progress, |dir| {
                let tree = self.tree(layer)?;
                let options = oci::layer::Options { mtime: layer.mtime, compression: layer.compression };
                let out = File::create(dir.join(BLOB)).context("a layer cannot be created")?;
                let task = self.progress.task(&name, None);
                let record = oci::layer::write(&tree, &options, BufWriter::new(out), &*task)?;
                let text = serde_json::to_vec(&record).context("a layer's record")?;
                fs::write(dir.join(RECORD), text).context("a layer's record cannot be written")
            })
        })
    }

    fn tree(&self, layer: &Layer) -> Result<Tree> {
        let mut tree = self.alpine(layer)?.unwrap_or_default();
        for entry in &layer.entries {
            let made = match &entry.content {
                Content::Directory { mode } => Entry::directory(*mode),
                Content::HardLink { to } => Entry::hard_link(to),
                Content::Symlink { target } => Entry::symlink(target),
                Content::File { mode, from } => Entry::file(*mode, self.source(from)?),
            };
            tree.insert(&entry.path, made)?;
        }
        Ok(tree)
    }

    /// Alpine's files of a layer, if it is a base of Alpine's.
    pub(super) fn alpine(&self, layer: &Layer) -> Result<Option<Tree>> {
        let Some(recipe) = &layer.alpine else { return Ok(None) };
        recipe.make(&self.fetcher(recipe), &self.sources.alpine_keys()?, layer.mtime).map(Some)
    }

    /// Gets the files of an Alpine base.
    pub(super) fn fetcher<'s>(&'s self, recipe: &'s Recipe) -> Fetcher<'s> {
        Fetcher {
            store: self.store,
            mirrors: &self.mirrors,
            url: &recipe.url,
            offline: self.tools.setup.offline,
            progress: self.progress,
        }
    }

    /// Where a file's bytes are, verified.
    fn source(&self, from: &From) -> Result<Source> {
        match from {
            From::Component(key) => {
                let object = self.store.find_object(key)?.context("a component is gone from the store")?;
                Ok(Source::Path(object.file(Component::FILE)?))
            }
            From::Repository { sha256, path } => {
                let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
                let found = store::Digest::of(&bytes);
                if found != *sha256 {
                    return Err(fault::Fault::mismatch(path.display(), sha256, found)
                        .help("it changed during the build: build again")
                        .into());
                }
                Ok(Source::Bytes(bytes.into()))
            }
        }
    }
}

/// What a layer holds, without content, by its blob.
pub(super) fn outline(blob: &LayerBlob) -> Result<Tree> {
    let file = File::open(&blob.path).with_context(|| format!("reading the layer {}", blob.created_by))?;
    let encoding = Encoding::of(&blob.layer.media_type)?;
    oci::read::list(file, encoding, &oci::read::Limits::default())?.outline()
}

/// What is known of a layer in the store, and where its blob is.
pub(super) fn blob(object: &Object, name: &str) -> Result<LayerBlob> {
    let text = fs::read(object.file(RECORD)?).context("a layer's record cannot be read")?;
    let layer = serde_json::from_slice(&text).context("a layer's record")?;
    Ok(LayerBlob { layer, path: object.file(BLOB)?, created_by: name.to_owned() })
}
