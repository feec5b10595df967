//! The entrypoint's reader of YAML beside a parser of the whole language: what it says is what is there, and of what it does
//! not understand it says so. It decides whether a node starts; thousands of documents, made by chance, are read by both.

#[path = "../../images/entrypoint/src/yaml/mod.rs"]
#[allow(dead_code, reason = "the reader as the entrypoint has it, of which this uses a part")]
mod yaml;

use std::collections::BTreeMap;

use proptest::prelude::*;
use saphyr_parser::{Event, Parser, ScalarStyle};
use yaml::Scalars;

/// Keys of documents: few, so that they meet again at other places.
const KEYS: [&str; 6] = ["a", "b", "cgroupDriver", "with space", "é", "on"];
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

/// What the parser finds at a path.
#[derive(Clone, Debug, PartialEq)]
enum ParsedValue {
    Text(String),
    /// null, a map or a list.
    Nothing,
    /// An alias, or a value whose tag makes something else of it.
    Opaque,
}

/// Paths of the first document that do not lead into lists; none if it is not YAML. The parser knows nothing of what plain
/// words stand for: that is Kubernetes' yaml.v2 (`resolve.go`).
fn reference(text: &str) -> Option<BTreeMap<String, ParsedValue>> {
    let mut found = BTreeMap::new();
    // A level's path (none in lists), and for a map the key that waits for its value.
    let mut levels: Vec<(Option<String>, bool, Option<String>)> = Vec::new();
    let mut done = false;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.ok()?;
        if done {
            continue;
        }
        let value = match &event {
            Event::DocumentEnd => {
                done = true;
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                continue;
            }
            Event::Scalar(text, style, _, tag) => match tag {
                None if *style == ScalarStyle::Plain => plain(text),
                None => ParsedValue::Text(text.to_string()),
                Some(tag) if ["str", "!", ""].contains(&tag.suffix.as_str()) => {
                    ParsedValue::Text(text.to_string())
                }
                Some(_) => ParsedValue::Opaque,
            },
            Event::Alias(_) => ParsedValue::Opaque,
            Event::MappingStart(..) | Event::SequenceStart(..) => ParsedValue::Nothing,
            _ => continue,
        };
        let path = match levels.last_mut() {
            None => Some(String::new()),
            Some((_, false, _)) => None,
            Some((parent, true, waiting)) => {
                let Some(key) = waiting.take() else {
                    // A key; the levels of one that is not a scalar cannot be walked like this.
                    let Event::Scalar(text, style, ..) = &event else { return None };
                    // Kubernetes refuses a key that is null.
                    if *style == ScalarStyle::Plain && plain(text) == ParsedValue::Nothing {
                        return None;
                    }
                    *waiting = Some(text.to_string());
                    continue;
                };
                parent.clone().map(|parent| if parent.is_empty() { key } else { format!("{parent}.{key}") })
            }
        };
        if let Some(path) = path.clone().filter(|path| !path.is_empty()) {
            // The parser takes a key twice, of which yaml.v2 makes an error.
            if found.insert(path, value).is_some() {
                return None;
            }
        }
        match event {
            Event::MappingStart(..) => levels.push((path, true, None)),
            Event::SequenceStart(..) => levels.push((None, false, None)),
            _ => {}
        }
    }
    Some(found)
}

fn plain(text: &str) -> ParsedValue {
    let word = |words: &[&str]| words.contains(&text);
    if word(&["", "~", "null", "Null", "NULL"]) {
        ParsedValue::Nothing
    } else if word(&["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"]) {
        ParsedValue::Text("true".to_owned())
    } else if word(&["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]) {
        ParsedValue::Text("false".to_owned())
    } else {
        ParsedValue::Text(text.to_owned())
    }
}

/// Compares; an error says how they differ.
fn compare(text: &str) -> Result<bool, String> {
    let ours = Scalars::parse(text);
    let Some(reference) = reference(text) else { return Ok(false) };
    let differs = |path: &str, expected: &dyn std::fmt::Debug| {
        let unknown = if ours.is_unknown(path) { ", not understood" } else { "" };
        Err(format!("`{path}` is {:?}{unknown}, expected {expected:?}:\n{text}\n{ours:?}", ours.get(path)))
    };
    // Whatever a merge key brings may be anywhere beside it.
    let merges = |path: &str| {
        let parents = reference.keys().filter_map(|key| key.strip_suffix("<<"));
        parents
            .filter(|parent| parent.is_empty() || parent.ends_with('.'))
            .any(|parent| path.starts_with(parent))
    };
    for (path, expected) in &reference {
        let same = match expected {
            ParsedValue::Text(text) => {
                ours.get(path).map_or_else(|| ours.is_unknown(path), |ours| ours == text)
            }
            ParsedValue::Nothing => ours.get(path).is_none(),
            ParsedValue::Opaque => ours.get(path).is_none() && ours.is_unknown(path),
        };
        if !same || merges(path) && !ours.is_unknown(path) {
            return differs(path, expected);
        }
        if !path.contains('.') && !ours.keys().any(|key| key == path) && !ours.is_unknown(path) {
            return Err(format!("the key `{path}` is not seen:\n{text}\n{ours:?}"));
        }
    }
    // Nothing is there that is not.
    let paths = KEYS.iter().flat_map(|one| {
        std::iter::once((*one).to_owned()).chain(KEYS.iter().map(move |two| format!("{one}.{two}")))
    });
    for path in paths.filter(|path| !reference.contains_key(path)) {
        if ours.get(&path).is_some() {
            return differs(&path, &"nothing");
        }
    }
    Ok(true)
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

fn written(choices: &[u8]) -> String {
    Writer { choices: choices.iter(), text: String::new() }.document()
}

const CASES: u32 = 4096;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_are_read_as_by_a_parser_of_all_of_yaml(choices in prop::collection::vec(any::<u8>(), 0..160)) {
        if let Err(why) = compare(&written(&choices)) {
            prop_assert!(false, "{}", why);
        }
    }

}

proptest! {
    // The same ones each time: what is left over of YAML's corners is not a reason to fail now and then.
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    /// A document with some other letter somewhere, if that is still YAML.
    #[test]
    fn damaged_documents_are_read_so_too(
        choices in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        letter in prop::sample::select(vec!["", " ", "\n", ":", "- ", "\"", "'", "{", "}", ",", "|", ">", "&", "*", "!", "\t", "%", "é", "? ", "\r"]),
    ) {
        let mut text = written(&choices);
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        text.insert_str(places[at.index(places.len())], letter);
        if let Err(why) = compare(&text) {
            prop_assert!(false, "{}", why);
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
