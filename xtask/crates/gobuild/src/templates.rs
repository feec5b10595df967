//! Methods that templates name.
//!
//! Go's templates (text/template, and html/template by it) look up by name what a template names, so the linker keeps
//! all methods of a program that has any ([`crate::prune`]). Programs with [`crate::Flags::templates`] are linked with a
//! text/template that looks up only names that are in its source: all those that any string in the sources of the
//! programs has where a template would name something. `templates/main.go` reads them. So whatever templates the sources
//! have, all that they name is found as before; a template from elsewhere finds methods of these names, and fields and
//! keys of all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};

use crate::edit::{Edit, FILE, LeftOut};
use crate::modules::Listing;
use crate::recipe::Recipe;
use crate::tools::{Tools, Work};

/// What reads the sources.
const READER: &str = include_str!("templates/main.go");
/// What stands for a name.
const NAME: &str = "NAME";
/// How it says that a string takes names from elsewhere.
const MARK: char = '!';

fn reader() -> &'static str {
    READER
}

/// Where templates look methods up, as `images/go/edits.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Templates {
    /// The versions of Go that a person read it for, without their last number.
    #[serde(skip_serializing)]
    pub versions: Vec<String>,
    /// The file, relative to Go's packages.
    pub file: String,
    /// How the line begins that starts the declaration with these lines.
    #[serde(skip_serializing)]
    pub within: String,
    /// What is replaced, which the file has exactly once.
    pub find: String,
    /// What is there instead: a beginning, what looks a method up by the name `NAME` for each name, and an end.
    pub lookup: [String; 3],
    /// Names that users' templates may have.
    pub methods: BTreeSet<String>,
    /// Packages whose strings are none of the programs' templates, though they look it; `PATH/...` are all below one.
    pub other: BTreeSet<String>,
    /// What for, and what is different then.
    #[serde(skip_serializing)]
    pub why: String,
    /// It decides which names there are.
    #[serde(skip_deserializing, default = "reader")]
    reader: &'static str,
}

impl Templates {
    /// Why it cannot be what it should.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { file, find, lookup: [_, each, _], methods, .. } = self;
        let word = |name: &String| is_exported(name) && name.chars().all(char::is_alphanumeric);
        if !is_go_file(file) {
            return Err(format!("[templates]: `{file}` is not the path of a Go file"));
        }
        if find.is_empty() || !each.contains(NAME) {
            return Err(format!("[templates]: `{each}` looks up no {NAME}, or nothing is replaced by it"));
        }
        match methods.iter().find(|name| !word(name)) {
            Some(name) => Err(format!("[templates]: `{name}` is not the name of an exported method")),
            None => Ok(()),
        }
    }

    /// Did a person read it for this version of Go?
    pub(crate) fn is_read(&self, go: &str) -> bool {
        self.versions.iter().any(|version| go.strip_prefix(version.as_str()).is_some_and(is_patch))
    }

    /// The edit for these names.
    fn edit(&self, names: &BTreeSet<String>) -> Edit {
        let [before, each, after] = &self.lookup;
        let names: String = names.iter().map(|name| each.replace(NAME, name)).collect();
        Edit {
            module: "std".to_owned(),
            versions: self.versions.clone(),
            also: Vec::new(),
            beside: None,
            without: Vec::new(),
            file: self.file.clone(),
            within: self.within.clone(),
            find: self.find.clone(),
            replace: format!("{before}{names}{after}"),
            why: self.why.clone(),
        }
    }
}

/// Is it the path of a Go file below a directory?
pub(crate) fn is_go_file(file: &str) -> bool {
    fstree::path::check(file).is_ok() && Path::new(file).extension().is_some_and(|kind| kind == "go")
}

/// What follows `1.26` in its releases.
fn is_patch(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

/// Writes what text/template of `recipe` is compiled from instead, if it is another; the flag that tells the go command.
pub(crate) fn overlay(
    recipe: &Recipe,
    tools: &Tools,
    work: &Work,
    listing: &Listing,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<String>> {
    let Some(templates) = &recipe.templates else { return Ok(Vec::new()) };
    let mut names = named(tools, work, listing, &templates.other)?;
    names.extend(templates.methods.iter().cloned());
    let from = tools.go_root.join("src").join(&templates.file);
    let text = fs::read_to_string(&from).with_context(|| format!("reading {}", from.display()))?;
    let text = match templates.edit(&names).made(&text) {
        Ok(text) => text,
        Err(why) => {
            let what = format!("go {}: {}", recipe.go, templates.file);
            if templates.is_read(&recipe.go) {
                let message = format!("images/go/{FILE}: an edit cannot be made in {what}\n  {why}");
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
            left_out.push(LeftOut(format!("{what}: {why}")));
            return Ok(Vec::new());
        }
    };
    let dir = work.temporary();
    let (to, table) = (dir.join("templates.go"), dir.join("overlay.json"));
    fs::write(&to, text).context("writing text/template")?;
    fs::write(&table, serde_json::json!({"Replace": {(from.display().to_string()): to}}).to_string())
        .context("writing what replaces text/template")?;
    Ok(vec![format!("-overlay={}", table.display())])
}

/// The names in strings of all packages that could be templates, but for the packages `other`: those that a method can
/// have.
fn named(
    tools: &Tools,
    work: &Work,
    listing: &Listing,
    other: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let is_other = |package: &String| other.iter().any(|pattern| is_of(package, pattern));
    let packages = listing.files.iter().filter(|(package, _)| !is_other(package));
    let files: Vec<&Path> = packages.flat_map(|(_, files)| files).map(AsRef::as_ref).collect();
    let answer = read(tools, &work.temporary(), &files)?;
    let (mut names, mut open) = (BTreeSet::new(), Vec::new());
    for line in answer.lines() {
        let (place, found) = line.split_once('\t').context("a line without a place")?;
        match found.strip_prefix(MARK) {
            Some(what) => open.push(format!("\n  {place}: {what}")),
            None => names.extend(found.split(' ').filter(|name| is_exported(name)).map(str::to_owned)),
        }
    }
    if open.is_empty() {
        return Ok(names);
    }
    let message = format!("what these templates name is not known before they run:{}", open.concat());
    let help = format!("if they are not templates, name their packages in [templates] of images/go/{FILE}");
    Err(Fault::new(Kind::ToolFailed, message).help(help).into())
}

/// Does the package fit the pattern? `PATH/...` is a package and all below it.
fn is_of(package: &str, pattern: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    match pattern.strip_suffix("/...") {
        Some(path) => package.strip_prefix(path).is_some_and(below),
        None => package == pattern,
    }
}

fn is_exported(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

/// What the reader says of these files.
fn read(tools: &Tools, parent: &Path, files: &[&Path]) -> Result<String> {
    let work = Work::new(parent, "module templates\n\ngo 1.23\n", "")?;
    fs::write(work.module().join("main.go"), READER).context("writing what reads templates")?;
    let list = work.temporary().join("files");
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    fs::write(&list, names.join("\n")).context("writing the names of sources")?;
    tools.go_here(&work)?.args(["build", "-trimpath", "-o"]).arg(work.output()).arg(".").run()?;
    let out = Run::new(work.output()).arg(&list).run()?;
    String::from_utf8(out.stdout).context("what reads templates writes other than UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Edits;

    fn committed() -> Templates {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/go");
        Edits::read(&images).unwrap().templates.unwrap()
    }

    #[test]
    fn each_name_is_looked_up_as_a_constant() {
        let names = ["Called", "String"].map(str::to_owned).into();
        let text = "func (s *state) evalField() {\n\tif method := ptr.MethodByName(fieldName); method.IsValid() {\n\t}\n}\n";
        insta::assert_snapshot!(committed().edit(&names).made(text).unwrap(), @r#"
        func (s *state) evalField() {
        	var method reflect.Value
        	switch fieldName {
        	case "Called":
        		method = ptr.MethodByName("Called")
        	case "String":
        		method = ptr.MethodByName("String")
        	}
        	if method.IsValid() {
        	}
        }
        "#);
    }

    #[test]
    fn a_version_of_go_is_read_with_its_patches() {
        let read = ["1.26", "1.26.8", "1.2", "1.260.1", "1.27.0"].map(|go| committed().is_read(go));
        assert_eq!(read, [true, true, false, false, false]);
    }

    #[test]
    fn a_pattern_is_of_whole_words() {
        let fits = ["a.b/c", "a.b/c/d", "a.b/cd", "a.b"].map(|package| is_of(package, "a.b/c/..."));
        assert_eq!(fits, [true, true, false, false]);
        assert_eq!(["a.b/c", "a.b/c/d"].map(|package| is_of(package, "a.b/c")), [true, false]);
    }

    #[test]
    fn what_is_no_exported_name_is_refused() {
        let bad = |from: &str, to: &str| {
            let text = "version = 1\n[templates]\nversions = ['1.26']\nfile = 'a/b.go'\nwithin = 'func f('\nwhy = 'w'\n\
                find = 'x'\nlookup = ['a', 'NAME', 'b']\nmethods = ['String']\nother = []\n";
            assert!(text.contains(from), "{from}");
            Edits::parse(&text.replace(from, to), "edits.toml").map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(bad("x", "x"), Ok(()));
        insta::assert_snapshot!(bad("'String'", "'string'").unwrap_err(), @"edits.toml: [templates]: `string` is not the name of an exported method");
        insta::assert_snapshot!(bad("a/b.go", "../b.go").unwrap_err(), @"edits.toml: [templates]: `../b.go` is not the path of a Go file");
        insta::assert_snapshot!(bad("'NAME'", "'name'").unwrap_err(), @"edits.toml: [templates]: `name` looks up no NAME, or nothing is replaced by it");
    }
}
