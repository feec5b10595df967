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

/// A value in braces or quotes, of as many lines as it has, without comments.
#[derive(Default)]
pub(super) struct Inline {
    text: String,
    /// How many braces and brackets are open.
    depth: usize,
    quote: Option<char>,
}

impl Inline {
    /// The value that begins so and goes on in these lines.
    pub(super) fn of<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
        let mut inline = Self::default();
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
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let mut before = ' ';
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match (self.quote, letter) {
                (Some('"'), '\\') => {
                    self.text.push(letter);
                    self.text.extend(letters.next());
                    before = letter;
                    continue;
                }
                (Some(quote), _) => self.quote = (letter != quote).then_some(quote),
                (None, '#') if before.is_whitespace() => return,
                // `''` in single quotes is one of them: they end and begin again.
                (None, '"' | '\'')
                    if before.is_whitespace() || matches!(before, ':' | '{' | ',' | '[' | '\'') =>
                {
                    self.quote = Some(letter);
                }
                (None, '{' | '[') => self.depth += 1,
                (None, '}' | ']') => self.depth = self.depth.saturating_sub(1),
                (None, _) => {}
            }
            self.text.push(letter);
            before = letter;
        }
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

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Reads a value of any kind, and adds it and all in it to what was found.
    pub(super) fn node(&mut self, path: String, found: &mut Vec<(String, Value)>) {
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
            let key = self.word(&[':', ',', '}']).text().unwrap_or_default().to_owned();
            if self.skip(":") {
                self.node(if path.is_empty() { key } else { format!("{path}.{key}") }, found);
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

    /// A quoted text, or the plain value up to one of these letters.
    pub(super) fn word(&mut self, ends: &[char]) -> Value {
        self.rest = self.rest.trim_start();
        for quote in ['"', '\''] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                self.rest = rest;
                return self.quoted(quote).map_or(Value::Unknown, Value::Text);
            }
        }
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest): (&'a str, &'a str) = self.rest.split_at(end);
        self.rest = rest;
        plain(word.trim())
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
