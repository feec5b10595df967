//! The hot paths of a build, each with inputs of any size: what [`growth`](crate::growth) fits exponents to and
//! [`instructions`](crate::instructions) counts.

mod images;
mod layers;
mod packages;
mod registries;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::id;
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::process::Process;

/// Short work is done again until it took so long, and so often at most; the least of its times counts.
const ENOUGH: Duration = Duration::from_millis(300);
const OFTEN: usize = 100;

/// How many files or links trees have that grow in them.
const FILES: &[u64] = &[10, 100, 1_000, 10_000, 100_000];
/// How many names the paths of trees have that grow in depth.
const DEPTHS: &[u64] = &[8, 16, 32, 64, 128, 256];

/// What is measured; it may be done any number of times.
type Work = Box<dyn FnMut() -> Result<()>>;

/// What inputs are made from.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The repository.
    pub root: &'a Path,
    /// An index of Alpine's for `x86_64` that indexes are made of, in place of one that only looks like it.
    pub index: Option<PathBuf>,
    /// For files.
    pub scratch: &'a Path,
}

/// A way through the code.
#[derive(Debug)]
pub struct HotPath {
    /// Its name.
    pub name: &'static str,
    /// What its sizes count.
    pub unit: &'static str,
    /// The sizes that growth is measured at, the smallest first.
    pub sizes: &'static [u64],
    /// The size at which its instructions are counted, if they are.
    pub counted: Option<u64>,
    prepare: fn(&Setup<'_>, u64) -> Result<Work>,
}

/// What a path took once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The size of the input.
    pub size: u64,
    /// User and system time, in seconds.
    pub cpu: f64,
    /// The most that was resident beyond the input, in bytes.
    pub memory: u64,
    /// How many instructions, where those are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
}

/// All paths.
pub fn all() -> impl Iterator<Item = &'static HotPath> {
    layers::PATHS.iter().chain(images::PATHS).chain(packages::PATHS).chain(registries::PATHS)
}

/// The paths of these names, or all.
///
/// # Errors
/// [`Kind::NotFound`] for a name that is not a path's.
pub fn named(names: &[String]) -> Result<Vec<&'static HotPath>> {
    if names.is_empty() {
        return Ok(all().collect());
    }
    names.iter().map(|name| find(name)).collect()
}

/// The path of this name.
///
/// # Errors
/// [`Kind::NotFound`] if there is none.
pub fn find(name: &str) -> Result<&'static HotPath> {
    all().find(|path| path.name == name).ok_or_else(|| {
        let names = all().map(|path| path.name).collect::<Vec<_>>().join(", ");
        Fault::new(Kind::NotFound, format!("no path is called `{name}`"))
            .help(format!("the paths: {names}"))
            .into()
    })
}

impl HotPath {
    /// Does the work once, on an input of this size: for whoever counts what [`collected`] does.
    ///
    /// # Errors
    /// What the work gives.
    pub fn once(&self, setup: &Setup<'_>, size: u64) -> Result<()> {
        collected(&mut (self.prepare)(setup, size)?)
    }

    /// Measures the work on an input of this size. It is this process that is measured: memory that an earlier measurement
    /// left would count as the input's.
    ///
    /// # Errors
    /// What the work gives; where the kernel does not say what it used.
    pub fn measure(&self, setup: &Setup<'_>, size: u64) -> Result<Measured> {
        let mut work = (self.prepare)(setup, size)?;
        let this = Process(i32::try_from(id())?);
        // proc(5): resets the peak, which making the input had a part in.
        fs::write("/proc/self/clear_refs", "5").context("the kernel does not reset the peak of memory")?;
        let before = this.memory()?.rss;
        let (mut all, mut least, mut memory) = (Duration::ZERO, Duration::MAX, 0);
        for number in 0..OFTEN {
            let start = this.cpu()?;
            collected(&mut work)?;
            let took = this.cpu()?.saturating_sub(start);
            if number == 0 {
                memory = this.memory()?.peak.saturating_sub(before);
            }
            (all, least) = (all + took, least.min(took));
            if all >= ENOUGH {
                break;
            }
        }
        Ok(Measured { size, cpu: least.as_secs_f64(), memory, instructions: None })
    }
}

/// Does the work. What is counted is what is below this function, by its name.
#[inline(never)]
fn collected(work: &mut Work) -> Result<()> {
    work()
}

/// Numbers that look random, the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Iterator for Numbers {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        // xorshift64 (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(self.0)
    }
}

/// So many bytes, of which about a half can be compressed away, as of programs.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes: Vec<u8> =
        numbers.flat_map(|number| (number & 0x0000_ffff_0f0f_ffff).to_le_bytes()).take(length).collect();
    bytes.shrink_to_fit();
    bytes
}
