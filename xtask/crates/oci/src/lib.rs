//! OCI layers, configs, manifests, indexes and image layouts, by the OCI image specification 1.1.
//!
//! The way of an image: a [`fstree::tree::Tree`] of files becomes a [`layer::Layer`], layers and an [`image::Spec`] become
//! an [`image::Image`], images become a [`layout::Contents`], which is a directory on disk once
//! [`layout::write`] is done. [`read`] and [`layout::open`] go the other way and trust nothing they read.
//!
//! The same input gives the same bytes: no clock, locale, umask, user, path, directory order or number of threads
//! has a say in them.

pub mod compress;
pub mod config;
pub mod date;
pub mod digest;
pub mod image;
pub mod index;
pub mod json;
pub mod layer;
pub mod layout;
pub mod manifest;
pub mod platform;
pub mod read;
pub mod sizes;
