//! What passes from one `make` to the next: a directory with the part's files and its key.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use store::{Key, Object};

use crate::Session;

/// The file with the key.
const KEY: &str = "key";

/// The key of a part.
fn key(dir: &Path) -> Result<String> {
    fs::read_to_string(dir.join(KEY)).map_err(|error| {
        let message = format!("`{}` is not a part made by `make`: `{KEY}`: {error}", dir.display());
        Fault::new(Kind::Usage, message).into()
    })
}

/// Copies an object's files and its key to a new directory.
pub fn export(object: &Object, key: &Key, files: &[&str], out: &Path) -> Result<()> {
    fs::create_dir(out).with_context(|| format!("making {}", out.display()))?;
    for name in files {
        copy(&object.file(name)?, &out.join(name))?;
    }
    fs::write(out.join(KEY), key.to_string()).context("writing a part's key")
}

/// Takes the parts of `name` into the store; they must be all that is needed, and no others.
pub fn import<'k>(
    session: &Session<'_>,
    name: &str,
    parts: &[PathBuf],
    needed: impl Iterator<Item = &'k Key>,
) -> Result<()> {
    let mut given: Vec<(String, &Path)> =
        parts.iter().map(|dir| Ok((key(dir)?, dir.as_path()))).collect::<Result<_>>()?;
    for key in needed {
        let expected = key.to_string();
        let Some(at) = given.iter().position(|(given, _)| *given == expected) else {
            let given: Vec<_> = given.iter().map(|(key, _)| key.as_str()).collect();
            let message = format!(
                "`{name}` needs a part that is not given\n  expected {expected}\n  found    {}",
                if given.is_empty() { "none".to_owned() } else { given.join(", ") }
            );
            return Err(Fault::new(Kind::Mismatch, message)
                .help("make it of the same catalog and locks: `cargo xtask make component` or `layer`")
                .into());
        };
        let (_, dir) = given.swap_remove(at);
        take(session, key, dir)?;
    }
    match given.first() {
        None => Ok(()),
        Some((key, dir)) => {
            let message = format!("`{}` ({key}) is not part of `{name}`", dir.display());
            Err(Fault::new(Kind::Usage, message).into())
        }
    }
}

/// Takes a part into the store by its key.
fn take(session: &Session<'_>, key: &Key, dir: &Path) -> Result<()> {
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
    session.store.object(key, &what, &*session.checkout.progress, fill).map(drop)
}

/// Copies the modules of a module cache as a proxy serves them, without what depends on who served them: of a version
/// go.sum knows the module and its go.mod, but not when proxies say that it was made, if they do.
///
/// Source: <https://go.dev/ref/mod#goproxy-protocol>
pub fn modules(cache: &Path, out: &Path) -> Result<()> {
    let top = cache.join("cache/download");
    for entry in walkdir::WalkDir::new(&top).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading {}", top.display()))?;
        let path = entry.path();
        let within = path.strip_prefix(&top)?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !entry.file_type().is_file()
            || within.starts_with("sumdb")
            || !matches!(extension, Some("mod" | "zip"))
        {
            continue;
        }
        let to = out.join(within);
        fs::create_dir_all(to.parent().context("no directory")?)?;
        copy(path, &to)?;
        if extension == Some("zip") {
            let name = path.file_stem().and_then(|name| name.to_str()).context("a name that is not UTF-8")?;
            let info = serde_json::json!({ "Version": unescape(name) });
            fs::write(to.with_extension("info"), info.to_string())?;
        }
    }
    Ok(())
}

/// The version that a file is named after: a capital letter is `!` and the small one there.
fn unescape(name: &str) -> String {
    let mut parts = name.split('!');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |version, part| {
        let letter = part.get(..1).unwrap_or_default();
        version + &letter.to_ascii_uppercase() + &part[letter.len()..]
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_the_same_whoever_served_them() {
        let dir = tempfile::tempdir().unwrap();
        let served = |name: &str, info: Option<&str>| {
            let cache = dir.path().join(name);
            let versions = cache.join("cache/download/example.org/a/@v");
            fs::create_dir_all(&versions).unwrap();
            fs::create_dir_all(cache.join("cache/download/sumdb")).unwrap();
            for file in [
                "v1.0.0-!r!c1.mod",
                "v1.0.0-!r!c1.zip",
                "v1.0.0-!r!c1.ziphash",
                "v1.0.0-!r!c1.lock",
                "v0.9.0.mod",
            ] {
                fs::write(versions.join(file), file).unwrap();
            }
            if let Some(info) = info {
                fs::write(versions.join("v1.0.0-!r!c1.info"), info).unwrap();
            }
            fs::write(cache.join("cache/download/sumdb/a.mod"), "").unwrap();
            let out = dir.path().join(format!("{name}-out"));
            modules(&cache, &out).unwrap();
            let files = walkdir::WalkDir::new(&out).sort_by_file_name().into_iter().map(Result::unwrap);
            let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| {
                let within = entry.path().strip_prefix(&out).unwrap().display().to_string();
                (within, fs::read_to_string(entry.path()).unwrap())
            });
            files.collect::<Vec<_>>()
        };
        let first = served("first", Some(r#"{"Version":"v1.0.0-RC1","Time":"2022-12-09T03:57:34Z"}"#));
        assert_eq!(served("second", Some(r#"{"Version":"v1.0.0-RC1","Origin":{"VCS":"git"}}"#)), first);
        assert_eq!(served("third", None), first);
        let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
        let versions = "example.org/a/@v";
        let expected = ["v0.9.0.mod", "v1.0.0-!r!c1.info", "v1.0.0-!r!c1.mod", "v1.0.0-!r!c1.zip"];
        assert_eq!(names, expected.map(|name| format!("{versions}/{name}")));
        assert_eq!(first[1].1, r#"{"Version":"v1.0.0-RC1"}"#);
    }
}
