//! What programs are for, and who has them: programs.tsv.

/// The columns are named in its first lines.
const PROGRAMS: &str = include_str!("programs.tsv");

/// A program that somebody runs or looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its name; with a `*` at its end all that begin so.
    pub(crate) program: &'static str,
    /// `own`, `host`, `image` or `unneeded`.
    pub(crate) answer: &'static str,
    /// Who, separated by commas.
    pub(crate) who: &'static str,
    pub(crate) purpose: &'static str,
    /// What is wrong without it: `fatal`, `feature` or `probe`.
    pub(crate) without: &'static str,
    /// The first release that has it, and the first that has it no more; `-` where there is none.
    pub(crate) since: &'static str,
    pub(crate) removed: &'static str,
}

/// All rows.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let lines = PROGRAMS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut cells = line.split('\t');
        let mut next = || cells.next();
        Some(Row {
            program: next()?,
            answer: next()?,
            who: next()?,
            purpose: next()?,
            without: next()?,
            since: next()?,
            removed: next()?,
        })
    })
}

/// What does not work without a program of the host, as the end of a message; empty where the table does not have it.
pub(super) fn without(program: &str) -> String {
    let is = |row: &Row| {
        row.program == program
            || row.program.strip_suffix('*').is_some_and(|start| program.starts_with(start))
    };
    let row = rows().find(|row| is(row) && row.answer == "host");
    row.map(|row| format!("; it is for {}", row.purpose)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_is_for() {
        assert_eq!(without("mount.nfs"), "; it is for NFS volumes");
        assert!(without("mkfs.ext4").starts_with("; it is for making a filesystem on an empty block device"));
        assert_eq!((without("no-such-program"), without("git")), (String::new(), String::new()));
    }

    #[test]
    fn every_row_is_read() {
        let lines = PROGRAMS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows().count(), lines);
        assert!(rows().all(|row| ["own", "host", "image", "unneeded"].contains(&row.answer)));
    }
}
