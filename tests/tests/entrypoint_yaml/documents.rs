//! Documents made by choices: all of YAML that a configuration might have.

use std::collections::BTreeMap;

use crate::reference::reference;

/// Keys of documents: few, so that they meet again at other places.
pub(crate) const KEYS: [&str; 6] = ["a", "b", "cgroupDriver", "with space", "é", "on"];
/// Plain values, some of which stand for others.
const WORDS: [&str; 16] = [
    "x",
    "1",
    "true",
    "no",
    "~",
    "null",
    "a#b",
    "unix:///run/x.sock",
    "it's",
    "a{b",
    "10.0.0.1",
    "-1",
    "a: b",
    "# c",
    "*x",
    "0x1f",
];

/// The document of these choices.
pub(crate) fn written(choices: &[u8]) -> String {
    Writer { choices: choices.iter(), text: String::new() }.document()
}

/// Writes a document by choices that somebody else made.
struct Writer<'a> {
    choices: std::slice::Iter<'a, u8>,
    text: String,
}

impl Writer<'_> {
    /// A number below this one; 0, the plainest, once nothing is left to choose from.
    fn below(&mut self, end: usize) -> usize {
        self.choices.next().map_or(0, |choice| usize::from(*choice) % end)
    }

    fn of<'b>(&mut self, words: &[&'b str]) -> &'b str {
        words[self.below(words.len())]
    }

    fn put(&mut self, words: &[&str]) {
        let word = self.of(words);
        self.text += word;
    }

    fn document(mut self) -> String {
        self.put(&["", "", "", "---\n", "# a comment\n", "%YAML 1.2\n---\n", "\n\n", "--- # first\n"]);
        if self.below(6) == 5 {
            self.flow_map(0, 0);
            self.text.push('\n');
        } else {
            self.put(&["", "", "z: &anchor {b: c}\n"]);
            self.map(0, 0);
        }
        self.put(&["", "", "", "...\n", "---\na: of another document\n", "# end"]);
        self.text
    }

    /// Between lines, where none of it means anything.
    fn noise(&mut self) {
        self.put(&["", "", "", "", "\n", "# c: d\n", "   # c\n", "\n\n", "  \n", "      # e: f\n"]);
    }

    fn indent(&mut self, indent: usize) {
        self.text += &" ".repeat(indent);
    }

    /// Keys that differ, in quotes or not.
    fn keys(&mut self) -> Vec<String> {
        let (first, count) = (self.below(KEYS.len()), 1 + self.below(3));
        (first..first + count)
            .map(|at| {
                let key = KEYS[at % KEYS.len()];
                match self.below(6) {
                    4 => format!("'{key}'"),
                    5 => format!("\"{key}\""),
                    _ => key.to_owned(),
                }
            })
            .collect()
    }

    fn map(&mut self, indent: usize, depth: usize) {
        for key in self.keys() {
            self.noise();
            self.indent(indent);
            if self.below(6) == 5 {
                self.explicit(indent, depth, &key);
                continue;
            }
            self.text += &key;
            self.put(&[":", ":", ":", " :"]);
            self.value(indent, depth);
        }
        if self.below(24) == 23 {
            self.indent(indent);
            self.put(&["<<: *anchor\n", "<<: {b: merged}\n", "<<: [*anchor]\n"]);
        }
    }

    /// A key after `?`, and its value after a colon of its own.
    fn explicit(&mut self, indent: usize, depth: usize, key: &str) {
        self.text.push('?');
        if self.below(6) == 5 {
            self.put(&["\n", " # c\n", "\n\n", " &k\n", "\r"]);
            self.indent(indent + 2);
        } else {
            self.put(&[" ", " ", "  ", " &k ", " !!str "]);
        }
        self.text += key;
        self.put(&["\n", "\n", " # c\n", "\r\n", "\r"]);
        self.noise();
        match self.below(8) {
            // Without a value.
            7 => {}
            6 => {
                self.indent(indent);
                self.put(&[": b: x\n", ": - x\n", ":  - a: 1\n", ": ? c\n", ": &x 'd': ~\n"]);
            }
            _ => {
                self.indent(indent);
                self.text.push(':');
                self.value(indent, depth);
            }
        }
    }

    /// All that may come after a key in block style, with the end of its line.
    fn value(&mut self, indent: usize, depth: usize) {
        let deeper = indent + 1 + self.below(4);
        let properties =
            self.of(&["", "", "", "", "", "", "", "", "", " &anchor", " !!str", " !local", " &b !!str"]);
        let choice = if depth == 3 { self.below(9) } else { self.below(14) };
        let block = !matches!(choice, 9..);
        // A tag of texts fits no map.
        if block || !properties.contains('!') {
            self.text += properties;
        }
        match choice {
            0..=2 => {
                self.text.push(' ');
                self.plain(deeper);
            }
            3 | 4 => {
                self.text.push(' ');
                self.quoted(deeper);
            }
            5 => self.block(indent, deeper),
            6 => {
                // On a line of its own.
                self.put(&["\n", " # c\n", "\n\n", "\n  # c\n"]);
                self.indent(deeper);
                if self.below(2) == 0 {
                    self.plain(deeper);
                } else {
                    self.quoted(deeper);
                }
                return;
            }
            7 => self.put(&["", " # nothing", " ~", " null # c", " *anchor"]),
            8 => {
                self.text.push(' ');
                if self.below(2) == 0 {
                    self.flow_map(depth + 1, deeper);
                } else {
                    self.flow_list(depth + 1, deeper);
                }
            }
            9..=11 => {
                self.put(&["\n", " # c\n", "\n\n", "\n# c\n"]);
                return self.map(deeper, depth + 1);
            }
            12 => {
                self.text.push('\n');
                let at = if self.below(2) == 0 { indent } else { deeper };
                for _ in 0..=self.below(3) {
                    self.noise();
                    self.indent(at);
                    self.put(&["- x", "- a: 1", "- [a, {b: c}]", "-", "- - a", "- 'a: b'", "- &c 1"]);
                    self.text.push('\n');
                }
                return;
            }
            _ => {
                self.text.push('\n');
                self.indent(deeper);
                if self.below(2) == 0 {
                    self.flow_map(depth + 1, deeper);
                } else {
                    self.flow_list(depth + 1, deeper);
                }
            }
        }
        let end = self.of(&["\n", "\n", "\n", "\n", " \n", " # c\n", "\r\n", "\r", " # c\r"]);
        self.text += end;
    }

    fn plain(&mut self, indent: usize) {
        self.put(&WORDS);
        while self.below(5) == 4 {
            self.put(&["\n", "\n\n", " \n\n\n"]);
            self.indent(indent);
            self.put(&["more", "a b", "- c", "x#y"]);
        }
    }

    fn quoted(&mut self, indent: usize) {
        let double = self.below(2) == 0;
        self.text.push(if double { '"' } else { '\'' });
        for _ in 0..self.below(5) {
            let words: &[&str] = if double {
                &["x", " ", "# c", "\\n", "\\\"", "a: b", "\\u0041", "\\x41", "{", "'", "\\t"]
            } else {
                &["x", " ", "# c", "\\n", "''", "a: b", "]", "\"", "\\"]
            };
            self.put(words);
            if self.below(6) == 5 {
                self.put(&["\n", "\n\n"]);
                self.indent(indent);
            }
        }
        self.text.push(if double { '"' } else { '\'' });
    }

    /// A text after `|` or `>`.
    fn block(&mut self, indent: usize, deeper: usize) {
        let style = self.of(&["|", ">"]);
        let explicit = if self.below(6) == 5 { (deeper - indent).to_string() } else { String::new() };
        let chomping = self.of(&["", "-", "+"]);
        self.text += &format!(" {style}{explicit}{chomping}");
        self.put(&["\n", " # c\n", " \n"]);
        for _ in 0..self.below(4) {
            match self.below(5) {
                4 => self.text.push('\n'),
                choice => {
                    self.indent(deeper + if choice == 3 { 2 } else { 0 });
                    self.put(&["x", "a: b", "# no comment", "{", "- i", "x  "]);
                    self.text.push('\n');
                }
            }
        }
        // What ends the line of other values is a line of the text here.
        self.indent(deeper);
        self.text.push('z');
    }

    fn space(&mut self, indent: usize) {
        let space = self.of(&["", " ", "", " ", "\n", " # c\n"]);
        self.text += space;
        if space.ends_with('\n') {
            self.indent(indent);
        }
    }

    fn flow_map(&mut self, depth: usize, indent: usize) {
        self.text.push('{');
        self.space(indent);
        for key in self.keys() {
            self.text += &key;
            self.put(&[": ", ": ", ":\n "]);
            self.flow_value(depth, indent);
            self.space(indent);
            self.text += ",";
            self.space(indent);
        }
        self.text.push('}');
    }

    fn flow_list(&mut self, depth: usize, indent: usize) {
        self.text.push('[');
        for _ in 0..self.below(3) {
            self.space(indent);
            self.flow_value(depth, indent);
            self.space(indent);
            self.text += ",";
        }
        self.text.push(']');
    }

    fn flow_value(&mut self, depth: usize, indent: usize) {
        let properties = self.of(&["", "", "", "", "", "", "", "", "&anchor ", "!!str ", "!local "]);
        match self.below(if depth >= 3 { 5 } else { 7 }) {
            0 | 1 => {
                self.text += properties;
                self.put(&["x", "1", "no", "~", "a b", "a#b", "unix:///x", "null", "it's", "*anchor"]);
            }
            2 => self.quoted(indent),
            3 => self.text += "'x'",
            4 => self.text += "\"a, b\"",
            5 => self.flow_map(depth + 1, indent),
            _ => self.flow_list(depth + 1, indent),
        }
    }
}

/// Most of what is made by chance has to be YAML, and with everything in it.
#[test]
fn the_generator_makes_yaml() {
    let (mut good, mut seen) = (0, BTreeMap::new());
    let mut state = 1_u64;
    for _ in 0..2000 {
        let choices: Vec<u8> = (0..120)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33).to_le_bytes()[0]
            })
            .collect();
        let text = written(&choices);
        let Some(found) = reference(&text) else { continue };
        good += 1;
        for what in ["|", ">", "&", "*", "!", "<<", "{", "[", "'", "\"", "\r", "# ", "- ", "? "] {
            *seen.entry(what).or_insert(0) += usize::from(text.contains(what));
        }
        *seen.entry("deep").or_insert(0) +=
            usize::from(found.keys().any(|path| path.matches('.').count() > 1));
    }
    assert!(good > 1000, "{good} of 2000 are YAML: {seen:?}");
    assert!(seen.values().all(|count| *count > 20), "{seen:?}");
}
