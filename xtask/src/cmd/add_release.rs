//! `add-release`: a Kubernetes release for the catalog, its Go closures and its sizes, as one change.

mod crictl;
mod origin;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use catalog::{Catalog, Closure, Release};
use fault::{Fault, Kind};
use project::weigh::Request;
use project::{Checkout, READ, Selection, Session, pins, record};
use serde::Serialize;

use self::origin::Origin;
use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

const CATALOG: &str = "images/catalog.toml";
/// What a release is made of and reported in: what is copied to work on, and where the changed files are.
const PARTS: [&str; 3] = ["images", "docs", "README.md"];

/// Add a Kubernetes release: catalog, Go closures and sizes, all of it or nothing.
///
/// Its micro kubelet for amd64 is built, which compiles for some minutes. No file is changed where that fails. Where nothing
/// tells its git commit, programs and images say none; for a release that is there without one, --commit or --repository
/// adds it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask add-release v1.37.2
  cargo xtask add-release v1.37.2 --repository https://github.com/kubernetes/kubernetes
  cargo xtask add-release v1.34.1 --commit 93248f9ae092f571eb870b7664c534bfc7d00f03 --date 2025-09-09T19:37:19Z")]
pub(crate) struct AddRelease {
    /// The release, as vX.Y.Z.
    #[arg(value_name = "RELEASE")]
    release: String,
    #[command(flatten)]
    origin: Origin,
    /// The Go that compiles it [default: that of the catalog's newest release].
    #[arg(long, value_name = "VERSION")]
    go: Option<String>,
    /// Its CNI plugins [default: those of the catalog's newest release].
    #[arg(long, value_name = "VERSION")]
    cni_plugins: Option<String>,
    /// Its crictl [default: the newest of its minor release, else of the nearest older one, that the module proxy serves].
    #[arg(long, value_name = "VERSION")]
    crictl: Option<String>,
    /// Do not build it: its size is not recorded, and nothing shows that it compiles.
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    how: BuildFlags,
}

/// The answer for machines.
#[derive(Serialize)]
struct Answer<'a> {
    version: u32,
    release: &'a str,
    changed: &'a [PathBuf],
    /// Versions of edited modules that no person has read, as `module version`.
    unread: &'a BTreeSet<String>,
}

impl AddRelease {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let catalog = context.checkout.catalog()?;
        if catalog::version_numbers(&self.release).is_none() {
            let message = format!("`{}` is not a version vX.Y.Z", self.release);
            return Err(Fault::new(Kind::Usage, message).into());
        }
        let text = fs::read_to_string(context.checkout.root.join(CATALOG))
            .with_context(|| format!("reading {CATALOG}"))?;
        if let Some(known) = catalog.release(&self.release) {
            return self.add_commit(context, &text, known);
        }
        let newest = catalog.releases.iter().max_by_key(|release| release.numbers());
        let newest = newest.ok_or_else(|| Fault::new(Kind::Data, format!("{CATALOG} has no release")))?;
        let session = Session::open(&context.checkout, self.how.options())?;
        let (commit, date) = self.origin.of(&self.release, &session)?;
        let (crictl, remark) = match &self.crictl {
            Some(version) => (version.clone(), None),
            None => crictl::of(&catalog, &self.release, &session)?,
        };
        drop(session);
        let block = text::Block {
            version: &self.release,
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
            copy_all(&context.checkout.root, part, copy.path())?;
        }
        fs::write(copy.path().join(CATALOG), &text).context("writing the catalog's copy")?;
        let inside = Checkout { root: copy.path().to_owned(), progress: context.checkout.progress.clone() };
        let unread = self.make(context, &inside)?;

        let changed = changed(&context.checkout.root, copy.path())?;
        put(&context.checkout.root, copy.path(), &changed)?;
        context.checkout.tell_untracked(&changed)?;
        if commit.is_none() {
            context.note(&format!(
                "no commit of {} is known: its programs and images say none; `cargo xtask add-release {} --commit SHA` \
                 adds it",
                self.release, self.release
            ));
        }
        if context.json {
            let answer = Answer { version: 1, release: &self.release, changed: &changed, unread: &unread };
            return context.print_json(&answer);
        }
        let list: Vec<String> = changed.iter().map(|file| format!("\n  {}", file.display())).collect();
        let read = unread.iter().map(|version| format!("\n  {version}"));
        let read = read.collect::<String>();
        let read = if read.is_empty() { read } else { format!("\nnobody has read, so {READ}:{read}") };
        write_out(&format!("{} is added; changed:{}{read}", self.release, list.concat()))
    }

    /// The commit of a release that is there without one.
    fn add_commit(&self, context: &Context, text: &str, known: &Release) -> Result<()> {
        let there = || Fault::new(Kind::Usage, format!("the catalog has {} already", self.release));
        if known.commit.is_some() || !self.origin.tells_commit() {
            return Err(there().into());
        }
        let session = Session::open(&context.checkout, self.how.options())?;
        let commit = self.origin.commit(&self.release, &session)?.ok_or_else(there)?;
        let text = text::with_commit(text, known, &commit)?;
        Catalog::parse(&text, CATALOG)?;
        files::write(&context.checkout.root.join(CATALOG), text.as_bytes())?;
        let changed = [PathBuf::from(CATALOG)];
        if context.json {
            let unread = BTreeSet::new();
            let answer = Answer { version: 1, release: &self.release, changed: &changed, unread: &unread };
            return context.print_json(&answer);
        }
        write_out(&format!("{}: its commit is {commit}; changed:\n  {CATALOG}", self.release))
    }

    /// Closures, size and pages, in the copy; returns the versions of edited modules that no person has read.
    fn make(&self, context: &Context, copy: &Checkout) -> Result<BTreeSet<String>> {
        let session = Session::open(copy, self.how.options())?;
        let release =
            session.catalog.release(&self.release).context("the release is not in its own catalog")?;
        let spec = |closure| plan::spec(&session.catalog, release, closure);
        session.ensure_closures(&[spec(Closure::Kube)?, spec(Closure::CniPlugins)?])?;
        let kubeadm = spec(Closure::Kubeadm)?;
        match pins::ensure_closures(&session, &[kubeadm], false) {
            Err(error) if fault::is(&error, Kind::Unavailable) => {
                context.note(&format!("without crictl: {error:#}"));
            }
            done => done?,
        }
        let attribute = format!("kubelet-{}-amd64", release.attribute());
        let unread = session.plan(&Selection::of(vec![attribute.clone()]))?.unread()?;
        drop(session);
        if !self.no_build {
            let request = Request { attributes: vec![attribute], ..Request::default() };
            let (written, _) = record::write(copy, &request, &self.how.options())?;
            context.tell(&written)?;
            context.tell(&record::write_table(copy, false)?)?;
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
