//! Pages of sizes, made by the program, for tests that look at them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{browser, scratch, skip, xtask};

/// Real figures of one release and the tree of a real image, with a made-up history.
pub fn input() -> PathBuf {
    crate::root().join("xtask/crates/report/testdata/input.json")
}

/// A page made by the program.
pub fn page(input: &Path) -> Result<(TempDir, PathBuf)> {
    let dir = scratch::dir()?;
    let page = dir.path().join("sizes.html");
    let [from, to] = [input, &page].map(|path| path.to_str().context("not UTF-8"));
    xtask::Xtask::new()?.ok(&["size", "report", "--html", "--input", from?, "--out", to?])?;
    Ok((dir, page))
}

/// Must a test that looks at a page be skipped? See [`skip::without`].
pub fn skipped() -> Result<bool> {
    skip::without(&browser::PROGRAMS)
}

/// The JSON of a file.
pub fn read(input: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(input)?)?)
}
