//! A Kubernetes release for the catalog, its Go closures and its sizes, as one change.

mod crictl;
mod origin;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use catalog::{Catalog, Closure, Release};
use fault::{Fault, Kind};

pub use self::origin::Origin;
use crate::checkout::CATALOG;
use crate::weigh::Request;
use crate::{BuildOptions, Checkout, Selection, Session, pins, record, relock};

/// What a release is made of and reported in: what is copied to work on, and where the changed files are.
const PARTS: [&str; 3] = ["images", "docs", "README.md"];

/// A release to add.
#[derive(Clone, Debug)]
pub struct New {
    /// As vX.Y.Z.
    pub version: String,
    /// Where it is from.
    pub origin: Origin,
    /// The Go that compiles it. None: that of the catalog's newest release.
    pub go: Option<String>,
    /// Its CNI plugins. None: those of the catalog's newest release.
    pub cni_plugins: Option<String>,
    /// Its crictl. None: the nearest one that the module proxy serves.
    pub crictl: Option<String>,
    /// Is it built, so that its size is recorded?
    pub build: bool,
}

/// What was added.
#[derive(Debug)]
pub enum Added {
    /// The release; versions of edited modules that no person has read, as `module version`.
    Release(BTreeSet<String>),
    /// The commit of one that was there without.
    Commit(String),
}

impl New {
    /// Adds it, all of it or nothing; returns what was added and which files changed.
    pub fn add(&self, checkout: &Checkout, options: &BuildOptions) -> Result<(Added, Vec<PathBuf>)> {
        let catalog = checkout.catalog()?;
        if catalog::version_numbers(&self.version).is_none() {
            let message = format!("`{}` is not a version vX.Y.Z", self.version);
            return Err(Fault::new(Kind::Usage, message).into());
        }
        let text =
            fs::read_to_string(checkout.root.join(CATALOG)).with_context(|| format!("reading {CATALOG}"))?;
        if let Some(known) = catalog.release(&self.version) {
            let commit = self.add_commit(checkout, options, &text, known)?;
            return Ok((Added::Commit(commit), vec![CATALOG.into(), plan::nix::PATH.into()]));
        }
        let newest = catalog.releases.iter().max_by_key(|release| release.numbers());
        let newest =
            newest.ok_or_else(|| Fault::new(Kind::InvalidData, format!("{CATALOG} has no release")))?;
        let session = Session::open(checkout, options.clone())?;
        let (commit, date) = self.origin.of(&self.version, &session)?;
        let (crictl, remark) = match &self.crictl {
            Some(version) => (version.clone(), None),
            None => crictl::of(&catalog, &self.version, &session)?,
        };
        drop(session);
        let block = text::Block {
            version: &self.version,
            commit: commit.as_deref(),
            date: &date,
            go: self.go.as_deref().unwrap_or(newest.go.as_str()),
            cni_plugins: self.cni_plugins.as_deref().unwrap_or(newest.cni_plugins.as_str()),
            crictl: &crictl,
            remark: remark.as_deref(),
        };
        let text = text::with_release(&text, &catalog.releases, &block)?;
        Catalog::parse(&text, CATALOG)?;

        // All is made in a copy; the checkout is touched when nothing can go wrong but the disk.
        let copy =
            tempfile::Builder::new().prefix("add-release-").tempdir().context("a directory to work in")?;
        for part in PARTS {
            copy_all(&checkout.root, part, copy.path())?;
        }
        fs::write(copy.path().join(CATALOG), &text).context("writing the catalog's copy")?;
        let inside = Checkout { root: copy.path().to_owned(), progress: checkout.progress.clone() };
        let unread = self.make(&inside, options)?;

        let changed = changed(&checkout.root, copy.path())?;
        put(&checkout.root, copy.path(), &changed)?;
        checkout.tell_untracked(&changed)?;
        if commit.is_none() {
            checkout.progress.note(&format!(
                "no commit of {} is known: its programs and images say none; `cargo xtask add-release {} --commit SHA` \
                 adds it",
                self.version, self.version
            ));
        }
        Ok((Added::Release(unread), changed))
    }

    /// The commit of a release that is there without one.
    fn add_commit(
        &self,
        checkout: &Checkout,
        options: &BuildOptions,
        text: &str,
        known: &Release,
    ) -> Result<String> {
        let there = || Fault::new(Kind::Usage, format!("the catalog has {} already", self.version));
        if known.commit.is_some() || !self.origin.tells_commit() {
            return Err(there().into());
        }
        let session = Session::open(checkout, options.clone())?;
        let commit = self.origin.commit(&self.version, &session)?.ok_or_else(there)?;
        let text = text::with_commit(text, known, &commit)?;
        Catalog::parse(&text, CATALOG)?;
        files::write(&checkout.root.join(CATALOG), text.as_bytes())?;
        relock::plan(checkout, false)?;
        Ok(commit)
    }

    /// Closures, size and pages, in the copy; returns the versions of edited modules that no person has read.
    fn make(&self, copy: &Checkout, options: &BuildOptions) -> Result<BTreeSet<String>> {
        relock::plan(copy, false)?;
        let session = Session::open(copy, options.clone())?;
        let release =
            session.catalog.release(&self.version).context("the release is not in its own catalog")?;
        let spec = |closure| plan::spec(&session.catalog, release, closure);
        session.ensure_closures(&[spec(Closure::Kube)?, spec(Closure::CniPlugins)?])?;
        let kubeadm = spec(Closure::Kubeadm)?;
        match pins::ensure_closures(&session, &[kubeadm], false) {
            Err(error) if fault::is(&error, Kind::Unavailable) => {
                copy.progress.note(&format!("without crictl: {error:#}"));
            }
            done => done?,
        }
        let attribute = format!("kubelet-{}-amd64", release.attribute());
        let unread = session.plan(&Selection::of(vec![attribute.clone()]))?.unread()?;
        drop(session);
        if self.build {
            let request = Request { attributes: vec![attribute], ..Request::default() };
            let (written, _) = record::write(copy, &request, options)?;
            copy.progress.note(&written.to_string());
            copy.progress.note(&record::write_table(copy, false)?.to_string());
        }
        Ok(unread)
    }
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
