use super::*;
use crate::record::tests::{image, layer};
use catalog::Ratios;

const ATTRIBUTE: &str = "kubelet-v1_26_0-cni-amd64";
const MIB: u64 = 1 << 20;

/// The catalog with limits of the tests' own.
fn catalog() -> Catalog {
    let text = include_str!("../../../../../images/catalog.toml");
    let mut catalog = Catalog::parse(text, "catalog.toml").unwrap();
    catalog.budget.growth = Figures { compressed: 32_768, extracted: 65_536 };
    catalog.budget.bases.retain(|base| base.base == *"micro");
    for base in &mut catalog.budget.bases {
        base.releases = None;
        base.cell = Ratios { compressed: Some(0.65), extracted: Some(0.80) };
        base.mean = Ratios { compressed: Some(0.47), extracted: Some(0.70) };
        base.zstd_mean = Ratios { compressed: Some(0.37), extracted: None };
    }
    catalog
}

fn published(catalog: &Catalog) -> Published {
    Published::parse(include_str!("../../../../../images/published-sizes.toml"), "published", catalog)
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
        ["not recorded yet: `cargo xtask size record kubelet-v1_26_0-cni-amd64`"]
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
    let images = ["amd64", "arm64"].map(|arch| (format!("kubelet-v1_26_0-cni-{arch}"), good.clone()));
    let record = Record { images: images.into() };
    let rules = Rules { catalog: &catalog, record: &record, published: &published(&catalog) };
    let weighed = ("kubelet-v1_26_0-kubeadm-cni-arm32v7".to_owned(), good.clone());
    let verdict = judge(rules, &[weighed].into()).unwrap();
    let ours = mib(good.compressed);
    let expected = ours / (44.43 * 41.32 * 59.19_f64).cbrt();
    let mean = &verdict.means[0];
    assert_eq!((mean.base.as_str(), mean.cells), ("micro", 3));
    assert!((mean.ratio.compressed - expected).abs() < 1e-9, "{mean:?}");
}

/// The plugins' image and that for another architecture, in the record as gzip, both with zstd in `weighed`.
fn judged_zstd(compressed: &[(&str, u64)]) -> Verdict {
    let catalog = catalog();
    // Far smaller than what is weighed: held against the record, each would be over its budget.
    let images = ["amd64", "arm64"].map(|arch| (format!("kubelet-v1_26_0-cni-{arch}"), stack(MIB, MIB)));
    let record = Record { images: images.into() };
    let rules = Rules { catalog: &catalog, record: &record, published: &published(&catalog) };
    let weighed = compressed
        .iter()
        .map(|(arch, size)| (format!("kubelet-v1_26_0-cni-{arch}-zstd"), stack(*size, 2 * MIB)));
    judge(rules, &weighed.collect()).unwrap()
}

#[test]
fn zstd_images_are_compared_with_the_published_ones_and_not_with_the_record() {
    let verdict = judged_zstd(&[("amd64", MIB), ("arm64", 0)]);
    verdict.check().unwrap();
    let cell = &verdict.cells[0];
    assert_eq!((cell.attribute.as_str(), cell.set), ("kubelet-v1_26_0-cni-amd64-zstd", Set::Zstd));
    assert_eq!(cell.notes, ["not compared with the record: only gzip images are recorded"]);
    assert!((cell.ratio.unwrap().compressed - mib(16 * MIB + 101_000) / 44.43).abs() < 1e-9, "{cell:?}");
    let [gzip, zstd] = &verdict.means[..] else { panic!("{:?}", verdict.means) };
    assert_eq!((gzip.set, gzip.cells, zstd.set, zstd.cells), (Set::Gzip, 2, Set::Zstd, 2));
    // The gzip mean is the record's, whatever else was weighed.
    assert_eq!(gzip.ratio.compressed.to_bits(), judged_zstd(&[]).means[0].ratio.compressed.to_bits());
    assert!(gzip.held && zstd.held && zstd.ratio.compressed < gzip.ratio.compressed);
}

#[test]
fn the_mean_of_zstd_images_has_a_limit_of_its_own() {
    let verdict = judged_zstd(&[("amd64", MIB), ("arm64", MIB)]);
    let error = verdict.check().unwrap_err();
    assert_eq!(fault::exit_code(&error), 11);
    insta::assert_snapshot!(error, @r"
    over the budget, 1 times:
      base micro, zstd: compressed is 0.376, more than 0.37, in the mean of 2 images
    ");
    // 0.65 holds for each image of either set.
    let error = judged_zstd(&[("amd64", 15 * MIB), ("arm64", MIB)]).check().unwrap_err();
    insta::assert_snapshot!(error, @r"
    over the budget, 2 times:
      kubelet-v1_26_0-cni-amd64-zstd: compressed is 0.677, more than 0.65, of the published image
      base micro, zstd: compressed is 0.514, more than 0.37, in the mean of 2 images
    ");
}

#[test]
fn the_mean_of_some_zstd_images_is_shown_but_not_held() {
    let verdict = judged_zstd(&[("arm64", 3 * MIB)]);
    verdict.check().unwrap();
    let mean = &verdict.means[1];
    assert!(!mean.held && mean.ratio.compressed > 0.37, "{mean:?}");
    insta::assert_snapshot!(mean.notes.join("\n"), @"the mean is held to its limit once all 2 images are weighed; missing: kubelet-v1_26_0-cni-amd64-zstd");
}
