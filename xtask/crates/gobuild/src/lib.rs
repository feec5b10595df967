//! Static Go programs from pinned modules, several joined into one binary.
//!
//! A [`Closure`] pins every module by its sum; a [`Recipe`] holds all that decides the bytes of a binary; [`fetch`]
//! gets the modules, and [`compile`] builds from them without a network, with a cleared environment, with zig as
//! the C compiler. Equal recipes give equal bytes, whatever the machine, directory, user, locale or job count.
//!
//! Joined programs are distinguished by the name they are called by. Their `main` packages cannot be imported, so their
//! sources are re-packaged from the verified module cache for the time of the build.

mod closure;
mod compile;
mod edit;
mod generate;
mod host;
mod join;
mod modfile;
mod modules;
pub mod plain;
mod prune;
mod recipe;
mod sumfile;
mod templates;
mod tools;
pub mod units;
pub mod upstream;
pub mod vulncheck;

pub use closure::{Carried, Closure, MODULE, Spec, module_of, package_moved};
pub use compile::compile;
pub use edit::{Edit, Edits, Pin};
pub use generate::{check, generate};
pub use host::HostGo;
pub use modfile::{HEADER, ModFile, PathVersion, Replacement};
pub use modules::fetch;
pub use recipe::{Common, Compilers, Flags, JoinSource, LinkerVars, Program, Recipe, Release, Target};
pub use sumfile::{SumFile, hash_dir};
pub use templates::Templates;
pub use tools::Tools;
