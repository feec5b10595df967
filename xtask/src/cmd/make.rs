//! `make`: plumbing for Nix. Each makes one thing from inputs that are all named, and shares neither store nor cache.
//!
//! What is made comes with the key that the plan gives it, and who uses it plans again: a part that is not the one the
//! plan asks for is refused.

use std::path::PathBuf;

use anyhow::Result;
use plan::Place;
use project::part;

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
        let (single, kind) = match &self.kind {
            PartKind::Modules(single) => (single, part::Kind::Modules),
            PartKind::Component(placed) => (&placed.single, part::Kind::Component(placed.place())),
            PartKind::Layer(placed) => (&placed.single, part::Kind::Layer(placed.place())),
            PartKind::Image(single) => (single, part::Kind::Image),
            PartKind::Index(single) => (single, part::Kind::Index),
        };
        let Single { name, parts, omit, out, how } = single;
        part::make(&context.checkout, how.options(), &part::Request { name, kind, parts, omit, out })
    }
}

impl Placed {
    fn place(&self) -> Place<'_> {
        Place { product: &self.product, release: &self.release, arch: &self.arch }
    }
}
