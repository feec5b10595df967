//! Many images at once: which indexes can be released, those whose locks are there; and all of a release.

use anyhow::{Context as _, Result};
use catalog::{Attribute, Attributes, Catalog, Scope};
use fault::{Fault, Kind};
use gobuild::Closure;
use plan::Options;
use serde::Serialize;

use crate::Session;

/// What is released, and what is not.
pub struct Matrix {
    /// The indexes, in the catalog's order.
    pub names: Vec<String>,
    /// Those that a lock is missing for.
    pub lacking: Vec<Skipped>,
}

/// Indexes that cannot be planned because a lock is missing.
#[derive(Serialize)]
pub struct Skipped {
    /// Their names.
    pub attributes: Vec<String>,
    /// Which lock.
    pub why: String,
    /// What makes the lock.
    pub help: String,
}

impl Matrix {
    /// The named indexes, whose locks must be there, or all that have them.
    pub fn of(session: &Session<'_>, asked: &[String], omit: &[String]) -> Result<Self> {
        let attributes = Attributes::of(&session.catalog);
        for name in asked {
            if let Scope::Image(arch) = attributes.get(name)?.scope {
                return Err(Fault::new(Kind::Usage, format!("`{name}` is an image; indexes are released"))
                    .help(format!("name the index, and `--arch {} --partial` if needed", arch.name))
                    .into());
            }
        }
        let mut matrix = Self { names: Vec::new(), lacking: Vec::new() };
        let indexes = attributes.iter().filter(|attribute| matches!(attribute.scope, Scope::Index));
        let is_asked =
            |index: &&Attribute<'_>| asked.is_empty() || asked.iter().any(|name| index.is_called(name));
        for name in indexes.filter(is_asked).map(|index| &index.name) {
            match lock_missing(session, name, omit)? {
                None => matrix.names.push(name.clone()),
                Some((why, help)) if !asked.is_empty() => {
                    return Err(Fault::new(Kind::Stale, format!("`{name}`: {why}")).help(help).into());
                }
                Some((why, help)) => match matrix.lacking.iter_mut().find(|lacking| lacking.why == why) {
                    Some(lacking) => lacking.attributes.push(name.clone()),
                    None => matrix.lacking.push(Skipped { attributes: vec![name.clone()], why, help }),
                },
            }
        }
        if matrix.names.is_empty() {
            let all: Vec<_> = matrix.lacking.iter().map(|lacking| lacking.why.as_str()).collect();
            let message = format!("no index of the catalog has its locks: {}", all.join("; "));
            return Err(Fault::new(Kind::Stale, message).help("`cargo xtask lock go`").into());
        }
        Ok(matrix)
    }
}

/// The first lock that an index needs and that is not there, and what makes it.
fn lock_missing(session: &Session<'_>, name: &str, omit: &[String]) -> Result<Option<(String, String)>> {
    let names = [name.to_owned()];
    for alpine in plan::alpine_bases(&session.catalog, &names)? {
        let path = session.sources.alpine_lock_path(alpine.branch.as_str());
        if !path.is_file() {
            let why = alpine::lock::missing(alpine.branch.as_str()).to_string();
            return Ok(Some((why, "in a git checkout `git add` it then".into())));
        }
    }
    let options = Options { omit: omit.to_vec(), ..Options::default() };
    let missing = session
        .planner(&options)
        .closures(&names)?
        .into_iter()
        .find(|spec| !Closure::is_there(&session.sources.go(), spec));
    Ok(missing.map(|spec| {
        (format!("images/go/{} is missing", spec.dir().display()), "`cargo xtask lock go` makes it".into())
    }))
}

/// Demands that indexes over these architectures, all if none is named, are over all of the catalog's.
pub fn check_whole(catalog: &Catalog, arches: &[String]) -> Result<()> {
    let all = catalog.arches.iter().map(|arch| arch.name.as_str());
    let missing: Vec<&str> = all.filter(|name| !arches.iter().any(|arch| arch == name)).collect();
    if arches.is_empty() || missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "indexes over {} alone would replace complete ones: they lack {}",
        arches.join(", "),
        missing.join(", ")
    );
    Err(Fault::new(Kind::Usage, message).help("leave --arch away, or say `--partial`").into())
}

/// A release's images that stand on nothing, for these architectures, or for all if none is named. No release: the newest.
pub fn micro(catalog: &Catalog, release: Option<&str>, arches: &[String]) -> Result<Vec<String>> {
    let newest = catalog.releases.first().context("the catalog has no release")?;
    let release = release.unwrap_or(newest.version.as_str());
    let attributes = Attributes::of(catalog);
    let wanted = attributes.iter().filter(|attribute| {
        let arch = match attribute.scope {
            Scope::Image(arch) => arches.is_empty() || arches.iter().any(|name| arch.name == **name),
            Scope::Index => false,
        };
        arch && attribute.release.version == *release && attribute.base.name == *"micro"
    });
    let names: Vec<String> = wanted.map(|attribute| attribute.name.clone()).collect();
    if names.is_empty() {
        let arches = arches.join(", ");
        return Err(Fault::new(Kind::NotFound, format!("no image of {release} for {arches}")).into());
    }
    Ok(names)
}
