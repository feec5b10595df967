//! Ctrl-C and SIGTERM: children are ended, temporary files removed by their owners' `Drop`, exit code 130.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

static PENDING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Catches SIGINT, SIGTERM and SIGHUP from now on. A second signal ends the process at once.
pub fn install() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Order matters: the first signal finds the flag down and only raises it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&PENDING))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&PENDING)))
            .context("cannot catch signals")?;
    }
    Ok(())
}

/// Has the user interrupted?
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed)
}

/// An error once the user has interrupted; long loops call it now and then.
pub fn check() -> Result<()> {
    if pending() {
        return Err(Fault::new(Kind::Interrupted, "interrupted").into());
    }
    Ok(())
}

/// Waits so long; an error as soon as the user has interrupted.
pub fn sleep(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}
