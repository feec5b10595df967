//! The support table, images/support.toml, and what it says of the catalog's releases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use catalog::{Attributes, Release};
use fault::{Fault, Kind};
use jiff::{ToSpan, civil::Date};
use plan::Plan;
use serde::{Deserialize, Serialize};

use crate::Session;

/// Where the table is.
pub const PATH: &str = "images/support.toml";

/// How long minor releases get patches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Support {
    version: u32,
    /// How long, where no end was announced.
    months: u8,
    /// Where the announced dates are from.
    pub source: String,
    #[serde(rename = "minor")]
    minors: Vec<Minor>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Minor {
    #[serde(rename = "minor")]
    name: String,
    released: Date,
    ended: Option<Date>,
}

/// Major, minor and patch.
pub type Numbers = (u32, u32, u32);

/// What is different upstream. Versions are as in `v1.34.1`, minors as in `1.34`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReleaseStatus {
    /// Minors of the catalog that have a newer patch: the newest one.
    pub patches: Vec<Newer>,
    /// Supported minors that the catalog lacks: their newest patch.
    pub minors: Vec<Newer>,
    /// Minors of the catalog whose support ended, and when.
    pub ended: Vec<Ended>,
    /// Minors that the table does not have.
    pub unknown: Vec<String>,
}

/// A release that is newer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Newer {
    /// As vX.Y.Z.
    pub version: String,
    /// The catalog's newest of the same minor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub have: Option<String>,
    /// When it was made, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// When its minor's support ends or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<Date>,
}

/// A minor release whose support ended.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// As in `1.34`.
    pub minor: String,
    /// When.
    pub ended: Date,
}

impl ReleaseStatus {
    /// Is nothing different?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Today, in UTC.
pub fn today() -> Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()
}

impl Support {
    /// Reads the table of a checkout.
    pub fn read(root: &Path) -> Result<Self> {
        let text = files::read_text(&root.join(PATH), files::DOCUMENT)?;
        Self::parse(&text, PATH)
    }

    /// When the support of a release ended, if that was before this day.
    pub fn ended(&self, release: &Release, today: Date) -> Option<Date> {
        let (major, minor, _) = release.numbers();
        self.ends(&format!("{major}.{minor}")).filter(|ended| *ended < today)
    }

    /// Parses and validates; `name` is what errors call the file.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let bad =
            |what: String| anyhow::Error::from(Fault::new(Kind::InvalidData, format!("{name}: {what}")));
        let table: Self = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        if table.version != 1 {
            return Err(bad(format!("format version {}, this program reads 1", table.version)));
        }
        let mut seen = BTreeSet::new();
        for Minor { name: minor, released, ended } in &table.minors {
            if catalog::version_numbers(&format!("v{minor}.0")).is_none() {
                return Err(bad(format!("`{minor}` is not a minor release X.Y")));
            }
            if !seen.insert(minor) {
                return Err(bad(format!("{minor} is there twice")));
            }
            if ended.is_some_and(|ended| ended <= *released) {
                return Err(bad(format!("{minor} ended before it was released")));
            }
        }
        Ok(table)
    }

    /// When a minor's support ends; `None` for one that is not in the table.
    fn ends(&self, minor: &str) -> Option<Date> {
        let found = self.minors.iter().find(|entry| entry.name == minor)?;
        found.ended.or_else(|| found.released.checked_add(i32::from(self.months).months()).ok())
    }

    /// The same by what the module proxy knows, with the dates of what is new.
    pub fn asked(&self, session: &Session<'_>, have: &[Numbers], today: Date) -> Result<ReleaseStatus> {
        let (tools, work) = (session.tools()?, session.store.scratch_dir()?);
        let versions = gobuild::upstream::versions(tools.go()?, work.path())?;
        let there = numbers(versions.iter().map(String::as_str), "what the module proxy knows")?;
        let mut news = self.news(have, &there, today);
        for newer in news.patches.iter_mut().chain(&mut news.minors) {
            exec::interrupt::check()?;
            newer.date = gobuild::upstream::release(&newer.version, tools.go()?, work.path())?.time;
        }
        Ok(news)
    }

    /// Compares the catalog's releases with those that there are, on a day. Pre-releases are not releases.
    pub fn news(&self, have: &[Numbers], there: &[Numbers], today: Date) -> ReleaseStatus {
        let newest = |all: &[Numbers]| {
            let mut newest = BTreeMap::new();
            for &(major, minor, patch) in all {
                let known = newest.entry((major, minor)).or_insert(patch);
                *known = patch.max(*known);
            }
            newest
        };
        let (ours, theirs) = (newest(have), newest(there));
        let oldest = ours.keys().next().copied().unwrap_or_default();
        let mut news = ReleaseStatus::default();
        for (&(major, minor), &patch) in &theirs {
            let (name, version) = (format!("{major}.{minor}"), format!("v{major}.{minor}.{patch}"));
            let ends = self.ends(&name);
            let newer = |have| Newer { version, have, date: None, ends };
            match ours.get(&(major, minor)) {
                Some(&known) if known < patch => {
                    news.patches.push(newer(Some(format!("v{major}.{minor}.{known}"))));
                }
                None if ends.is_some_and(|ends| ends >= today) => news.minors.push(newer(None)),
                None if ends.is_none() && (major, minor) > oldest => news.unknown.push(name),
                _ => {}
            }
        }
        for (major, minor) in ours.keys() {
            let minor = format!("{major}.{minor}");
            match self.ends(&minor) {
                Some(ended) if ended < today => news.ended.push(Ended { minor, ended }),
                Some(_) => {}
                None if news.unknown.contains(&minor) => {}
                None => news.unknown.push(minor),
            }
        }
        news
    }
}

/// The releases among words; pre-releases and names are left out.
pub fn numbers<'a>(words: impl Iterator<Item = &'a str>, name: &str) -> Result<Vec<Numbers>> {
    let found: Vec<Numbers> = words.filter_map(catalog::version_numbers).collect();
    if found.is_empty() {
        let fault = Fault::new(Kind::InvalidData, format!("{name}: there is no version vX.Y.Z"));
        return Err(fault.help("`go list -m -versions k8s.io/kubernetes` writes them").into());
    }
    Ok(found)
}

/// Says of which releases' images Kubernetes' support has ended: they get no fixes.
pub fn tell_ended(session: &Session<'_>, plan: &Plan) -> Result<()> {
    let (support, today) = (Support::read(&session.checkout.root)?, today());
    let newest = session.catalog.releases.iter().find(|release| support.ended(release, today).is_none());
    let attributes = Attributes::of(&session.catalog);
    let mut told = BTreeSet::new();
    for name in plan.images.keys() {
        let release = attributes.get(name)?.release;
        let Some(ended) = support.ended(release, today).filter(|_| told.insert(release.numbers())) else {
            continue;
        };
        let newest = newest.map(|newest| format!("; {} is supported", newest.version)).unwrap_or_default();
        session.checkout.progress.note(&format!(
            "warning: Kubernetes' support of {} ended on {ended}: it gets no fixes{newest}",
            release.version
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "version = 1\nmonths = 14\nsource = \"s\"\n\
        [[minor]]\nminor = \"1.26\"\nreleased = \"2022-12-09\"\nended = \"2024-02-28\"\n\
        [[minor]]\nminor = \"1.34\"\nreleased = \"2025-08-27\"\n";

    fn news(have: &[Numbers], there: &[Numbers], today: &str) -> ReleaseStatus {
        Support::parse(TABLE, "t").unwrap().news(have, there, today.parse().unwrap())
    }

    #[test]
    fn an_end_is_as_announced_else_by_the_rule() {
        let table = Support::parse(TABLE, "t").unwrap();
        assert_eq!(table.ends("1.26").unwrap().to_string(), "2024-02-28");
        assert_eq!(table.ends("1.34").unwrap().to_string(), "2026-10-27");
        assert_eq!(table.ends("1.35"), None);
    }

    #[test]
    fn nothing_is_new_where_all_is_there() {
        assert!(news(&[(1, 34, 1)], &[(1, 34, 0), (1, 34, 1), (1, 26, 15)], "2026-01-01").is_empty());
    }

    #[test]
    fn patches_minors_and_ends_are_told_apart() {
        let there = [(1, 26, 15), (1, 26, 3), (1, 34, 2), (1, 34, 1), (1, 35, 0), (1, 1, 0)];
        let found = news(&[(1, 26, 0)], &there, "2026-10-27");
        assert_eq!((found.patches.len(), found.patches[0].version.as_str()), (1, "v1.26.15"));
        assert_eq!(found.patches[0].have.as_deref(), Some("v1.26.0"));
        assert_eq!((found.minors.len(), found.minors[0].version.as_str()), (1, "v1.34.2"));
        assert_eq!(found.ended[0].minor, "1.26");
        assert_eq!(found.unknown, ["1.35"]);
        assert!(news(&[(1, 26, 0)], &there, "2026-10-28").minors.is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        let error = |from: &str, to: &str| {
            assert!(TABLE.contains(from));
            Support::parse(&TABLE.replace(from, to), "t").unwrap_err().to_string()
        };
        insta::assert_snapshot!(error("version = 1", "version = 2"), @"t: format version 2, this program reads 1");
        insta::assert_snapshot!(error("\"1.34\"", "\"1.x\""), @"t: `1.x` is not a minor release X.Y");
        insta::assert_snapshot!(error("\"1.34\"", "\"1.26\""), @"t: 1.26 is there twice");
        insta::assert_snapshot!(error("2024-02-28", "2021-02-28"), @"t: 1.26 ended before it was released");
    }
}
