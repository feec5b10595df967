//! Random numbers that can be repeated.

use std::time::SystemTime;

use anyhow::{Context, Result};

/// Random numbers; `SEED` repeats them.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From `SEED`, else from elsewhere each time; says which it is.
    pub fn new() -> Result<Self> {
        let seed = match std::env::var("SEED") {
            Ok(seed) => seed.parse().context("SEED is not a number")?,
            Err(_) => u64::from(SystemTime::UNIX_EPOCH.elapsed()?.subsec_nanos()),
        };
        println!("SEED={seed}");
        Ok(Self(seed))
    }

    /// One of 0 to `limit`, without that.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for end in (1..all.len()).rev() {
            let other = usize::try_from(self.below(end as u64 + 1)).unwrap_or_default();
            all.swap(end, other);
        }
    }
}
