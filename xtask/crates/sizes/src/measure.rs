//! Weighs the images of a layout, down to files, packages and Go modules.
//!
//! As publishers count: compressed is the bytes of all layers' blobs and the config, which registries show; extracted is
//! the bytes of the regular files of all layers, a hard-linked one once, which Docker shows. A layout may be anyone's:
//! every size and digest in it is verified, and what is over a limit refused.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use catalog::label;
use fault::{Fault, Kind};
use oci::layout::{Layout, LayoutImage, Limits};
use oci::read::EntryKind;

use crate::go;
use crate::image::{Image, Layer, Part};

/// Layers of an image: as many as runtimes stack.
const MAX_LAYERS: usize = 127;
/// The longest name of a layer or path that is shown, in characters.
const MAX_NAME: usize = 200;
/// Alpine's list of installed packages, and how much of it is read.
const APK_INSTALLED: &str = "lib/apk/db/installed";
const MAX_APK_INSTALLED: u64 = 16 << 20;

/// How much of a layout is read before it is refused: 4 MiB of a manifest, config or index, 100 images, 2 GiB of a layer
/// once decompressed, 200,000 entries in it.
pub fn limits() -> Limits {
    let layer = oci::read::Limits { tar_size: 2 << 30, entries: 200_000, ..oci::read::Limits::default() };
    Limits { images: 100, layer, ..Limits::default() }
}

/// Says which component a file of a layer is of.
pub type Owner<'a> = dyn Fn(&str, &str) -> Option<String> + 'a;

/// Weighs images; a layer that several share is read once.
pub struct Measurer<'a> {
    owner: &'a Owner<'a>,
    /// By digest, diff ID and media type, which are what is verified, and by name, which decides on components.
    done: BTreeMap<[String; 4], Layer>,
}

impl<'a> Measurer<'a> {
    /// One that asks `owner` for the component of a file, by layer and path.
    pub fn new(owner: &'a Owner<'a>) -> Self {
        Self { owner, done: BTreeMap::new() }
    }

    /// Weighs an image of a layout.
    ///
    /// # Errors
    /// As [`Layout::contents`]; [`Kind::InvalidData`] for too many layers.
    pub fn measure(&mut self, layout: &Layout, image: &LayoutImage) -> Result<Image> {
        let descriptors = image.manifest.layers();
        if descriptors.len() > MAX_LAYERS {
            let (digest, count) = (image.descriptor.digest(), descriptors.len());
            let message = format!("image {digest}: {count} layers, more than the {MAX_LAYERS} that are read");
            return Err(Fault::new(Kind::InvalidData, message).into());
        }
        let mut layers = Vec::new();
        for (index, name) in names(image).into_iter().enumerate() {
            exec::interrupt::check()?;
            layers.push(self.layer(layout, image, index, name)?);
        }
        let config = image.manifest.config().size();
        let sum = |figure: fn(&Layer) -> u64| layers.iter().map(figure).sum::<u64>();
        Ok(Image {
            compressed: sum(|layer| layer.compressed) + config,
            extracted: sum(|layer| layer.extracted),
            config,
            omitted: omitted(image),
            layers,
        })
    }

    fn layer(&mut self, layout: &Layout, image: &LayoutImage, index: usize, name: String) -> Result<Layer> {
        let descriptor = &image.manifest.layers()[index];
        let (digest, media_type) = (descriptor.digest().to_string(), descriptor.media_type().to_string());
        let key = [digest.clone(), image.config.rootfs().diff_ids()[index].clone(), media_type, name.clone()];
        if let Some(layer) = self.done.get(&key) {
            return Ok(layer.clone());
        }
        let mut seen = Seen::default();
        let listing = layout.contents(image, index, &mut |path, size, data| seen.file(path, size, data))?;
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        for (path, item) in &listing.items {
            let EntryKind::File { size, .. } = item.what else { continue };
            let component = (self.owner)(&name, path);
            let package = if component.is_none() { seen.packages.get(path) } else { None };
            let part =
                package.map_or_else(|| printable(path), |package| format!("package {}", printable(package)));
            let part = parts.entry(part.clone()).or_insert(Part {
                name: part,
                component,
                size: 0,
                modules: BTreeMap::new(),
            });
            part.size += size;
            part.modules.append(&mut seen.modules.remove(path).unwrap_or_default());
        }
        let parts = parts.into_values().map(|part| {
            // Two paths that look alike once they are printable: their modules no longer say what the part is.
            let whole = part.modules.values().sum::<u64>() == part.size;
            Part { modules: if whole { part.modules } else { BTreeMap::new() }, ..part }
        });
        let (compressed, extracted) = (descriptor.size(), listing.unpacked_size);
        let layer = Layer { name, digest, compressed, extracted, parts: parts.collect() };
        self.done.insert(key, layer.clone());
        Ok(layer)
    }
}

/// What was seen of files' contents.
#[derive(Default)]
struct Seen {
    /// By path, the modules of a Go program.
    modules: BTreeMap<String, BTreeMap<String, u64>>,
    /// By path, the package.
    packages: BTreeMap<String, String>,
}

impl Seen {
    fn file(&mut self, path: &str, size: u64, data: &mut dyn Read) -> Result<()> {
        if path == APK_INSTALLED && size <= MAX_APK_INSTALLED {
            let mut text = Vec::new();
            data.read_to_end(&mut text)?;
            self.packages = packages(&String::from_utf8_lossy(&text));
            return Ok(());
        }
        let Some(bytes) = go::read(size, data)? else { return Ok(()) };
        self.modules.extend(go::breakdown(&bytes).map(|modules| (path.to_owned(), modules)));
        exec::interrupt::check()
    }
}

/// The package of each path, by apk's database: `P:` names a package, `F:` a directory of it, `R:` a file in that.
fn packages(installed: &str) -> BTreeMap<String, String> {
    let (mut package, mut directory) = ("", "");
    let mut found = BTreeMap::new();
    for line in installed.lines() {
        match line.split_once(':') {
            Some(("P", name)) => (package, directory) = (name, ""),
            Some(("F", path)) => directory = path,
            Some(("R", name)) if directory.is_empty() => {
                _ = found.insert(name.to_owned(), package.to_owned());
            }
            Some(("R", name)) => _ = found.insert(format!("{directory}/{name}"), package.to_owned()),
            _ => {}
        }
    }
    found
}

/// What made each layer, as the config's history has it.
fn names(image: &LayoutImage) -> Vec<String> {
    let history = image.config.history().iter().flatten().filter(|entry| entry.empty_layer() != Some(true));
    let mut history = history.map(|entry| entry.created_by().as_deref().map(printable).unwrap_or_default());
    let name =
        |index| history.next().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("layer {index}"));
    (0..image.manifest.layers().len()).map(name).collect()
}

fn omitted(image: &LayoutImage) -> Vec<String> {
    let annotations = image.manifest.annotations().as_ref();
    let text = annotations
        .and_then(|annotations| annotations.get(&format!("{}{}", label::OWN, label::OMITTED)))
        .map(|text| printable(text));
    text.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect()
}

/// Without characters that would do something to a terminal or break a line, and of bearable length.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars().take(MAX_NAME) {
        if char.is_control() { out.extend(char.escape_default()) } else { out.push(char) }
    }
    out
}

/// Opens a layout, within [`limits`].
///
/// # Errors
/// As [`oci::layout::open`], naming the layout; `Data` where no image is in it: of nothing nothing is said.
pub fn open(layout: &Path) -> Result<Layout> {
    open_within(layout, &format!("layout {}", layout.display()), &limits())
}

/// The same of a layout that people know by another name: what it was pulled by.
///
/// # Errors
/// As [`open`].
pub fn open_named(layout: &Path, name: &str) -> Result<Layout> {
    open_within(layout, name, &limits())
}

/// The same of anyone's images: in Docker's format as well, and without what buildx attached to them.
///
/// # Errors
/// As [`open`].
pub fn open_foreign(layout: &Path, name: &str) -> Result<Layout> {
    open_within(layout, name, &Limits { foreign: true, ..limits() })
}

fn open_within(path: &Path, name: &str, limits: &Limits) -> Result<Layout> {
    let layout = oci::layout::open(path, limits).with_context(|| name.to_owned())?;
    if layout.images.is_empty() {
        return Err(Fault::new(Kind::InvalidData, format!("{name}: it has no image")).into());
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_own_the_files_below_their_directories() {
        let found =
            packages("P:musl\nV:1\nF:lib\nR:ld.so\na:0:0:755\n\nP:busybox\nF:\nR:x\nF:bin\nR:busybox\n");
        let found: Vec<_> = found.iter().map(|(path, package)| format!("{path} {package}")).collect();
        assert_eq!(found, ["bin/busybox busybox", "lib/ld.so musl", "x busybox"]);
    }

    #[test]
    fn names_cannot_speak_to_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable(&"x".repeat(999)).len(), MAX_NAME);
    }
}
