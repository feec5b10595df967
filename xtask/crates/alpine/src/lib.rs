//! Alpine as a base of images: which packages, from where, and the root filesystem they give.
//!
//! 1. [`relock::make`]: from the catalog's packages and Alpine's signed indexes to a [`lock::Lock`], every file by size
//!    and SHA-256, for all architectures at once.
//! 2. [`fetch::Fetcher`]: files from the store, from mirrors and from Alpine itself, in this order. A mirror is asked,
//!    never trusted: what is locked must have its SHA-256, what is not must be signed.
//! 3. [`complete::complete`]: the SHA-256 of packages that were locked by what the indexes say of them.
//! 4. [`rootfs::Recipe`]: what the lock says of one image's base, and from that the root filesystem as a layer.
//!
//! The formats themselves, signatures, resolving and installing are the `apk` crate's.

pub mod complete;
pub mod fetch;
pub mod lock;
pub mod package;
pub mod relock;
pub mod rootfs;
pub mod secdb;
