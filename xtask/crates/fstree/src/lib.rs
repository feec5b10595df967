//! Trees of files as data: safe paths, and the tar archives that trees are kept in.
//!
//! It knows of no package and no image: what a format allows beyond others is its [`archive::Policy`].

use std::collections::BTreeMap;

pub mod archive;
pub mod path;
pub mod pax;

/// What belongs to a file whatever its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits with set-user-ID, set-group-ID and sticky; 0777 for a symlink.
    pub mode: u32,
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// Extended attributes by name, such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}
