//! `make`: plumbing for Nix. Each makes one thing from inputs that are all named, and shares neither store nor cache.
//!
//! What is made comes with the key that the plan gives it, and who uses it plans again: a part that is not the one the
//! plan asks for is refused.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use executor::LAYER_FILES;
use fault::{Fault, Kind};
use oci::compress::Compression;
use plan::{Component, Options, Place, Plan, Target};
use project::{Session, part};
use store::Store;

use crate::context::Context;
use crate::flags::BuildFlags;

/// Make one component, layer, image or index from explicit inputs, as derivations of Nix do.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask make component kubelet --release v1.26.0 --arch arm64 --mirror inputs --out component
  cargo xtask make layer kubelet --release v1.26.0 --arch arm64 --part component --out layer
  cargo xtask make image kubelet-v1_26_0-arm64 --part base --part layer --out layout

Go modules come by GOPROXY, crates from CARGO_HOME, Rust from PATH. Neither the store nor its caches are used.")]
pub(crate) struct Make {
    #[command(subcommand)]
    kind: PartKind,
}

#[derive(clap::Subcommand)]
enum PartKind {
    /// The Go modules of a closure (`v1.26.0/kube`), for every architecture, as a directory that GOPROXY can name.
    #[command(after_help = "Example:
  cargo xtask make modules v1.26.0/kube --out modules")]
    Modules(Single),
    /// A file: compiled or extracted.
    #[command(after_help = "Example:
  cargo xtask make component kubelet --release v1.26.0 --arch arm64 --mirror inputs --out component")]
    Component(Placed),
    /// A layer of these components.
    #[command(after_help = "Example:
  cargo xtask make layer kubelet --release v1.26.0 --arch arm64 --part component --out layer")]
    Layer(Placed),
    /// An image of these layers, as an OCI layout.
    #[command(after_help = "Example:
  cargo xtask make image kubelet-v1_26_0-arm64 --part base --part layer --out layout")]
    Image(Single),
    /// A multi-arch index over images of these layers, as an OCI layout.
    #[command(after_help = "Example:
  cargo xtask make index kubelet-v1_26_0 --part base --part layer --out layout")]
    Index(Single),
}

#[derive(clap::Args)]
struct Placed {
    #[command(flatten)]
    single: Single,
    /// The product.
    #[arg(long, default_value = "kubelet")]
    product: String,
    /// The release.
    #[arg(long, value_name = "vX.Y.Z")]
    release: String,
    /// The architecture, as in attributes.
    #[arg(long)]
    arch: String,
}

#[derive(clap::Args)]
struct Single {
    /// What the catalog calls it: an attribute, a base or a component; of modules, the directory in images/go.
    name: String,
    /// A component or layer that goes into it, made by this verb.
    #[arg(long = "part", value_name = "DIR")]
    parts: Vec<PathBuf>,
    /// Leave out a program or component, such as crictl; the image says so.
    #[arg(long, value_name = "COMPONENT")]
    omit: Vec<String>,
    /// Where to leave it: nothing may be there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    how: BuildFlags,
}

impl Make {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        match &self.kind {
            PartKind::Modules(modules) => modules.run(context, |session, options| {
                let plan = Plan::closure(&session.catalog, &session.sources, &modules.name, options)?;
                let executor = session.executor()?;
                executor.fetch(&plan)?;
                part::modules(&executor.tools.go()?.host.mod_cache, &modules.out)
            }),
            PartKind::Component(placed) => placed.single.run(context, |session, options| {
                let (catalog, sources) = (&session.catalog, &session.sources);
                let plan = Plan::component(catalog, sources, &placed.single.name, placed.place(), options)?;
                let (key, component) =
                    plan.components.first_key_value().context("no component is planned")?;
                let object = session.executor()?.component(key, component)?;
                part::export(&object, key, &[Component::FILE], &placed.single.out)
            }),
            PartKind::Layer(placed) => placed.single.run(context, |session, options| {
                let (catalog, sources) = (&session.catalog, &session.sources);
                let plan = Plan::layer(catalog, sources, &placed.single.name, placed.place(), options)?;
                let (key, layer) = plan.layers.first_key_value().context("no layer is planned")?;
                placed.single.import(session, plan.components.keys())?;
                let executor = session.executor()?;
                executor.check_stack(std::iter::once(layer))?;
                let object = executor.layer_object(key, layer)?;
                part::export(&object, key, &LAYER_FILES, &placed.single.out)
            }),
            PartKind::Image(image) | PartKind::Index(image) => image.run(context, |session, options| {
                let names = [image.name.clone()];
                let plan = Plan::of(&session.catalog, &session.sources, &names, options)?;
                if matches!(plan.targets.as_slice(), [Target::Image(_)])
                    != matches!(self.kind, PartKind::Image(_))
                {
                    let (right, wrong) = match self.kind {
                        PartKind::Image(_) => ("index", "image"),
                        _ => ("image", "index"),
                    };
                    let message = format!("`{}` is an {right}, not an {wrong}", image.name);
                    return Err(Fault::new(Kind::Usage, message).help(format!("`make {right}`")).into());
                }
                image.import(session, plan.layers.keys())?;
                session.executor()?.assemble(&plan, &image.out)
            }),
        }
    }
}

impl Placed {
    fn place(&self) -> Place<'_> {
        Place { product: &self.product, release: &self.release, arch: &self.arch }
    }
}

impl Single {
    /// With a store of its own, gone at the end.
    fn run(&self, context: &Context, make: impl FnOnce(&Session<'_>, &Options) -> Result<()>) -> Result<()> {
        if self.out.symlink_metadata().is_ok() {
            let message = format!("`{}` is there already", self.out.display());
            return Err(Fault::new(Kind::Usage, message).help("name a directory to be made: --out").into());
        }
        let dir = tempfile::tempdir().context("no temporary directory")?;
        let session =
            Session::with(&context.checkout, self.how.options(), Store::open(dir.path().join("store"))?)?;
        let options = Options { omit: self.omit.clone(), ..session.options(Compression::default())? };
        make(&session, &options)
    }

    /// Takes the parts into the store.
    fn import<'k>(&self, session: &Session<'_>, needed: impl Iterator<Item = &'k store::Key>) -> Result<()> {
        part::import(session, &self.name, &self.parts, needed)
    }
}
