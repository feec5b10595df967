//! An image as it is weighed: layers, and what is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is smaller than this, in bytes, is not listed by itself in a record.
const SMALL_FILE: u64 = 4 << 10;
const SMALL_MODULE: u64 = 64 << 10;
/// What the smaller ones are called together.
const SMALL_FILES: &str = "(small files)";
const SMALL_MODULES: &str = "(small modules)";

/// An image with all its figures, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What is pulled: all layers' blobs, and the config.
    pub compressed: u64,
    /// What is kept: the files of all layers, as Docker counts.
    pub extracted: u64,
    /// Of `compressed`, the config.
    pub config: u64,
    /// What was left out on purpose (`--omit`).
    pub omitted: Vec<String>,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// A layer with its figures, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// What made it: a base or a component.
    pub name: String,
    /// Of its blob.
    pub digest: String,
    /// Its blob.
    pub compressed: u64,
    /// Its files.
    pub extracted: u64,
    /// What is in it, by name; in all `extracted`.
    pub parts: Vec<Part>,
}

/// A file of a layer, or all files of one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The file's path, or `package NAME`.
    pub name: String,
    /// The component that it is of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// In bytes.
    pub size: u64,
    /// For a Go program, the bytes of each module ([`crate::go`]); in all `size`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, u64>,
}

impl Layer {
    /// The same without its small parts: they are taken together, unless `known` lists them.
    #[must_use]
    pub fn coarse(&self, known: Option<&Layer>) -> Layer {
        let mut parts = Vec::new();
        let mut small = 0;
        let known = known.map(Layer::by_name).unwrap_or_default();
        for part in &self.parts {
            let listed = known.get(&*part.name).copied();
            if part.size < SMALL_FILE && listed.is_none() {
                small += part.size;
            } else {
                parts.push(part.coarse(listed));
            }
        }
        if small > 0 {
            let modules = BTreeMap::new();
            parts.push(Part { name: SMALL_FILES.into(), component: None, size: small, modules });
        }
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        Layer { parts, ..self.clone() }
    }

    /// Its parts by their names: there may be very many.
    pub(crate) fn by_name(&self) -> BTreeMap<&str, &Part> {
        self.parts.iter().map(|part| (&*part.name, part)).collect()
    }
}

impl Part {
    fn coarse(&self, known: Option<&Part>) -> Part {
        let mut modules = BTreeMap::new();
        for (module, size) in &self.modules {
            let listed = *size >= SMALL_MODULE || known.is_some_and(|part| part.modules.contains_key(module));
            let name = if listed || !crate::go::is_module(module) { module.as_str() } else { SMALL_MODULES };
            *modules.entry(name.to_owned()).or_default() += *size;
        }
        Part { modules, ..self.clone() }
    }
}

impl Image {
    /// The same without small parts ([`Layer::coarse`]).
    #[must_use]
    pub fn coarse(&self, known: Option<&Image>) -> Image {
        let same = |layer: &Layer| known.and_then(|image| image.layer(&layer.name));
        let layers = self.layers.iter().map(|layer| layer.coarse(same(layer))).collect();
        Image { layers, ..self.clone() }
    }

    /// The layer of this name.
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_are_taken_together_and_nothing_is_lost() {
        let part = |name: &str, size, modules: &[(&str, u64)]| Part {
            name: name.into(),
            component: None,
            size,
            modules: modules.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect(),
        };
        let modules = [("a", 70_000), ("b", 10), ("c", 20), ("(variables)", 5)];
        let parts = vec![part("bin", 70_035, &modules), part("x", 1, &[]), part("y", 2, &[])];
        let (name, digest) = ("l".to_owned(), String::new());
        let layer = Layer { name, digest, compressed: 1, extracted: 70_038, parts };
        let coarse = layer.coarse(None);
        let seen: Vec<_> = coarse.parts.iter().map(|part| (part.name.as_str(), part.size)).collect();
        assert_eq!(seen, [("(small files)", 3), ("bin", 70_035)]);
        let seen: Vec<_> =
            coarse.parts[1].modules.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        assert_eq!(seen, [("(small modules)", 30), ("(variables)", 5), ("a", 70_000)]);
        // What the other side lists is listed, however small it has become.
        assert_eq!(layer.coarse(Some(&layer)), layer);
        assert_eq!(coarse.coarse(None), coarse);
    }
}
