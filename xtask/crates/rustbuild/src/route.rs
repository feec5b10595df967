//! The one route: versions, targets, flags; and what the bytes depend on.

use std::path::Path;

use anyhow::Result;
use catalog::Arch;
use serde::Serialize;

use crate::digest;

/// The version of rustc and cargo.
pub const RUST: &str = "1.95.0";
/// The commit of that rustc. Its own sources appear as `/rustc/COMMIT` in what it builds.
pub const RUST_COMMIT: &str = "59807616e1fa2540724bfbac14d7976d7e4a3860";
/// The version of zig, which links.
pub const ZIG: &str = "0.13.0";
/// The version of cargo-zigbuild.
pub const ZIGBUILD: &str = "0.24.0";
/// The name of the program, in cargo and on disk.
pub const PROGRAM: &str = "entrypoint";

/// Flags of rustc, without those that take paths out. The standard library is built along, so it is zig's musl that must be
/// used, not one of rustc's.
const RUSTFLAGS: [&str; 2] = ["-Clink-arg=-Wl,--build-id=none", "-Clink-self-contained=no"];

/// The release profile, as environment so that no config file can change it. The same as in the crate's Cargo.toml.
const PROFILE: [(&str, &str); 9] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "false"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false"),
    ("CARGO_PROFILE_RELEASE_INCREMENTAL", "false"),
];

/// Arguments of cargo-zigbuild: the standard library is built along, since as released it is not there for every
/// architecture, and has the code that prints backtraces, a quarter of the program, which a stripped one cannot use.
pub(crate) const ARGUMENTS: [&str; 2] = ["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="];

/// All that the bytes of the program depend on. Two equal values mean equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inputs {
    /// Version of this description.
    pub format: u32,
    /// For which architecture, as in attributes.
    pub arch: String,
    /// Rust's name for it.
    pub target: String,
    /// `e_machine` of its ELF files.
    #[serde(skip)]
    pub elf_machine: u16,
    /// The version and commit of rustc.
    pub rust: String,
    /// The version of zig.
    pub zig: String,
    /// The version of cargo-zigbuild.
    pub zigbuild: String,
    /// Flags of rustc; what stands for a path there is the same on every machine.
    pub rustflags: Vec<String>,
    /// The profile, as `NAME=VALUE`.
    pub profile: Vec<String>,
    /// Further arguments of cargo.
    pub arguments: Vec<String>,
    /// SHA-256 of the crate's sources and its Cargo.lock, in hexadecimal.
    pub source: String,
}

/// What the program built from the crate in `source` depends on. Reads the sources and nothing else.
pub fn inputs(arch: &Arch, source: &Path) -> Result<Inputs> {
    Ok(Inputs {
        format: 2,
        arch: arch.name.to_string(),
        target: arch.rust.clone(),
        elf_machine: arch.elf_machine,
        rust: format!("{RUST} ({RUST_COMMIT})"),
        zig: ZIG.to_owned(),
        zigbuild: ZIGBUILD.to_owned(),
        rustflags: rustflags().chain([format!("--remap-path-prefix={REMAPPED:?}")]).collect(),
        profile: PROFILE.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        arguments: ARGUMENTS.iter().map(|word| (*word).to_owned()).collect(),
        source: digest::of_crate(source)?,
    })
}

/// What the crate's directory, cargo's home and the toolchain's sources are called inside the program.
pub(crate) const REMAPPED: [&str; 3] = ["/entrypoint", "/cargo", "/rustc/"];

/// Flags of rustc that hold no path.
pub(crate) fn rustflags() -> impl Iterator<Item = String> {
    RUSTFLAGS.iter().map(|flag| (*flag).to_owned())
}

/// The profile, as environment.
pub(crate) fn profile() -> &'static [(&'static str, &'static str)] {
    &PROFILE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_the_same_for_the_same_sources_and_differ_by_arch() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "[package]").unwrap();
        std::fs::write(dir.path().join("Cargo.lock"), "").unwrap();
        std::fs::create_dir(dir.path().join("src")).unwrap();
        let text = std::fs::read_to_string("../../../images/catalog.toml").unwrap();
        let arches = catalog::Catalog::parse(&text, "catalog.toml").unwrap().arches;
        let of = |arch: usize| inputs(&arches[arch], dir.path()).unwrap();
        assert_eq!(of(0), of(0));
        assert_ne!(of(0), of(1));
        let json = serde_json::to_string(&of(2)).unwrap();
        assert!(!json.contains(dir.path().to_str().unwrap()), "{json}");
        assert!(
            json.contains(r#""arch":"arm32v7","target":"armv7-unknown-linux-musleabihf","rust":"#),
            "{json}"
        );
    }
}
