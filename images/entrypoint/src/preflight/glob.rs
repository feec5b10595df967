//! Names by patterns, as Go's `path/filepath.Match` has them.

/// Is a name of this pattern? `*` is any letters, `?` is one, `[a-c]` or `[^a]` one of some; a backslash takes a letter as it
/// is.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut here, mut star) = (0, 0, None);
    while here < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, here));
            at += 1;
        } else if let Some(next) = one(&pattern, at, name[here]) {
            (at, here) = (next, here + 1);
        } else if let Some((before, taken)) = star {
            // The star takes one more.
            star = Some((before, taken + 1));
            (at, here) = (before + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// Where a pattern goes on after what stands at `at`, if that is this letter.
fn one(pattern: &[char], at: usize, letter: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (pattern.get(at + 1) == Some(&letter)).then_some(at + 2),
        '[' => {
            let not = pattern.get(at + 1) == Some(&'^');
            let start = at + 1 + usize::from(not);
            let end = start + 1 + pattern.get(start + 1..)?.iter().position(|letter| *letter == ']')?;
            let set = &pattern[start..end];
            let mut is_in = set.contains(&letter) && letter != '-';
            for range in set.windows(3).filter(|range| range[1] == '-') {
                is_in |= range[0] <= letter && letter <= range[2];
            }
            (is_in != not).then_some(end + 1)
        }
        other => (*other == letter).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_any_letters_and_each_is_tried_once() {
        assert!(fits("*a*b*c", "xxaxxbxxc") && !fits("*a*b*c", "xxaxxcxxb"));
        assert!(fits("", "") && !fits("", "a"));
        assert!(!fits(&"*a".repeat(500), &"a".repeat(499)));
    }
}
