//! README's table: ours beside what was published.

use std::collections::BTreeSet;
use std::fmt::Write;

use anyhow::Result;
use catalog::{Arch, Attribute, Attributes, Catalog, Scope, Variant};

use crate::budget::Ratio;
use crate::published::Published;
use crate::record::Record;
use crate::render::mib;

/// What the table stands between in a page.
pub const BEGIN: &str = "<!-- sizes: made by `cargo xtask size table` -->\n";
/// See [`BEGIN`].
pub const END: &str = "<!-- sizes: end -->\n";

/// The tables, one a release and base that something is recorded of.
pub fn markdown(catalog: &Catalog, record: &Record, published: &Published) -> String {
    let attributes = Attributes::of(catalog);
    let images = || attributes.iter().filter(|attribute| matches!(attribute.scope, Scope::Image(_)));
    let place = |attribute: &Attribute<'_>| {
        let product = attribute.product.name.to_string();
        (product, attribute.release.version.to_string(), attribute.base.name.to_string())
    };
    let recorded = images().filter(|attribute| record.images.contains_key(&attribute.name));
    let places: BTreeSet<_> = recorded.map(place).collect();
    let mut out = String::new();
    let mut omitted = BTreeSet::new();
    // In the catalog's order, each place once.
    let mut done = BTreeSet::new();
    for (product, release, base) in images().map(place) {
        let key = (product, release, base);
        if !places.contains(&key) || !done.insert(key.clone()) {
            continue;
        }
        let (product, release, base) = key;
        let cell = |variant: &Variant, arch: &Arch| {
            images().find(|attribute| {
                place(attribute) == (product.clone(), release.clone(), base.clone())
                    && attribute.variant.name == *variant.name.as_str()
                    && matches!(attribute.scope, Scope::Image(of) if of.name == *arch.name.as_str())
            })
        };
        let ours = |attribute: &Attribute<'_>| record.images.get(&attribute.name);
        let known = |variant: &Variant, arch: &Arch| {
            let is = |attribute| ours(attribute).is_some() || published.of(attribute).is_some();
            cell(variant, arch).is_some_and(is)
        };
        // Only what there is a figure of: a release that nobody published has no column for that.
        let variants = || catalog.variants.iter().filter(|variant| variant.product == *product);
        let arches: Vec<&Arch> =
            catalog.arches.iter().filter(|arch| variants().any(|variant| known(variant, arch))).collect();
        let variants: Vec<&Variant> =
            variants().filter(|variant| arches.iter().any(|arch| known(variant, arch))).collect();
        let beside = variants.iter().any(|variant| {
            arches.iter().any(|arch| cell(variant, arch).is_some_and(|it| published.of(it).is_some()))
        });
        let _ = write!(out, "| {product} {release}, {base} |");
        let column = if beside { " | published |" } else { " |" };
        for arch in &arches {
            let _ = write!(out, " {}{column}", arch.name);
        }
        out.push_str("\n| --- |");
        out.push_str(&(if beside { " ---: | ---: |" } else { " ---: |" }).repeat(arches.len()));
        out.push('\n');
        for variant in variants {
            let _ = write!(out, "| {} |", variant.name);
            for attribute in arches.iter().map(|arch| cell(variant, arch)) {
                let image = attribute.and_then(ours);
                let theirs = attribute.and_then(|attribute| published.of(attribute));
                let ours = image.map_or("not recorded".to_owned(), |image| {
                    omitted.extend(image.omitted.iter().cloned());
                    let mark = if image.omitted.is_empty() { "" } else { "\\*" };
                    let ratio = theirs.map(|theirs| Ratio::of(image, theirs));
                    let ratio =
                        ratio.map(|ratio| format!(" ({:.2} / {:.2})", ratio.compressed, ratio.extracted));
                    let (compressed, extracted) = (mib(image.compressed), mib(image.extracted));
                    format!("{compressed:.2} / {extracted:.2}{mark}{}", ratio.unwrap_or_default())
                });
                let _ = write!(out, " {ours} |");
                if beside {
                    let theirs = theirs.map_or("not published".to_owned(), |mib| {
                        format!("{:.2} / {:.2}", mib.compressed, mib.extracted)
                    });
                    let _ = write!(out, " {theirs} |");
                }
            }
            out.push('\n');
        }
        out.push('\n');
    }
    if !omitted.is_empty() {
        let omitted: Vec<_> = omitted.into_iter().collect();
        let _ = writeln!(
            out,
            "\\* without {}, which the published image has: not to be compared.\n",
            omitted.join(", ")
        );
    }
    for product in &published.unpublished {
        let _ = writeln!(out, "Of {} no size was published, only: \"{}\".\n", product.product, product.said);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// The page with the table in its place.
///
/// # Errors
/// [`fault::Kind::InvalidData`] if the page has no such place.
pub fn replaced(page: &str, file: &str, table: &str) -> Result<String> {
    files::replace_marked(page, file, [BEGIN, END], table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::record::tests::{image, layer};

    #[test]
    fn ours_stand_beside_the_published_ones() {
        let catalog =
            Catalog::parse(include_str!("../../../../images/catalog.toml"), "catalog.toml").unwrap();
        let published =
            Published::parse(include_str!("../../../../images/published-sizes.toml"), "published", &catalog)
                .unwrap();
        let plain = image(vec![layer("kubelet", "aa", 17_000_000, 60_000_000)]);
        let without = Image { omitted: vec!["crictl".into()], ..plain.clone() };
        let images = [
            ("kubelet-v1_26_0-amd64".to_owned(), plain.clone()),
            ("kubelet-v1_26_0-kubeadm-arm64".to_owned(), without),
            ("kubelet-v1_24_17-arm32v7".to_owned(), plain),
        ];
        let record = Record { images: images.into() };
        insta::assert_snapshot!(markdown(&catalog, &record, &published));
    }

    #[test]
    fn only_the_place_between_the_marks_changes() {
        let page = format!("a\n{BEGIN}old\n{END}b\n");
        let new = replaced(&page, "README.md", "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n\n{END}b\n"));
        assert_eq!(replaced(&new, "README.md", "new\n").unwrap(), new);
        assert_eq!(fault::exit_code(&replaced("a", "README.md", "").unwrap_err()), 3);
    }
}
