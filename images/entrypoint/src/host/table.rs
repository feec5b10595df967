//! What programs are for, and who has them: programs.tsv.

/// The columns are named in its first lines.
const PROGRAMS: &str = include_str!("programs.tsv");

/// What does not work without a program of the host, as the end of a message; empty where the table does not have it.
pub(super) fn without(program: &str) -> String {
    let mut rows = PROGRAMS.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
    rows.find_map(|mut cells| {
        let (name, answer) = (cells.next()?, cells.next()?);
        let is = name == program || name.strip_suffix('*').is_some_and(|start| program.starts_with(start));
        (is && answer == "host").then(|| format!("; it is for {}", cells.nth(1).unwrap_or_default()))
    })
    .unwrap_or_default()
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
}
