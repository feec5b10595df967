//! What passes from one `make` to the next: a directory with the part's files and its key.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};
use store::{Key, Object};

use crate::cmd::session::Session;

/// The file with the key.
const KEY: &str = "key";

/// The key of a part.
pub(super) fn key(dir: &Path) -> Result<String> {
    fs::read_to_string(dir.join(KEY)).map_err(|error| {
        let message = format!("`{}` is no part made by `make`: `{KEY}`: {error}", dir.display());
        Fault::new(Kind::Usage, message).into()
    })
}

/// Copies an object's files and its key to a new directory.
pub(super) fn export(object: &Object, key: &Key, files: &[&str], out: &Path) -> Result<()> {
    fs::create_dir(out).with_context(|| format!("making {}", out.display()))?;
    for name in files {
        copy(&object.file(name)?, &out.join(name))?;
    }
    fs::write(out.join(KEY), key.to_string()).context("writing a part's key")
}

/// Takes a part into the store by its key.
pub(super) fn import(session: &Session<'_>, key: &Key, dir: &Path) -> Result<()> {
    let what = dir.display().to_string();
    let fill = |to: &Path| {
        for entry in fs::read_dir(dir).with_context(|| what.clone())? {
            let entry = entry?;
            if entry.file_name() != KEY {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
        Ok(())
    };
    session.store.object(key, &what, &*session.context.progress, fill).map(drop)
}

/// Copies the modules of a module cache as a proxy serves them, without what depends on who served them.
///
/// Source: <https://go.dev/ref/mod#goproxy-protocol>
pub(super) fn modules(cache: &Path, out: &Path) -> Result<()> {
    /// All that a build may ask for. Proxies add where they have it from.
    #[derive(Deserialize, Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Info {
        version: String,
        time: Option<String>,
    }
    let top = cache.join("cache/download");
    for entry in walkdir::WalkDir::new(&top).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading {}", top.display()))?;
        let path = entry.path();
        let within = path.strip_prefix(&top)?;
        if !entry.file_type().is_file() || within.starts_with("sumdb") {
            continue;
        }
        let to = out.join(within);
        let parent = to.parent().context("no directory")?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("mod" | "zip") => {
                fs::create_dir_all(parent)?;
                copy(path, &to)?;
            }
            Some("info") => {
                fs::create_dir_all(parent)?;
                let text = fs::read(path)?;
                let info: Info = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
                fs::write(&to, serde_json::to_vec(&info)?)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("copying {} to {}", from.display(), to.display()))
}
