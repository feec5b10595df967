//! Unit tests that modules bring of their own, compiled as the programs are: of the same closure, with the same edits and
//! flags.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;
use serde::Deserialize;

use crate::compile::{flags, prepare};
use crate::recipe::Recipe;
use crate::tools::Tools;
use crate::{edit, templates};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As its authors meant it to.
    Pass,
    /// Otherwise; of a package: one of its tests did, or it does not compile.
    Fail,
    /// It said why it does not apply.
    Skip,
}

/// By package and test; a package's own outcome has no test's name.
pub type Outcomes = BTreeMap<(String, String), Outcome>;

/// An event as `go test -json` writes it (`go doc test2json`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    test: String,
}

/// Runs the unit tests of packages (patterns such as `google.golang.org/protobuf/...`) with the modules of `recipe`, edited
/// as for its programs or as they are, with at most `jobs` at a time. What only tests need is fetched; sums that go.sum has stay as they are.
/// `work` is a directory for temporary files.
///
/// # Errors
/// [`Kind::ToolFailed`] where no test ran at all; a test that fails is an [`Outcome`].
pub fn run(
    recipe: &Recipe,
    tools: &Tools,
    packages: &[&str],
    edited: bool,
    jobs: usize,
    work: &Path,
    progress: &dyn Progress,
) -> Result<Outcomes> {
    let how = if edited { "edited" } else { "as they are" };
    let task = progress.task(&format!("unit tests of {}, {how}", packages.join(", ")), None);
    let (work, listing) = prepare(recipe, tools, work, !tools.offline, &*task)?;
    let mut overlay = Vec::new();
    if edited {
        let mut left_out = edit::apply(&recipe.edits, &recipe.go_mod, &listing, &work.module())?;
        overlay = templates::overlay(recipe, tools, &work, &listing, &mut left_out)?;
    }
    // Test programs run here: nothing of zig's musl is to be looked for when they start.
    let external = if recipe.flags.pure { "" } else { "-linkmode external -extldflags -static" };
    let finished = tools
        .go_fetching(&recipe.target, &work)?
        .env("CGO_ENABLED", recipe.flags.cgo())
        .args(["test", "-json", "-mod=mod", "-trimpath", "-buildvcs=false", "-vet=off", "-count=1"])
        .arg(format!("-p={}", jobs.max(1)))
        .args(flags(recipe))
        .args(overlay)
        .arg(format!("-ldflags={} {external}{}", recipe.flags.ldflags.join(" "), recipe.stamps.flags()?))
        .args(packages)
        .on_line(|line| task.detail(line))
        .finish()?;
    let outcomes = outcomes(&finished.stdout)?;
    if !outcomes.values().any(|outcome| *outcome == Outcome::Pass) {
        let message =
            format!("no unit test of {} passed\n{}", packages.join(", "), finished.stderr_tail.trim_end());
        return Err(Fault::new(Kind::ToolFailed, message).into());
    }
    Ok(outcomes)
}

/// Of `go test -json`.
fn outcomes(text: &[u8]) -> Result<Outcomes> {
    let events = serde_json::Deserializer::from_slice(text).into_iter::<Event>();
    let mut outcomes = Outcomes::new();
    for event in events {
        let Event { action, package, test } = event.context("what `go test -json` says")?;
        let outcome = match action.as_str() {
            "pass" => Outcome::Pass,
            "fail" => Outcome::Fail,
            "skip" => Outcome::Skip,
            _ => continue,
        };
        outcomes.insert((package, test), outcome);
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_and_package_has_its_outcome() {
        let text = br#"{"ImportPath":"e.x/broken","Action":"build-output","Output":"a.go:1: no\n"}
{"ImportPath":"e.x/broken","Action":"build-fail"}
{"Action":"start","Package":"e.x/a"}
{"Action":"run","Package":"e.x/a","Test":"TestOne"}
{"Action":"output","Package":"e.x/a","Test":"TestOne","Output":"x"}
{"Action":"pass","Package":"e.x/a","Test":"TestOne","Elapsed":0}
{"Action":"fail","Package":"e.x/a","Test":"TestTwo/of","Elapsed":0.1}
{"Action":"fail","Package":"e.x/a","Elapsed":0.1}
{"Action":"skip","Package":"e.x/none","Elapsed":0}
{"Action":"fail","Package":"e.x/broken","Elapsed":0,"FailedBuild":"e.x/broken"}
"#;
        let found = outcomes(text).unwrap();
        let of = |package: &str, test: &str| found[&(package.to_owned(), test.to_owned())];
        assert_eq!(found.len(), 5);
        assert_eq!(of("e.x/a", "TestOne"), Outcome::Pass);
        assert_eq!([of("e.x/a", "TestTwo/of"), of("e.x/a", ""), of("e.x/broken", "")], [Outcome::Fail; 3]);
        assert_eq!(of("e.x/none", ""), Outcome::Skip);
        assert!(outcomes(b"{\"Action\":\"pass\"}\nFAIL\n").is_err());
    }
}
