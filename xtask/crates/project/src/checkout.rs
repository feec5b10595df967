//! A checkout of the repository, and who hears of progress.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use catalog::{Attributes, Catalog};
use fault::{Fault, Kind};
use progress::Progress;

use crate::{BuildOptions, Selection, Session};

/// What makes a directory the top of the repository.
pub(crate) const CATALOG: &str = "images/catalog.toml";
/// Where layouts are put unless another place is named.
pub const IMAGES: &str = "target/images";

/// A checkout.
pub struct Checkout {
    /// The top of the repository: where images/catalog.toml is.
    pub root: PathBuf,
    /// Hears of progress.
    pub progress: Arc<dyn Progress>,
}

impl Checkout {
    /// That of the current directory. `anywhere`: outside of one it is the current directory, for what needs no repository.
    pub fn find(progress: Arc<dyn Progress>, anywhere: bool) -> Result<Self> {
        let here = std::env::current_dir().context("the current directory cannot be read")?;
        let top = here.ancestors().find(|dir| dir.join(CATALOG).is_file());
        let root = match top {
            Some(top) => top.to_owned(),
            None if anywhere => here,
            None => return Err(no_repository(&here).into()),
        };
        Ok(Self { root, progress })
    }

    /// What git says in the checkout; none where there is no git, or it fails.
    pub fn git<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Option<String>> {
        let run = exec::git().args(args).cwd(&self.root);
        Ok(run.answer()?.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()))
    }

    /// The commit of the checkout, if nothing in it was changed.
    pub fn commit(&self) -> Result<Option<String>> {
        if self.git(&["status", "--porcelain"])?.is_none_or(|changes| !changes.is_empty()) {
            return Ok(None);
        }
        Ok(self.git(&["rev-parse", "HEAD"])?.map(|commit| commit.trim().to_owned()))
    }

    /// Tells which of these files, from the top of the repository, git does not know: a flake in a git checkout sees no
    /// others, and would say that they are missing.
    pub fn tell_untracked<P: AsRef<OsStr>>(&self, files: impl IntoIterator<Item = P>) -> Result<()> {
        let mut args: Vec<OsString> = ["ls-files", "--others", "-z", "--"].map(OsString::from).into();
        let options = args.len();
        args.extend(files.into_iter().map(|file| file.as_ref().to_owned()));
        if args.len() == options {
            return Ok(());
        }
        // Not in a checkout git fails, and Nix takes all files.
        let text = self.git(&args)?.unwrap_or_default();
        let untracked: Vec<&str> = text.split('\0').filter(|file| !file.is_empty()).collect();
        if !untracked.is_empty() {
            let files = untracked.join(" ");
            self.progress
                .note(&format!("the flake does not see new files until git knows them: `git add {files}`"));
        }
        Ok(())
    }

    /// The catalog, validated.
    pub fn catalog(&self) -> Result<Catalog> {
        Catalog::parse(&self.catalog_text()?, CATALOG)
    }

    /// The catalog as it is written.
    pub(crate) fn catalog_text(&self) -> Result<String> {
        let path = self.root.join(CATALOG);
        if !path.exists() {
            return Err(no_repository(&self.root).into());
        }
        files::read_text(&path, files::DOCUMENT)
    }

    /// Builds one image or index; returns its layout. The store is closed again: who runs it may run for long.
    pub fn build_one(&self, selection: &Selection, options: BuildOptions) -> Result<PathBuf> {
        let session = Session::open(self, options)?;
        let plan = session.plan(selection)?;
        let built = session.executor()?.build(&plan, &self.root.join(IMAGES))?;
        Ok(built.into_iter().next().context("a plan of nothing")?.layout)
    }

    /// Where the layout of an attribute is put, by whichever of its names; what is none is taken as it is.
    pub fn built(&self, name: &str) -> Result<PathBuf> {
        let catalog = self.catalog()?;
        let (attribute, suffix) = plan::split_name(name);
        let attributes = Attributes::of(&catalog);
        let found = attributes.find(attribute).map(|found| format!("{}{suffix}", found.name));
        Ok(self.root.join(IMAGES).join(found.as_deref().unwrap_or(name)))
    }
}

fn no_repository(here: &Path) -> Fault {
    Fault::new(Kind::Usage, format!("no {CATALOG} in {} or above it", here.display()))
        .help("run this inside a checkout of the repository")
}
