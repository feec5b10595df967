//! Compiles the entrypoint of the images: Rust by cargo-zigbuild, which links with zig, for each architecture.
//!
//! One route for everyone, so that everyone gets the same bytes: [`route`] is its definition, [`inputs`] all that the
//! bytes depend on (hash it for a cache key), [`fetch`] makes a later build possible without a network, [`build`] builds.
//! The environment of every child process is cleared; each path in it is the caller's.

mod artifact;
mod compile;
mod digest;
mod fetch;
pub mod route;
mod rustup;

use std::ffi::OsString;
use std::path::PathBuf;

pub use compile::{Built, build};
pub use fetch::fetch;
pub use route::{Inputs, inputs};

/// The programs of the build. Their versions are checked against [`route`]'s.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The Rust toolchain's directory, with `bin/cargo`, `bin/rustc` and `lib/rustlib`.
    pub toolchain: PathBuf,
    /// What may add to that toolchain; without it what is missing is an error that names the command.
    pub rustup: Option<Rustup>,
    /// The `zig` program.
    pub zig: PathBuf,
    /// The `cargo-zigbuild` program.
    pub zigbuild: PathBuf,
    /// PATH of the build: where `cc` is, which links build scripts. Those run here and end in no image.
    pub path: OsString,
}

/// A rustup and the name it has for the toolchain.
#[derive(Clone, Debug)]
pub struct Rustup {
    /// The `rustup` program.
    pub program: PathBuf,
    /// Its `RUSTUP_HOME`.
    pub home: PathBuf,
    /// The toolchain's name, such as `1.95.0`.
    pub toolchain: String,
}

/// The directories of the build.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// Cargo's home, with the crates that are there already. Its config file may name mirrors; what it says of
    /// profiles, flags and linkers is overruled.
    pub cargo_home: PathBuf,
    /// For all that is made on the way: build output, cargo-zigbuild's cache, an empty home. May be kept between builds,
    /// which makes the next one faster and no different.
    pub work: PathBuf,
    /// Where zig keeps what it built of musl; may be shared.
    pub zig_cache: PathBuf,
}

/// One program to build.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it depends on, its architecture among it.
    pub inputs: Inputs,
    /// The crate: a directory with Cargo.toml, Cargo.lock and src. It is only read.
    pub source: PathBuf,
    /// The file to write, mode 0755, complete or not at all.
    pub out: PathBuf,
    /// Use no network, neither for crates nor for parts of the toolchain.
    pub offline: bool,
    /// How many compilers at a time; cargo's choice if not given.
    pub jobs: Option<usize>,
}
