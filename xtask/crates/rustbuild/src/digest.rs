//! The digest of a crate's sources.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use digest::Hasher;
use fault::{Fault, Kind};
use walkdir::WalkDir;

/// SHA-256, in hexadecimal, of what of a crate goes into its program: Cargo.toml, Cargo.lock, build.rs and src, by
/// relative path and content. Tests, modes and times do not count.
pub(crate) fn of_crate(dir: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for name in ["Cargo.lock", "Cargo.toml", "build.rs"] {
        if dir.join(name).is_file() {
            files.push(name.into());
        } else if name != "build.rs" {
            let message = format!("no {name} in {}: this is not the source of the entrypoint", dir.display());
            return Err(Fault::new(Kind::NotFound, message)
                .help("name the directory images/entrypoint")
                .into());
        }
    }
    for entry in WalkDir::new(dir.join("src")) {
        let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
        if entry.file_type().is_file() {
            files.push(entry.path().strip_prefix(dir).context("a file outside of its directory")?.to_owned());
        }
    }
    files.sort();

    let mut hash = Hasher::default();
    for file in files {
        let path = dir.join(&file);
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = file.as_os_str().as_encoded_bytes();
        for part in [name, &content] {
            hash.update(&u64::try_from(part.len())?.to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hash.finish().0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        dir
    }

    const FILES: [(&str, &str); 4] =
        [("Cargo.toml", "a"), ("Cargo.lock", "b"), ("src/main.rs", "c"), ("src/x/mod.rs", "d")];

    fn with(change: impl Fn(&mut Vec<(&'static str, &'static str)>)) -> String {
        let mut files = FILES.to_vec();
        change(&mut files);
        of_crate(tree(&files).path()).unwrap()
    }

    #[test]
    fn content_and_names_count_and_nothing_else() {
        let plain = with(|_| {});
        assert_eq!(with(|files| files.reverse()), plain);
        assert_eq!(with(|files| files.push(("tests/t.rs", "x"))), plain);
        assert_eq!(with(|files| files.push(("target/debug/x", "x"))), plain);
        assert_ne!(with(|files| files[2].1 = "C"), plain);
        assert_ne!(with(|files| files[1].1 = "B"), plain);
        assert_ne!(with(|files| files[3].0 = "src/x/mode.rs"), plain);
        assert_ne!(with(|files| files.push(("build.rs", ""))), plain);
        // A byte that moves from a file to the next.
        assert_ne!(with(|files| (files[2].1, files[3].1) = ("cd", "")), plain);
    }

    #[test]
    fn what_is_no_crate_is_refused() {
        let error = of_crate(tree(&FILES[..1]).path()).unwrap_err();
        assert_eq!(fault::exit_code(&error), 4);
        assert!(error.to_string().contains("Cargo.lock"), "{error}");
    }
}
