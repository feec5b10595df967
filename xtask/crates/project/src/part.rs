//! Parts of images, each made by itself from inputs that are all named: what passes from one `make` to the next is a directory
//! with the part's files and its key.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use executor::LAYER_FILES;
use fault::Fault;
use oci::compress::Compression;
use plan::{Component, Options, Place, Target};
use store::{Key, Object, Store};

use crate::{BuildOptions, Checkout, Session};

/// The file with the key.
const KEY: &str = "key";

/// What is made.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// The Go modules of a closure.
    Modules,
    /// A file: compiled or extracted.
    Component(Place<'a>),
    /// A layer of components that are given.
    Layer(Place<'a>),
    /// An image of layers that are given.
    Image,
    /// A multi-arch index over images of such layers.
    Index,
}

/// What to make, of which parts.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What the catalog calls it; of modules, the directory in images/go.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind<'a>,
    /// Those that it is made of.
    pub parts: &'a [PathBuf],
    /// Programs and components to leave out.
    pub omit: &'a [String],
    /// Where to leave it: nothing may be there yet.
    pub out: &'a Path,
}

/// Makes a part, with a store of its own, which is gone at the end.
pub fn make(checkout: &Checkout, options: BuildOptions, request: &Request<'_>) -> Result<()> {
    let Request { name, kind, parts, omit, out } = *request;
    if out.symlink_metadata().is_ok() {
        let message = format!("`{}` is there already", out.display());
        return Err(Fault::new(fault::Kind::Usage, message)
            .help("name a directory to be made: --out")
            .into());
    }
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let session = Session::with(checkout, options, Store::open(dir.path().join("store"))?)?;
    let options = Options { omit: omit.to_vec(), ..session.options(Compression::default())? };
    let planner = session.planner(&options);
    match kind {
        Kind::Modules => {
            let plan = planner.modules(name)?;
            let executor = session.executor()?;
            executor.fetch(&plan)?;
            modules(&executor.tools.go()?.host.mod_cache, out)
        }
        Kind::Component(place) => {
            let plan = planner.component(name, place)?;
            let (key, component) = plan.components.first_key_value().context("no component is planned")?;
            let object = session.executor()?.component(key, component)?;
            export(&object, key, &[Component::FILE], out)
        }
        Kind::Layer(place) => {
            let plan = planner.layer(name, place)?;
            let (key, layer) = plan.layers.first_key_value().context("no layer is planned")?;
            import(&session, name, parts, plan.components.keys())?;
            let executor = session.executor()?;
            executor.check_stack(std::iter::once(layer))?;
            let object = executor.layer_object(key, layer)?;
            export(&object, key, &LAYER_FILES, out)
        }
        Kind::Image | Kind::Index => {
            let plan = planner.plan(&[name.to_owned()])?;
            let is_image = matches!(plan.targets.as_slice(), [Target::Image(_)]);
            if is_image != matches!(kind, Kind::Image) {
                let (right, wrong) = if is_image { ("image", "index") } else { ("index", "image") };
                let message = format!("`{name}` is an {right}, not an {wrong}");
                let fault = Fault::new(fault::Kind::Usage, message);
                return Err(fault.help(format!("`make {right}`")).into());
            }
            import(&session, name, parts, plan.layers.keys())?;
            session.executor()?.assemble(&plan, out)
        }
    }
}

/// The key of a part.
fn key(dir: &Path) -> Result<String> {
    fs::read_to_string(dir.join(KEY)).map_err(|error| {
        let message = format!("`{}` is not a part made by `make`: `{KEY}`: {error}", dir.display());
        Fault::new(fault::Kind::Usage, message).into()
    })
}

/// Copies an object's files and its key to a new directory.
fn export(object: &Object, key: &Key, files: &[&str], out: &Path) -> Result<()> {
    fs::create_dir(out).with_context(|| format!("making {}", out.display()))?;
    for name in files {
        copy(&object.file(name)?, &out.join(name))?;
    }
    fs::write(out.join(KEY), key.to_string()).context("writing a part's key")
}

/// Takes the parts of `name` into the store; they must be all that is needed, and no others.
fn import<'k>(
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
            return Err(Fault::new(fault::Kind::Mismatch, message)
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
            Err(Fault::new(fault::Kind::Usage, message).into())
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
fn modules(cache: &Path, out: &Path) -> Result<()> {
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
