//! Files of variables as systemd's `EnvironmentFile=` reads them, and their values as its `$NAME` makes words of them.
//! Sources: systemd.exec(5) and systemd.service(5); `parse_env_file_internal` in src/basic/env-file.c and
//! `extract_first_word` in src/basic/extract-word.c of systemd v254.

use std::iter::Peekable;
use std::str::Chars;

const NEWLINE: [char; 2] = ['\n', '\r'];
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// The value of a variable in the text of a file; of several the last.
pub(super) fn value(text: &str, name: &str) -> Option<String> {
    let mut letters = text.chars().peekable();
    let mut found = None;
    while letters.peek().is_some() {
        if let Some((key, value)) = assignment(&mut letters)
            && key == name
        {
            found = Some(value);
        }
    }
    found
}

/// Reads a line, with those that continue it, or what is left of it; none if it is empty, a comment, or has no `=`.
fn assignment(letters: &mut Peekable<Chars<'_>>) -> Option<(String, String)> {
    while letters.next_if(|letter| BLANK.contains(letter)).is_some() {}
    if letters.next_if(|letter| matches!(letter, '#' | ';')).is_some() {
        // A backslash at its end does not continue a comment.
        letters.find(|letter| NEWLINE.contains(letter));
        return None;
    }
    let mut key = String::new();
    loop {
        match letters.next()? {
            '=' => break,
            letter if NEWLINE.contains(&letter) => return None,
            letter => key.push(letter),
        }
    }
    Some((key.trim_end_matches(BLANK).to_owned(), right_side(letters)))
}

/// What stands right of `=`: pieces in quotes, and what is in none of them.
fn right_side(letters: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    loop {
        while letters.next_if(|letter| matches!(letter, ' ' | '\t')).is_some() {}
        match letters.peek() {
            None => return value,
            Some('\n' | '\r') => {
                letters.next();
                return value;
            }
            Some('\'') => {
                letters.next();
                value.extend(letters.by_ref().take_while(|letter| *letter != '\''));
            }
            Some('"') => {
                letters.next();
                double_quoted(letters, &mut value);
            }
            // From here to the end of the line quotes are letters like others.
            Some(_) => {
                plain(letters, &mut value);
                return value;
            }
        }
    }
}

/// Up to the closing quote. A backslash only quotes what it has to: `"`, `\`, a backtick, `$`, the end of a line.
fn double_quoted(letters: &mut Peekable<Chars<'_>>, value: &mut String) {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return,
            '\\' => match letters.next() {
                Some(quoted @ ('"' | '\\' | '`' | '$')) => value.push(quoted),
                Some('\n') | None => {}
                Some(other) => value.extend(['\\', other]),
            },
            letter => value.push(letter),
        }
    }
}

/// Up to the end of the line, without the blanks there. A backslash quotes any letter, and continues a line.
fn plain(letters: &mut Peekable<Chars<'_>>, value: &mut String) {
    // What is before this is not to be trimmed.
    let mut keep = value.len();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                value.extend(letters.next().filter(|quoted| !NEWLINE.contains(quoted)));
                keep = value.len();
            }
            letter if NEWLINE.contains(&letter) => break,
            letter => value.push(letter),
        }
    }
    let end = keep + value[keep..].trim_end_matches(BLANK).len();
    value.truncate(end);
}

/// The words of a variable that stands alone and without braces on a command line: split at blanks, quotes and
/// backslashes respected and taken away.
pub(super) fn words(value: &str) -> Vec<String> {
    let mut letters = value.chars().peekable();
    let mut words = Vec::new();
    loop {
        while letters.next_if(|letter| BLANK.contains(letter)).is_some() {}
        if letters.peek().is_none() {
            return words;
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(letter) = letters.next_if(|letter| quote.is_some() || !BLANK.contains(letter)) {
            match letter {
                '\\' => word.extend(letters.next()),
                letter if quote == Some(letter) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(letter),
                letter => word.push(letter),
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_systemd_reads_them() {
        for (text, expected) in [
            ("", None),
            ("A", None),
            ("A\n=x", None),
            ("B=1\n", None),
            ("A=", Some("")),
            ("A=1", Some("1")),
            ("A=1\nA=2\n", Some("2")),
            ("A=1\nB=2\nA=\n", Some("")),
            (" A = 1 2 \r\nB=3", Some("1 2")),
            ("# A=1\n;A=2\n", None),
            ("# x \\\nA=1", Some("1")),
            ("A=1 # no comment", Some("1 # no comment")),
            ("A=\"1 # 2\" \n", Some("1 # 2")),
            ("A=\"a b\"  'c  d' \n", Some("a bc  d")),
            ("A='a\\b\"c'", Some("a\\b\"c")),
            ("A=\"a\\\"b\\\\c\\$d\\`e\\n\\f\"", Some("a\"b\\c$d`e\\n\\f")),
            ("A=\"one\\\ntwo\nthree\"\nB=1", Some("onetwo\nthree")),
            ("A=one\\\n two\nB=1", Some("one two")),
            ("A=a\\ b\\\\c\\n\\  ", Some("a b\\cn ")),
            ("A=a\"b\" 'c'", Some("a\"b\" 'c'")),
            ("A=\"a\"b c\n", Some("ab c")),
            ("A=\"a \"b  \n", Some("a b")),
            ("A=\"open", Some("open")),
            ("A='open", Some("open")),
            ("A=\\", Some("")),
            ("A=\"\\", Some("")),
            ("export A=1", None),
            ("\u{e9}=1\nA=\u{e9}", Some("\u{e9}")),
        ] {
            assert_eq!(value(text, "A").as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn words_as_systemd_splits_them() {
        for (value, expected) in [
            ("", &[][..]),
            (" \t\n", &[]),
            ("--a=1 --b=2", &["--a=1", "--b=2"]),
            ("  --a   1\t2\n3 ", &["--a", "1", "2", "3"]),
            ("'a b' \"c  d\"", &["a b", "c  d"]),
            ("--x='a \"b\"'c --y=\"'\"", &["--x=a \"b\"c", "--y='"]),
            ("'' x", &["", "x"]),
            ("a\\ b \\'c \\\\d", &["a b", "'c", "\\d"]),
            ("\"a\\\"b\" 'c\\'d'", &["a\"b", "c'd"]),
            ("'open  word", &["open  word"]),
            ("end\\", &["end"]),
        ] {
            assert_eq!(words(value), expected, "{value:?}");
        }
    }

    /// What kubeadm writes: `NAME=%q` of Go.
    #[test]
    fn a_line_of_kubeadm() {
        let text = "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock \
            --hostname-override=a --node-labels=a=b,c=d --x=\\\"p q\\\"\"\n";
        let value = value(text, "KUBELET_KUBEADM_ARGS").unwrap();
        let expected = [
            "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            "--hostname-override=a",
            "--node-labels=a=b,c=d",
            "--x=p q",
        ];
        assert_eq!(words(&value), expected);
    }

    #[test]
    fn any_text_is_survived() {
        let text = "A=\\\n\"\\\u{e9}'\n# ;\\\n=x\"'\\\"";
        for end in text.char_indices().map(|(at, _)| at) {
            for part in [&text[..end], &text[end..]] {
                value(part, "A");
                words(part);
            }
        }
    }
}
