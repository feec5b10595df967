//! What the whole-program tests stand on: the built `xtask`, a stand-in host with a real containerd and kubelet,
//! and other people's tools as independent readers of what we build.
//!
//! Two switches, both environment variables: `CI=true` makes a missing tool a failure instead of a skip, and
//! `FULL=1` adds the tests that compile for an hour.

pub mod cmd;
pub mod containerd;
pub mod host;
pub mod image;
pub mod kubelet;
pub mod overlay;
pub mod qemu;
pub mod registry;
pub mod scratch;
pub mod skip;
pub mod xtask;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Asks again and again until there is an answer; `what` names what never came.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            bail!("no {what} within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
