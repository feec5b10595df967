//! What the host's programs are for: programs.tsv.

/// The columns are named in its first lines.
const PROGRAMS: &str = include_str!("programs.tsv");

/// What does not work without a program of the host, as the end of a message; empty where the table does not have it.
pub(super) fn without(program: &str) -> String {
    let row = PROGRAMS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .find(|row| row[0] == program);
    row.and_then(|row| row.get(3).map(|purpose| format!("; it is for {purpose}"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_is_for() {
        assert_eq!(without("mount"), "; it is for mounts of volumes");
        assert_eq!(without("no-such-program"), "");
    }
}
