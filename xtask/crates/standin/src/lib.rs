//! Hosts of namespaces, for whole-program tests and measurements: a stand-in [`host`] with this machine's programs, and a real
//! [`containerd`] and [`kubelet`] on it; and a [`machine`] with a root filesystem and an init of its own, many of which a
//! [`switch`] joins.
//!
//! It needs root and the programs that each module names; [`lacks`] says which of them are not here.

mod cgroups;
pub mod cmd;
pub mod containerd;
mod holder;
pub mod host;
pub mod image;
pub mod kubelet;
pub mod machine;
pub mod switch;

use std::time::{Duration, Instant};

use anyhow::Result;
use fault::{Fault, Kind};

/// Asks again and again until there is an answer; `what` names what never came.
pub fn wait_for<T>(what: &str, limit: Duration, ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_every(Duration::from_millis(100), what, limit, ask)
}

/// [`wait_for`], with a pause of this length between two questions.
pub fn wait_every<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    wait_to_the_end(pause, what, limit, || {
        exec::interrupt::check()?;
        ask()
    })
}

/// [`wait_every`], for what has to be waited for even if the user has interrupted: cleaning up.
pub(crate) fn wait_to_the_end<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            return Err(
                Fault::new(Kind::ToolFailed, format!("no {what} within {} s", limit.as_secs())).into()
            );
        }
        std::thread::sleep(pause);
    }
}

/// What of root's rights and these programs is missing here, in words; nothing if all is there.
pub fn lacks(programs: &[&str]) -> Vec<String> {
    let missing = programs.iter().filter(|name| exec::which(name).is_none());
    let mut lacks: Vec<_> = missing.map(|name| format!("`{name}` is not installed")).collect();
    if !rustix::process::geteuid().is_root() {
        lacks.push("not run as root".to_owned());
    }
    lacks
}
