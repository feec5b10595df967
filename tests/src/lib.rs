//! What the whole-program tests stand on: the built `xtask`, a stand-in host with a real containerd and kubelet,
//! and other people's tools as independent readers of what we build.
//!
//! Two switches, both environment variables: `CI=true` makes a missing tool a failure instead of a skip, and
//! `FULL=1` adds the tests that compile for an hour.

pub mod advice;
pub mod alpine;
pub mod api;
pub mod browser;
pub mod bundle;
pub mod cluster;
pub mod cpu;
pub mod debian;
pub mod forged;
pub mod go_tool;
pub mod inside;
pub mod interrupt;
pub mod joined;
pub mod key_pair;
pub mod kube_proxy;
pub mod left;
pub mod made;
pub mod measured;
pub mod meter;
pub mod newer_nix;
pub mod nix;
pub mod overlay;
pub mod publish;
pub mod puller;
pub mod qemu;
pub mod random;
pub mod registry;
pub mod report;
pub mod scratch;
pub mod secdb;
pub mod second_branch;
pub mod server;
pub mod skip;
pub mod stage;
pub mod vm;
pub mod xtask;

use std::path::{Path, PathBuf};

pub use standin::{cmd, containerd, host, image, kubelet, wait_for};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}
