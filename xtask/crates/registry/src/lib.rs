//! Pushes OCI layouts to a registry, and pulls them from it.
//!
//! Each blob is sent once, as the registry takes it; tags are set only when all they name is there. What a registry
//! answers is limited in size and time, and verified. Storeys: [`push()`] and [`pull()`]; blobs (`upload`), `manifests`,
//! `referrers`; requests and logging in (`client`, `retry`, `tokens`, `credentials`); below them `web`, which speaks HTTP.
//! Why not `oci-client`: docs/registry.md.

#![warn(clippy::pedantic)]

mod auth;
mod client;
mod credentials;
mod manifests;
mod pull;
mod push;
mod reference;
mod referrers;
mod retry;
mod tokens;
mod upload;

use std::path::PathBuf;
use std::time::Duration;

use progress::Progress;

pub use auth::{Challenge, challenges};
pub use pull::{PullScope, Pulled, pull};
pub use push::{Pushed, Tagged, push};
pub use reference::Reference;
pub use referrers::{listed, next};

/// The largest manifest or index that is read, in bytes.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// How to speak to a registry.
pub struct Options<'a> {
    /// Plain HTTP also to hosts that are not this machine.
    pub plain_http: bool,
    /// Trust the certificates in this PEM file, and no others.
    pub ca: Option<PathBuf>,
    /// How many blobs are sent at once.
    pub parallel: usize,
    /// How often one request is tried again after 429, 5xx or a broken connection.
    pub retries: u32,
    /// How long a registry may be silent: until an answer begins, and between its bytes.
    pub timeout: Duration,
    /// The first pause before another try. Later ones are up to 50 times as long, and 300 times if a registry asks for it.
    pub pause: Duration,
    /// The file with credentials, and no other place is looked at.
    pub auth_file: Option<PathBuf>,
    /// Repositories of the same registry that blobs may be mounted from.
    pub mount_from: Vec<String>,
    /// Hears of each blob.
    pub progress: &'a dyn Progress,
}

#[cfg(test)]
mod tests;
