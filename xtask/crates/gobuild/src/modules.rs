//! The modules that programs need: had, and proven to be what go.sum says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use progress::Progress;
use rayon::prelude::*;
use serde::Deserialize;

use crate::closure::CRI_TOOLS;
use crate::modfile::{ModFile, PathVersion};
use crate::recipe::Recipe;
use crate::sumfile::{SumFile, hash_dir};
use crate::tools::{Tools, Work};

/// How many missing modules are named; a release that was never fetched lacks hundreds.
const NAMED: usize = 40;

/// A package as `go list -json` lists it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Package {
    pub(crate) import_path: String,
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    pub(crate) imports: Vec<String>,
    pub(crate) go_files: Vec<String>,
    pub(crate) cgo_files: Vec<String>,
    #[serde(rename = "CFiles")]
    pub(crate) c_files: Vec<String>,
    #[serde(rename = "HFiles")]
    pub(crate) h_files: Vec<String>,
    #[serde(rename = "SFiles")]
    pub(crate) s_files: Vec<String>,
    pub(crate) embed_files: Vec<String>,
    pub(crate) module: Option<Module>,
    pub(crate) error: Option<PackageError>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Module {
    path: String,
    version: String,
    dir: PathBuf,
    replace: Option<Box<Module>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct PackageError {
    err: String,
}

/// What the programs of a recipe are made of.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The programs' own packages, in the recipe's order.
    pub(crate) mains: Vec<Package>,
    /// All modules with a package in use, and where they are unpacked.
    pub(crate) modules: BTreeMap<PathVersion, PathBuf>,
    /// Whether spf13's flags are among the packages.
    pub(crate) pflag: bool,
    /// The Go and embedded files of all packages, by package.
    pub(crate) files: BTreeMap<String, Vec<PathBuf>>,
}

/// Fetches the modules that `recipe`'s programs need and that are not in the module cache yet; a [`crate::compile`]
/// needs no network then. `work` is a directory for temporary files.
pub fn fetch(recipe: &Recipe, tools: &Tools, work: &Path, progress: &dyn Progress) -> Result<()> {
    let task = progress.task(&format!("modules of {}", recipe.name()), None);
    let work = Work::new(work, &recipe.go_mod, &recipe.go_sum)?;
    let listing = list(recipe, tools, &work, !tools.offline, &|line| {
        if let Some(module) = line.strip_prefix("go: downloading ") {
            task.detail(module);
        }
    })?;
    verify(recipe, &listing)
}

/// Lists the packages that the programs are made of, fetching what is missing if it may.
pub(crate) fn list(
    recipe: &Recipe,
    tools: &Tools,
    work: &Work,
    fetching: bool,
    on_line: &(dyn Fn(&str) + Sync),
) -> Result<Listing> {
    let fields = "ImportPath,Dir,Name,Imports,GoFiles,CgoFiles,CFiles,HFiles,SFiles,EmbedFiles,Module,Error";
    let go_list = |flags: &[&str]| {
        let go =
            if fetching { tools.go_fetching(&recipe.target, work) } else { tools.go(&recipe.target, work) };
        go?.env("CGO_ENABLED", recipe.flags.cgo())
            .args(["list", "-deps", "-mod=readonly"])
            .arg(format!("-tags={}", recipe.flags.tags.join(",")))
            .args(flags)
            .args(recipe.programs.iter().map(|program| &program.package))
            .on_line(on_line)
            .finish()
    };
    let out = go_list(&["-e", &format!("-json={fields}")])?;
    let packages = serde_json::Deserializer::from_slice(&out.stdout)
        .into_iter::<Package>()
        .collect::<Result<Vec<_>, _>>()
        .context("what `go list` says")?;
    if !out.status.success() {
        let message = format!("the packages of {} cannot be listed:\n{}", recipe.name(), out.stderr_tail);
        return Err(problem(message, &[&out.stderr_tail], !fetching));
    }
    let broken: Vec<&Package> = packages.iter().filter(|package| package.error.is_some()).collect();
    if !broken.is_empty() {
        let errors =
            broken.iter().filter_map(|package| package.error.as_ref()).map(|error| error.err.clone());
        let mut errors: BTreeSet<String> = errors.collect();
        let message = format!(
            "packages of {} have errors:\n{}",
            recipe.name(),
            errors.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
        );
        if errors.iter().any(|error| error.starts_with("module lookup disabled")) {
            errors.extend(absent_modules(recipe, tools, work, &broken)?);
        }
        let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
        return Err(problem(message, &errors, !fetching));
    }
    let mut listing = Listing::default();
    let mut mains = BTreeMap::new();
    for package in packages {
        if let Some(module) = &package.module {
            let used = module.replace.as_deref().unwrap_or(module);
            if !used.version.is_empty() {
                let dir = if used.dir.as_os_str().is_empty() { &module.dir } else { &used.dir };
                listing.modules.insert((used.path.clone(), used.version.clone()), dir.clone());
            }
        }
        let files = [&package.go_files, &package.cgo_files, &package.embed_files].into_iter().flatten();
        let files = files.map(|file| package.dir.join(file)).collect();
        listing.files.insert(package.import_path.clone(), files);
        listing.pflag |= package.import_path == "github.com/spf13/pflag";
        if recipe.programs.iter().any(|program| program.package == package.import_path) {
            mains.insert(package.import_path.clone(), package);
        }
    }
    for program in &recipe.programs {
        let main = mains.remove(&program.package).filter(|package| package.name == "main");
        let main = main
            .ok_or_else(|| Fault::new(Kind::InvalidData, format!("{} is not a program", program.package)))?;
        listing.mains.push(main);
    }
    Ok(listing)
}

/// The modules of broken packages that the module cache lacks, with the reason. Cut off from all proxies, the go
/// command does not name them itself.
fn absent_modules(recipe: &Recipe, tools: &Tools, work: &Work, broken: &[&Package]) -> Result<Vec<String>> {
    let file = ModFile::parse("go.mod", &recipe.go_mod)?;
    let holds = |path: &str| {
        let within = |rest: &str| rest.is_empty() || rest.starts_with('/');
        broken.iter().any(|package| package.import_path.strip_prefix(path).is_some_and(within))
    };
    let used = file.require.keys().filter(|path| holds(path)).filter_map(|path| file.used(path));
    let modules: Vec<String> = used.map(|(path, version)| format!("{path}@{version}")).collect();
    if modules.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers = download(tools.go(&recipe.target, work)?, &modules)?;
    answers.retain(|answer| !answer.error.is_empty());
    let reason = "it is not in the module cache";
    Ok(answers.iter().map(|answer| format!("{}@{}: {reason}", answer.path, answer.version)).collect())
}

/// What `go mod download -json` says of a module.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Downloaded {
    pub(crate) path: String,
    pub(crate) version: String,
    pub(crate) go_mod: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) error: String,
}

/// Asks `go` for modules; one that is not available is an answer with an error.
pub(crate) fn download(go: Run<'_>, modules: &[String]) -> Result<Vec<Downloaded>> {
    let out = go.args(["mod", "download", "-json"]).args(modules).finish()?;
    let answers = serde_json::Deserializer::from_slice(&out.stdout)
        .into_iter()
        .collect::<Result<Vec<Downloaded>, _>>()
        .context("what `go mod download` says")?;
    if answers.is_empty() {
        let message = format!("`go mod download` failed:\n{}", out.stderr_tail);
        return Err(problem(message, &[&out.stderr_tail], false));
    }
    if let Some(changed) = answers.iter().find(|module| module.error.contains("checksum mismatch")) {
        return Err(problem(changed.error.clone(), &[&changed.error], false));
    }
    Ok(answers)
}

/// Compares the files of all modules in use with go.sum: the go command itself checks them only while fetching.
pub(crate) fn verify(recipe: &Recipe, listing: &Listing) -> Result<()> {
    let sums = SumFile::parse("go.sum", &recipe.go_sum)?;
    listing.modules.par_iter().try_for_each(|((path, version), dir)| {
        let Some(expected) = sums.module(path, version) else {
            let message = format!("go.sum has no sum for {path} {version}");
            return Err(Fault::new(Kind::Stale, message).help("`cargo xtask lock go` updates it").into());
        };
        let found = hash_dir(dir, path, version)?;
        if found != expected {
            let what = format!("the module {path} {version} in {}", dir.display());
            let help = "remove that directory, or run `go clean -modcache`; it is fetched again then";
            return Err(Fault::mismatch(what, expected, found).help(help).into());
        }
        Ok(())
    })
}

/// Turns what the go command says of modules into the fault it is.
pub(crate) fn problem(message: String, errors: &[&str], offline: bool) -> anyhow::Error {
    if errors.iter().any(|error| error.contains("checksum mismatch") || error.contains("SECURITY ERROR")) {
        return Fault::new(Kind::Mismatch, message)
            .help("do not use it; see who changed the module since")
            .into();
    }
    let missing = missing(errors);
    if missing.is_empty() {
        return Fault::new(Kind::ToolFailed, message).into();
    }
    unavailable(&missing, offline)
}

/// The fault of modules that are not available.
pub(crate) fn unavailable(missing: &BTreeMap<String, String>, offline: bool) -> anyhow::Error {
    let mut message = match missing.len() {
        1 => "a Go module is not available:".to_owned(),
        count => format!("{count} Go modules are not available:"),
    };
    for (module, why) in missing.iter().take(NAMED) {
        message.push_str("\n  ");
        message.push_str(module);
        if !why.is_empty() {
            message.push_str(": ");
            message.push_str(why);
        }
    }
    if missing.len() > NAMED {
        let _ = write!(message, "\n  and {} more", missing.len() - NAMED);
    }
    let crictl = missing.keys().all(|module| module.contains(&format!("{CRI_TOOLS}@")));
    let unknown = missing.values().any(|why| why.contains("verifying "));
    let help = match (offline, crictl) {
        (true, _) => "run `cargo xtask fetch` for these images while online",
        (false, _) if unknown => {
            "the checksum database does not know them: with GONOSUMDB='k8s.io/*' their sums are made from what is \
             served; compare those with public go.sum files"
        }
        (false, true) => "`--omit crictl` builds without it; or set GOPROXY to a proxy that serves it",
        (false, false) => "set GOPROXY to a proxy that serves them, or build another release",
    };
    Fault::new(Kind::Unavailable, message).help(help).into()
}

/// The `path@version`s that the go command could not get, each with the reason: `path@version: reason`, perhaps
/// behind the chain of imports that led there.
pub(crate) fn missing(errors: &[&str]) -> BTreeMap<String, String> {
    let mut missing: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in errors.iter().flat_map(|error| error.lines()) {
        // What follows `parsing go.mod:`.
        if let (Some(own), Some(module)) = (line.trim().strip_prefix("module declares its path as: "), &last)
        {
            let why = format!("it is called {own}, as its go.mod says: ask for it by that name");
            missing.insert(String::clone(module), why);
        }
        let mut words = line.split(": ").map(str::trim);
        while let Some(word) = words.next() {
            let replaced = word.split_once(" (replaced by ").and_then(|(_, by)| by.strip_suffix(')'));
            let word = replaced.unwrap_or(word);
            let is_module = word.split_once('@').is_some_and(|(path, version)| {
                path.contains('.') && !path.contains(' ') && version.starts_with('v')
            });
            if is_module {
                let rest: Vec<&str> = words.by_ref().collect();
                let reason = reason(&rest);
                missing.entry(word.to_owned()).or_insert(reason);
                last = Some(word.to_owned());
            }
        }
    }
    missing
}

/// What a person understands by what the go command says, and that behind it. Without the address that was read, which is
/// the user's own proxy's.
fn reason(words: &[&str]) -> String {
    let words = words.iter().filter(|word| !word.starts_with("reading ") && !word.starts_with("Get "));
    let said = words.copied().collect::<Vec<_>>().join(": ");
    let means = REASONS.iter().find(|(sign, _)| said.contains(sign)).map(|(_, means)| means);
    means.map_or(said.clone(), |means| format!("{means} ({said})"))
}

/// What the go command says of a module that it cannot get, and what that means.
const REASONS: [(&str, &str); 10] = [
    ("verifying ", "the checksum database does not vouch for it"),
    ("403 Forbidden", "the module proxy does not serve it"),
    ("404 Not Found", "the module proxy knows no such version"),
    ("410 Gone", "the module proxy knows no such version"),
    ("unknown revision", "its repository has no such version"),
    ("module lookup disabled", "it is not in the module cache, and nothing may be fetched"),
    ("no such host", "the module proxy is not found: a name that does not resolve"),
    ("connection refused", "nobody answers at the module proxy's address"),
    ("timeout", "the module proxy does not answer"),
    ("certificate", "the module proxy's certificate is not trusted"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_cannot_be_had_are_named_with_the_reason() {
        let errors = [
            "k8s.io/csi-translation-lib@v0.24.9: reading https://p.test/x.zip: 403 Forbidden\n\tserver response: This module version is not available.",
            "github.com/kubernetes-sigs/cri-tools@v1.26.0: module lookup disabled by GOPROXY=off",
            "k8s.io/c@v0.0.0 (replaced by k8s.io/c@v0.24.9): reading https://p.test/c.mod: 403 Forbidden",
            "go: containerized-kubelet imports\n\tk8s.io/a imports\n\tk8s.io/b: k8s.io/b@v0.1.0: reading x: 404 Not Found",
            "go: m imports\n\ts.k/c/cmd: s.k/c@v1.30.0: parsing go.mod:\n\tmodule declares its path as: git.test/s/c\n\t        but was required as: s.k/c",
            "a.b/c@v1.0.0: Get \"http://localhost:1/a.b/c/@v/v1.0.0.info\": dial tcp 127.0.0.1:1: connect: connection refused",
        ];
        let error = problem(String::new(), &errors, false);
        assert_eq!(fault::exit_code(&error), 5);
        insta::assert_snapshot!(error, @r"
        6 Go modules are not available:
          a.b/c@v1.0.0: nobody answers at the module proxy's address (dial tcp 127.0.0.1:1: connect: connection refused)
          github.com/kubernetes-sigs/cri-tools@v1.26.0: it is not in the module cache, and nothing may be fetched (module lookup disabled by GOPROXY=off)
          k8s.io/b@v0.1.0: the module proxy knows no such version (404 Not Found)
          k8s.io/c@v0.24.9: the module proxy does not serve it (403 Forbidden)
          k8s.io/csi-translation-lib@v0.24.9: the module proxy does not serve it (403 Forbidden)
          s.k/c@v1.30.0: it is called git.test/s/c, as its go.mod says: ask for it by that name
        ");
    }

    #[test]
    fn the_hint_fits_what_is_missing() {
        let hint = |errors: &[&str], offline| {
            let error = problem("?".into(), errors, offline);
            fault::of(&error).unwrap().hint().unwrap_or("none").to_owned()
        };
        let crictl = "github.com/kubernetes-sigs/cri-tools@v1.26.0: not found";
        insta::assert_snapshot!(hint(&[crictl], false), @"`--omit crictl` builds without it; or set GOPROXY to a proxy that serves it");
        insta::assert_snapshot!(hint(&[crictl, "a.b/c@v1: x"], false), @"set GOPROXY to a proxy that serves them, or build another release");
        insta::assert_snapshot!(hint(&["a.b/c@v1: verifying go.mod: 404"], false), @"the checksum database does not know them: with GONOSUMDB='k8s.io/*' their sums are made from what is served; compare those with public go.sum files");
        insta::assert_snapshot!(hint(&[crictl], true), @"run `cargo xtask fetch` for these images while online");
        insta::assert_snapshot!(hint(&["syntax error"], false), @"none");
    }

    #[test]
    fn a_changed_module_is_no_network_trouble() {
        let error = problem("m".into(), &["verifying a.b/c@v1.0.0: checksum mismatch"], false);
        assert_eq!(fault::exit_code(&error), 6);
    }
}
