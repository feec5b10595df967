//! Which image of the catalog one is, by what it says of itself.

use catalog::{Attribute, Attributes, Scope, label};
use oci::layout::LayoutImage;

/// The attribute of an image.
pub fn attribute<'a>(attributes: &'a Attributes<'_>, image: &LayoutImage) -> Option<&'a Attribute<'a>> {
    let platform = image.platform();
    attributes.iter().find(|attribute| {
        let Scope::Image(arch) = attribute.scope else { return false };
        annotation(image, label::TITLE) == attribute.product.title
            && annotation(image, label::VERSION) == attribute.release.version.as_str()
            && own(image, "variant") == attribute.variant.name.as_str()
            && own(image, "base") == attribute.base.name.as_str()
            && arch.platform() == platform
    })
}

/// What was left out of it.
pub fn omitted(image: &LayoutImage) -> Vec<String> {
    own(image, label::OMITTED).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Is it Kubernetes exactly as released?
pub fn is_unedited(image: &LayoutImage) -> bool {
    own(image, label::UNEDITED) == "true"
}

/// An annotation of this product's own; empty where there is none.
pub fn own<'i>(image: &'i LayoutImage, name: &str) -> &'i str {
    annotation(image, &format!("{}{name}", label::OWN))
}

fn annotation<'i>(image: &'i LayoutImage, key: &str) -> &'i str {
    let annotations = image.manifest.annotations().as_ref();
    annotations.and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default()
}
