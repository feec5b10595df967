//! What is said about images: SBOMs, provenance and signatures, made, attached and checked.
//!
//! [`contents`] reads what is in an image; [`bill`] makes a bill of materials of that, which [`spdx`] and [`cyclonedx`]
//! write; [`provenance`] says what an image was built from; [`sign`] signs by key, as cosign does; [`compare`] finds the
//! first difference of two images. All documents are functions of the image and the build's inputs: no clock, no chance.

pub mod bill;
pub mod check;
pub mod compare;
pub mod contents;
pub mod crates;
pub mod cyclonedx;
mod licence;
pub mod provenance;
mod purl;
pub mod sign;
pub mod spdx;

pub use purl::purl;

/// The names by which an image says what it is.
pub mod label {
    /// What it is called.
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// The release.
    pub const VERSION: &str = "org.opencontainers.image.version";
    /// Its licences.
    pub const LICENSES: &str = "org.opencontainers.image.licenses";
    /// What all our own names begin with.
    pub const OWN: &str = "io.containerized-kubelet.";
    /// After [`OWN`]: `true` for Kubernetes as released, which is another image than the attribute's.
    pub const UNEDITED: &str = "unedited";
}
