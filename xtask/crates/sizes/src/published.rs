//! `images/published-sizes.toml`: the images to beat.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use catalog::{Attribute, Catalog, Scope};
use fault::{Fault, Kind};
use serde::Deserialize;

/// The version of the format that this library reads.
const VERSION: u32 = 1;
/// No image of this kind is larger, in MiB: a slip of the decimal point is.
const MAX_MIB: f64 = 1024.0;

/// The matrix that was published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    version: u32,
    /// The images, by product, release and variant.
    #[serde(rename = "image")]
    images: Vec<Row>,
    /// Products without a figure.
    #[serde(default)]
    pub unpublished: Vec<Unpublished>,
}

#[derive(Clone, Debug, Deserialize)]
struct Row {
    product: String,
    release: String,
    variant: String,
    /// By architecture.
    #[serde(flatten)]
    arches: BTreeMap<String, Mib>,
}

/// A product of which something was said, but no figure published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpublished {
    /// The product.
    pub product: String,
    /// What was said.
    pub said: String,
}

/// The two figures of a published image, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mib {
    /// What is pulled.
    pub compressed: f64,
    /// What is kept.
    pub extracted: f64,
}

impl Published {
    /// Parses and validates; `file` is what errors call it.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] naming the image and what is wrong with it.
    pub fn parse(text: &str, file: &str, catalog: &Catalog) -> Result<Self> {
        let refuse = |what: String| Err(Fault::new(Kind::InvalidData, format!("{file}: {what}")).into());
        let published: Self = match toml::from_str(text) {
            Ok(published) => published,
            Err(error) => return refuse(error.to_string().trim_end().to_owned()),
        };
        if published.version != VERSION {
            return refuse(format!("format version {}, this program reads {VERSION}", published.version));
        }
        let mut seen = BTreeSet::new();
        for row in &published.images {
            let name = format!("{} {} {}", row.product, row.release, row.variant);
            if !seen.insert(name.clone()) {
                return refuse(format!("{name} is listed twice"));
            }
            let variant =
                |known: &catalog::Variant| known.name == *row.variant && known.product == *row.product;
            if !catalog.variants.iter().any(variant) || catalog.release(&row.release).is_none() {
                return refuse(format!("{name}: the catalog has no such variant or release"));
            }
            for (arch, mib) in &row.arches {
                if catalog.arches.iter().all(|known| known.name != **arch) {
                    return refuse(format!("{name}: the catalog has no architecture `{arch}`"));
                }
                let sane = |figure: f64| figure > 0.0 && figure < MAX_MIB;
                if !sane(mib.compressed) || !sane(mib.extracted) || mib.compressed >= mib.extracted {
                    let (compressed, extracted) = (mib.compressed, mib.extracted);
                    return refuse(format!("{name} {arch}: {compressed} / {extracted} MiB cannot be"));
                }
            }
        }
        let product =
            |known: &Unpublished| catalog.products.iter().all(|product| product.name != *known.product);
        if let Some(unknown) = published.unpublished.iter().find(|known| product(known)) {
            return refuse(format!("the catalog has no product `{}`", unknown.product));
        }
        Ok(published)
    }

    /// What was published in the place of this image, whatever its base is.
    pub fn of(&self, attribute: &Attribute<'_>) -> Option<Mib> {
        let Scope::Image(arch) = attribute.scope else { return None };
        let place = (
            attribute.product.name.as_str(),
            attribute.release.version.as_str(),
            attribute.variant.name.as_str(),
        );
        let row = self.images.iter().find(|row| (&*row.product, &*row.release, &*row.variant) == place)?;
        row.arches.get(arch.name.as_str()).copied()
    }

    /// How many images have figures.
    pub fn len(&self) -> usize {
        self.images.iter().map(|row| row.arches.len()).sum()
    }

    /// Does none have figures?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Attributes;

    const TEXT: &str = include_str!("../../../../images/published-sizes.toml");

    fn catalog() -> Catalog {
        Catalog::parse(include_str!("../../../../images/catalog.toml"), "catalog.toml").unwrap()
    }

    #[test]
    fn all_that_was_published_is_there() {
        let catalog = catalog();
        let published = Published::parse(TEXT, "published-sizes.toml", &catalog).unwrap();
        assert_eq!(published.len(), 45);
        let attributes = Attributes::of(&catalog);
        let of = |name: &str| {
            published.of(attributes.get(name).unwrap()).map(|mib| (mib.compressed, mib.extracted))
        };
        assert_eq!(of("kubelet-v1_26_0-amd64"), Some((26.37, 79.15)));
        assert_eq!(of("kubelet-v1_26_0-alpine3_15-amd64"), Some((26.37, 79.15)), "whatever the base");
        assert_eq!(of("kubelet-v1_24_9-kubeadm-cni-arm32v7"), Some((54.93, 99.88)));
        assert_eq!(of("kubelet-v1_24_17-arm64"), None);
        assert_eq!(of("kube-proxy-v1_26_0-amd64"), None, "nothing is made up");
        assert_eq!(of("kubelet-v1_26_0"), None, "an index");
        assert_eq!(published.unpublished[0].product, "kube-proxy");
    }

    #[test]
    fn every_kind_of_mistake_is_refused() {
        let catalog = catalog();
        let cases = [
            ("version = 1", "version = 2"),
            ("compressed = 26.37", "compressed = 263.7"),
            ("compressed = 26.37", "compressed = -26.37"),
            ("compressed = 26.37", "compressed = nan"),
            ("compressed = 26.37, ", ""),
            ("amd64 = {", "riscv64 = {"),
            ("variant = \"flannel\"", "variant = \"flanel\""),
            ("variant = \"flannel\"", "variant = \"kubelet\""),
            ("release = \"v1.26.0\"", "release = \"v1.26.9\""),
            ("product = \"kube-proxy\"", "product = \"kube-proxies\""),
        ];
        let refused = |(from, to): (&str, &str)| {
            assert!(TEXT.contains(from), "{from}");
            let error = Published::parse(&TEXT.replacen(from, to, 1), "p.toml", &catalog).expect_err(to);
            assert_eq!(fault::exit_code(&error), 3, "{to}");
            error.to_string()
        };
        insta::assert_snapshot!(cases.map(refused).join("\n"));
    }
}
