//! What changed from one state to another: image, layer, file or package, module.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::image::{Image, Layer, Part};

/// A figure before and after, in bytes; 0 for what was not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delta {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl Delta {
    /// Bytes more (positive) or less.
    pub fn change(self) -> i64 {
        i64::try_from(i128::from(self.after) - i128::from(self.before)).unwrap_or(i64::MAX)
    }

    /// How many bytes more; 0 if not.
    pub fn growth(self) -> u64 {
        self.after.saturating_sub(self.before)
    }
}

/// What changed in a set of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The images that changed, came or went, by name.
    pub images: Vec<ImageChange>,
    /// How many are as they were.
    pub unchanged: usize,
    /// The layers that changed, each once however many images have it; what changed most, first.
    pub layers: Vec<LayerChange>,
}

/// A change of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageChange {
    /// Its name.
    pub name: String,
    /// Was it there before?
    pub before: bool,
    /// Is it there after?
    pub after: bool,
    /// What is pulled.
    pub compressed: Delta,
    /// What is kept.
    pub extracted: Delta,
}

/// A change of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerChange {
    /// Its name.
    pub name: String,
    /// The images that have it.
    pub images: Vec<String>,
    /// What is pulled.
    pub compressed: Delta,
    /// What is kept.
    pub extracted: Delta,
    /// Its files and packages that changed; what changed most, first.
    pub parts: Vec<PartChange>,
}

/// A change of a file or package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartChange {
    /// The path, or `package NAME`.
    pub name: String,
    /// Its component, where that is known.
    pub component: Option<String>,
    /// Its bytes.
    pub size: Delta,
    /// Of a Go program, the modules that changed; what changed most, first.
    pub modules: Vec<ModuleChange>,
}

/// A change of a Go module in a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleChange {
    /// The module, or a part that modules share.
    pub name: String,
    /// Its bytes.
    pub size: Delta,
}

/// Compares two sets of images, by their names.
pub fn images(before: &BTreeMap<String, Image>, after: &BTreeMap<String, Image>) -> Diff {
    let mut diff = Diff::default();
    let mut layers: BTreeMap<(String, String, String), LayerChange> = BTreeMap::new();
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (before.get(name), after.get(name));
        if let (Some(old), Some(new)) = (old, new) {
            if old == new {
                diff.unchanged += 1;
                continue;
            }
            for (digests, change) in image(old, new) {
                let key = (change.name.clone(), digests.0, digests.1);
                layers.entry(key).or_insert(change).images.push(name.clone());
            }
        }
        let delta = |figure: fn(&Image) -> u64| Delta {
            before: old.map(figure).unwrap_or_default(),
            after: new.map(figure).unwrap_or_default(),
        };
        diff.images.push(ImageChange {
            name: name.clone(),
            before: old.is_some(),
            after: new.is_some(),
            compressed: delta(|image| image.compressed),
            extracted: delta(|image| image.extracted),
        });
    }
    diff.layers = layers.into_values().collect();
    most_first(&mut diff.layers, |layer| layer.extracted, |layer| &layer.name);
    diff
}

/// Compares the layers of an image, by their names; with the digests before and after.
fn image(before: &Image, after: &Image) -> Vec<((String, String), LayerChange)> {
    let names: BTreeSet<&str> =
        before.layers.iter().chain(&after.layers).map(|layer| layer.name.as_str()).collect();
    let change = |name: &str| {
        let (old, new) = (before.layer(name), after.layer(name));
        let digest = |layer: Option<&Layer>| layer.map(|layer| layer.digest.clone()).unwrap_or_default();
        (old != new).then(|| ((digest(old), digest(new)), layer(name, old, new)))
    };
    names.into_iter().filter_map(change).collect()
}

/// Compares two layers.
pub fn layer(name: &str, before: Option<&Layer>, after: Option<&Layer>) -> LayerChange {
    let [old, new] = [before, after].map(|layer| layer.map(Layer::by_name).unwrap_or_default());
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let part = |parts: &BTreeMap<&str, &Part>, name| parts.get(name).map(|part| (*part).clone());
    let mut parts: Vec<PartChange> =
        names.into_iter().filter_map(|name| changed(part(&old, name), part(&new, name))).collect();
    most_first(&mut parts, |part| part.size, |part| &part.name);
    let delta = |figure: fn(&Layer) -> u64| Delta {
        before: before.map(figure).unwrap_or_default(),
        after: after.map(figure).unwrap_or_default(),
    };
    LayerChange {
        name: name.to_owned(),
        images: Vec::new(),
        compressed: delta(|layer| layer.compressed),
        extracted: delta(|layer| layer.extracted),
        parts,
    }
}

fn changed(before: Option<Part>, after: Option<Part>) -> Option<PartChange> {
    if before == after {
        return None;
    }
    let known = after.as_ref().or(before.as_ref())?;
    let (name, component) = (known.name.clone(), known.component.clone());
    let size = Delta {
        before: before.as_ref().map_or(0, |part| part.size),
        after: after.as_ref().map_or(0, |part| part.size),
    };
    let (before, after) = (before.map(|part| part.modules), after.map(|part| part.modules));
    let bytes = |side: &Option<BTreeMap<String, u64>>, name: &str| {
        side.as_ref().and_then(|modules| modules.get(name)).copied().unwrap_or_default()
    };
    let names: BTreeSet<&String> = before.iter().chain(&after).flat_map(BTreeMap::keys).collect();
    let mut modules: Vec<ModuleChange> = names
        .into_iter()
        .map(|name| ModuleChange {
            name: name.clone(),
            size: Delta { before: bytes(&before, name), after: bytes(&after, name) },
        })
        .filter(|module| module.size.change() != 0)
        .collect();
    most_first(&mut modules, |module| module.size, |module| &module.name);
    // Only the component's name changed: no bytes to tell of.
    (size.change() != 0 || !modules.is_empty()).then_some(PartChange { name, component, size, modules })
}

fn most_first<T>(changes: &mut [T], size: impl Fn(&T) -> Delta, name: impl Fn(&T) -> &String) {
    changes.sort_by(|a, b| {
        let by = size(b).change().unsigned_abs().cmp(&size(a).change().unsigned_abs());
        by.then_with(|| name(a).cmp(name(b)))
    });
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn wide(files: std::ops::Range<u64>) -> Layer {
        let part = |number: u64| Part {
            name: format!("d/f{number}"),
            component: None,
            size: number % 7 + 1,
            modules: BTreeMap::new(),
        };
        let parts: Vec<Part> = files.map(part).collect();
        let extracted = parts.iter().map(|part| part.size).sum();
        Layer { name: "layer".into(), digest: String::new(), compressed: 0, extracted, parts }
    }

    /// As many as the largest layer that is read may have: no file is looked for among all of the others.
    #[test]
    fn two_hundred_thousand_files_are_compared_in_seconds() {
        let begin = Instant::now();
        let (before, after) = (wide(0..200_000), wide(1..200_001));
        let change = layer("layer", Some(&before), Some(&after));
        let names: Vec<&str> = change.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["d/f200000", "d/f0"]);
        let coarse = before.coarse(Some(&after));
        assert_eq!(coarse.parts.len(), 200_000);
        assert_eq!(coarse.extracted, before.extracted);
        assert!(begin.elapsed() < Duration::from_mins(2), "{:?}", begin.elapsed());
    }
}
