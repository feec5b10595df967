//! The table, read.

const TABLE: &str = include_str!("../../src/host/programs.tsv");

/// One answer.
pub(crate) struct Row {
    pub(crate) program: String,
    pub(crate) answer: String,
    pub(crate) who: Vec<String>,
    pub(crate) purpose: String,
    pub(crate) without: String,
    /// Minor releases: the first that has it, and the first that has it no more.
    pub(crate) since: Option<u8>,
    pub(crate) removed: Option<u8>,
    /// Beginnings of places.
    pub(crate) source: Vec<String>,
}

pub(crate) fn rows() -> Vec<Row> {
    parse(TABLE)
}

pub(crate) fn parse(table: &str) -> Vec<Row> {
    table.lines().filter(|line| !line.starts_with('#')).map(Row::parse).collect()
}

/// The rows for people, a table for each answer.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let parts = [
        ("host", "Run on the host, by a link of the entrypoint"),
        ("own", "Links of the entrypoint, which is it itself"),
        ("image", "Other programs of the image"),
        ("unneeded", "Not needed, and why"),
    ];
    let mut text = String::new();
    for (answer, title) in parts {
        text += &format!(
            "\n### {title}\n\n| program | who | what for | without it | releases |\n| --- | --- | --- | --- | --- |\n"
        );
        for row in rows.iter().filter(|row| row.answer == answer) {
            let without = match &*row.without {
                "fatal" => "refuses or goes wrong",
                "feature" => "this does not work",
                _ => "does without",
            };
            let releases = match (row.since, row.removed) {
                (None, None) => "all".to_owned(),
                (Some(since), None) => format!("from 1.{since}"),
                (None, Some(removed)) => format!("before 1.{removed}"),
                (Some(since), Some(removed)) => format!("from 1.{since}, before 1.{removed}"),
            };
            let without = if answer == "unneeded" { "" } else { without };
            let cells =
                [&format!("`{}`", row.program), &row.who.join(", "), &row.purpose, without, &releases];
            text += &format!("| {} |\n", cells.join(" | "));
        }
    }
    text + "\n"
}

impl Row {
    fn parse(line: &str) -> Self {
        let cells: Vec<&str> = line.split('\t').collect();
        let [program, answer, who, purpose, without, since, removed, source] = cells[..] else {
            panic!("{} columns: {line}", cells.len())
        };
        let minor = |cell: &str| match cell {
            "-" => None,
            cell => Some(cell.strip_prefix("1.").and_then(|minor| minor.parse().ok()).expect(line)),
        };
        let list = |cell: &str| cell.split(',').map(str::to_owned).collect();
        Self {
            program: program.to_owned(),
            answer: answer.to_owned(),
            who: list(who),
            purpose: purpose.to_owned(),
            without: without.to_owned(),
            since: minor(since),
            removed: minor(removed),
            source: list(source),
        }
    }

    /// Is it the row of this program? `mkfs.*` is that of `mkfs.ext4`.
    pub(crate) fn is(&self, program: &str) -> bool {
        self.program == program
            || self.program.strip_suffix('*').is_some_and(|start| program.starts_with(start))
    }

    /// Is it one of this minor release? What has releases of its own has all rows.
    pub(crate) fn has(&self, minor: Option<u8>) -> bool {
        minor.is_none_or(|minor| {
            self.since.is_none_or(|since| since <= minor)
                && self.removed.is_none_or(|removed| removed > minor)
        })
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let before = |a: Option<u8>, b: Option<u8>| a.zip(b).is_some_and(|(removed, since)| removed <= since);
        !before(self.removed, other.since) && !before(other.removed, self.since)
    }

    /// Are its words those that the table's head names?
    pub(crate) fn check(&self) {
        let program = &self.program;
        assert!(["own", "host", "image", "unneeded"].contains(&&*self.answer), "{program}: {}", self.answer);
        assert!(["fatal", "feature", "probe"].contains(&&*self.without), "{program}: {}", self.without);
        for who in &self.who {
            assert!(
                ["kubelet", "kubeadm", "kube-proxy", "crictl", "cni"].contains(&&**who),
                "{program}: {who}"
            );
        }
        assert!(!self.purpose.is_empty() && !self.purpose.ends_with('.'), "{program}: {}", self.purpose);
        assert!(self.source.iter().all(|source| source.contains('/')), "{program}: {:?}", self.source);
        assert!(
            self.since.is_none_or(|since| self.removed.is_none_or(|removed| since < removed)),
            "{program}"
        );
    }
}
