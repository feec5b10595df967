//! The most that is taken of anything, so that a hostile file costs no more than a large honest one.
//!
//! Alpine 3.15's own largest: an index of 5 MiB unpacked, a control segment of 40 KiB, a package of 500 MiB.

/// A signature segment, unpacked, in bytes: one tar header and an RSA signature for each key.
pub const SIGNATURE_SEGMENT: usize = 64 << 10;
/// A control segment, unpacked, in bytes.
pub const CONTROL_SEGMENT: usize = 10 << 20;
/// A data segment, unpacked, in bytes.
pub const DATA_SEGMENT: usize = 1 << 30;
/// An index, unpacked, in bytes.
pub const INDEX: usize = 64 << 20;
/// An index or a package as it is fetched, in bytes.
pub const FILE: usize = 1 << 30;
/// Entries of one archive, extended headers among them.
pub const ENTRIES: usize = 1 << 20;
/// An extended header of an archive, in bytes.
pub const EXTENDED_HEADER: u64 = 1 << 20;
/// All extended headers of one archive, in bytes.
pub const EXTENDED_HEADERS: u64 = 128 << 20;
/// A path in a package, and the target of a link, in bytes.
pub const PATH_LENGTH: usize = 1024;
/// A package's or a provided thing's name, in bytes.
pub const PACKAGE_NAME_LENGTH: usize = 255;
/// A version, in bytes.
pub const VERSION_LENGTH: usize = 255;
/// The dependencies, or the provided things, of one package.
pub const DEPENDENCIES: usize = 16 << 10;
/// A key's file, in bytes.
pub const KEY_FILE: usize = 16 << 10;
/// The least bits of an RSA key.
pub const KEY_BITS: u32 = 2048;
/// Choices that the resolver tries before it gives up.
pub const RESOLVER_STEPS: usize = 200_000;
