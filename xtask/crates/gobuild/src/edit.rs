//! Edits of modules: `images/go/edits.toml`.
//!
//! Some modules keep the linker from dropping what nobody calls, and no newer version of them lets it. A few lines of
//! these are edited in a copy that is made of the verified module for one build; what is linked says so
//! (`go version -m` shows the module as replaced).
//!
//! An edit names the versions that a person read it for: what is not as it says there is an error. In any other version it
//! applies where its lines are exactly once, and in the declaration they were in; elsewhere it is left out, and the linker
//! is the judge of that ([`crate::prune`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::modfile::{ModFile, Replacement};
use crate::modules::Listing;
use crate::templates::{Templates, is_go_file};

/// Where they are, below `images/go`.
pub(crate) const FILE: &str = "edits.toml";
/// Where the copies are, beside a go.mod.
const COPIES: &str = "edited";

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
    /// The change of Go's templates, in programs that make text by them.
    pub templates: Option<Templates>,
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
    /// The same, of releases that were added since. They are in no key, so that a new release rebuilds no other.
    #[serde(default, skip_serializing)]
    pub also: Vec<String>,
    /// The versions that were looked at and need none.
    #[serde(default)]
    pub without: Vec<String>,
    /// Another module, of whose versions it depends whether it is needed.
    #[serde(default, skip_serializing)]
    pub beside: Option<Beside>,
    /// The file, relative to the module.
    pub file: String,
    /// How the line begins that starts the declaration with these lines: `func init()`.
    #[serde(skip_serializing)]
    pub within: String,
    /// What is replaced, which the file has exactly once.
    pub find: String,
    /// By what.
    pub replace: String,
    /// What for, and what is different then.
    #[serde(skip_serializing)]
    pub why: String,
}

/// A module in versions beside which an edit applies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// The module's path.
    pub module: String,
    /// The first of these versions.
    pub since: String,
}

impl Edit {
    /// Did a person read it for this version?
    fn is_read(&self, version: &String) -> bool {
        self.versions.contains(version) || self.also.contains(version)
    }

    /// The text with the edit made; else why it cannot be.
    pub(crate) fn made(&self, text: &str) -> Result<String, String> {
        let count = text.matches(&self.find).count();
        let at = text.find(&self.find).filter(|_| count == 1);
        let at =
            at.ok_or_else(|| format!("the lines that it finds are there {count} times, expected once"))?;
        let first = &text[..at + self.find.trim_start_matches('\n').find('\n').unwrap_or(self.find.len())];
        let starts = |line: &&str| DECLARATIONS.iter().any(|word| line.starts_with(word));
        match first.lines().rev().find(starts) {
            Some(line) if line.starts_with(&self.within) => Ok(text.replacen(&self.find, &self.replace, 1)),
            found => {
                let found = found.unwrap_or("no declaration");
                Err(format!("the lines that it finds are in `{found}`, not in `{}`", self.within))
            }
        }
    }
}

/// What declarations of a Go file begin with.
const DECLARATIONS: [&str; 5] = ["func ", "type ", "var ", "const ", "import "];

/// An edit that a version of its module, which nobody read, does not take.
#[derive(Debug)]
pub(crate) struct LeftOut(pub(crate) String);

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The versions of edited modules in a closure that no person has read yet, as `module version`.
pub(crate) fn unread(edits: &[Edit], go_mod: &str) -> Result<BTreeSet<String>> {
    let file = ModFile::parse("go.mod", go_mod)?;
    let version = |edit: &Edit| file.used(&edit.module).map(|(_, version)| version);
    let unread = edits.iter().filter_map(|edit| Some((edit, version(edit).filter(|it| !edit.is_read(it))?)));
    Ok(unread.map(|(edit, version)| format!("{} {version}", edit.module)).collect())
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
        let bad =
            |what: String| anyhow::Error::from(Fault::new(Kind::InvalidData, format!("{name}: {what}")));
        let edits: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        if edits.version != 1 {
            return Err(bad(format!("format version {}, this program reads 1", edits.version)));
        }
        if let Some(templates) = &edits.templates {
            templates.check().map_err(bad)?;
        }
        for Edit { module, versions, file, find, replace, .. } in &edits.edits {
            if !is_go_file(file) {
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
        let is_beside = |Beside { module, since }: &Beside| {
            file.used(module).is_some_and(|(_, version)| !older(&version, since))
        };
        let wanted = |edit: &&Edit| {
            file.used(&edit.module).is_some_and(|(_, version)| !edit.without.contains(&version))
                && edit.beside.as_ref().is_none_or(is_beside)
        };
        // What other versions need not is not part of the key either.
        let own = |edit: &Edit| Edit { without: Vec::new(), ..edit.clone() };
        Ok(self.edits.iter().filter(wanted).map(own).collect())
    }

    /// Did a pin give a closure, by its go.mod, another version than its release asks for?
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for what is not a go.mod.
    pub fn raise(&self, go_mod: &str) -> Result<bool> {
        let file = ModFile::parse("go.mod", go_mod)?;
        Ok(self.pins.iter().any(|Pin { module, version, .. }| {
            let by = file.replace.get(&(module.clone(), None));
            by.is_some_and(|by| by.path == *module && by.version.as_ref() == Some(version))
        }))
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

/// Makes edited copies of the modules that are in use, beside the go.mod in `module`, and points it at them. Returns the
/// edits that were left out.
pub(crate) fn apply(edits: &[Edit], go_mod: &str, listing: &Listing, module: &Path) -> Result<Vec<LeftOut>> {
    let mut left_out = Vec::new();
    // By module: where it is, and the files that change.
    let mut changed: BTreeMap<&str, (&Path, BTreeMap<&str, String>)> = BTreeMap::new();
    for edit in edits {
        let Some(((_, version), from)) = listing.modules.iter().find(|((path, _), _)| *path == edit.module)
        else {
            continue;
        };
        let name = format!("{} {version}: {}", edit.module, edit.file);
        let files = changed.get(edit.module.as_str()).map(|(_, files)| files);
        let text = match files.and_then(|files| files.get(edit.file.as_str())) {
            Some(text) => Ok(text.clone()),
            None => fs::read_to_string(from.join(&edit.file)),
        };
        let is_read = edit.is_read(version);
        let made = match text {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_read => {
                Err("there is no such file".to_owned())
            }
            text => edit.made(&text.with_context(|| format!("reading {name}"))?),
        };
        match made {
            Ok(text) => {
                let (_, files) = changed.entry(&edit.module).or_insert((from, BTreeMap::new()));
                files.insert(&edit.file, text);
            }
            Err(why) if is_read => {
                let message = format!("images/go/{FILE}: an edit cannot be made in {name}\n  {why}");
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
            Err(why) => left_out.push(LeftOut(format!("{name}: {why}"))),
        }
    }
    if changed.is_empty() {
        return Ok(left_out);
    }
    let mut file = ModFile::parse("go.mod", go_mod)?;
    for (path, (from, files)) in changed {
        let inside = Path::new(COPIES).join(path);
        copy(from, &module.join(&inside)).with_context(|| format!("copying {path}"))?;
        for (name, text) in files {
            fs::write(module.join(&inside).join(name), text)
                .with_context(|| format!("writing {path}: {name}"))?;
        }
        file.replace.retain(|(replaced, _), _| replaced != path);
        let by = Replacement { path: format!("./{}", inside.display()), version: None };
        file.replace.insert((path.to_owned(), None), by);
    }
    fs::write(module.join("go.mod"), file.text(&[])).context("writing go.mod")?;
    Ok(left_out)
}

/// Where a package's files are once edits are made: in the copy of its module, if it has one.
pub(crate) fn place(dir: &Path, listing: &Listing, module: &Path) -> PathBuf {
    let copied = listing.modules.iter().find_map(|((path, _), from)| {
        let copy = module.join(COPIES).join(path);
        dir.strip_prefix(from).ok().filter(|_| copy.is_dir()).map(|rest| copy.join(rest))
    });
    copied.unwrap_or_else(|| dir.to_owned())
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
        within = \"func f()\"\nfind = \"one\"\nreplace = \"two\"\nwhy = \"w\"\n";
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
        let raise = |file: &ModFile| edits("", "").unwrap().raise(&file.text(&[])).unwrap();
        assert_eq!([raise(&file), raise(&newer)], [true, false]);
    }

    const SOURCE: &str = "package a\n\nfunc f() {\nhere:\n\tg(one)\n}\n\nfunc g(string) {}\n";

    /// A module with this file, in this version; what became of the edit, and the directory of the copy.
    fn applied(text: &str, version: &str) -> (Result<Vec<LeftOut>>, tempfile::TempDir) {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        fs::write(from.path().join("a/b.go"), text).unwrap();
        let edits = edits("", "").unwrap().of(GO_MOD).unwrap();
        let done = apply(&edits, GO_MOD, &listing(from.path(), version), to.path());
        assert_eq!(fs::read_to_string(from.path().join("a/b.go")).unwrap(), text);
        (done, to)
    }

    #[test]
    fn an_edit_for_versions_of_another_module_is_made_beside_these_alone() {
        let beside = |since: &str| {
            let more = format!("file = \"a/b.go\"\nbeside = {{ module = \"e.x/p\", since = \"{since}\" }}");
            edits("file = \"a/b.go\"", &more).unwrap()
        };
        let count = |since: &str, go_mod: &str| beside(since).of(go_mod).unwrap().len();
        assert_eq!([count("v1.4.0", GO_MOD), count("v1.3.9", GO_MOD), count("v1.4.1", GO_MOD)], [1, 1, 0]);
        let without = GO_MOD.replace("\te.x/p v1.4.0\n", "");
        assert_eq!(count("v1.0.0", &without), 0);
    }

    #[test]
    fn a_package_is_where_its_module_was_copied_to() {
        let (_, to) = applied(SOURCE, "v1.0.0");
        let from = Path::new("/cache/e.x/m@v1.0.0");
        let listing = listing(from, "v1.0.0");
        assert_eq!(place(&from.join("a"), &listing, to.path()), to.path().join("edited/e.x/m/a"));
        let other = Path::new("/cache/e.x/other@v1.0.0/a");
        assert_eq!(place(other, &listing, to.path()), other);
        assert_eq!(place(&from.join("a"), &listing, from), from.join("a"), "nothing was edited");
    }

    #[test]
    fn a_copy_is_edited_and_takes_the_modules_place() {
        for version in ["v1.0.0", "v1.7.0"] {
            let (done, to) = applied(SOURCE, version);
            assert!(done.unwrap().is_empty());
            let read = |file: &str| fs::read_to_string(to.path().join(file)).unwrap();
            assert_eq!(read("edited/e.x/m/a/b.go"), SOURCE.replace("one", "two"));
            assert!(read("go.mod").contains("e.x/m => ./edited/e.x/m\n"), "{}", read("go.mod"));
            assert!(!read("go.mod").contains("=> e.x/m v1.0.0"), "{}", read("go.mod"));
        }
    }

    /// A version that a person read must be as it was read; any other is left as it is, for the linker to judge.
    #[test]
    fn changed_doubled_and_moved_lines_are_never_edited() {
        let changed = SOURCE.replace("one", "1");
        let doubled = SOURCE.replace("g(one)", "g(one + one)");
        let moved = SOURCE.replace("func g", "func h").replace("func f", "func g");
        let mut told = String::new();
        for text in [&changed, &doubled, &moved] {
            let error = applied(text, "v1.0.0").0.unwrap_err();
            assert_eq!(fault::exit_code(&error), 3);
            let (left_out, to) = applied(text, "v1.7.0");
            let left_out = left_out.unwrap();
            assert_eq!(left_out.len(), 1);
            assert!(fs::read_dir(to.path()).unwrap().next().is_none());
            told += &format!("{error}\n{}\n", left_out[0]);
        }
        insta::assert_snapshot!(told, @r"
        images/go/edits.toml: an edit cannot be made in e.x/m v1.0.0: a/b.go
          the lines that it finds are there 0 times, expected once
        e.x/m v1.7.0: a/b.go: the lines that it finds are there 0 times, expected once
        images/go/edits.toml: an edit cannot be made in e.x/m v1.0.0: a/b.go
          the lines that it finds are there 2 times, expected once
        e.x/m v1.7.0: a/b.go: the lines that it finds are there 2 times, expected once
        images/go/edits.toml: an edit cannot be made in e.x/m v1.0.0: a/b.go
          the lines that it finds are in `func g() {`, not in `func f()`
        e.x/m v1.7.0: a/b.go: the lines that it finds are in `func g() {`, not in `func f()`
        ");
    }

    #[test]
    fn versions_that_nobody_read_are_told() {
        let edits = edits("", "").unwrap();
        let told = |go_mod: &str| unread(&edits.of(go_mod).unwrap(), go_mod).unwrap();
        assert!(told(GO_MOD).is_empty());
        assert!(told(&GO_MOD.replace("v1.0.0", "v2.0.0")).is_empty());
        assert_eq!(told(&GO_MOD.replace("v1.0.0", "v1.7.0")), ["e.x/m v1.7.0".to_owned()].into());
    }

    #[test]
    fn versions_of_later_releases_change_no_key_of_older_ones() {
        let key = |edits: &Edits| serde_json::to_string(&edits.of(GO_MOD).unwrap()).unwrap();
        let before = edits("", "").unwrap();
        let more = "also = [\"v1.5.0\"]\nwithout = [\"v2.0.0\", \"v3.0.0\"]";
        let after = edits("without = [\"v2.0.0\"]", more).unwrap();
        assert_eq!(key(&before), key(&after));
        let newer = GO_MOD.replace("v1.0.0", "v1.5.0");
        assert!(unread(&after.of(&newer).unwrap(), &newer).unwrap().is_empty());
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
