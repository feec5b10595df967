//! Holds images to their budget: what they weighed at the last release, and what was published before.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use catalog::{Attribute, Attributes, BaseBudget, Catalog, Figures};
use fault::{Fault, Kind};
use serde::Serialize;

use crate::diff::{self, Delta, LayerChange};
use crate::image::{Image, Layer};
use crate::published::{Mib, Published};
use crate::record::Record;
use crate::render::{bytes, line, lines, mib};

/// What images are compared with.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The budget, and what attributes mean.
    pub catalog: &'a Catalog,
    /// The last release.
    pub record: &'a Record,
    /// The images to beat.
    pub published: &'a Published,
}

/// How images stand.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Those that were weighed, by attribute.
    pub cells: Vec<Cell>,
    /// The bases' means, over these and all others that are recorded.
    pub means: Vec<Mean>,
}

/// How one image stands.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The attribute.
    pub attribute: String,
    /// In bytes.
    pub compressed: u64,
    /// In bytes.
    pub extracted: u64,
    /// Ours / published, if one was.
    pub ratio: Option<Ratio>,
    /// Does it count against the published one? Not if something was left out of it.
    pub counted: bool,
    /// Why it is over its budget: a paragraph each.
    pub over: Vec<String>,
    /// What it was not compared with, and why.
    pub notes: Vec<String>,
}

/// Ours / published.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Of what is pulled.
    pub compressed: f64,
    /// Of what is kept.
    pub extracted: f64,
}

impl Ratio {
    /// Ours / published.
    pub fn of(image: &Image, published: Mib) -> Self {
        Self {
            compressed: mib(image.compressed) / published.compressed,
            extracted: mib(image.extracted) / published.extracted,
        }
    }
}

/// How the images of one base stand together.
#[derive(Clone, Debug, Serialize)]
pub struct Mean {
    /// The base.
    pub base: String,
    /// How many images count.
    pub cells: usize,
    /// The geometric mean of their ratios.
    pub ratio: Ratio,
    /// Why it is over its budget.
    pub over: Vec<String>,
}

/// Judges images that were just weighed.
///
/// # Errors
/// [`Kind::Unknown`] for one that the catalog does not have.
pub fn judge(rules: Rules<'_>, weighed: &BTreeMap<String, Image>) -> Result<Verdict> {
    let attributes = Attributes::of(rules.catalog);
    let mut cells = Vec::new();
    for (name, image) in weighed {
        cells.push(rules.cell(attributes.get(name)?, image));
    }
    let means = rules.catalog.budget.bases.iter().filter_map(|base| rules.mean(base, weighed, &attributes));
    Ok(Verdict { cells, means: means.collect() })
}

impl Rules<'_> {
    fn cell(self, attribute: &Attribute<'_>, image: &Image) -> Cell {
        let mut cell = Cell {
            attribute: attribute.name.clone(),
            compressed: image.compressed,
            extracted: image.extracted,
            ratio: self.published.of(attribute).map(|published| Ratio::of(image, published)),
            counted: image.omitted.is_empty(),
            over: Vec::new(),
            notes: Vec::new(),
        };
        match self.record.images.get(&attribute.name) {
            None => {
                cell.notes.push(format!("not recorded yet: `cargo xtask size record {}`", attribute.name));
            }
            Some(recorded) if recorded.omitted != image.omitted => {
                let list = |image: &Image| {
                    if image.omitted.is_empty() { "nothing".into() } else { image.omitted.join(", ") }
                };
                let (then, now) = (list(recorded), list(image));
                cell.notes.push(format!("not compared with the record: it lacks {then}, this one {now}"));
            }
            Some(recorded) => cell.over.extend(growth(recorded, image, self.catalog.budget.growth)),
        }
        let Some(ratio) = cell.ratio else {
            if let Some(said) =
                self.published.unpublished.iter().find(|x| attribute.product.name == *x.product)
            {
                cell.notes.push(format!("no size of {} was published, only: {}", said.product, said.said));
            }
            return cell;
        };
        if !cell.counted {
            cell.notes
                .push(format!("without {}: not counted against the published one", image.omitted.join(", ")));
            return cell;
        }
        for budget in self.catalog.budget.bases.iter().filter(|budget| is_for(budget, attribute)) {
            cell.over
                .extend(exceeded(ratio, budget.cell).map(|over| format!("{over}, of the published image")));
        }
        cell
    }

    fn mean(
        self,
        budget: &BaseBudget,
        weighed: &BTreeMap<String, Image>,
        attributes: &Attributes<'_>,
    ) -> Option<Mean> {
        let ratio = |attribute: &Attribute<'_>| {
            let image = weighed.get(&attribute.name).or_else(|| self.record.images.get(&attribute.name))?;
            let published = self.published.of(attribute)?;
            image.omitted.is_empty().then(|| Ratio::of(image, published))
        };
        let counted = attributes.iter().filter(|attribute| is_for(budget, attribute));
        let ratios: Vec<Ratio> = counted.filter_map(ratio).collect();
        if ratios.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few dozen images")]
        let mean = |figure: fn(&Ratio) -> f64| {
            (ratios.iter().map(|ratio| figure(ratio).ln()).sum::<f64>() / ratios.len() as f64).exp()
        };
        let ratio =
            Ratio { compressed: mean(|ratio| ratio.compressed), extracted: mean(|ratio| ratio.extracted) };
        let over = exceeded(ratio, budget.mean);
        let over = over.map(|over| format!("{over}, in the mean of {} images", ratios.len())).collect();
        Some(Mean { base: budget.base.to_string(), cells: ratios.len(), ratio, over })
    }
}

fn is_for(budget: &BaseBudget, attribute: &Attribute<'_>) -> bool {
    budget.is_for(attribute.base.name.as_str(), attribute.release.version.as_str())
}

/// What of a ratio is over its limit.
fn exceeded(ratio: Ratio, limit: catalog::Ratios) -> impl Iterator<Item = String> {
    let figures =
        [("compressed", ratio.compressed, limit.compressed), ("extracted", ratio.extracted, limit.extracted)];
    figures.into_iter().filter_map(|(figure, ratio, limit)| {
        let limit = limit.filter(|limit| ratio > *limit)?;
        Some(format!("{figure} is {ratio:.3}, more than {limit:.2}"))
    })
}

/// Says what grew by more than is allowed, if anything did: the image as a whole or one of its layers, for nothing that
/// shrinks elsewhere makes up for it.
fn growth(recorded: &Image, image: &Image, allowed: Figures<u64>) -> Option<String> {
    let image = image.coarse(Some(recorded));
    let whole = [
        ("compressed", Delta { before: recorded.compressed, after: image.compressed }, allowed.compressed),
        ("extracted", Delta { before: recorded.extracted, after: image.extracted }, allowed.extracted),
    ];
    let mut over: Vec<String> = Vec::new();
    for (figure, delta, allowed) in whole {
        if delta.growth() > allowed {
            over.push(format!(
                "{} bytes more {figure} than recorded, {} allowed",
                bytes(delta.growth()),
                bytes(allowed)
            ));
        }
    }
    let before: BTreeMap<&str, &Layer> =
        recorded.layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
    let changes = image
        .layers
        .iter()
        .map(|layer| diff::layer(&layer.name, before.get(&*layer.name).copied(), Some(layer)));
    let grown: Vec<LayerChange> =
        changes.filter(|layer| layer.compressed.growth() > 0 || layer.extracted.growth() > 0).collect();
    for layer in &grown {
        let too_much =
            layer.compressed.growth() > allowed.compressed || layer.extracted.growth() > allowed.extracted;
        if too_much && over.is_empty() {
            over.push("one layer grew by more than is allowed, whatever shrank elsewhere".to_owned());
        }
    }
    if over.is_empty() {
        return None;
    }
    let mut text = over.join("; ");
    for layer in &grown {
        let _ = write!(text, "\n  {}\n", line(layer));
        lines(&mut text, layer, "  ");
        text.truncate(text.trim_end().len());
    }
    Some(text)
}

impl Verdict {
    /// Is everything within its budget?
    ///
    /// # Errors
    /// [`Kind::Budget`] naming what is not, and where it grew.
    pub fn check(&self) -> Result<()> {
        let mut text = String::new();
        let mut count = 0;
        let cells = self.cells.iter().map(|cell| (cell.attribute.clone(), &cell.over));
        let means = self.means.iter().map(|mean| (format!("base {}", mean.base), &mean.over));
        for (name, over) in cells.chain(means) {
            for paragraph in over {
                count += 1;
                let _ = write!(text, "\n{name}: {paragraph}");
            }
        }
        if count == 0 {
            return Ok(());
        }
        let message = format!("over the budget, {count} times:{}", text.replace('\n', "\n  "));
        Err(Fault::new(Kind::Budget, message)
            .help(
                "what grew for a reason: `cargo xtask size record ATTR...`, and say why in the commit; \
                 [budget] of images/catalog.toml has the limits",
            )
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{image, layer};
    use catalog::Ratios;

    const ATTRIBUTE: &str = "kubelet-v1_26_0-cni-micro-amd64";
    const MIB: u64 = 1 << 20;

    /// The catalog with limits of the tests' own.
    fn catalog() -> Catalog {
        let text = include_str!("../../../../images/catalog.toml");
        let mut catalog = Catalog::parse(text, "catalog.toml").unwrap();
        catalog.budget.growth = Figures { compressed: 32_768, extracted: 65_536 };
        catalog.budget.bases.retain(|base| base.base == *"micro");
        for base in &mut catalog.budget.bases {
            base.releases = None;
            base.cell = Ratios { compressed: Some(0.65), extracted: Some(0.80) };
            base.mean = Ratios { compressed: Some(0.47), extracted: Some(0.70) };
        }
        catalog
    }

    fn published(catalog: &Catalog) -> Published {
        Published::parse(include_str!("../../../../images/published-sizes.toml"), "published", catalog)
            .unwrap()
    }

    /// The base, the kubelet and the plugins.
    fn stack(cni_compressed: u64, cni_module: u64) -> Image {
        image(vec![
            layer("micro", "aa", 100_000, 70_000),
            layer("kubelet", "bb", 15 * MIB, 50 * MIB),
            layer("cni", "cc", cni_compressed, cni_module),
        ])
    }

    fn judged(recorded: Option<Image>, image: Image) -> Verdict {
        let catalog = catalog();
        let images = recorded.map(|image| (ATTRIBUTE.to_owned(), image.coarse(None)));
        let record = Record { images: images.into_iter().collect() };
        let rules = Rules { catalog: &catalog, record: &record, published: &published(&catalog) };
        judge(rules, &[(ATTRIBUTE.to_owned(), image)].into()).unwrap()
    }

    #[test]
    fn two_hundred_kilobytes_more_in_a_component_are_named() {
        let verdict = judged(Some(stack(3 * MIB, 8 * MIB)), stack(3 * MIB + 70_000, 8 * MIB + 200_000));
        let error = verdict.check().unwrap_err();
        assert_eq!(fault::exit_code(&error), 11);
        insta::assert_snapshot!(error);
    }

    #[test]
    fn what_shrinks_elsewhere_does_not_make_up_for_it() {
        let mut after = stack(3 * MIB, 8 * MIB + 200_000);
        after.layers[1] = layer("kubelet", "dd", 15 * MIB, 49 * MIB);
        after.extracted -= MIB;
        let error = judged(Some(stack(3 * MIB, 8 * MIB)), after).check().unwrap_err();
        assert!(error.to_string().contains("layer cni"), "{error}");
    }

    #[test]
    fn within_the_tolerance_or_smaller_passes() {
        let recorded = || Some(stack(3 * MIB, 8 * MIB));
        judged(recorded(), stack(3 * MIB + 32_768, 8 * MIB + 65_536)).check().unwrap();
        judged(recorded(), stack(3 * MIB + 32_769, 8 * MIB)).check().unwrap_err();
        judged(recorded(), stack(3 * MIB, 8 * MIB + 65_537)).check().unwrap_err();
        judged(recorded(), stack(MIB, MIB)).check().unwrap();
    }

    #[test]
    fn the_published_image_is_a_limit_of_its_own() {
        let verdict = judged(None, stack(30 * MIB, 60 * MIB));
        let error = verdict.check().unwrap_err();
        insta::assert_snapshot!(error);
        assert_eq!(
            verdict.cells[0].notes,
            ["not recorded yet: `cargo xtask size record kubelet-v1_26_0-cni-micro-amd64`"]
        );
    }

    #[test]
    fn what_lacks_something_is_listed_but_not_counted() {
        let without = Image { omitted: vec!["bandwidth".into()], ..stack(60 * MIB, 90 * MIB) };
        let verdict = judged(None, without.clone());
        verdict.check().unwrap();
        assert!(!verdict.cells[0].counted && verdict.means.is_empty());
        assert!(verdict.cells[0].ratio.unwrap().compressed > 1.0);
        let notes = judged(Some(stack(MIB, MIB)), without).cells[0].notes.join("\n");
        insta::assert_snapshot!(notes);
    }

    #[test]
    fn the_mean_is_over_all_that_is_recorded() {
        let catalog = catalog();
        let good = stack(MIB, MIB);
        let images =
            ["amd64", "arm64"].map(|arch| (format!("kubelet-v1_26_0-cni-micro-{arch}"), good.clone()));
        let record = Record { images: images.into() };
        let rules = Rules { catalog: &catalog, record: &record, published: &published(&catalog) };
        let weighed = ("kubelet-v1_26_0-kubeadm-cni-micro-arm32v7".to_owned(), good.clone());
        let verdict = judge(rules, &[weighed].into()).unwrap();
        let ours = mib(good.compressed);
        let expected = ours / (44.43 * 41.32 * 59.19_f64).cbrt();
        let mean = &verdict.means[0];
        assert_eq!((mean.base.as_str(), mean.cells), ("micro", 3));
        assert!((mean.ratio.compressed - expected).abs() < 1e-9, "{mean:?}");
    }
}
