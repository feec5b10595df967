//! A registry in memory, on the loopback address, for tests.
//!
//! By itself it keeps to the distribution API. A [`Row`] is one thing that a real registry does differently; any number
//! of them together are a registry's behaviour. An [`Act`] is what is done with one request in place of the usual: what
//! networks and hostile registries might. It remembers what it was asked and told, so that a test can say of a tag that it
//! was set too early.

mod answer;
mod login;
mod row;
mod server;
mod state;
mod upload;
mod way;

pub use answer::{Act, Answer, Request};
pub use row::{Row, Rows};
pub use server::{Server, may_have_port_80};
pub use state::State;

use sha2::{Digest, Sha256};

/// The user of a registry that requires one.
pub const USER: &str = "tester";
/// The password.
pub const PASSWORD: &str = "s3cret-word";
/// The identity token.
pub const IDENTITY: &str = "identity-of-the-tester";
/// The repository that it serves. It also knows `base`, with nothing in it.
pub const REPOSITORY: &str = "kubelet";

/// `sha256:HEX` of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
