//! Trees of files as data: safe paths, and the tar archives that trees are kept in.
//!
//! A [`tree::Tree`] is what an archive is written from, header by [`header`]; [`archive::Reader`] reads archives that anyone
//! may have made. Neither knows of packages or images: what one format allows and another does not is its
//! [`archive::Policy`].

pub mod archive;
pub mod header;
pub mod path;
pub mod paths;
pub mod pax;
mod solid;
pub mod tree;
