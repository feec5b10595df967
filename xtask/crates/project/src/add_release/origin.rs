//! Where a release is from: its git commit and its date.

use crate::Session;
use anyhow::Result;
use fault::{Fault, Kind};

/// What is known of a release, or who is asked.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its git commit. None: what the module proxy says, if it does.
    pub commit: Option<String>,
    /// A git repository that is asked for the commit of the release's tag.
    pub repository: Option<String>,
    /// Its date, the time of all in its images. None: what the module proxy says.
    pub date: Option<String>,
}

impl Origin {
    /// Commit, if anyone knows it, and date.
    pub(super) fn of(&self, release: &str, session: &Session<'_>) -> Result<(Option<String>, String)> {
        let commit = self.commit(release, session)?;
        if let (Some(_), Some(date)) = (&commit, &self.date) {
            return Ok((commit, date.clone()));
        }
        let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
        let told = gobuild::upstream::release(release, tools.go()?, work.path())?;
        let date = self.date.clone().or(told.time).ok_or_else(|| {
            let message = format!("the module proxy does not give the date of {release}");
            Fault::new(Kind::Unavailable, message).help("give it: --date DATE")
        })?;
        Ok((commit.or(told.origin.and_then(|origin| origin.hash)), date))
    }

    /// Is the commit given, or a repository that has it?
    pub(super) fn tells_commit(&self) -> bool {
        self.commit.is_some() || self.repository.is_some()
    }

    /// The commit as it is given, else that of the tag in the repository.
    pub(super) fn commit(&self, release: &str, session: &Session<'_>) -> Result<Option<String>> {
        match (&self.commit, &self.repository) {
            (None, Some(repository)) if session.offline() => {
                let message = format!("cannot ask {repository} for the commit of {release} with `--offline`");
                Err(Fault::new(Kind::Unavailable, message).help("give it: --commit SHA").into())
            }
            (None, Some(repository)) => {
                gobuild::upstream::commit_of_tag(repository, release, session.tools()?.go()?).map(Some)
            }
            (commit, _) => Ok(commit.clone()),
        }
    }
}
