//! How long each step took.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Steps and their durations, in the order they ended.
#[derive(Default)]
pub(crate) struct Timings(Mutex<Vec<(String, Duration)>>);

impl Timings {
    /// Runs a step and keeps how long it took.
    pub(crate) fn measure<T>(&self, step: &str, run: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let result = run();
        let took = since.elapsed();
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((step.to_owned(), took));
        result
    }

    /// All steps so far.
    pub(crate) fn take(&self) -> Vec<(String, Duration)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
