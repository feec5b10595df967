//! Texts of YAML that are not as they stand: escapes in double quotes, and texts of several lines after `|` and `>`.

use super::indentation;

/// The letter that a backslash and what follows it stand for; none if they stand for nothing.
pub(super) fn escaped(letters: &mut impl Iterator<Item = char>) -> Option<char> {
    let digits = match letters.next()? {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return named(other),
    };
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + letters.next()?.to_digit(16)?;
    }
    char::from_u32(number)
}

fn named(letter: char) -> Option<char> {
    Some(match letter {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\u{b}',
        'f' => '\u{c}',
        'r' => '\r',
        'e' => '\u{1b}',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        same @ (' ' | '"' | '/' | '\\') => same,
        _ => return None,
    })
}

/// The text of these lines: `|` keeps their ends, `>` makes a space of one. None if the header is not understood, or
/// lines are indented in a way that `>` keeps, or of blanks only.
pub(super) fn block(header: &str, lines: &[&str], parent: usize) -> Option<String> {
    let folds = header.starts_with('>');
    let (mut keep, mut depth) = (None, None);
    for letter in header[1..].chars() {
        match letter {
            '+' | '-' if keep.is_none() => keep = Some(letter == '+'),
            '1'..='9' if depth.is_none() => depth = Some(parent + letter.to_digit(10)? as usize),
            _ => return None,
        }
    }
    let depth = depth.or_else(|| Some(indentation(lines.iter().find(|line| !line.trim().is_empty())?).0));
    let mut text = String::new();
    let mut breaks = 0;
    for line in lines {
        let line = match line.trim() {
            // Blanks of the text, not of its indentation.
            "" if line.contains('\t') || depth.is_some_and(|depth| line.len() > depth) => return None,
            "" => "",
            _ if indentation(line).0 < depth? => return None,
            _ => line.get(depth?..)?,
        };
        if line.is_empty() {
            breaks += 1;
            continue;
        }
        if folds && line.starts_with([' ', '\t']) {
            return None;
        }
        if text.is_empty() {
            text.push_str(&"\n".repeat(breaks));
        } else if folds && breaks == 0 {
            text.push(' ');
        } else {
            text.push_str(&"\n".repeat(breaks + usize::from(!folds)));
        }
        text.push_str(line);
        breaks = 0;
    }
    match keep {
        Some(false) => {}
        Some(true) => text.push_str(&"\n".repeat(breaks + usize::from(!text.is_empty()))),
        None if text.is_empty() => {}
        None => text.push('\n'),
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (text, letter) in [
            ("n", Some('\n')),
            ("x41", Some('A')),
            ("u00e9", Some('é')),
            ("U0001F600", Some('\u{1f600}')),
            ("q", None),
            ("x4", None),
            ("uD800", None),
            ("", None),
        ] {
            assert_eq!(escaped(&mut text.chars()), letter, "{text}");
        }
    }

    #[test]
    fn several_lines() {
        for (header, lines, text) in [
            ("|", &["  a", "   b", "", "  c", ""][..], Some("a\n b\n\nc\n")),
            ("|-", &["  a", ""], Some("a")),
            ("|+", &["  a", "", ""], Some("a\n\n\n")),
            (">", &["  a", "  b", "", "  c"], Some("a b\nc\n")),
            (">-", &["", "  a"], Some("\na")),
            (">-", &["  a", "    b"], None),
            ("|1", &["  a"], Some(" a\n")),
            ("|-2", &["   a"], Some(" a")),
            ("|", &[], Some("")),
            ("|", &["", ""], Some("")),
            ("|x", &["  a"], None),
            ("|--", &["  a"], None),
            ("|9", &["  a"], None),
            ("|", &["  a", " b"], None),
        ] {
            assert_eq!(block(header, lines, 0).as_deref(), text, "{header} {lines:?}");
        }
    }
}
