//! Edits of modules: `images/go/edits.toml`.
//!
//! Some modules keep the linker from dropping what nobody calls, and no newer version of them lets it. A few lines of
//! these are edited in a copy that is made of the verified module for one build; what is linked says so
//! (`go version -m` shows the module as replaced). An edit names the versions it was read for; a program that is made
//! of another version is refused until somebody has looked at that one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::modfile::{ModFile, Replacement};
use crate::modules::Listing;

/// Where they are, below `images/go`.
const FILE: &str = "edits.toml";

/// What the closures and modules of all releases are changed by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    version: u32,
    /// Other versions than a release's own.
    #[serde(default, rename = "pin")]
    pub pins: Vec<Pin>,
    /// Changed lines.
    #[serde(default, rename = "edit")]
    pub edits: Vec<Edit>,
}

/// A module of which closures have another version than the release asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The module's path.
    pub module: String,
    /// The lowest version to be used.
    pub version: String,
    /// What for.
    pub why: String,
}

/// A change of some lines of a module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The module's path.
    pub module: String,
    /// The versions that have these lines and need the edit.
    pub versions: Vec<String>,
    /// The same, of releases that were added since. They are in no key, so that a new release makes no other one anew.
    #[serde(default, skip_serializing)]
    pub also: Vec<String>,
    /// The versions that were looked at and need none.
    #[serde(default)]
    pub without: Vec<String>,
    /// The file, relative to the module.
    pub file: String,
    /// What is replaced, which the file has exactly once.
    pub find: String,
    /// By what.
    pub replace: String,
    /// What for, and what is different then.
    #[serde(skip_serializing)]
    pub why: String,
}

impl Edits {
    /// Reads the file in `dir` and validates it.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and validates; `name` is what errors call the file.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let bad = |what: String| anyhow::Error::from(Fault::new(Kind::Data, format!("{name}: {what}")));
        let edits: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        if edits.version != 1 {
            return Err(bad(format!("format version {}, this program reads 1", edits.version)));
        }
        for Edit { module, versions, file, find, replace, .. } in &edits.edits {
            let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || Path::new(file).extension().is_none_or(|kind| kind != "go") {
                return Err(bad(format!("`{file}` is not the path of a Go file within {module}")));
            }
            if versions.is_empty() || find.is_empty() || find == replace {
                return Err(bad(format!("the edit of {module}'s {file} changes nothing")));
            }
        }
        let twice = edits
            .pins
            .iter()
            .enumerate()
            .find(|(index, pin)| edits.pins[..*index].iter().any(|other| other.module == pin.module));
        if let Some((_, pin)) = twice {
            return Err(bad(format!("{} is pinned twice", pin.module)));
        }
        Ok(edits)
    }

    /// The edits of modules that a closure has, but those that its versions need not.
    pub(crate) fn of(&self, go_mod: &str) -> Result<Vec<Edit>> {
        let file = ModFile::parse("go.mod", go_mod)?;
        let wanted = |edit: &&Edit| {
            file.used(&edit.module).is_some_and(|(_, version)| !edit.without.contains(&version))
        };
        // What other versions need not is no part of the key either.
        let own = |edit: &Edit| Edit { without: Vec::new(), ..edit.clone() };
        Ok(self.edits.iter().filter(wanted).map(own).collect())
    }

    /// Puts the pinned versions into a go.mod, where it asks for older ones.
    pub(crate) fn pin(&self, file: &mut ModFile) {
        for Pin { module, version, .. } in &self.pins {
            if file.used(module).is_some_and(|(_, used)| older(&used, version)) {
                file.replace.retain(|(path, _), _| path != module);
                let by = Replacement { path: module.clone(), version: Some(version.clone()) };
                file.replace.insert((module.clone(), None), by);
            }
        }
    }
}

/// Is the semantic version `a` older than `b`? Pre-releases count as their release.
fn older(a: &str, b: &str) -> bool {
    let parts = |version: &str| {
        let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
        core.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>()
    };
    parts(a) < parts(b)
}

/// Makes edited copies of the modules that are in use, beside the go.mod in `module`, and points it at them.
pub(crate) fn apply(edits: &[Edit], go_mod: &str, listing: &Listing, module: &Path) -> Result<()> {
    let mut copies: BTreeMap<&str, (PathBuf, &str, Vec<&Edit>)> = BTreeMap::new();
    for edit in edits {
        let Some(((_, version), from)) = listing.modules.iter().find(|((path, _), _)| *path == edit.module)
        else {
            continue;
        };
        if !edit.versions.contains(version) && !edit.also.contains(version) {
            let message = format!("images/go/{FILE} says nothing of {} {version}", edit.module);
            let help = format!(
                "read its {}: add the version to the edit's `also`, or to `without` where it needs none",
                edit.file
            );
            return Err(Fault::new(Kind::Data, message).help(help).into());
        }
        copies.entry(&edit.module).or_insert_with(|| (from.clone(), version, Vec::new())).2.push(edit);
    }
    if copies.is_empty() {
        return Ok(());
    }
    let mut file = ModFile::parse("go.mod", go_mod)?;
    for (path, (from, version, edits)) in copies {
        let inside = Path::new("edited").join(path);
        copy(&from, &module.join(&inside)).with_context(|| format!("copying {path}"))?;
        for edit in edits {
            change(edit, version, &module.join(&inside).join(&edit.file))?;
        }
        file.replace.retain(|(replaced, _), _| replaced != path);
        let by = Replacement { path: format!("./{}", inside.display()), version: None };
        file.replace.insert((path.to_owned(), None), by);
    }
    fs::write(module.join("go.mod"), file.text(&[])).context("writing go.mod")
}

fn change(edit: &Edit, version: &str, file: &Path) -> Result<()> {
    let name = format!("{} {version}: {}", edit.module, edit.file);
    let text = fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let found = text.matches(&edit.find).count();
    if found != 1 {
        let message =
            format!("images/go/{FILE}: what an edit finds is {found} times in {name}, expected once");
        return Err(Fault::new(Kind::Data, message).into());
    }
    fs::write(file, text.replace(&edit.find, &edit.replace)).with_context(|| format!("writing {name}"))
}

/// Copies a module, its files writable: the module cache's are not.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version = 1\n\
        [[pin]]\nmodule = \"e.x/p\"\nversion = \"v1.9.1\"\nwhy = \"w\"\n\
        [[edit]]\nmodule = \"e.x/m\"\nversions = [\"v1.0.0\"]\nwithout = [\"v2.0.0\"]\nfile = \"a/b.go\"\n\
        find = \"one\"\nreplace = \"two\"\nwhy = \"w\"\n";
    const GO_MOD: &str = "module m\n\ngo 1.19\n\nrequire (\n\te.x/m v1.0.0\n\te.x/p v1.4.0\n)\n\n\
        replace e.x/m => e.x/m v1.0.0\n";

    fn edits(from: &str, to: &str) -> Result<Edits> {
        assert!(TEXT.contains(from), "{from}");
        Edits::parse(&TEXT.replace(from, to), "edits.toml")
    }

    fn listing(dir: &Path, version: &str) -> Listing {
        let modules = BTreeMap::from([(("e.x/m".to_owned(), version.to_owned()), dir.to_owned())]);
        Listing { modules, ..Listing::default() }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |from: &str, to: &str| edits(from, to).unwrap_err().to_string();
        insta::assert_snapshot!(error("version = 1\n", "version = 2\n"), @"edits.toml: format version 2, this program reads 1");
        insta::assert_snapshot!(error("a/b.go", "../b.go"), @"edits.toml: `../b.go` is not the path of a Go file within e.x/m");
        insta::assert_snapshot!(error("\"two\"", "\"one\""), @"edits.toml: the edit of e.x/m's a/b.go changes nothing");
        insta::assert_snapshot!(error("[[edit]]", "[[pin]]\nmodule = \"e.x/p\"\nversion = \"v1\"\nwhy = \"\"\n[[edit]]"), @"edits.toml: e.x/p is pinned twice");
    }

    #[test]
    fn pins_raise_versions_and_never_lower_them() {
        let mut file = ModFile::parse("go.mod", GO_MOD).unwrap();
        edits("", "").unwrap().pin(&mut file);
        assert_eq!(file.used("e.x/p").unwrap().1, "v1.9.1");
        let mut newer = ModFile::parse("go.mod", &GO_MOD.replace("v1.4.0", "v1.10.0")).unwrap();
        edits("", "").unwrap().pin(&mut newer);
        assert_eq!(newer.used("e.x/p").unwrap().1, "v1.10.0");
    }

    #[test]
    fn a_copy_is_edited_and_takes_the_modules_place() {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        fs::write(from.path().join("a/b.go"), "package a // one\n").unwrap();
        let edits = edits("", "").unwrap().of(GO_MOD).unwrap();
        apply(&edits, GO_MOD, &listing(from.path(), "v1.0.0"), to.path()).unwrap();
        let read = |file: &str| fs::read_to_string(to.path().join(file)).unwrap();
        assert_eq!(read("edited/e.x/m/a/b.go"), "package a // two\n");
        assert!(read("go.mod").contains("e.x/m => ./edited/e.x/m\n"), "{}", read("go.mod"));
        assert!(!read("go.mod").contains("=> e.x/m v1.0.0"), "{}", read("go.mod"));
        assert_eq!(fs::read_to_string(from.path().join("a/b.go")).unwrap(), "package a // one\n");

        fs::write(from.path().join("a/b.go"), "package a // one one\n").unwrap();
        let error = apply(&edits, GO_MOD, &listing(from.path(), "v1.0.0"), to.path()).unwrap_err();
        insta::assert_snapshot!(error, @"images/go/edits.toml: what an edit finds is 2 times in e.x/m v1.0.0: a/b.go, expected once");
        let error = apply(&edits, GO_MOD, &listing(from.path(), "v1.1.0"), to.path()).unwrap_err();
        insta::assert_snapshot!(error, @"images/go/edits.toml says nothing of e.x/m v1.1.0");
    }

    #[test]
    fn versions_of_later_releases_change_no_key_of_older_ones() {
        let key = |edits: &Edits| serde_json::to_string(&edits.of(GO_MOD).unwrap()).unwrap();
        let before = edits("", "").unwrap();
        let more = "also = [\"v1.5.0\"]\nwithout = [\"v2.0.0\", \"v3.0.0\"]";
        let after = edits("without = [\"v2.0.0\"]", more).unwrap();
        assert_eq!(key(&before), key(&after));
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        fs::write(from.path().join("a/b.go"), "one\n").unwrap();
        apply(&after.of(GO_MOD).unwrap(), GO_MOD, &listing(from.path(), "v1.5.0"), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("edited/e.x/m/a/b.go")).unwrap(), "two\n");
    }

    #[test]
    fn modules_not_in_use_or_known_to_need_nothing_are_left_alone() {
        let to = tempfile::tempdir().unwrap();
        let all = edits("", "").unwrap();
        assert!(all.of(&GO_MOD.replace("v1.0.0", "v2.0.0")).unwrap().is_empty());
        let edits = all.of(GO_MOD).unwrap();
        apply(&edits, GO_MOD, &Listing::default(), to.path()).unwrap();
        assert!(fs::read_dir(to.path()).unwrap().next().is_none());
    }
}
