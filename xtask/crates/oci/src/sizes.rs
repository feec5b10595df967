//! The two sizes of an image.

use serde::{Deserialize, Serialize};

/// What an image costs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// What is pulled: the compressed layers and the config, as registries show it.
    pub compressed: u64,
    /// What is kept: the regular files of all layers, a hard-linked file once, as Docker shows it. A file that an upper
    /// layer replaces counts in both.
    pub extracted: u64,
}
