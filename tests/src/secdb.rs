//! Files of a security database of Alpine's, after what <https://secdb.alpinelinux.org> publishes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Writes a file of the database: packages by origin, each with its `secfixes`.
pub fn write(dir: &Path, branch: &str, packages: &Value) -> Result<()> {
    let packages: Vec<Value> = packages
        .as_object()
        .context("no packages")?
        .iter()
        .map(|(name, secfixes)| json!({"pkg": {"name": name, "secfixes": secfixes}}))
        .collect();
    let text = json!({
        "apkurl": "{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk",
        "archs": ["aarch64", "armv7", "x86_64"],
        "reponame": "main",
        "urlprefix": "https://dl-cdn.alpinelinux.org/alpine",
        "distroversion": branch,
        "packages": packages,
    });
    fs::create_dir_all(dir.join(branch))?;
    fs::write(dir.join(branch).join("main.json"), text.to_string()).context("a file of the database")
}
