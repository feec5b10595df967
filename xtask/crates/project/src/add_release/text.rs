//! The catalog's text, changed in one place and nowhere else.

use std::fmt::Write;

use anyhow::Result;
use catalog::Release;
use fault::{Fault, Kind};

use super::CATALOG;

/// A release as the catalog writes it.
pub(super) struct Block<'a> {
    pub(super) version: &'a str,
    pub(super) commit: Option<&'a str>,
    pub(super) date: &'a str,
    pub(super) go: &'a str,
    pub(super) cni_plugins: &'a str,
    pub(super) crictl: &'a str,
    /// What is to be said of that crictl.
    pub(super) remark: Option<&'a str>,
}

impl Block<'_> {
    fn text(&self) -> String {
        let mut text = format!("[[release]]\nversion = \"{}\"\n", self.version);
        if let Some(commit) = self.commit {
            let _ = writeln!(text, "commit = \"{commit}\"");
        }
        for (key, value) in
            [("date", self.date), ("go", self.go), ("cni-plugins", self.cni_plugins), ("crictl", self.crictl)]
        {
            let _ = write!(text, "{key} = \"{value}\"");
            let remark = self.remark.filter(|_| key == "crictl").map(|remark| format!(" # {remark}"));
            text.push_str(&remark.unwrap_or_default());
            text.push('\n');
        }
        text
    }
}

/// The catalog's text with a release where its version belongs: newest first.
pub(super) fn with_release(text: &str, releases: &[Release], block: &Block<'_>) -> Result<String> {
    let numbers = catalog::version_numbers(block.version).unwrap_or_default();
    let block = block.text();
    if let Some(older) = releases.iter().find(|release| release.numbers() < numbers) {
        let at = start(text, older).ok_or_else(lost)?;
        return Ok(format!("{}{block}\n{}", &text[..at], &text[at..]));
    }
    let last = releases.last().and_then(|release| start(text, release)).ok_or_else(lost)?;
    let end = text[last..].find("\n\n").map_or(text.len(), |end| last + end + 1);
    Ok(format!("{}\n{block}{}", &text[..end], &text[end..]))
}

/// The catalog's text with the commit of a release that had none.
pub(super) fn with_commit(text: &str, release: &Release, commit: &str) -> Result<String> {
    let version = format!("version = \"{}\"\n", release.version);
    let at =
        start(text, release).and_then(|start| Some(start + text[start..].find(&version)? + version.len()));
    let at = at.ok_or_else(lost)?;
    Ok(format!("{}commit = \"{commit}\"\n{}", &text[..at], &text[at..]))
}

/// Where a release begins.
fn start(text: &str, release: &Release) -> Option<usize> {
    let line = text.find(&format!("\nversion = \"{}\"", release.version))?;
    text[..=line].rfind("[[release]]\n")
}

fn lost() -> Fault {
    Fault::new(Kind::InvalidData, format!("{CATALOG}: its releases are not written as this program does"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use catalog::Catalog;

    use super::*;

    fn catalog() -> (String, Catalog) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(CATALOG);
        let text = fs::read_to_string(file).unwrap();
        let catalog = Catalog::parse(&text, CATALOG).unwrap();
        (text, catalog)
    }

    fn block(version: &str) -> Block<'_> {
        Block {
            version,
            commit: None,
            date: "2020-01-01T00:00:00Z",
            go: "1.26.8",
            cni_plugins: "v0.9.1",
            crictl: "v1.1.0",
            remark: Some("an older one"),
        }
    }

    #[test]
    fn a_release_goes_where_its_version_belongs_and_nothing_else_changes() {
        let (text, catalog) = catalog();
        for version in ["v1.99.0", "v1.25.99", "v1.1.0"] {
            let block = block(version);
            let new = with_release(&text, &catalog.releases, &block).unwrap();
            let all: Vec<_> =
                Catalog::parse(&new, CATALOG).unwrap().releases.iter().map(Release::numbers).collect();
            assert_eq!(all.len(), catalog.releases.len() + 1);
            assert!(all.is_sorted_by(|a, b| a > b), "{all:?}");
            assert!(new.contains("crictl = \"v1.1.0\" # an older one\n"));
            assert_eq!(new.replacen(&format!("{}\n", block.text()), "", 1).trim_end(), text.trim_end());
        }
    }

    #[test]
    fn a_commit_is_added_to_its_release_and_nothing_else_changes() {
        let (text, catalog) = catalog();
        let new = with_release(&text, &catalog.releases, &block("v1.25.99")).unwrap();
        let before = Catalog::parse(&new, CATALOG).unwrap();
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let with = with_commit(&new, before.release("v1.25.99").unwrap(), commit).unwrap();
        let after = Catalog::parse(&with, CATALOG).unwrap();
        let has =
            after.releases.iter().filter(|release| release.commit.as_ref().is_some_and(|it| *it == *commit));
        assert_eq!(has.map(|release| release.version.to_string()).collect::<Vec<_>>(), ["v1.25.99"]);
        assert_eq!(with.replacen(&format!("commit = \"{commit}\"\n"), "", 1), new);
    }
}
