//! What every verb has: the repository, and the way to speak to the user.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use catalog::{Attributes, Catalog};
use fault::{Fault, Kind};
use progress::Progress;
use serde::Serialize;

use crate::ui::{self, Color};

/// What makes a directory the top of the repository.
const CATALOG: &str = "images/catalog.toml";
/// The crate of the fuzz targets, which is a workspace of its own.
pub(crate) const FUZZ: &str = "xtask/fuzz/Cargo.toml";
/// Where `build` puts layouts unless it is told otherwise.
pub(crate) const IMAGES: &str = "target/images";

/// What help calls the flags of every verb, so that a verb's own are seen.
pub(crate) const GLOBAL_OPTIONS: &str = "Global options";

/// Flags of every verb.
#[derive(clap::Args)]
#[command(next_help_heading = GLOBAL_OPTIONS)]
pub(crate) struct Global {
    /// Write the result to standard output as JSON with a version field.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors and results.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: what each step is at, line by line.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Colours and bars: on a terminal, always, or never.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// What every verb has.
pub(crate) struct Context {
    /// The top of the repository: where images/catalog.toml is. Outside of one it is the current directory, where only
    /// verbs get to that need no repository.
    pub(crate) root: PathBuf,
    /// JSON on standard output?
    pub(crate) json: bool,
    /// Hears of progress.
    pub(crate) progress: Arc<dyn Progress>,
}

impl Context {
    /// `anywhere`: without a repository too.
    pub(crate) fn new(global: &Global, anywhere: bool) -> Result<Self> {
        let here = std::env::current_dir().context("the current directory cannot be read")?;
        let top = here.ancestors().find(|dir| dir.join(CATALOG).is_file());
        Ok(Self {
            root: match top {
                Some(top) => top.to_owned(),
                None if anywhere => here,
                None => return Err(no_repository(&here).into()),
            },
            json: global.json,
            progress: ui::progress(global.quiet, global.verbose, global.color),
        })
    }

    /// What git says in the checkout; none where there is no git, or it fails.
    pub(crate) fn git<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Option<String>> {
        let run = exec::git().args(args).cwd(&self.root);
        Ok(run.answer()?.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()))
    }

    /// The commit of the checkout, if nothing in it was changed.
    pub(crate) fn commit(&self) -> Result<Option<String>> {
        if self.git(&["status", "--porcelain"])?.is_none_or(|changes| !changes.is_empty()) {
            return Ok(None);
        }
        Ok(self.git(&["rev-parse", "HEAD"])?.map(|commit| commit.trim().to_owned()))
    }

    /// Tells which of these files, from the top of the repository, git does not know: a flake in a git checkout sees no
    /// others, and would say that they are missing.
    pub(crate) fn tell_untracked<P: AsRef<OsStr>>(&self, files: impl IntoIterator<Item = P>) -> Result<()> {
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
    pub(crate) fn catalog(&self) -> Result<Catalog> {
        let path = self.root.join(CATALOG);
        if !path.exists() {
            return Err(no_repository(&self.root).into());
        }
        Catalog::parse(&files::read_text(&path, files::DOCUMENT)?, CATALOG)
    }

    /// Where `build` puts the layout of an attribute, by whichever of its names; what is none is taken as it is.
    pub(crate) fn built(&self, name: &str) -> Result<PathBuf> {
        let catalog = self.catalog()?;
        let (attribute, suffix) = plan::split_name(name);
        let attributes = Attributes::of(&catalog);
        let found = attributes.find(attribute).map(|found| format!("{}{suffix}", found.name));
        Ok(self.root.join(IMAGES).join(found.as_deref().unwrap_or(name)))
    }

    /// Writes a result for a machine: one line of JSON on standard output.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).context("a result cannot be written as JSON")?;
        write_out(&ui::plain_json(&text))
    }
}

/// Writes lines to standard output, where nothing in them acts on a terminal; that a reader left early (`| head`) does
/// not matter.
pub(crate) fn write_out(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{}", ui::plain(line)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("standard output"))
        }
        _ => Ok(()),
    }
}

fn no_repository(here: &Path) -> Fault {
    Fault::new(Kind::Usage, format!("no {CATALOG} in {} or above it", here.display()))
        .help("run this inside a checkout of the repository")
}
