//! What Nix needs of the plan, as `images/plan.json` has it: attributes, parts and closures as results, so that `nix/`
//! repeats no rule.
//!
//! What is left out (`omit`) is an argument there, so a component says which closure it takes by what is kept of it.

use std::collections::BTreeMap;

use anyhow::Result;
use catalog::{Attribute, Attributes, Catalog, Content, Name, Scope};
use digest::Digest;
use gobuild::Spec;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::component;

/// From the top of the repository.
pub const PATH: &str = "images/plan.json";
/// The version of the format, which nix/plan.nix reads.
const VERSION: u32 = 2;

/// The file.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    /// Of the file of the catalog that this was made of: Nix, which reads both, refuses any other one.
    catalog: Digest,
    /// What `build` builds when nothing is named, by architecture.
    default: BTreeMap<&'a str, &'a str>,
    arches: Vec<&'a str>,
    /// How components are made; those that are not here go into their layer as they are.
    components: BTreeMap<&'a str, &'static str>,
    /// Of which of those a base's layer is, by base and product.
    bases: BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a str>>>,
    /// The closures of CNI plugins, and which version they are of.
    plugins: BTreeMap<String, &'a str>,
    /// The Go programs of components, by release and component.
    releases: BTreeMap<&'a str, BTreeMap<&'a str, Programs<'a>>>,
    images: Vec<Image<'a>>,
}

/// The Go programs that a component has in a release.
#[derive(Serialize)]
struct Programs<'a> {
    programs: Vec<&'a str>,
    /// The first of which all that it needs is kept is where their modules are.
    closures: Vec<Closure<'a>>,
}

#[derive(Serialize)]
struct Closure<'a> {
    needs: Vec<&'a str>,
    /// Below `images/go`.
    closure: String,
}

/// The images of a release, variant and base, and the index over them.
#[derive(Serialize)]
struct Image<'a> {
    /// What the index is called, and what else; an image's names have its architecture after a `-`.
    names: Vec<&'a str>,
    product: &'a str,
    release: &'a str,
    base: &'a str,
    /// The components above the base's layer, each a layer, lowest first.
    layers: Vec<&'a str>,
}

/// The file's text, by that of the catalog; `file` is what errors call the catalog.
///
/// # Errors
/// [`fault::Kind::InvalidData`] if the catalog is not valid, or no closure holds the modules of a component's programs together.
pub fn text(toml: &str, file: &str) -> Result<String> {
    let catalog = Catalog::parse(toml, file)?;
    let attributes = Attributes::of(&catalog);
    let document = Document::of(&catalog, Digest::of(toml), &attributes)?;
    let mut text = lines(&serde_json::to_value(document)?, 2, "");
    text.push('\n');
    Ok(text)
}

impl<'a> Document<'a> {
    fn of(catalog: &'a Catalog, digest: Digest, attributes: &'a Attributes<'a>) -> Result<Self> {
        let mut plugins = BTreeMap::new();
        let mut releases: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for release in &catalog.releases {
            let components = releases.entry(release.version.as_str()).or_default();
            for component in &catalog.components {
                let Content::Go(go) = component.content() else { continue };
                let programs = go.programs_in(catalog, release).collect::<Vec<_>>();
                let mut closures = Vec::new();
                for (needs, spec) in component::choices(catalog, release, &programs)? {
                    let closure = spec.dir().display().to_string();
                    if let Spec::Cni { .. } = spec {
                        plugins.insert(closure.clone(), release.cni_plugins.as_str());
                    }
                    closures.push(Closure { needs, closure });
                }
                let programs = programs.iter().map(|program| program.name.as_str()).collect();
                components.insert(component.name.as_str(), Programs { programs, closures });
            }
        }
        let made = catalog.components.iter();
        let made = made.filter_map(|component| Some((component.name.as_str(), kind(component.content())?)));
        let components: BTreeMap<_, _> = made.collect();
        let part_of = |product: &str, name: &str| {
            components.contains_key(name) && catalog.component(name).is_some_and(|part| part.is_for(product))
        };
        let parts = |base: &'a catalog::Base, product: &'a catalog::Product| {
            let names = base.components.iter().map(Name::as_str);
            let names = names.filter(|name| part_of(product.name.as_str(), name)).collect();
            (product.name.as_str(), names)
        };
        let base = |base: &'a catalog::Base| {
            (base.name.as_str(), catalog.products.iter().map(|product| parts(base, product)).collect())
        };
        let default = |arch: &'a catalog::Arch| {
            Some((arch.name.as_str(), attributes.default_for(&arch.architecture)?.name.as_str()))
        };
        let indexes = attributes.iter().filter(|attribute| matches!(attribute.scope, Scope::Index));
        Ok(Self {
            version: VERSION,
            catalog: digest,
            default: catalog.arches.iter().filter_map(default).collect(),
            arches: catalog.arches.iter().map(|arch| arch.name.as_str()).collect(),
            bases: catalog.bases.iter().map(base).collect(),
            components,
            plugins,
            releases,
            images: indexes.map(Image::of).collect(),
        })
    }
}

impl<'a> Image<'a> {
    fn of(index: &'a Attribute<'a>) -> Self {
        Self {
            names: std::iter::once(&index.name).chain(&index.aliases).map(String::as_str).collect(),
            product: index.product.name.as_str(),
            release: index.release.version.as_str(),
            base: index.base.name.as_str(),
            layers: index.variant.components.iter().map(Name::as_str).collect(),
        }
    }
}

/// How Nix makes it, if it is made.
fn kind(content: Content<'_>) -> Option<&'static str> {
    match content {
        Content::Go(_) => Some("go"),
        Content::Rust(_) => Some("rust"),
        Content::Certificates(_) => Some("certificates"),
        Content::Links(_) | Content::Files(_) | Content::Directories(_) => None,
    }
}

/// As JSON, with the items of so many levels, and of maps of maps, each on a line of its own: a change of the catalog is a
/// change of few lines.
fn lines(value: &Value, levels: u32, indent: &str) -> String {
    let inner = format!("{indent}  ");
    let item = |value: &Value| lines(value, levels.saturating_sub(1), &inner);
    let named = |(name, value): (&String, &Value)| format!("{}: {}", Value::from(name.as_str()), item(value));
    let is_of_maps = |items: &Map<String, Value>| !items.is_empty() && items.values().all(Value::is_object);
    let (open, items, close): (_, Vec<String>, _) = match value {
        Value::Array(items) if levels > 0 => ('[', items.iter().map(item).collect(), ']'),
        Value::Object(items) if levels > 0 || is_of_maps(items) => {
            ('{', items.iter().map(named).collect(), '}')
        }
        _ => return value.to_string(),
    };
    format!("{open}\n{inner}{}\n{indent}{close}", items.join(&format!(",\n{inner}")))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::{Options, Planner, Sources};

    fn catalog(edit: impl Fn(String) -> String) -> Catalog {
        let text = std::fs::read_to_string(root().join("images/catalog.toml")).unwrap();
        Catalog::parse(&edit(text), "catalog.toml").unwrap()
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
    }

    /// As nix/plan.nix takes it.
    fn chosen(programs: &Programs<'_>, omit: &[&str]) -> Option<String> {
        let is_kept = |name: &&str| !omit.contains(name);
        programs.programs.iter().find(|name| is_kept(name))?;
        let closure = programs.closures.iter().find(|closure| closure.needs.iter().all(is_kept)).unwrap();
        Some(closure.closure.clone())
    }

    /// Whatever one or two programs are left out: the table gives the closure that a build takes.
    fn assert_closures(catalog: &Catalog) {
        let attributes = Attributes::of(catalog);
        let document = Document::of(catalog, Digest::of(""), &attributes).unwrap();
        let sources = Sources::read(&root()).unwrap();
        let mut compared = 0;
        for (version, components) in &document.releases {
            let release = catalog.release(version).unwrap();
            for (name, programs) in components {
                for one in &programs.programs {
                    for other in &programs.programs {
                        let omit = [*one, *other];
                        let Some(found) = chosen(programs, &omit) else { continue };
                        let options = Options { omit: omit.map(str::to_owned).into(), ..Options::default() };
                        let expected = Planner { catalog, sources: &sources, options: &options };
                        let expected = expected.go_closure(name, release).unwrap();
                        assert_eq!(found, expected.dir().display().to_string(), "{version} {name} {omit:?}");
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 1000, "{compared}");
    }

    #[test]
    fn closures_are_those_of_builds() {
        assert_closures(&catalog(|text| text));
    }

    #[test]
    fn closures_of_several_programs_that_decide_are_those_of_builds() {
        assert_closures(&catalog(|text| {
            let carried = "carry = [\"flannel\", \"portmap\"]";
            let text = text.replace("carry = [\"flannel\"]", carried);
            let portmap = "plugins/meta/portmap\"\nclosure = \"cni-plugins\"\n";
            let moved = format!("{portmap}until = \"v0.9.0\"\nmoved-to = \"example.org/portmap\"\n");
            let text = text.replace(portmap, &moved);
            assert!(text.contains(carried) && text.contains(&moved));
            text
        }));
    }

    #[test]
    fn names_of_images_are_their_indexs_and_an_architecture() {
        let catalog = catalog(|text| text);
        let attributes = Attributes::of(&catalog);
        let document = Document::of(&catalog, Digest::of(""), &attributes).unwrap();
        let mut composed = Vec::new();
        for image in &document.images {
            for arch in &document.arches {
                composed.push(image.names.iter().map(|name| format!("{name}-{arch}")).collect::<Vec<_>>());
            }
            composed.push(image.names.iter().map(|name| (*name).to_owned()).collect());
        }
        let names =
            |attribute: &Attribute<'_>| [std::slice::from_ref(&attribute.name), &attribute.aliases].concat();
        assert_eq!(composed, attributes.iter().map(names).collect::<Vec<_>>());
    }

    #[test]
    fn a_base_has_the_parts_of_the_product() {
        let catalog =
            catalog(|text| text.replacen("[component.rust]", "product = \"kubelet\"\n[component.rust]", 1));
        let attributes = Attributes::of(&catalog);
        let document = Document::of(&catalog, Digest::of(""), &attributes).unwrap();
        assert_eq!(document.bases["micro"]["kubelet"], ["entrypoint", "ca-certificates"]);
        assert_eq!(document.bases["micro"]["kube-proxy"], ["ca-certificates"]);
    }

    #[test]
    fn items_are_on_lines_of_their_own() {
        let value = serde_json::json!({ "list": [[1, 2], { "a": "\"" }], "map": { "b": { "c": {}, "d": { "e": [] } } } });
        insta::assert_snapshot!(lines(&value, 2, ""), @r#"
        {
          "list": [
            [1,2],
            {"a":"\""}
          ],
          "map": {
            "b": {
              "c": {},
              "d": {"e":[]}
            }
          }
        }
        "#);
    }
}
