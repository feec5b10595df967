//! YAML's flow style, in braces, brackets and quotes; and what single values stand for.

use super::Value;
use super::text::escaped;

/// How deep braces may be in braces.
const DEPTH: usize = 100;

/// What a value without quotes stands for. Source: `resolve.go` of yaml.v2, which the kubelet has.
pub(super) fn plain(text: &str) -> Value {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Nothing,
        "y" | "Y" | "yes" | "Yes" | "YES" | "True" | "TRUE" | "on" | "On" | "ON" => "true",
        "n" | "N" | "no" | "No" | "NO" | "False" | "FALSE" | "off" | "Off" | "OFF" => "false",
        alias if alias.starts_with('*') => return Value::Unknown,
        other => other,
    };
    Value::Text(value.to_owned())
}

/// What a tag makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// There is none, or one of maps and lists.
    None,
    /// A text, whatever it would stand for otherwise.
    Text,
    /// Something else.
    Other,
}

impl Tag {
    /// Changes what was found, the value itself last.
    pub(super) fn apply(self, found: &mut [(String, Value)]) {
        if self == Self::Other
            && let Some((_, value)) = found.last_mut()
        {
            *value = Value::Unknown;
        }
    }
}

/// A value's anchor and tag, and what comes after them.
pub(super) fn properties(mut text: &str) -> (Tag, &str) {
    let mut tag = Tag::None;
    while text.starts_with(['&', '!']) {
        let end = text
            .find(|letter: char| letter.is_whitespace() || ",[]{}".contains(letter))
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        match word {
            "!!map" | "!!seq" => {}
            "!" | "!!str" => tag = Tag::Text,
            word if word.starts_with('!') => tag = Tag::Other,
            _ => {}
        }
        text = rest.trim_start();
    }
    (tag, text)
}

/// A value in braces or quotes, of as many lines as it has, without comments.
#[derive(Default)]
pub(super) struct Inline {
    text: String,
    /// How many braces and brackets are open.
    depth: usize,
    quote: Option<char>,
    /// Empty lines since the last other one.
    empty: usize,
    /// Does a line in quotes end with a backslash, which joins it to the next?
    continued: bool,
    /// Would a quote begin a text here? Within one that has none it means nothing.
    begins: bool,
    /// Is this an anchor or a tag, after which a text may begin?
    property: bool,
}

impl Inline {
    /// The value that begins so and goes on in these lines.
    pub(super) fn of<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
        let mut inline = Self { begins: true, ..Self::default() };
        inline.add(first);
        while inline.is_open()
            && let Some(more) = lines.next()
        {
            inline.add(more.trim());
        }
        inline.text
    }

    fn is_open(&self) -> bool {
        self.depth > 0 || self.quote.is_some()
    }

    fn add(&mut self, line: &str) {
        // A line's end is a blank, and each empty line after it one of the text's.
        if line.is_empty() {
            self.empty += 1;
            return;
        }
        if self.continued {
            self.text.pop();
        } else if !self.text.is_empty() {
            self.text.truncate(self.text.trim_end_matches([' ', '\t']).len());
            self.text.push_str(&if self.empty == 0 { " ".to_owned() } else { "\n".repeat(self.empty) });
        }
        self.empty = 0;
        self.continued = false;
        let mut before = ' ';
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            self.text.push(letter);
            let next = letters.clone().next();
            match (self.quote, letter) {
                // Of these two the second ends nothing, whatever it is.
                (Some('"'), '\\') | (Some('\''), '\'') if letter == '\\' || next == Some('\'') => {
                    let second = letters.next();
                    self.continued = second.is_none();
                    self.text.extend(second);
                }
                (Some(quote), _) => self.quote = (letter != quote).then_some(quote),
                (None, '#') if before.is_whitespace() => {
                    self.text.pop();
                    return;
                }
                (None, '"' | '\'') if self.begins && !self.property => {
                    self.quote = Some(letter);
                    self.begins = false;
                }
                (None, '{' | '[') => {
                    self.depth += 1;
                    self.begins = true;
                }
                (None, '}' | ']') => self.depth = self.depth.saturating_sub(1),
                (None, ',') => self.begins = true,
                (None, ':') => {
                    self.begins = next.is_none_or(char::is_whitespace) || matches!(before, '"' | '\'');
                }
                (None, '&' | '!') if self.begins => self.property = true,
                (None, _) if letter.is_whitespace() => self.property = false,
                (None, _) => self.begins &= self.property,
            }
            before = letter;
        }
        self.property = false;
    }
}

/// `{a: b, c: {d: e}}`, which JSON is as well.
pub(super) struct Flow<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Flow<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, depth: 0 }
    }

    /// A text in quotes.
    pub(super) fn whole(text: &str) -> Option<String> {
        let mut flow = Flow::new(text);
        if text.starts_with(['"', '\'']) { flow.word(&[]).text().map(str::to_owned) } else { None }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Reads a value of any kind, and adds it and all in it to what was found.
    pub(super) fn node(&mut self, path: String, found: &mut Vec<(String, Value)>) {
        self.rest = self.rest.trim_start();
        let (tag, rest) = properties(self.rest);
        self.rest = rest;
        let start = found.len();
        if tag == Tag::Text && !rest.starts_with(['"', '\'', '{', '[']) {
            let text = self.raw(&[',', '}', ']']).trim_end().to_owned();
            found.push((path, Value::Text(text)));
        } else {
            self.untagged(path, found);
        }
        tag.apply(found.get_mut(start..).unwrap_or_default());
    }

    fn untagged(&mut self, path: String, found: &mut Vec<(String, Value)>) {
        let is_map = self.skip("{");
        if !is_map && !self.skip("[") {
            let value = self.word(&[',', '}', ']']);
            found.push((path, value));
            return;
        }
        if self.depth == DEPTH {
            self.rest = "";
            return;
        }
        self.depth += 1;
        if is_map {
            self.map(&path, found);
        } else {
            self.list(&path, found);
        }
        self.depth -= 1;
        if !path.is_empty() {
            found.push((path, Value::Nothing));
        }
    }

    fn map(&mut self, path: &str, found: &mut Vec<(String, Value)>) {
        loop {
            self.skip(",");
            if self.rest.is_empty() || self.skip("}") {
                return;
            }
            let key = self.key();
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            if self.skip(":") {
                self.node(path, found);
            } else {
                found.push((path, Value::Nothing));
            }
        }
    }

    /// What is in it has paths as items have them that begin with a dash.
    fn list(&mut self, path: &str, found: &mut Vec<(String, Value)>) {
        loop {
            self.skip(",");
            if self.rest.is_empty() || self.skip("]") || self.skip("}") {
                return;
            }
            self.node(format!("{path}.."), found);
        }
    }

    fn skip(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }

    /// The key of a value: as it is written, whatever it would stand for as a value.
    fn key(&mut self) -> String {
        let rest = self.rest.trim_start();
        let rest =
            rest.strip_prefix('?').filter(|rest| rest.starts_with(char::is_whitespace)).unwrap_or(rest);
        self.rest = properties(rest.trim_start()).1;
        if self.rest.starts_with(['"', '\'']) {
            return self.word(&[]).text().unwrap_or_default().to_owned();
        }
        let ends = |at: usize| {
            self.rest[at + 1..].starts_with(|next: char| next.is_whitespace() || ",[]{}".contains(next))
        };
        let end = self.rest.char_indices().find(|(at, letter)| match letter {
            ',' | '}' => true,
            ':' => self.rest.len() == at + 1 || ends(*at),
            _ => false,
        });
        let (key, rest) = self.rest.split_at(end.map_or(self.rest.len(), |(at, _)| at));
        self.rest = rest;
        key.trim_end().to_owned()
    }

    /// A quoted text, or the plain value up to one of these letters.
    pub(super) fn word(&mut self, ends: &[char]) -> Value {
        self.rest = self.rest.trim_start();
        for quote in ['"', '\''] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                self.rest = rest;
                return self.quoted(quote).map_or(Value::Unknown, Value::Text);
            }
        }
        plain(self.raw(ends).trim())
    }

    fn raw(&mut self, ends: &[char]) -> &'a str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest): (&'a str, &'a str) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The text up to its closing quote; none if it has no such, or an escape that means nothing.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = Some(String::new());
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            let letter = match letter {
                '\\' if quote == '"' => escaped(&mut letters.by_ref().map(|(_, letter)| letter)),
                '\'' if quote == '\'' && self.rest[at + 1..].starts_with('\'') => {
                    letters.next();
                    Some(letter)
                }
                _ if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return text;
                }
                other => Some(other),
            };
            text = text.zip(letter).map(|(mut text, letter)| {
                text.push(letter);
                text
            });
        }
        self.rest = "";
        None
    }
}
