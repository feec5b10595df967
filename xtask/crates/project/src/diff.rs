//! What changed between two states.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use catalog::Attributes;
use fault::{Fault, Kind};
use registry::{Options, PullScope};
use sizes::Image;
use sizes::diff::Diff;
use sizes::record::Record;

use crate::record::RECORD;
use crate::source::{Source, is_path};
use crate::{Checkout, weigh};

/// One side of the comparison.
struct Side {
    images: BTreeMap<String, Image>,
    /// From a record, which has no small parts?
    coarse: bool,
}

/// Compares two states, each a layout, a directory of layouts, a record, a git revision that has one, or an image in a
/// registry.
pub fn diff(checkout: &Checkout, before: &str, after: &str, options: &Options<'_>) -> Result<Diff> {
    let mut before = Side::read(checkout, before, options)?;
    let mut after = Side::read(checkout, after, options)?;
    pair(&mut before.images, &mut after.images);
    if before.coarse != after.coarse {
        let (fine, coarse) = if before.coarse { (&mut after, &before) } else { (&mut before, &after) };
        for (name, image) in &mut fine.images {
            *image = image.coarse(coarse.images.get(name));
        }
        // A record knows every image, a directory those that were built: what is in both is compared.
        let common = |name: &String| fine.images.contains_key(name);
        let only: Vec<String> = coarse.images.keys().filter(|name| !common(name)).cloned().collect();
        for name in only {
            before.images.remove(&name);
            after.images.remove(&name);
        }
    }
    Ok(sizes::diff::images(&before.images, &after.images))
}

/// Two single images are compared whatever they are called.
fn pair(before: &mut BTreeMap<String, Image>, after: &mut BTreeMap<String, Image>) {
    if before.len() != 1 || after.len() != 1 || before.keys().eq(after.keys()) {
        return;
    }
    if let (Some((old, a)), Some((new, b))) = (before.pop_first(), after.pop_first()) {
        let name = format!("{old} → {new}");
        before.insert(name.clone(), a);
        after.insert(name, b);
    }
}

impl Side {
    fn read(checkout: &Checkout, what: &str, options: &Options<'_>) -> Result<Self> {
        let path = Path::new(what);
        if path.is_dir() {
            return Self::layouts(checkout, path);
        }
        if path.exists() {
            let text = files::read_text(path, files::DOCUMENT)?;
            return Self::record(checkout, &text, what);
        }
        let named = what.strip_prefix("docker://");
        if named.is_none()
            && let Some(text) = revision(checkout, what)?
        {
            return Self::record(checkout, &text, &format!("{what}:{RECORD}"));
        }
        let reference = named.unwrap_or(what);
        if named.is_some() || reference.contains(['/', ':']) && !is_path(reference) {
            let source = Source::registry(reference, PullScope::Image, options)?;
            let images = weigh::named(checkout, &checkout.catalog()?, &source.layout, reference)?;
            return Ok(Self { images, coarse: false });
        }
        Err(Fault::new(
            Kind::NotFound,
            format!("`{what}` is not a file or directory, git revision or image in a registry"),
        )
        .help("a layout's directory, `HEAD~1`, or `registry.example.org/kubelet:v1.26.0-micro`")
        .into())
    }

    fn layouts(checkout: &Checkout, dir: &Path) -> Result<Self> {
        let catalog = checkout.catalog()?;
        let mut images = BTreeMap::new();
        for layout in weigh::layouts(dir)? {
            images.extend(weigh::layout(checkout, &catalog, &layout)?);
        }
        Ok(Self { images, coarse: false })
    }

    fn record(checkout: &Checkout, text: &str, name: &str) -> Result<Self> {
        let catalog = checkout.catalog()?;
        let attributes = Attributes::of(&catalog);
        // An older record may call images by what is now another name of theirs.
        let renamed = |(name, image): (String, Image)| {
            (attributes.find(&name).map_or(name.clone(), |found| found.name.clone()), image)
        };
        Ok(Self {
            images: Record::parse(text, name)?.images.into_iter().map(renamed).collect(),
            coarse: true,
        })
    }
}

/// `images/sizes.json` of a git revision; None if there is no such revision.
fn revision(checkout: &Checkout, name: &str) -> Result<Option<String>> {
    let commit = format!("{name}^{{commit}}");
    let Some(found) = checkout.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])?
    else {
        return Ok(None);
    };
    let text = checkout.git(&["cat-file", "blob", &format!("{}:{RECORD}", found.trim())])?;
    text.map(Some).ok_or_else(|| {
        let message = format!("revision `{name}` has no {RECORD}");
        Fault::new(Kind::NotFound, message).help("sizes are recorded since a later one").into()
    })
}
