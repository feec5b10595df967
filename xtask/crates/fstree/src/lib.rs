//! Trees of files as data: safe paths, and what tar archives have them in.
//!
//! It knows of no package and no image. What formats allow beyond each other is said by those who read them.

pub mod path;
pub mod pax;
