//! What is known of the kubelet's flags and configuration fields, release by release: the tables flags.tsv and
//! fields.tsv, which tests/flags.rs compares with Kubernetes' sources.

use super::release::Release;

const FLAGS: &str = include_str!("flags.tsv");
const FIELDS: &str = include_str!("fields.tsv");

/// A flag, or a field at the top of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    /// Its name, without dashes before it.
    pub(crate) name: &'static str,
    /// Does it take a value? Without one a flag means `true`.
    pub(crate) takes_value: bool,
    /// The first release that has it, unless that is older than the table.
    pub(crate) since: Option<Release>,
    /// The first release that has it no more.
    pub(crate) removed: Option<Release>,
    /// What to do instead, where it was removed.
    pub(crate) instead: &'static str,
}

impl Fact {
    /// The flag of this name (`_` is as good as `-`), if any release of the table has it.
    pub(crate) fn flag(name: &str) -> Option<Self> {
        let name = name.replace('_', "-");
        find(FLAGS, &name)
    }

    /// The field of this name, if any release of the table has it.
    pub(crate) fn field(name: &str) -> Option<Self> {
        find(FIELDS, name)
    }

    /// Had older releases it, and this one no more?
    pub(crate) fn was_removed_in(&self, release: Release) -> bool {
        self.removed.is_some_and(|removed| release >= removed)
    }

    /// Why this release does not have it: from when on, or until when it is known. None where the release has it.
    pub(crate) fn missing_in(&self, release: Release) -> Option<String> {
        if let Some(since) = self.since.filter(|since| release < *since) {
            return Some(format!("is known from Kubernetes {since} on"));
        }
        let removed = self.removed.filter(|_| self.was_removed_in(release))?;
        Some(format!("was removed in Kubernetes {removed}: {}", self.instead))
    }
}

/// The row of a name. The cells of other rows are not looked at: a start should take no time.
fn find(table: &'static str, name: &str) -> Option<Fact> {
    table.lines().find_map(|line| row(line.strip_prefix(name)?.strip_prefix('\t').and(Some(line))?))
}

fn row(line: &'static str) -> Option<Fact> {
    let mut cells = line.split('\t');
    let (name, kind, since) = (cells.next()?, cells.next()?, cells.next()?);
    let (_deprecated, removed, instead) = (cells.next()?, cells.next()?, cells.next()?);
    Some(Fact {
        name,
        takes_value: kind == "value",
        since: Release::parse(since),
        removed: Release::parse(removed),
        instead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read() {
        for (table, least) in [(FLAGS, 150), (FIELDS, 100)] {
            let rows: Vec<_> = table.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(rows.len() >= least);
            for line in rows {
                let name = line.split('\t').next().unwrap();
                assert_eq!(find(table, name).map(|fact| fact.name), Some(name));
            }
            assert_eq!((find(table, "#"), find(table, "")), (None, None));
        }
    }

    #[test]
    fn flags_come_and_go() {
        let at = |name: &str, release: &str| {
            Fact::flag(name).unwrap().missing_in(Release::parse(release).unwrap()).unwrap_or_default()
        };
        assert_eq!(at("network-plugin", "v1.23.17"), "");
        assert!(at("network_plugin", "v1.24.0").starts_with("was removed in Kubernetes 1.24: leave it out"));
        assert_eq!(at("container-runtime", "1.26.9"), "");
        assert_ne!(at("container-runtime", "v1.27.0"), "");
        assert_eq!(at("config-dir", "v1.26.0"), "is known from Kubernetes 1.28 on");
        assert_eq!(at("config", "v1.99.0"), "");
        assert_eq!(Fact::flag("no-such-flag"), None);
        assert!(Fact::flag("v").unwrap().takes_value && !Fact::flag("version").unwrap().takes_value);
        assert!(Fact::field("healthzPort").is_some() && Fact::field("networkPlugin").is_none());
    }
}
