//! What images weigh: measured down to Go module and file, recorded, compared, and held to a budget.
//!
//! [`measure`] weighs the images of a layout as publishers count; [`record`] keeps what they weighed at a release;
//! [`budget`] compares with that and with [`published`], the images to beat; [`diff`] and [`render`] say what changed;
//! [`table`] is README's.

pub mod budget;
pub mod diff;
pub mod go;
mod image;
pub mod measure;
pub mod published;
pub mod record;
pub mod render;
pub mod table;

pub use image::{Image, Layer, Part};
