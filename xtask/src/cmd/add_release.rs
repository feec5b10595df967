//! `add-release`: a Kubernetes release for the catalog, its Go closures and its sizes, as one change.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use project::READ;
use project::add_release::{Added, New, Origin};
use serde::Serialize;

use crate::context::{Context, write_out};
use crate::flags::BuildFlags;

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
    origin: OriginFlags,
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

/// What is known of a release, or who is asked.
#[derive(clap::Args)]
struct OriginFlags {
    /// Its git commit [default: what the module proxy says, if it does].
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// Ask this git repository for the commit of the release's tag.
    #[arg(long, value_name = "URL", conflicts_with = "commit")]
    repository: Option<String>,
    /// Its date, the time of all in its images [default: what the module proxy says].
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
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
        let OriginFlags { commit, repository, date } = &self.origin;
        let new = New {
            version: self.release.clone(),
            origin: Origin { commit: commit.clone(), repository: repository.clone(), date: date.clone() },
            go: self.go.clone(),
            cni_plugins: self.cni_plugins.clone(),
            crictl: self.crictl.clone(),
            build: !self.no_build,
        };
        let (added, changed) = new.add(&context.checkout, &self.how.options())?;
        let none = BTreeSet::new();
        if context.json {
            let unread = if let Added::Release(unread) = &added { unread } else { &none };
            return context.print_json(&Answer {
                version: 1,
                release: &self.release,
                changed: &changed,
                unread,
            });
        }
        let list: Vec<String> = changed.iter().map(|file| format!("\n  {}", file.display())).collect();
        let list = list.concat();
        let release = &self.release;
        write_out(&match added {
            Added::Commit(commit) => format!("{release}: its commit is {commit}; changed:{list}"),
            Added::Release(unread) => {
                let read: Vec<String> = unread.iter().map(|version| format!("\n  {version}")).collect();
                let read = read.concat();
                let read =
                    if read.is_empty() { read } else { format!("\nnobody has read, so {READ}:{read}") };
                format!("{release} is added; changed:{list}{read}")
            }
        })
    }
}
