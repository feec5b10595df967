//! Plans of one part of an image by itself: what an executor that makes each part apart, such as Nix, asks for.

use anyhow::Result;
use catalog::{Arch, Attribute, Attributes, Content, Name, Scope};
use fault::{Fault, Kind};

use crate::layer::Builder;
use crate::{Plan, Planner};

/// What a part is for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The product's name: bases differ by it.
    pub product: &'a str,
    /// The release's version.
    pub release: &'a str,
    /// The architecture's name in attributes.
    pub arch: &'a str,
}

impl Planner<'_> {
    /// Plans one component.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the catalog has no such component there; [`Kind::Usage`] if it is nothing that is made.
    pub fn component(self, name: &str, place: Place<'_>) -> Result<Plan> {
        let has = |names: &[Name]| names.iter().any(|component| component.as_str() == name);
        let mut plan = Plan::default();
        let attributes = Attributes::of(self.catalog);
        let (attribute, arch) = place.find(&attributes, name, |attribute| {
            has(&attribute.base.components) || has(&attribute.variant.components)
        })?;
        Builder { planner: self, attribute, arch, plan: &mut plan }.entries(name, &mut Vec::new())?;
        if plan.components.is_empty() {
            let message = format!("`{name}` is not made: it goes into its layer as it is");
            return Err(Fault::new(Kind::Usage, message).into());
        }
        Ok(plan)
    }

    /// Plans one layer, by the name of its base or component, with the components it needs.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if no image there has such a layer.
    pub fn layer(self, name: &str, place: Place<'_>) -> Result<Plan> {
        let mut plan = Plan::default();
        let attributes = Attributes::of(self.catalog);
        let is_base = |attribute: &Attribute<'_>| attribute.base.name.as_str() == name;
        let (attribute, arch) = place.find(&attributes, name, |attribute| {
            is_base(attribute)
                || attribute.variant.components.iter().any(|component| component.as_str() == name)
        })?;
        let mut builder = Builder { planner: self, attribute, arch, plan: &mut plan };
        let made = if is_base(attribute) {
            let alpine = builder.alpine()?;
            builder.layer(name, &attribute.base.components, alpine)?
        } else {
            let component = self.catalog.component(name).map(|component| component.name.clone());
            builder.layer(name, component.as_slice(), None)?
        };
        if made.is_none() {
            return Err(Fault::new(Kind::Usage, format!("all of the layer `{name}` is omitted")).into());
        }
        Ok(plan)
    }

    /// Plans, for every architecture, the components whose Go modules are in the closure of this name: `cni-plugins-v0.9.1`,
    /// `v1.26.0/kube`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn modules(self, closure: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        for attribute in Attributes::of(self.catalog).iter() {
            let Scope::Image(arch) = attribute.scope else { continue };
            for name in &attribute.variant.components {
                let Some(Content::Go(_)) =
                    self.catalog.component(name.as_str()).map(catalog::Component::content)
                else {
                    continue;
                };
                let spec = self.go_closure(name.as_str(), attribute.release)?;
                if spec.dir() == std::path::Path::new(closure) {
                    Builder { planner: self, attribute, arch, plan: &mut plan }
                        .entries(name.as_str(), &mut Vec::new())?;
                }
            }
        }
        if plan.components.is_empty() {
            return Err(Fault::new(Kind::NotFound, format!("no component's modules are in `{closure}`"))
                .help("images/go has them: `v1.26.0/kube`")
                .into());
        }
        Ok(plan)
    }
}

impl Place<'_> {
    fn find<'s, 'c>(
        &self,
        attributes: &'s Attributes<'c>,
        name: &str,
        has: impl Fn(&Attribute<'_>) -> bool,
    ) -> Result<(&'s Attribute<'c>, &'c Arch)> {
        let found = attributes.iter().find_map(|attribute| match attribute.scope {
            Scope::Image(arch)
                if arch.name.as_str() == self.arch
                    && attribute.product.name.as_str() == self.product
                    && attribute.release.version.as_str() == self.release
                    && has(attribute) =>
            {
                Some((attribute, arch))
            }
            _ => None,
        });
        found.ok_or_else(|| {
            let Self { product, release, arch } = self;
            Fault::new(Kind::NotFound, format!("no image of {product} {release} for {arch} has a part `{name}`"))
                .help("images/catalog.toml has the names of products, releases, architectures, bases and components")
                .into()
        })
    }
}
