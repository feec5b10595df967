//! `add-release`: a Kubernetes release for the catalog, its Go closures and its sizes, as one change.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use catalog::{Catalog, Release};
use fault::{Fault, Kind};
use gobuild::Spec;
use serde::Serialize;

use super::session::{How, Session};
use super::{lock, size};
use crate::context::{Context, write_out};

const CATALOG: &str = "images/catalog.toml";
/// What a release is made of and told in: what is copied to work on, and where the changed files are.
const PARTS: [&str; 3] = ["images", "docs", "README.md"];

/// Add a Kubernetes release: catalog, Go closures and sizes, all of it or nothing.
///
/// Its micro kubelet for amd64 is built, which compiles for some minutes. A release that needs another look, such as an
/// edited module of a version that nobody has read, is refused, and no file is changed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask add-release v1.34.1
  cargo xtask add-release v1.34.1 --commit 93248f9ae092f571eb870b7664c534bfc7d00f03 --date 2025-09-09T19:37:19Z")]
pub(crate) struct AddRelease {
    /// The release, as vX.Y.Z.
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Its git commit [default: what the module proxy says].
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// Its date, the time of all in its images [default: what the module proxy says].
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    /// The Go that compiles it [default: that of the catalog's newest release].
    #[arg(long, value_name = "VERSION")]
    go: Option<String>,
    /// Its CNI plugins [default: those of the catalog's newest release].
    #[arg(long, value_name = "VERSION")]
    cni_plugins: Option<String>,
    /// Its crictl [default: vX.Y.0].
    #[arg(long, value_name = "VERSION")]
    crictl: Option<String>,
    /// Do not build it: its size is not recorded, and nothing shows that it compiles.
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    how: How,
}

/// The answer for machines.
#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    release: &'a str,
    changed: &'a [PathBuf],
}

impl AddRelease {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.catalog()?;
        let (major, minor, _) = catalog::version_numbers(&self.release)
            .ok_or_else(|| Fault::new(Kind::Usage, format!("`{}` is no version vX.Y.Z", self.release)))?;
        if catalog.release(&self.release).is_some() {
            return Err(Fault::new(Kind::Usage, format!("the catalog has {} already", self.release)).into());
        }
        let newest = catalog.releases.iter().max_by_key(|release| release.numbers());
        let newest = newest.ok_or_else(|| Fault::new(Kind::Data, format!("{CATALOG} has no release")))?;
        let (commit, date) = self.origin(context)?;
        let block = format!(
            "[[release]]\nversion = \"{}\"\ncommit = \"{commit}\"\ndate = \"{date}\"\ngo = \"{}\"\n\
             cni-plugins = \"{}\"\ncrictl = \"{}\"\n",
            self.release,
            self.go.as_deref().unwrap_or(newest.go.as_str()),
            self.cni_plugins.as_deref().unwrap_or(newest.cni_plugins.as_str()),
            self.crictl.clone().unwrap_or_else(|| format!("v{major}.{minor}.0")),
        );
        let text =
            fs::read_to_string(context.root.join(CATALOG)).with_context(|| format!("reading {CATALOG}"))?;
        let text = with_release(&text, &catalog.releases, &self.release, &block)?;
        Catalog::parse(&text, CATALOG)?;

        // All is made in a copy; the checkout is touched when nothing can go wrong but the disk.
        let copy =
            tempfile::Builder::new().prefix("add-release-").tempdir().context("a directory to work in")?;
        for part in PARTS {
            copy_all(&context.root, part, copy.path())?;
        }
        fs::write(copy.path().join(CATALOG), &text).context("writing the catalog's copy")?;
        let inside =
            Context { root: copy.path().to_owned(), json: context.json, progress: context.progress.clone() };
        self.make(&inside)?;

        let changed = changed(&context.root, copy.path())?;
        put(&context.root, copy.path(), &changed)?;
        if context.json {
            return context.print_json(&Answer { version: 1, release: &self.release, changed: &changed });
        }
        let list: Vec<String> = changed.iter().map(|file| format!("  {}", file.display())).collect();
        write_out(&format!("{} is added; changed:\n{}", self.release, list.join("\n")))
    }

    /// Commit and date: as given, else as the module proxy tells.
    fn origin(&self, context: &Context) -> Result<(String, String)> {
        if let (Some(commit), Some(date)) = (&self.commit, &self.date) {
            return Ok((commit.clone(), date.clone()));
        }
        let session = Session::open(context, &self.how)?;
        let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
        let told = gobuild::upstream::release(&self.release, tools.go()?, work.path())?;
        let lacks = |what: &str, flag: &str| {
            Fault::new(
                Kind::Unavailable,
                format!("the module proxy does not tell the {what} of {}", self.release),
            )
            .help(format!("give it: {flag}"))
        };
        let hash = told.origin.and_then(|origin| origin.hash);
        let commit = self.commit.clone().or(hash).ok_or_else(|| lacks("commit", "--commit SHA"))?;
        let date = self.date.clone().or(told.time).ok_or_else(|| lacks("date", "--date DATE"))?;
        Ok((commit, date))
    }

    /// Closures, size and pages, in the copy.
    fn make(&self, context: &Context) -> Result<()> {
        let session = Session::open(context, &self.how)?;
        let release =
            session.catalog.release(&self.release).context("the release is not in its own catalog")?;
        let version = release.version.to_string();
        session.ensure_closures(&[
            Spec::Kube { release: version.clone() },
            Spec::Cni { version: release.cni_plugins.to_string() },
        ])?;
        let kubeadm = Spec::Kubeadm { release: version, crictl: release.crictl.to_string() };
        match lock::ensure_closures(&session, &[kubeadm], false) {
            Err(error) if fault::of(&error).is_some_and(|fault| fault.kind() == Kind::Unavailable) => {
                context.progress.note(&format!("without crictl: {error:#}"));
            }
            done => done?,
        }
        let attribute = format!("kubelet-{}-micro-amd64", release.attribute());
        drop(session);
        if !self.no_build {
            size::record_image(context, &attribute, &self.how)?;
            size::write_table(context)?;
        }
        Ok(())
    }
}

/// The catalog's text with a release's block where its version belongs: newest first. All else stays as it is.
fn with_release(text: &str, releases: &[Release], version: &str, block: &str) -> Result<String> {
    let numbers = catalog::version_numbers(version).unwrap_or_default();
    let start = |release: &Release| {
        let line = text.find(&format!("\nversion = \"{}\"", release.version))?;
        text[..=line].rfind("[[release]]\n")
    };
    let lost =
        || Fault::new(Kind::Data, format!("{CATALOG}: its releases are not written as this program does"));
    if let Some(older) = releases.iter().find(|release| release.numbers() < numbers) {
        let at = start(older).ok_or_else(lost)?;
        return Ok(format!("{}{block}\n{}", &text[..at], &text[at..]));
    }
    let last = releases.last().and_then(start).ok_or_else(lost)?;
    let end = text[last..].find("\n\n").map_or(text.len(), |end| last + end + 1);
    Ok(format!("{}\n{block}{}", &text[..end], &text[end..]))
}

/// Copies a part of the checkout.
fn copy_all(root: &Path, part: &str, to: &Path) -> Result<()> {
    for file in files(&root.join(part))? {
        let target = to.join(file.strip_prefix(root)?);
        fs::create_dir_all(target.parent().context("no directory")?)?;
        fs::copy(&file, &target).with_context(|| format!("copying {}", file.display()))?;
    }
    Ok(())
}

/// A file, or all regular files below a directory but those that cargo built; sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name() != "target" {
            found.extend(files(&entry.path())?);
        }
    }
    Ok(found)
}

/// The files that are different in the copy, the catalog last: what it does not name does no harm.
fn changed(root: &Path, copy: &Path) -> Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    for part in PARTS {
        for file in files(&copy.join(part))? {
            let name = file.strip_prefix(copy)?.to_owned();
            if fs::read(&file)? != fs::read(root.join(&name)).unwrap_or_default() {
                changed.push(name);
            }
        }
    }
    changed.sort_by_key(|name| (name == Path::new(CATALOG), name.clone()));
    Ok(changed)
}

/// Puts files into the checkout, each whole; if one cannot be written, those before it are put back.
fn put(root: &Path, copy: &Path, names: &[PathBuf]) -> Result<()> {
    let mut before: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
    for name in names {
        let target = root.join(name);
        before.push((target.clone(), fs::read(&target).ok()));
        let write = || {
            fs::create_dir_all(target.parent().context("no directory")?)?;
            files::write(&target, &fs::read(copy.join(name))?)
        };
        if let Err(error) = write() {
            for (file, bytes) in before.into_iter().rev() {
                match bytes {
                    Some(bytes) => files::write(&file, &bytes)?,
                    None if file.exists() => fs::remove_file(&file)?,
                    None => {}
                }
            }
            return Err(error.context(format!("writing {}", target.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> (String, Catalog) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(CATALOG);
        let text = fs::read_to_string(file).unwrap();
        let catalog = Catalog::parse(&text, CATALOG).unwrap();
        (text, catalog)
    }

    #[test]
    fn a_release_goes_where_its_version_belongs_and_nothing_else_changes() {
        let (text, catalog) = catalog();
        for version in ["v1.99.0", "v1.25.99", "v1.1.0"] {
            let commit = "0".repeat(40);
            let block = format!(
                "[[release]]\nversion = \"{version}\"\ncommit = \"{commit}\"\ndate = \"2020-01-01T00:00:00Z\"\n\
                 go = \"1.26.8\"\ncni-plugins = \"v0.9.1\"\ncrictl = \"v1.1.0\"\n"
            );
            let new = with_release(&text, &catalog.releases, version, &block).unwrap();
            let all: Vec<_> =
                Catalog::parse(&new, CATALOG).unwrap().releases.iter().map(Release::numbers).collect();
            assert_eq!(all.len(), catalog.releases.len() + 1);
            assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
            assert_eq!(new.replacen(&format!("{block}\n"), "", 1).trim_end(), text.trim_end());
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_all_as_it_was() {
        let [root, copy] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (dir, text) in [(&root, "old"), (&copy, "new")] {
            fs::write(dir.path().join("a"), text).unwrap();
        }
        fs::write(copy.path().join("b"), "new").unwrap();
        let names = ["a", "b", "absent"].map(PathBuf::from);
        put(root.path(), copy.path(), &names).unwrap_err();
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "old");
        assert!(!root.path().join("b").exists());
        put(root.path(), copy.path(), &names[..2]).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("b")).unwrap(), "new");
    }
}
