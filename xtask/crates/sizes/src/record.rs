//! `images/sizes.json`: what every built image weighed at the last release.
//!
//! A layer that several images share stands there once. Everything is sorted, and what is small taken together, so that
//! a change of the file can be reviewed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::image::{Image, Layer};

/// The version of the format.
const VERSION: u32 = 1;
/// How many digits of a digest tell layers of one name apart.
const DIGITS: usize = 12;

/// What images weighed, by attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The images, without their small parts ([`Image::coarse`]).
    pub images: BTreeMap<String, Image>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    images: BTreeMap<String, Row>,
    layers: BTreeMap<String, Layer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    compressed: u64,
    extracted: u64,
    config: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    omitted: Vec<String>,
    layers: Vec<String>,
}

impl Record {
    /// Parses and validates; `file` is what errors call it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for another version, layers that are missing or unused, and parts that do not add up.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let refuse = |what: String| {
            let help = "it is written by `cargo xtask size record`, and not by hand";
            anyhow::Error::from(Fault::new(Kind::InvalidData, format!("{file}: {what}")).help(help))
        };
        // The version first: another one may have other fields.
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if value["version"] != VERSION {
            return Err(refuse(format!("format version {}, this program reads {VERSION}", value["version"])));
        }
        let document: Document = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        for (name, layer) in &document.layers {
            let parts = layer.parts.iter().map(|part| part.size).fold(0, u64::saturating_add);
            if parts != layer.extracted {
                return Err(refuse(format!(
                    "layer {name}: its parts have {parts} bytes, itself {}",
                    layer.extracted
                )));
            }
            for part in layer.parts.iter().filter(|part| !part.modules.is_empty()) {
                let modules = part.modules.values().copied().fold(0, u64::saturating_add);
                if modules != part.size {
                    let (part, size) = (&part.name, part.size);
                    return Err(refuse(format!(
                        "layer {name}, {part}: its modules have {modules} bytes, itself {size}"
                    )));
                }
            }
        }
        let mut used = BTreeSet::new();
        let mut images = BTreeMap::new();
        for (name, row) in document.images {
            let mut layers = Vec::new();
            for layer in row.layers {
                let found = document.layers.get(&layer);
                layers.push(
                    found.cloned().ok_or_else(|| refuse(format!("{name}: there is no layer {layer}")))?,
                );
                used.insert(layer);
            }
            let sum =
                |start, figure: fn(&Layer) -> u64| layers.iter().map(figure).fold(start, u64::saturating_add);
            let found = (sum(row.config, |layer| layer.compressed), sum(0, |layer| layer.extracted));
            if found != (row.compressed, row.extracted) {
                return Err(refuse(format!("{name}: its layers do not add up")));
            }
            let Row { compressed, extracted, config, omitted, .. } = row;
            images.insert(name, Image { compressed, extracted, config, omitted, layers });
        }
        match document.layers.keys().find(|name| !used.contains(*name)) {
            Some(unused) => Err(refuse(format!("layer {unused} belongs to no image"))),
            None => Ok(Self { images }),
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// None that can be caused.
    pub fn text(&self) -> Result<String> {
        let names = self.layer_names();
        let mut layers = BTreeMap::new();
        let mut images = BTreeMap::new();
        for (attribute, image) in &self.images {
            let mut row = Vec::new();
            for layer in &image.layers {
                let plain = plain_name(attribute, layer);
                let several = names.get(&plain).is_some_and(|layers| layers.len() > 1);
                let digits: String =
                    layer.digest.trim_start_matches("sha256:").chars().take(DIGITS).collect();
                let name = if several { format!("{plain} {digits}") } else { plain };
                layers.insert(name.clone(), layer.clone());
                row.push(name);
            }
            let Image { compressed, extracted, config, omitted, .. } = image.clone();
            images.insert(attribute.clone(), Row { compressed, extracted, config, omitted, layers: row });
        }
        let document = Document { version: VERSION, images, layers };
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// All layers of each name.
    fn layer_names(&self) -> BTreeMap<String, BTreeSet<&str>> {
        let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for (attribute, image) in &self.images {
            for layer in &image.layers {
                names.entry(plain_name(attribute, layer)).or_default().insert(&layer.digest);
            }
        }
        names
    }
}

/// A layer's name with the release and architecture of its image: `v1_26_0 amd64 kubelet`.
fn plain_name(attribute: &str, layer: &Layer) -> String {
    let is_release = |word: &&str| word.starts_with('v') && word.contains('_');
    let release = attribute.split('-').find(is_release).unwrap_or_default();
    let arch = attribute.rsplit('-').next().unwrap_or_default();
    format!("{release} {arch} {}", layer.name)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::image::Part;

    /// A layer of one program with two modules, and a file.
    pub(crate) fn layer(name: &str, digest: &str, compressed: u64, module: u64) -> Layer {
        let modules = [("(variables)".to_owned(), 70_000), ("k8s.io/api".to_owned(), module)];
        let program = Part {
            name: format!("usr/bin/{name}"),
            component: Some(name.into()),
            size: 70_000 + module,
            modules: modules.into(),
        };
        let file = Part { name: "etc/file".into(), component: None, size: 5_000, modules: BTreeMap::new() };
        let extracted = program.size + file.size;
        Layer {
            name: name.into(),
            digest: format!("sha256:{digest}"),
            compressed,
            extracted,
            parts: vec![file, program],
        }
    }

    /// An image of these layers.
    pub(crate) fn image(layers: Vec<Layer>) -> Image {
        Image {
            compressed: layers.iter().map(|layer| layer.compressed).sum::<u64>() + 1_000,
            extracted: layers.iter().map(|layer| layer.extracted).sum(),
            config: 1_000,
            omitted: Vec::new(),
            layers,
        }
    }

    fn record() -> Record {
        let (base, kubelet) = (layer("micro", "aa", 10_000, 70_000), layer("kubelet", "bb", 20_000, 80_000));
        let joined = Image {
            omitted: vec!["crictl".into()],
            ..image(vec![base.clone(), layer("kubelet", "cc", 30_000, 90_000)])
        };
        let images = [
            ("kubelet-v1_26_0-amd64".to_owned(), image(vec![base.clone(), kubelet])),
            ("kubelet-v1_26_0-kubeadm-amd64".to_owned(), joined),
            ("kubelet-v1_25_5-amd64".to_owned(), image(vec![base])),
        ];
        Record { images: images.into() }
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let text = record().text().unwrap();
        assert_eq!(Record::parse(&text, "sizes.json").unwrap(), record());
        assert_eq!(Record::parse(&text, "sizes.json").unwrap().text().unwrap(), text);
        let document: Document = serde_json::from_str(&text).unwrap();
        let names: Vec<_> = document.layers.into_keys().collect();
        insta::assert_debug_snapshot!(names, @r#"
        [
            "v1_25_5 amd64 micro",
            "v1_26_0 amd64 kubelet bb",
            "v1_26_0 amd64 kubelet cc",
            "v1_26_0 amd64 micro",
        ]
        "#);
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let text = record().text().unwrap();
        let cases = [
            ("\"version\": 1", "\"version\": 2"),
            ("\"compressed\": 10000", "\"compressed\": 10001"),
            ("\"size\": 5000", "\"size\": 5001"),
            ("\"k8s.io/api\": 70000", "\"k8s.io/api\": 70001"),
            ("\"k8s.io/api\": 70000", "\"k8s.io/api\": -1"),
            ("\"v1_26_0 amd64 micro\": {", "\"x\": {"),
            ("\"images\"", "\"pictures\""),
            ("{", "["),
        ];
        let refused = |(from, to): (&str, &str)| {
            assert!(text.contains(from), "{from}");
            let error = Record::parse(&text.replacen(from, to, 1), "sizes.json").expect_err(to);
            assert_eq!(fault::exit_code(&error), 3, "{to}");
            error.to_string()
        };
        insta::assert_snapshot!(cases.map(refused).join("\n"));
    }
}
