//! The catalog: what is built, as data.
//!
//! [`Catalog::read`] loads and validates `images/catalog.toml` whole, with the line of whatever is wrong;
//! [`Attributes`] is everything it spans, by the names that `cargo xtask build` and the flake share.

mod attribute;
mod base;
mod budget;
mod compile;
mod component;
pub mod label;
mod model;
mod program;
mod validate;

pub use attribute::{Attribute, Attributes, Scope};
pub use base::{Alpine, Base, Rootfs, Script};
pub use budget::{BaseBudget, Budget, Figures, Ratios};
pub use compile::{Compile, Upstream};
pub use component::{Component, Content, Directories, Files, Go, Links, Pack, Single};
pub use model::{Arch, Catalog, Healthcheck, Name, PLACEHOLDERS, Product, Release, Variant};
pub use program::{Closure, Earlier, Program};
pub use validate::{is_commit, version_numbers};
