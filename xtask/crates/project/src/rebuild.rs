//! Builds an image again, as it or its provenance says, to compare.

use anyhow::{Context as _, Result};
use attest::provenance::Parameters;
use attest::sbom::Build;
use attest::{compare, crates};
use catalog::{Attributes, Content, Scope};
use fault::{Fault, Kind};
use oci::layout::{Layout, LayoutImage};
use plan::{Options, Plan};
use tempfile::TempDir;

use crate::{Selection, Session, identity};

/// An image that was built again.
pub struct Rebuilt {
    /// By which plan.
    pub plan: Plan,
    layout: Layout,
    _dir: TempDir,
}

impl Rebuilt {
    /// Demands that an image of a layout is the same.
    pub fn same_as(&self, layout: &Layout, image: &LayoutImage) -> Result<()> {
        let own = self.layout.images.first().context("an image was built, but there is none")?;
        compare::images((&self.layout, own), (layout, image))
    }
}

/// Builds an image; what is in the store is taken from there.
pub fn rebuild(session: &Session<'_>, parameters: &Parameters) -> Result<Rebuilt> {
    let selection = Selection::again(parameters, parameters.compression()?);
    let plan = session.plan(&selection)?;
    let dir = TempDir::new()?;
    let built = session.executor()?.build(&plan, dir.path())?;
    let layout = sizes::measure::open(&built.first().context("nothing was built")?.layout)?;
    Ok(Rebuilt { plan, layout, _dir: dir })
}

/// How to build an image again, by what it says of itself.
pub fn parameters(session: &Session<'_>, image: &LayoutImage) -> Result<Parameters> {
    let attributes = Attributes::of(&session.catalog);
    let found = identity::attribute(&attributes, image);
    let attribute = found.ok_or_else(|| {
        let digest = image.descriptor.digest();
        Fault::new(Kind::NotFound, format!("image {digest} is none of this checkout's catalog"))
            .help("check out the commit that it was built from")
    })?;
    Ok(Parameters {
        attribute: attribute.name.clone(),
        omit: identity::omitted(image),
        unedited: identity::is_unedited(image),
        encoder: identity::own(image, "encoder").to_owned(),
    })
}

/// What the build knows of an image, if this very image is in the store of this checkout; nothing is built for it.
pub fn known(session: &Session<'_>, layout: &Layout, image: &LayoutImage) -> Result<Option<Build>> {
    let Ok(parameters) = parameters(session, image) else { return Ok(None) };
    let Ok(compression) = parameters.compression() else { return Ok(None) };
    let options = Options {
        omit: parameters.omit.clone(),
        unedited: parameters.unedited,
        ..session.options(compression)?
    };
    let names = std::slice::from_ref(&parameters.attribute);
    let Ok(plan) = session.planner(&options).plan(names) else { return Ok(None) };
    for key in plan.layers.keys() {
        if session.store.find_object(key)?.is_none() {
            return Ok(None);
        }
    }
    match rebuild(session, &parameters)?.same_as(layout, image) {
        Ok(()) => build(session, &parameters, image).map(Some),
        Err(_) => exec::interrupt::check().map(|()| None),
    }
}

/// What the build knows of an image that is this checkout's.
pub fn build(session: &Session<'_>, parameters: &Parameters, image: &LayoutImage) -> Result<Build> {
    let mut build =
        Build { certifi: session.sources.lock.ca_certificates.version.clone(), ..Build::default() };
    for component in &session.catalog.components {
        match component.content() {
            Content::Rust(single) => build.entrypoint.clone_from(&single.path),
            Content::Certificates(single) => build.certificates.clone_from(&single.path),
            _ => {}
        }
    }
    let attributes = Attributes::of(&session.catalog);
    if let Scope::Image(arch) = attributes.get(&parameters.attribute)?.scope {
        let source = session.sources.entrypoint();
        let inputs = rustbuild::inputs(arch, &source)?;
        let lock =
            std::fs::read_to_string(source.join("Cargo.lock")).context("the entrypoint's Cargo.lock")?;
        build.crates = crates::linked(&metadata(session, &inputs.target, image)?, &lock)?;
    }
    Ok(build)
}

/// What cargo says of the entrypoint for a target; it reads the crates, which the build has fetched.
fn metadata(session: &Session<'_>, target: &str, image: &LayoutImage) -> Result<Vec<u8>> {
    let manifest = session.sources.entrypoint().join("Cargo.toml");
    let mut run = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"]
        .into_iter()
        .fold(exec::Run::new("cargo"), exec::Run::inherit)
        .args([
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            target,
            "--manifest-path",
        ])
        .arg(&manifest);
    if session.offline() {
        run = run.arg("--offline");
    }
    let finished = run.cwd(&session.checkout.root).finish()?;
    if !finished.status.success() {
        let digest = image.descriptor.digest();
        let message = format!(
            "the crates of the entrypoint of {digest} cannot be listed\n  {}",
            finished.stderr_tail.trim_end()
        );
        return Err(Fault::new(Kind::Unavailable, message).into());
    }
    Ok(finished.stdout)
}

/// What a layout's image is called, without its tag.
pub fn repository(layout: &Layout) -> String {
    let mut annotations = layout.index.manifests().iter().filter_map(|top| top.annotations().as_ref());
    let name = annotations.find_map(|all| all.get("io.containerd.image.name"));
    name.and_then(|name| name.rsplit_once(':'))
        .map(|(repository, _)| repository.to_owned())
        .unwrap_or_default()
}
