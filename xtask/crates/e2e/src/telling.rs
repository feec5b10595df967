//! The lines of a node's logs that tell most, for the console.

use std::collections::BTreeSet;

/// Words of lines that say why something did not work.
const WORDS: [&str; 10] =
    ["error:", "warning:", "panic", "fatal", "failed", "Failed", "unable to", "cannot", "refused", "OOMKill"];
/// What Kubernetes says at every start, and what means nothing.
const NOISE: [&str; 4] = [
    "deprecated",
    "Failed to ensure lease exists",
    "failed to get cgroup stats",
    "nodes have not yet been read",
];

/// At most `most` lines of a log that say what went wrong: entrypoint's messages and klog's errors first, then other lines with
/// words of failure. Of lines that differ in numbers, times and quoted names only, the last one stands for all. The order is
/// the log's.
pub fn telling(log: &str, most: usize) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().collect();
    let mut seen = BTreeSet::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate().rev() {
        let Some(rank) = rank(line) else { continue };
        if seen.insert(shape(line)) {
            found.push((rank, index));
        }
    }
    // The last ones of each rank: what an earlier error led to is said later, and the sort is stable.
    found.sort_by_key(|(rank, _)| *rank);
    found.truncate(most);
    found.sort_by_key(|(_, index)| *index);
    found.into_iter().map(|(_, index)| lines[index]).collect()
}

/// How telling a line is, the lowest first; none for one that does not mention a failure.
fn rank(line: &str) -> Option<usize> {
    if NOISE.iter().any(|word| line.contains(word)) {
        return None;
    }
    if line.contains("entrypoint: error:")
        || line.starts_with("panic")
        || line.starts_with("fatal error")
        || klog(line, 'F')
    {
        return Some(0);
    }
    if klog(line, 'E') || line.contains("level=error") || line.contains("level=fatal") {
        return Some(1);
    }
    WORDS.iter().any(|word| line.contains(word)).then_some(2)
}

/// Is it a line of klog's of this severity, as in `E1129 12:13:05.000000`?
fn klog(line: &str, severity: char) -> bool {
    let mut chars = line.chars();
    chars.next() == Some(severity)
        && chars.by_ref().take(4).filter(char::is_ascii_digit).count() == 4
        && chars.next() == Some(' ')
}

/// The line without what differs from one time to the next: digits, and values in quotes.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    let (mut value, mut before) = (false, ' ');
    for char in line.chars() {
        if char == '"' && (value || before == '=') {
            value = !value;
        } else if !value && !char.is_ascii_digit() {
            shape.push(char);
        }
        before = char;
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
entrypoint: /var/lib/kubelet is shared again
I1129 12:00:00.000001       1 server.go:1] \"Started kubelet\"
E1129 12:00:01.000001       1 pod.go:9] \"Error syncing pod\" pod=\"default/a\"
W1129 12:00:01.500001       1 lib.go:2] the flag is deprecated: failed
E1129 12:00:02.000001       1 pod.go:9] \"Error syncing pod\" pod=\"default/b\"
entrypoint: error: no /sys/fs/cgroup
dial tcp 192.0.2.10:6443: connect: connection refused
E112 is not a time
";

    #[test]
    fn errors_come_before_words_and_each_is_told_once() {
        assert_eq!(
            telling(LOG, 9),
            [
                "E1129 12:00:02.000001       1 pod.go:9] \"Error syncing pod\" pod=\"default/b\"",
                "entrypoint: error: no /sys/fs/cgroup",
                "dial tcp 192.0.2.10:6443: connect: connection refused",
            ]
        );
        assert_eq!(telling(LOG, 1), ["entrypoint: error: no /sys/fs/cgroup"]);
        assert_eq!(telling("all is well\n", 9), Vec::<&str>::new());
    }
}
