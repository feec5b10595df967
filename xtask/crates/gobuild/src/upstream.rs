//! What the module proxy says of Kubernetes' releases.

use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use serde::Deserialize;

use crate::closure::KUBERNETES;
use crate::modules::problem;
use crate::recipe::Target;
use crate::tools::{Tools, Work};

/// What is known of a release without fetching it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Upstream {
    /// Every version, oldest first, if they were asked for.
    pub versions: Vec<String>,
    /// When it was made, RFC 3339 in UTC.
    pub time: Option<String>,
    /// Where its source is, if the proxy says it.
    pub origin: Option<Origin>,
}

/// Where a module's source is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Origin {
    /// The git commit.
    pub hash: Option<String>,
}

/// All versions of Kubernetes that the module proxy knows. `work` is a directory for temporary files.
pub fn versions(tools: &Tools, work: &Path) -> Result<Vec<String>> {
    versions_of(KUBERNETES, tools, work)
}

/// All versions of a module that the module proxy knows.
pub fn versions_of(module: &str, tools: &Tools, work: &Path) -> Result<Vec<String>> {
    Ok(ask(&["-versions", module], tools, work)?.versions)
}

/// Date and origin of a release, as in `v1.34.1`.
pub fn release(version: &str, tools: &Tools, work: &Path) -> Result<Upstream> {
    ask(&[&format!("{KUBERNETES}@{version}")], tools, work)
}

/// The commit that a tag of a git repository is of. git shows the object of an annotated tag itself, and what it is of as
/// `TAG^{}`.
pub fn commit_of_tag(repository: &str, tag: &str, tools: &Tools) -> Result<String> {
    let (plain, peeled) = (format!("refs/tags/{tag}"), format!("refs/tags/{tag}^{{}}"));
    let out =
        tools.host.connect(exec::git()).args(["ls-remote", "--", repository, &plain, &peeled]).finish()?;
    if !out.status.success() {
        let message = format!("git cannot list the tags of {repository}:\n{}", out.stderr_tail);
        return Err(Fault::new(Kind::Unavailable, message).help("give the commit: --commit SHA").into());
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let named = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, found)| *found == name).map(|(commit, _)| commit.to_owned())
    };
    let commit = named(&peeled).or_else(|| named(&plain));
    commit.ok_or_else(|| Fault::new(Kind::NotFound, format!("{repository} has no tag {tag}")).into())
}

fn ask(args: &[&str], tools: &Tools, work: &Path) -> Result<Upstream> {
    if tools.offline {
        let fault = Fault::new(Kind::Unavailable, "cannot ask which versions there are with `--offline`");
        return Err(fault.help("leave it out, or give what is known: see --help").into());
    }
    let work = Work::new(work, "module containerized-kubelet\n", "")?;
    let run = tools.go_fetching(&Target::plain("amd64"), &work)?;
    let out = run.args(["list", "-m", "-json"]).args(args).finish()?;
    if !out.status.success() {
        let message = format!("the go command cannot list {}:\n{}", args.join(" "), out.stderr_tail);
        let error = problem(message.clone(), &[&out.stderr_tail], false);
        // What is not a module's own trouble is its proxy's.
        return match fault::of(&error).map(Fault::kind) {
            Some(Kind::ToolFailed) => Err(Fault::new(Kind::Unavailable, message)
                .help("set GOPROXY to a proxy that serves the module")
                .into()),
            _ => Err(error),
        };
    }
    serde_json::from_slice(&out.stdout).context("what `go list -m` says")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_and_without_an_origin_is_read() {
        let read = |text: &str| serde_json::from_str::<Upstream>(text).unwrap();
        let plain = read(r#"{"Path":"k8s.io/kubernetes","Version":"v1.34.1","Time":"2025-09-09T19:37:19Z"}"#);
        assert_eq!((plain.time.as_deref(), plain.origin.is_none()), (Some("2025-09-09T19:37:19Z"), true));
        let origin = read(r#"{"Origin":{"VCS":"git","Hash":"93248f9"},"Versions":["v1.0.0"]}"#);
        assert_eq!(origin.origin.unwrap().hash.as_deref(), Some("93248f9"));
        assert_eq!(origin.versions, ["v1.0.0"]);
    }
}
