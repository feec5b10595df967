//! Closures made from the modules themselves.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::{Progress, Task};

use crate::Edits;
use crate::closure::{CNI_PLUGINS, Carried, Closure, KUBERNETES, MODULE, Spec};
use crate::modfile::{ModFile, Replacement};
use crate::modules::{Downloaded, download, missing, problem, unavailable};
use crate::recipe::Target;
use crate::sumfile::SumFile;
use crate::tools::{Tools, Work};

/// The language of closures whose module is too old to list what it needs indirectly.
const GO_LINE: &str = "1.19";

/// Makes the closure for `spec`: the module's own requirements and replacements, with the pins of `edits` where they apply, tidied for just the programs that
/// are built. Sums in `known` are kept to, so that a module that changed since is an error; for other modules the
/// checksum database is asked as the user's Go is set to. `work` is a directory for temporary files.
pub fn generate(
    spec: &Spec,
    known: Option<&Closure>,
    edits: &Edits,
    tools: &Tools,
    work: &Path,
    progress: &dyn Progress,
) -> Result<Closure> {
    let task = progress.task(&format!("pins of {}", spec.dir().display()), None);
    let target = Target::plain("amd64");
    let go_sum = known.map_or("", |closure| &closure.go_sum);
    let start = format!("module {MODULE}\n\ngo {GO_LINE}\n");
    let work = Work::new(work, &start, go_sum)?;
    let direct = spec.direct();
    let wanted: Vec<String> = direct.iter().map(|(path, version)| format!("{path}@{version}")).collect();
    let downloaded = download(tools.go_fetching(&target, &work)?, &wanted)?;
    let failed = failed(&downloaded);
    if !failed.is_empty() {
        return Err(unavailable(&failed, tools.offline));
    }
    let (base, _) = direct[0];
    let upstream = downloaded.iter().find(|module| module.path == base).context("no answer for a module")?;
    let text =
        fs::read_to_string(&upstream.go_mod).with_context(|| format!("reading the go.mod of {base}"))?;
    let mut file = start_from(&ModFile::parse(&format!("{base}'s go.mod"), &text)?, spec)?;
    if spec.is_pinned() {
        edits.pin(&mut file);
    }
    fs::write(work.module().join("programs.go"), imports(spec)).context("writing programs.go")?;
    let mut tests_open = !spec.tests().is_empty();
    let read =
        |name: &str| fs::read_to_string(work.module().join(name)).with_context(|| format!("reading {name}"));
    let path = |module: &str| module.split_once('@').map_or(String::new(), |(path, _)| path.to_owned());
    // Modules that are not available: nothing that is built may need them.
    let mut absent: BTreeMap<String, String> = BTreeMap::new();
    let tidied = loop {
        fs::write(work.module().join("go.mod"), spec.text(&file)).context("writing go.mod")?;
        let mut failed = tidy(spec, tools, &target, &work, &*task)?;
        if failed.is_empty() {
            let tidied = ModFile::parse("the tidied go.mod", &read("go.mod")?)?;
            if tests_open {
                // What a dependency's tests need, `go mod tidy` sees only where something imports it.
                tests_open = false;
                let needed = test_imports(spec.tests(), tools, &target, &work)?;
                fs::write(work.module().join("tests.go"), import_file(&needed))
                    .context("writing tests.go")?;
            } else if !hold(spec, &mut file, &tidied) {
                break tidied;
            }
        } else if drop_unneeded(spec, &mut file, &failed)? {
            absent.extend(failed);
        } else {
            // The go command stops at the first few, and modules of a release are often missing together.
            let staged = staging_modules(&file, spec, known)?;
            if failed.keys().any(|module| staged.contains(module)) {
                failed.extend(self::failed(&download(tools.go_fetching(&target, &work)?, &staged)?));
            }
            // What was taken out is missed in the version that Kubernetes writes for it.
            let taken: Vec<String> = absent.keys().map(|module| path(module)).collect();
            failed.retain(|module, _| !taken.contains(&path(module)));
            failed.extend(absent);
            return Err(unavailable(&failed, tools.offline));
        }
    };
    // One that is needed after all was found in a version that is not the release's.
    if absent.keys().any(|module| tidied.require.contains_key(&path(module))) {
        return Err(unavailable(&absent, tools.offline));
    }
    let closure = Closure { go_mod: spec.text(&tidied), go_sum: read("go.sum")? };
    closure.check(spec)?;
    Ok(closure)
}

/// Runs `go mod tidy` on the module in `work`; returns the modules that it could not get, each with the reason.
fn tidy(
    spec: &Spec,
    tools: &Tools,
    target: &Target,
    work: &Work,
    task: &dyn Task,
) -> Result<BTreeMap<String, String>> {
    let mut stderr = String::new();
    // Tests of what is carried on need packages of its own time, which no program is made of.
    let carries = !spec.carried().is_empty();
    let out = tools
        .go_fetching(target, work)?
        .args(["mod", "tidy"])
        .args(carries.then_some("-e"))
        .on_line(|line| {
            if let Some(module) = line.strip_prefix("go: downloading ") {
                task.detail(module);
            } else {
                stderr.push_str(line);
                stderr.push('\n');
            }
        })
        .finish()?;
    if out.status.success() && !carries {
        return Ok(BTreeMap::new());
    }
    let failed = missing(&[&stderr]);
    if out.status.success() {
        return Ok(failed);
    }
    if failed.is_empty() {
        let message = format!("`go mod tidy` failed for {}:\n{}", spec.dir().display(), out.stderr_tail);
        return Err(problem(message, &[&out.stderr_tail], tools.offline));
    }
    Ok(failed)
}

/// Keeps crictl, joined to Kubernetes' programs, from raising what they are made of: they are the same in every image, and
/// are those that the release was tested with. Returns whether something was raised.
fn hold(spec: &Spec, file: &mut ModFile, tidied: &ModFile) -> bool {
    if !matches!(spec, Spec::Kubeadm { .. }) {
        return false;
    }
    let mut held = false;
    for path in tidied.require.keys().filter(|path| file.require.contains_key(*path)) {
        let (own, found) = (file.used(path), tidied.used(path));
        if let (Some((by, version)), true) = (own.clone(), own != found) {
            file.replace.insert((path.clone(), None), Replacement { path: by, version: Some(version) });
            held = true;
        }
    }
    held
}

/// Takes modules that are not available out of a go.mod, if all that is missing are ones whose programs are perhaps made without
/// them: those of a release of Kubernetes, which requires a few for its tests alone, and what tests' own programs say they require.
/// Returns whether it did.
fn drop_unneeded(spec: &Spec, file: &mut ModFile, failed: &BTreeMap<String, String>) -> Result<bool> {
    let staging = spec.staging_version()?;
    let unneeded = |module: &String| {
        let (path, version) = module.split_once('@')?;
        let optional = match &staging {
            Some(staging) => {
                let by = file.replace.get(&(path.to_owned(), None))?;
                version == staging && by.path == path && by.version.as_ref() == Some(staging)
            }
            None => {
                matches!(spec, Spec::Programs { .. })
                    && file.require.get(path).is_some_and(|own| own == version)
            }
        };
        optional.then(|| path.to_owned())
    };
    let Some(paths) = failed.keys().map(unneeded).collect::<Option<Vec<_>>>() else { return Ok(false) };
    for path in paths {
        file.require.remove(&path);
        file.replace.remove(&(path, None));
    }
    Ok(true)
}

/// Compares the committed closure with a new one.
pub fn check(
    root: &Path,
    spec: &Spec,
    edits: &Edits,
    tools: &Tools,
    work: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let committed = Closure::read(root, spec)?;
    committed.check(spec)?;
    let made = generate(spec, Some(&committed), edits, tools, work, progress)?;
    for (name, old, new) in
        [("go.mod", &committed.go_mod, &made.go_mod), ("go.sum", &committed.go_sum, &made.go_sum)]
    {
        if old != new {
            let number = old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count();
            let line =
                |text: &str| text.lines().nth(number).unwrap_or("the end of the file").trim().to_owned();
            let message = format!(
                "{}:{} is not what its modules give\n  expected {}\n  found    {}",
                spec.dir().join(name).display(),
                number + 1,
                line(new),
                line(old)
            );
            return Err(Fault::new(Kind::Stale, message).help("`cargo xtask lock go` updates it").into());
        }
    }
    Ok(())
}

fn failed(answers: &[Downloaded]) -> BTreeMap<String, String> {
    let failed = answers.iter().filter(|module| !module.error.is_empty());
    failed
        .flat_map(|module| {
            let name = format!("{}@{}", module.path, module.version);
            let mut found = missing(&[&module.error]);
            found.retain(|module, _| *module == name);
            found.entry(name).or_insert_with(|| module.error.lines().next().unwrap_or_default().to_owned());
            found
        })
        .collect()
}

/// The release's staging modules, as `path@version`: those in use as far as a closure tells, else all.
fn staging_modules(file: &ModFile, spec: &Spec, known: Option<&Closure>) -> Result<Vec<String>> {
    let Some(version) = spec.staging_version()? else { return Ok(Vec::new()) };
    let sums = known.map(|closure| SumFile::parse("go.sum", &closure.go_sum)).transpose()?;
    let replaced = file.replace.iter().filter(|(_, by)| by.version.as_ref() == Some(&version));
    let used =
        replaced.filter(|(_, by)| sums.as_ref().is_none_or(|sums| sums.module(&by.path, &version).is_some()));
    Ok(used.map(|(_, by)| format!("{}@{version}", by.path)).collect())
}

/// Does a go.mod of this language list what its module needs indirectly? Since Go 1.17 it does.
fn lists_indirect(go: &str) -> bool {
    let minor = go.strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 17)
}

/// The go.mod before it is tidied: what the module itself requires and replaces, its directories replaced by the
/// modules published from them.
fn start_from(upstream: &ModFile, spec: &Spec) -> Result<ModFile> {
    let staging = spec.staging_version()?;
    let mut file = ModFile { module: MODULE.to_owned(), ..upstream.clone() };
    let old = match spec {
        Spec::Cni { .. } => !lists_indirect(&upstream.go),
        Spec::Programs { .. } => staging.is_none(),
        _ => false,
    };
    if old {
        GO_LINE.clone_into(&mut file.go);
    }
    for ((path, _), by) in &mut file.replace {
        if by.version.is_some() {
            continue;
        }
        match &staging {
            Some(version) if by.path == format!("./staging/src/{path}") => {
                *by = Replacement { path: path.clone(), version: Some(version.clone()) };
            }
            _ => {
                let message = format!(
                    "{} replaces {path} by `{}`, which is published nowhere",
                    upstream.module, by.path
                );
                return Err(Fault::new(Kind::InvalidData, message).into());
            }
        }
    }
    for (path, version) in spec.direct() {
        file.require.insert(path.to_owned(), version.to_owned());
    }
    for Carried { module, version, .. } in spec.carried() {
        let by = Replacement { path: CNI_PLUGINS.to_owned(), version: Some(version.clone()) };
        file.require.insert(module.clone(), version.clone());
        file.replace.insert((module.clone(), None), by);
    }
    Ok(file)
}

/// A file that imports the programs, for `go mod tidy` to see what they need; no build ever includes it.
fn imports(spec: &Spec) -> String {
    let mut all: Vec<String> = Vec::new();
    match spec {
        Spec::Cni { packages, .. } => all.extend(packages.iter().cloned()),
        Spec::Programs { packages, tests, .. } => all.extend(packages.iter().chain(tests).cloned()),
        Spec::Crictl { package, .. } => all.push(package.clone()),
        Spec::Kube { .. } | Spec::KubeUnedited { .. } | Spec::Kubeadm { .. } => {
            if let Spec::Kubeadm { package, .. } = spec {
                all.push(package.clone());
            }
            all.extend(["kube-proxy", "kubeadm", "kubelet"].map(|name| format!("{KUBERNETES}/cmd/{name}")));
        }
    }
    import_file(&all)
}

/// A file of Go that imports packages and that no build includes.
fn import_file(packages: &[String]) -> String {
    let mut text = String::from("//go:build programs\n\npackage programs\n\nimport (\n");
    for package in packages {
        let _ = writeln!(text, "\t_ \"{package}\"");
    }
    text + ")\n"
}

/// What the tests of packages import, the standard library left out.
fn test_imports(packages: &[String], tools: &Tools, target: &Target, work: &Work) -> Result<Vec<String>> {
    let out = tools
        .go_fetching(target, work)?
        .args([
            "list",
            "-mod=mod",
            "-f",
            "{{range .TestImports}}{{println .}}{{end}}{{range .XTestImports}}{{println .}}{{end}}",
        ])
        .args(packages)
        .run()?;
    let text = String::from_utf8(out.stdout).context("what `go list` says")?;
    Ok(text
        .lines()
        .filter(|path| path.split('/').next().is_some_and(|first| first.contains('.')))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSTREAM: &str = "module k8s.io/kubernetes\n\ngo 1.19\n\nrequire (\n\tk8s.io/api v0.0.0\n\tx.y/z v1.0.0\n)\n\n\
        replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tx.y/z => x.y/z v1.0.1\n)\n";

    #[test]
    fn staging_directories_become_published_modules() {
        let upstream = ModFile::parse("go.mod", UPSTREAM).unwrap();
        let package = "github.com/kubernetes-sigs/cri-tools/cmd/crictl".into();
        let spec = Spec::Kubeadm { release: "v1.26.3".into(), crictl: "v1.26.0".into(), package };
        insta::assert_snapshot!(spec.text(&start_from(&upstream, &spec).unwrap()), @r"
        // Code generated by `cargo xtask lock go`. DO NOT EDIT.

        module containerized-kubelet

        go 1.19

        require (
        	github.com/kubernetes-sigs/cri-tools v1.26.0
        	k8s.io/kubernetes v1.26.3
        )

        require (
        	k8s.io/api v0.0.0 // indirect
        	x.y/z v1.0.0 // indirect
        )

        replace (
        	k8s.io/api => k8s.io/api v0.26.3
        	x.y/z => x.y/z v1.0.1
        )
        ");
    }

    #[test]
    fn plugins_keep_their_language_unless_it_is_too_old() {
        let packages = vec!["x.y/plugins/main/dummy".into(), "x.y/plugins/main/tap".into()];
        let spec = Spec::Cni { version: "v1.10.0".into(), packages, carried: Vec::new() };
        let go = |go: &str| {
            let text = format!("module github.com/containernetworking/plugins\n\ngo {go}\n");
            start_from(&ModFile::parse("go.mod", &text).unwrap(), &spec).unwrap().go
        };
        assert_eq!(["1.14", "1.16", "1.17", "1.26.8"].map(go), ["1.19", "1.19", "1.17", "1.26.8"]);
        let imports = imports(&spec);
        assert!(
            imports.contains("\t_ \"x.y/plugins/main/dummy\"\n\t_ \"x.y/plugins/main/tap\"\n"),
            "{imports}"
        );
    }

    #[test]
    fn other_directories_are_refused() {
        let upstream =
            ModFile::parse("go.mod", &UPSTREAM.replace("./staging/src/k8s.io/api", "../api")).unwrap();
        let spec = Spec::Kube { release: "v1.26.3".into() };
        let error = start_from(&upstream, &spec).unwrap_err();
        insta::assert_snapshot!(error, @"k8s.io/kubernetes replaces k8s.io/api by `../api`, which is published nowhere");
    }

    #[test]
    fn a_release_is_three_numbers() {
        for bad in ["1.26.0", "v1.26", "v2.0.0", "v1.26.0-rc.1", "v1.26.x"] {
            let error = Spec::Kube { release: bad.into() }.staging_version().unwrap_err();
            assert_eq!(fault::exit_code(&error), 3, "{bad}");
        }
    }
}
