//! Text that others may have written, made harmless for a terminal.

use std::borrow::Cow;

/// Does a terminal do something on this character, other than show it? Escape sequences, and what turns the direction of
/// writing, so that a text is read as another.
fn acts(char: char) -> bool {
    let turns = matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (char.is_control() && !matches!(char, '\n' | '\t')) || turns
}

/// The text with such characters written out, as in `\u{1b}`.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |char| char.escape_default().to_string())
}

/// The same for JSON, where they can only be in strings: it stays the same JSON.
pub(crate) fn plain_json(text: &str) -> Cow<'_, str> {
    escaped(text, |char| {
        // All of them are of the first plane.
        format!("\\u{:04x}", u32::from(char))
    })
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if acts(char) { out.push_str(&escape(char)) } else { out.push(char) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_a_terminal() {
        assert_eq!(
            plain("a\x1b[31mb\u{9b}2J\rc\u{7f}\u{202e}\n\td"),
            "a\\u{1b}[31mb\\u{9b}2J\\rc\\u{7f}\\u{202e}\n\td"
        );
        assert!(matches!(plain("öäü – ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a": "\u{9b}31m\u{7f}\u{202e}\x1b x"});
        let text = value.to_string();
        let safe = plain_json(&text);
        assert!(!safe.contains(acts) && text.contains(acts));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
