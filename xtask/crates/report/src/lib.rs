//! Pictures of the images' sizes, made from plain figures ([`Input`]) and nothing else:
//!
//! - [`page()`]: one self-contained HTML page with the matrix against the published one, its history, and a treemap of
//!   each image;
//! - [`chart()`]: an SVG for the README, drawn by the same code as the page's;
//! - [`timings()`]: a page on where a build's time went;
//! - [`document()`]: what those pages and others are: their frame, colours and policy.
//!
//! The same input gives the same bytes: no clock, font, locale or path has a say in them.

mod chart;
mod document;
mod figures;
mod input;
mod lines;
mod page;
mod palette;
mod svg;
mod timings;

pub use chart::chart;
pub use document::document;
pub use figures::{Summary, summaries};
pub use input::{Cell, History, Input, Kind, Matrix, Node, Published, Record, Recorded, Size};
pub use page::page;
pub use timings::{Timings, timings};
