//! A file of the database, and which files a directory has.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apk::version::Version;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Branch, Fix, Fixed, entry, refused};

/// What a file says.
pub(super) struct File {
    pub(super) branch: Branch,
    pub(super) repository: String,
    pub(super) packages: Vec<Package>,
}

/// What it says of a package.
pub(super) struct Package {
    /// Its origin.
    pub(super) name: String,
    pub(super) fixes: Vec<Fix>,
}

/// As it is written. `apkurl`, `archs` and `urlprefix` say where packages are, which does not matter here.
#[derive(Deserialize)]
struct Raw {
    distroversion: String,
    reponame: String,
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    pkg: RawPkg,
}

#[derive(Deserialize)]
struct RawPkg {
    name: String,
    #[serde(default)]
    secfixes: Rows,
}

/// Versions with their entries: all of them, also if a version is there twice, which a map would lose.
#[derive(Default)]
struct Rows(Vec<(String, Option<Vec<String>>)>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of;
        impl<'de> Visitor<'de> for Of {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("versions, each with a list of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = map.next_entry()? {
                    rows.push(row);
                }
                Ok(Rows(rows))
            }

            /// An empty table of Lua's is an empty list.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
                match list.next_element::<de::IgnoredAny>()? {
                    None => Ok(Rows::default()),
                    Some(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &self)),
                }
            }

            fn visit_unit<E: de::Error>(self) -> Result<Rows, E> {
                Ok(Rows::default())
            }
        }
        deserializer.deserialize_any(Of)
    }
}

/// Reads a file; the error is the reason why it is none.
pub(super) fn parse(bytes: &[u8]) -> Result<File, String> {
    let Raw { distroversion, reponame, packages } =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let wrong = |what: &str, text: &str| format!("`{}` is not {what}", text.escape_debug());
    let branch =
        Branch::parse(&distroversion).ok_or_else(|| wrong("a branch such as v3.22", &distroversion))?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain(&reponame) {
        return Err(wrong("the name of a repository", &reponame));
    }
    let mut known = Vec::new();
    for RawPackage { pkg: RawPkg { name, secfixes } } in packages {
        if !plain(&name) {
            return Err(wrong("the name of a package", &name));
        }
        let fixes = secfixes.0.into_iter().map(|(version, entries)| Fix {
            fixed: fixed(&version),
            vulnerabilities: entries.into_iter().flatten().flat_map(|text| entry::parse(&text)).collect(),
        });
        known.push(Package { name, fixes: fixes.collect() });
    }
    Ok(File { branch, repository: reponame, packages: known })
}

fn fixed(version: &str) -> Fixed {
    if version == "0" {
        return Fixed::Never;
    }
    // No package has a version without a number; apk takes some such texts.
    match Version::parse(version) {
        Ok(read) if version.starts_with(|first: char| first.is_ascii_digit()) => Fixed::Since(read),
        _ => Fixed::Unreadable(version.chars().filter(|char| !char.is_control()).collect()),
    }
}

/// The paths of all files `*.json` in a directory and the directories in it, sorted. Names that begin with a dot are not
/// meant.
pub(super) fn all(dir: &Path, limit: usize) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    list(dir, dir, 1, limit, &mut found)?;
    found.sort();
    Ok(found)
}

fn list(dir: &Path, top: &Path, deeper: u32, limit: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(refused(&format!("there is no directory {}", dir.display())));
        }
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", dir.display())),
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("{} cannot be read", dir.display()))?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if deeper > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, top, deeper - 1, limit, found)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
            if found.len() > limit {
                return Err(refused(&format!("{} has more than {limit} files *.json", top.display())));
            }
        }
    }
    Ok(())
}
