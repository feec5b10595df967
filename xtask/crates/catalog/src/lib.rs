//! The catalog: what is built, as data.
//!
//! [`Catalog::read`] loads and validates `images/catalog.toml` whole, with the line of whatever is wrong;
//! [`Attributes`] is everything it spans, by the names that `cargo xtask build` and the flake share.

mod attribute;
mod budget;
mod compile;
mod model;
mod validate;

pub use attribute::{Attribute, Attributes, Scope};
pub use budget::{BaseBudget, Budget, Figures, Ratios};
pub use compile::{Compile, Upstream};
pub use model::{
    Alpine, Arch, Base, Catalog, Closure, Component, Content, Directories, Earlier, Files, Go, Healthcheck,
    Links, Name, PLACEHOLDERS, Pack, Product, Program, Release, Rootfs, Script, Single, Variant,
};
pub use validate::{is_commit, version_numbers};
