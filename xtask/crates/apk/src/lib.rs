//! Alpine's package formats (apk v2): read, verified, resolved and installed, without apk, root rights or scripts.
//!
//! From the trusted keys to a root filesystem, each step takes only what the one before has proven:
//!
//! 1. [`key::Keyring`]: keys, trusted for an architecture by their content.
//! 2. [`index::Index::open`]: a signed index, whose [`record::Record`]s bind each package by size and checksum.
//! 3. [`resolve::resolve`]: from a world, [`depend::Dependency`]s, to the records to install and their order,
//!    with apk's choices, or why there are none.
//! 4. [`package::Package::open`]: a package, checked against its record in every way that the index makes
//!    possible before anything in it is used.
//! 5. [`install::Rootfs`]: packages placed into a [`tree::Tree`], a value and not a directory, from nothing or
//!    from a root filesystem that Alpine publishes; with apk's database, so that apk inside agrees. Scripts are
//!    never run: [`install::Rootfs::check_scripts`] says which ones apk would have run.
//! 6. [`tree::Tree::into_archived`]: the tree as what makes a layer takes it.
//!
//! ```
//! use apk::depend::Dependency;
//! use apk::resolve::{Request, resolve};
//!
//! let index = apk::index::parse(
//!     "C:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=\nP:app\nV:1.0-r0\nA:x86_64\nS:1\nI:1\nD:so:libx.so.1\n\n\
//!      C:Q11Q7hNe8QpDS531guqCdrXBzoA/o=\nP:libx\nV:1.2-r3\nA:x86_64\nS:1\nI:1\np:so:libx.so.1=1.2\n",
//! )?;
//! let world = Dependency::parse_all("app")?;
//! let found = resolve(&Request { world: &world, repositories: &[&index], installed: &[] })?;
//! assert_eq!(found.iter().map(|record| record.id()).collect::<Vec<_>>(), ["libx-1.2-r3", "app-1.0-r0"]);
//! # anyhow::Ok(())
//! ```
//!
//! All parsers take hostile input: they fail, with a [`fault::Fault`] that names what is wrong, and never
//! panic; what they take at most is stated in [`limits`]. Where apk itself is lenient (archives with more than
//! one end, packages without a hash of their data, files without checksums, unsigned files by option) this is
//! not. Version order, dependency expressions and choices are apk-tools 2.12's, which Alpine 3.15 has.

pub mod database;
pub mod depend;
pub mod digest;
pub mod gzip;
pub mod index;
pub mod install;
pub mod key;
pub mod limits;
pub mod package;
pub mod path;
pub mod pkginfo;
pub mod record;
pub mod resolve;
pub mod signature;
pub mod tarball;
#[cfg(feature = "testrepo")]
pub mod testrepo;
pub mod tree;
pub mod version;
