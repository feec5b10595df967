//! Who plans: whole targets, and what tells what planning them needs.

use anyhow::{Context, Result};
use catalog::{Arch, Attribute, Attributes, Catalog, Content, Pack, Release, Scope};
use fault::{Fault, Kind};
use gobuild::Spec;

use crate::layer::Builder;
use crate::{Component, Index, Layer, Options, Plan, Sources, Target, component, image};

/// What plans are made from.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// What is built.
    pub catalog: &'a Catalog,
    /// The repository's other files.
    pub sources: &'a Sources,
    /// What the user chose.
    pub options: &'a Options,
}

impl<'a> Planner<'a> {
    /// Plans the targets with these names.
    pub fn plan(self, names: &[String]) -> Result<Plan> {
        check_omit(self.catalog, &self.options.omit)?;
        check_arches(self.catalog, &self.options.arches)?;
        let attributes = Attributes::of(self.catalog);
        let mut plan = Plan { suffix: self.options.suffix(), ..Plan::default() };
        for name in names {
            let attribute = attributes.get(name)?;
            if plan.targets.iter().any(|target| target.attribute() == attribute.name) {
                continue;
            }
            let target = match attribute.scope {
                Scope::Image(_) => {
                    self.add_image(&mut plan, attribute)?;
                    Target::Image(attribute.name.clone())
                }
                Scope::Index => self.index(&mut plan, attribute, &attributes)?,
            };
            plan.targets.push(target);
        }
        Ok(plan)
    }

    fn index(self, plan: &mut Plan, index: &Attribute<'_>, all: &Attributes<'_>) -> Result<Target> {
        let options = self.options;
        let members: Vec<_> = all
            .iter()
            .filter(|other| matches!(other.scope, Scope::Image(arch) if options.indexes(arch)))
            .filter(|other| other.reference() == index.reference())
            .collect();
        for member in &members {
            self.add_image(plan, member)?;
        }
        Ok(Target::Index(Index {
            attribute: index.name.clone(),
            reference: index.reference() + &options.suffix(),
            images: members.iter().map(|member| member.name.clone()).collect(),
            annotations: image::annotations(index, options),
        }))
    }

    fn add_image(self, plan: &mut Plan, attribute: &Attribute<'_>) -> Result<()> {
        let Scope::Image(arch) = attribute.scope else { return Ok(()) };
        let layers = Builder { planner: self, attribute, arch, plan }.layers()?;
        let outlines = layers.iter().filter_map(|key| plan.layers.get(key)).map(Layer::outline);
        let outlines = outlines.collect::<Result<Vec<_>>>()?;
        oci::layer::check_stack(&outlines.iter().collect::<Vec<_>>())
            .with_context(|| format!("the layers of `{}`", attribute.name))?;
        let upx = plan.upx(&layers).cloned();
        let image = self.image(attribute, arch, layers, upx.as_ref())?;
        plan.images.insert(attribute.name.clone(), image);
        Ok(())
    }

    /// The programs that a component has in a release and that are not omitted.
    pub(crate) fn programs(self, go: &catalog::Go, release: &Release) -> Vec<&'a catalog::Program> {
        let all = go.programs_in(self.catalog, release);
        all.filter(|program| !self.options.omits(program.name.as_str())).collect()
    }

    /// The component of the catalog with this name, for a release and architecture, by itself: packed like this, whatever
    /// its policy is.
    ///
    /// # Errors
    /// As [`go_content`].
    pub fn go_component(self, name: &str, release: &Release, arch: &Arch, pack: Pack) -> Result<Component> {
        check_omit(self.catalog, &self.options.omit)?;
        let go = go_content(self.catalog, name)?;
        self.go(go, release, arch, &self.programs(go, release), self.packing(pack))
    }

    /// The Go closure that planning such a component reads.
    ///
    /// # Errors
    /// As [`go_content`].
    pub fn go_closure(self, name: &str, release: &Release) -> Result<Spec> {
        let programs = self.programs(go_content(self.catalog, name)?, release);
        Ok(component::closure(self.catalog, release, &programs)?.0)
    }

    /// The Go closures that planning these targets reads, for whoever makes those that are missing. What [`Options::unedited`]
    /// ones need depends on closures: until those are there, no others are named.
    pub fn closures(self, names: &[String]) -> Result<Vec<Spec>> {
        let attributes = Attributes::of(self.catalog);
        let mut specs = Vec::new();
        for name in names {
            let Attribute { variant, release, .. } = attributes.get(name)?;
            for component in
                variant.components.iter().filter_map(|name| self.catalog.component(name.as_str()))
            {
                let Content::Go(go) = component.content() else { continue };
                let programs = self.programs(go, release);
                if self.options.omits(component.name.as_str()) || programs.is_empty() {
                    continue;
                }
                let needed = if self.options.unedited {
                    let of = |program| self.needed_unedited(release, program);
                    programs.into_iter().map(of).collect::<Result<Vec<_>>>()?
                } else {
                    vec![component::closure(self.catalog, release, &programs)?.0]
                };
                for spec in needed {
                    if !specs.contains(&spec) {
                        specs.push(spec);
                    }
                }
            }
        }
        Ok(specs)
    }
}

/// The Go programs of a component of the catalog.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such component; [`Kind::Usage`] if it is not made of Go programs.
pub fn go_content<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c catalog::Go> {
    let packable = |component: &&catalog::Component| matches!(component.content(), Content::Go(_));
    let help = || {
        let all = catalog.components.iter().filter(packable).map(|component| component.name.as_str());
        format!("components of Go programs: {}", all.collect::<Vec<_>>().join(", "))
    };
    match catalog.component(name).map(catalog::Component::content) {
        Some(Content::Go(go)) => Ok(go),
        Some(_) => Err(Fault::new(Kind::Usage, format!("`{name}` has no Go programs")).help(help()).into()),
        None => {
            Err(Fault::new(Kind::NotFound, format!("there is no component `{name}`")).help(help()).into())
        }
    }
}

/// The Alpine bases of these targets, whose locks planning them reads.
pub fn alpine_bases<'c>(catalog: &'c Catalog, names: &[String]) -> Result<Vec<&'c catalog::Alpine>> {
    let attributes = Attributes::of(catalog);
    let mut bases: Vec<&catalog::Alpine> = Vec::new();
    for name in names {
        bases.extend(attributes.get(name)?.base.alpine.as_ref());
    }
    bases.sort_by_key(|alpine| alpine.branch.as_str());
    bases.dedup_by_key(|alpine| alpine.branch.as_str());
    Ok(bases)
}

/// Every architecture must be one of the catalog's.
fn check_arches(catalog: &Catalog, arches: &[String]) -> Result<()> {
    let known = |name: &String| catalog.arches.iter().any(|arch| arch.name == **name);
    let Some(name) = arches.iter().find(|name| !known(name)) else { return Ok(()) };
    let all: Vec<_> = catalog.arches.iter().map(|arch| arch.name.as_str()).collect();
    let fault = Fault::new(Kind::NotFound, format!("there is no architecture `{name}`"));
    Err(fault.help(format!("the catalog has {}", all.join(", "))).into())
}

/// Every name to omit must be a program's or a component's.
fn check_omit(catalog: &Catalog, omit: &[String]) -> Result<()> {
    for name in omit {
        if catalog.program(name).is_none() && catalog.component(name).is_none() {
            return Err(Fault::new(
                Kind::NotFound,
                format!("there is no component or program `{name}` to omit"),
            )
            .help("images/catalog.toml lists them")
            .into());
        }
    }
    Ok(())
}
