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

/// Is the row of this program?
fn is_of(row: &Row, program: &str) -> bool {
    row.program == program || row.program.strip_suffix('*').is_some_and(|start| program.starts_with(start))
}

/// What does not work without a program of the host, as the end of a message; empty where the table does not have it.
pub(super) fn without(program: &str) -> String {
    let row = rows().find(|row| is_of(row, program) && row.answer == "host");
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

    /// Names of links in the catalog, and whether each has a directory of its own.
    fn links() -> Vec<(String, bool)> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../catalog.toml");
        let catalog = std::fs::read_to_string(file).unwrap();
        let start = format!("\"{}/", super::super::LINKS.trim_start_matches('/'));
        let paths = catalog.split(start.as_str()).skip(1).map(|rest| rest.split('"').next().unwrap());
        paths
            .map(|path| match path.split_once('/') {
                Some((directory, name)) => {
                    assert_eq!(directory, name);
                    (name.to_owned(), true)
                }
                None => (path.to_owned(), false),
            })
            .collect()
    }

    #[test]
    fn the_images_have_a_link_for_each_program_of_the_host() {
        let links = links();
        let hosts = || rows().filter(|row| row.answer == "host");
        for row in hosts() {
            // `mount` itself runs helpers: they are looked for by nobody else.
            let helper = row.program.starts_with("mount.");
            assert_eq!(links.iter().any(|(name, _)| is_of(&row, name)), !helper, "{row:?}");
        }
        for (name, alone) in links {
            let rows: Vec<Row> = hosts().filter(|row| is_of(row, &name)).collect();
            assert!(!rows.is_empty(), "{name} is not in the table");
            // Found by someone who does not run it, it would seem to be there.
            let looked_for = rows.iter().any(|row| row.purpose.contains("looks for it"));
            assert_eq!(alone, looked_for, "{name}: a directory of its own, where it is looked for");
        }
    }
}
