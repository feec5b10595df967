//! go.sum files and the `h1` hash of golang.org/x/mod/sumdb/dirhash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use digest::{Hasher, hash_file};
use fault::{Fault, Kind};
use rayon::prelude::*;

/// The sums of modules and of their go.mod files, as go.sum lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SumFile {
    /// `(module path, version)`, the version with `/go.mod` behind it for the sum of only that file, to `h1:...`.
    lines: BTreeMap<(String, String), String>,
}

impl SumFile {
    /// Reads go.sum text; `name` is for error messages.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut lines = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let bad = |what: &str| Fault::new(Kind::InvalidData, format!("{name}:{}: {what}", number + 1));
            let [path, version, sum] = line.split(' ').collect::<Vec<_>>()[..] else {
                return Err(bad("a line is `MODULE VERSION SUM`").into());
            };
            let hash = sum.strip_prefix("h1:").and_then(|hash| BASE64_STANDARD.decode(hash).ok());
            if hash.is_none_or(|hash| hash.len() != 32) {
                return Err(bad("a sum is `h1:` and 32 bytes in base64").into());
            }
            if lines.insert((path.to_owned(), version.to_owned()), sum.to_owned()).is_some() {
                return Err(bad("this module and version has a sum already").into());
            }
        }
        Ok(Self { lines })
    }

    /// The sum of a module's files.
    pub fn module(&self, path: &str, version: &str) -> Option<&str> {
        self.lines.get(&(path.to_owned(), version.to_owned())).map(String::as_str)
    }

    /// The sum of a module's go.mod.
    pub fn go_mod(&self, path: &str, version: &str) -> Option<&str> {
        self.module(path, &format!("{version}/go.mod"))
    }
}

/// The `h1` sum of an unpacked module: SHA-256 over a sorted list of the SHA-256 and name of each file.
pub fn hash_dir(dir: &Path, path: &str, version: &str) -> Result<String> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.with_context(|| format!("reading {}", dir.display()))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(dir).context("a file outside its directory")?;
        let Some(relative) = relative.to_str() else {
            return Err(Fault::new(
                Kind::Mismatch,
                format!("{} is not a module file", entry.path().display()),
            )
            .into());
        };
        files.push((format!("{path}@{version}/{relative}"), entry.into_path()));
    }
    files.sort_unstable();
    exec::interrupt::check()?;
    let sums: Vec<String> = files
        .par_iter()
        .map(|(name, file)| {
            let (sum, _) = hash_file(file)?;
            Ok(format!("{sum}  {name}\n"))
        })
        .collect::<Result<_>>()?;
    let mut all = Hasher::default();
    for line in sums {
        all.update(line.as_bytes());
    }
    Ok(format!("h1:{}", BASE64_STANDARD.encode(all.finish().0.bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "h1:+4+5VIoxcDv35PnVELouMdDC58AQF/sWs+hjjr4Ra44=";

    #[test]
    fn both_kinds_of_line_are_found() {
        let text = format!("a.b/c v1.0.0 {SUM}\na.b/c v1.0.0/go.mod {SUM}\n");
        let file = SumFile::parse("go.sum", &text).unwrap();
        assert_eq!(file.module("a.b/c", "v1.0.0"), Some(SUM));
        assert_eq!(file.go_mod("a.b/c", "v1.0.0"), Some(SUM));
        assert_eq!(file.go_mod("a.b/c", "v1.0.1"), None);
    }

    #[test]
    fn bad_lines_are_named() {
        let error = |text: &str| SumFile::parse("go.sum", text).unwrap_err().to_string();
        insta::assert_snapshot!(error("a v1\n"), @"go.sum:1: a line is `MODULE VERSION SUM`");
        insta::assert_snapshot!(error("a v1 h1:AAAA\n"), @"go.sum:1: a sum is `h1:` and 32 bytes in base64");
        let twice = format!("a v1 {SUM}\na v1 {SUM}\n");
        insta::assert_snapshot!(error(&twice), @"go.sum:2: this module and version has a sum already");
    }

    #[test]
    fn the_hash_is_that_of_dirhash() {
        // The expected value is golang.org/x/mod/sumdb/dirhash.HashDir's for these two files.
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("go.mod"), "module a.b/c\n").unwrap();
        std::fs::write(dir.path().join("sub/x.go"), "package x\n").unwrap();
        let sum = hash_dir(dir.path(), "a.b/c", "v1.0.0").unwrap();
        assert_eq!(sum, "h1:xJYKIXnCb0CmugspxPX+jVR6uyXUAqJbj72mcsNRPg4=");
        std::fs::write(dir.path().join("sub/x.go"), "package y\n").unwrap();
        assert_ne!(hash_dir(dir.path(), "a.b/c", "v1.0.0").unwrap(), sum);
    }
}
