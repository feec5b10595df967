//! What is said about images: SBOMs, provenance and signatures, made, attached and checked.
//!
//! [`contents`] reads what is in an image; [`bill`] makes a bill of materials of that, which [`spdx`] and [`cyclonedx`]
//! write; [`provenance`] says what an image was built from; [`sign`] signs by key, as cosign does; [`compare`] finds the
//! first difference of two images. All documents are functions of the image and the build's inputs: no clock, no chance.

pub mod check;
pub mod compare;
pub mod contents;
pub mod crates;
pub mod cyclonedx;
mod licence;
pub mod provenance;
mod purl;
pub mod sbom;
pub mod sign;
pub mod spdx;

pub use purl::purl;
