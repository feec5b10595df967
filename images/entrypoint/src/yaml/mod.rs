//! The scalars of a YAML or JSON document by the names that lead to them, as far as configuration files of Kubernetes
//! use YAML: nested maps by indentation or in braces, values on one line or several, in any style. Lists are known by
//! their key only; further documents are passed over, as the kubelet does. What is there and is not understood, such as
//! an alias, is known to be there.

mod flow;
mod text;

use flow::{Flow, Inline, Tag, plain, properties};

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text, a number, true or false.
    Text(String),
    /// null, a map, or a list.
    Nothing,
    /// Something that is not understood here.
    Unknown,
}

impl Value {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// The key that brings the keys of other maps.
const MERGE: &str = "<<";

/// A document as `a.b.c` and value, in its order.
#[derive(Debug, Default)]
pub(crate) struct Scalars(Vec<(String, Value)>);

impl Scalars {
    /// Reads a document. The kubelet itself says what is wrong with its file.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = lines(text.trim_start_matches('\u{feff}')).collect();
        let mut reader = Reader { lines, ..Reader::default() };
        reader.document();
        Self(reader.found)
    }

    /// Puts another document over this one.
    pub(crate) fn extend(&mut self, over: Self) {
        self.0.extend(over.0);
    }

    /// The value by its path; of several the last.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.last(path)?.text()
    }

    /// All values of one path, such as `list...key` has for the items of a list.
    pub(crate) fn texts(&self, path: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(found, _)| found == path).filter_map(|(_, value)| value.text())
    }

    /// Is something there, or where the path leads through, that is not understood?
    pub(crate) fn is_unknown(&self, path: &str) -> bool {
        let ends = || path.match_indices('.').map(|(at, _)| at);
        ends().chain([path.len()]).any(|end| self.last(&path[..end]) == Some(&Value::Unknown))
            // What a merge key brings may be anything beside it.
            || [0].into_iter().chain(ends().map(|end| end + 1)).any(|start| self.merges(&path[..start]))
    }

    /// Has the map at this path, which ends with a dot or is empty, a merge key?
    fn merges(&self, map: &str) -> bool {
        let merges = |found: &str| {
            let rest = found.strip_prefix(map).and_then(|rest| rest.strip_prefix(MERGE));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.0.iter().any(|(found, _)| merges(found))
    }

    fn last(&self, path: &str) -> Option<&Value> {
        self.0.iter().rfind(|(found, _)| found == path).map(|(_, value)| value)
    }

    /// All keys at the top, whatever their values are.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_str()).filter(|path| !path.contains('.'))
    }
}

/// Goes through the lines of a document.
#[derive(Default)]
struct Reader<'a> {
    lines: Vec<&'a str>,
    /// The line that comes next.
    at: usize,
    /// The keys that lead to where we are, each with its indentation.
    parents: Vec<(usize, String)>,
    found: Vec<(String, Value)>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) {
        let mut begun = false;
        while let Some(line) = self.lines.get(self.at).copied() {
            self.at += 1;
            let (indent, mut content) = indentation(line);
            if line.starts_with("...") {
                break;
            }
            if let Some(rest) = line.strip_prefix("---")
                && (rest.is_empty() || rest.starts_with(char::is_whitespace))
            {
                if begun {
                    break;
                }
                content = rest.trim();
            }
            // Neither ends the maps above it.
            if !content.is_empty() && !content.starts_with('#') {
                begun |= !line.starts_with('%');
                self.line(indent, content);
            }
        }
    }

    fn line(&mut self, mut indent: usize, mut content: &'a str) {
        self.parents.retain(|(depth, _)| *depth < indent);
        // What is in a list has a path that nobody asks for.
        let mut begins = self.found.is_empty();
        let mut dash = None;
        while let Some(item) = item(content) {
            dash = Some(indent);
            self.parents.push((indent, ".".to_owned()));
            indent += content.len() - item.len();
            content = item;
            begins = true;
        }
        if let Some(key) = mark('?', content) {
            self.explicit(indent, key);
        } else if content.starts_with(['{', '[']) {
            self.node(self.path(None), content, indent, Tag::None);
        } else if let Some((key, value)) = split_key(properties(content).1) {
            self.entry(indent, key, value);
        } else if begins && content.starts_with(['"', '\'']) {
            // No key: a text, of as many lines as it has.
            self.inline(content);
        } else if self.found.is_empty() && content.starts_with(['|', '>']) {
            // The whole document is a text.
            self.at = self.lines.len();
        } else if let Some(dash) =
            dash.filter(|_| !content.is_empty() && !content.starts_with(['|', '>', '&', '!', '#']))
        {
            // Whatever the lines begin with that it goes on in.
            self.plain(content, dash);
        }
    }

    /// A key after `?`, of as many lines as it has, whose value comes after a colon on another.
    fn explicit(&mut self, indent: usize, key: &'a str) {
        let Some(key) = self.explicit_key(indent, key) else {
            // A map, a list or an alias: it may be any key.
            self.found.push((self.path(Some(MERGE)), Value::Unknown));
            self.parents.push((indent, MERGE.to_owned()));
            return;
        };
        let rest = self.lines.get(self.at..).unwrap_or_default();
        let empty = rest.iter().take_while(|line| without_comment(line.trim()).is_empty()).count();
        let next = rest.get(empty).map(|line| indentation(line)).filter(|(depth, _)| *depth == indent);
        let Some((content, value)) = next.and_then(|(_, content)| Some((content, mark(':', content)?)))
        else {
            self.found.push((self.path(Some(&key)), Value::Nothing));
            return;
        };
        self.at += empty + 1;
        let inner = properties(value).1;
        let is_block = item(value).is_some()
            || mark('?', value).is_some()
            || !inner.starts_with(['{', '[']) && split_key(inner).is_some();
        if is_block {
            // A list or a map that begins on the line of its colon.
            self.found.push((self.path(Some(&key)), Value::Nothing));
            self.parents.push((indent, key));
            self.line(indent + content.len() - value.len(), value);
        } else {
            self.entry(indent, key, value);
        }
    }

    /// The text of such a key; none if it is not one.
    fn explicit_key(&mut self, indent: usize, key: &'a str) -> Option<String> {
        let mut key = properties(key).1;
        if without_comment(key).is_empty() {
            key = self.below(indent).map_or("", |(_, key)| key);
        }
        let is_map = !key.starts_with(['|', '>']) && split_key(key).is_some();
        if is_map
            || key.is_empty()
            || key.starts_with(['{', '[', '*'])
            || item(key).or_else(|| mark('?', key)).is_some()
        {
            return None;
        }
        match key.as_bytes()[0] {
            b'"' | b'\'' => Flow::whole(&self.inline(key)),
            b'|' | b'>' => match self.block(key, indent) {
                Value::Text(text) => Some(text),
                _ => None,
            },
            _ => Some(self.plain(key, indent)),
        }
    }

    fn entry(&mut self, indent: usize, key: String, value: &'a str) {
        let path = self.path(Some(&key));
        let (mut tag, value) = properties(value);
        let on_next_line = without_comment(value).is_empty();
        let value = if on_next_line {
            self.below(indent).map(|(more, value)| {
                tag = if more == Tag::None { tag } else { more };
                value
            })
        } else {
            Some(value)
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.node(path, value, indent, tag);
        } else {
            let empty = if tag == Tag::Text { Value::Unknown } else { Value::Nothing };
            self.found.push((path, empty));
            tag.apply(&mut self.found);
            self.parents.push((indent, key));
        }
    }

    /// A value that begins on a line of its own, below its key; none if what is there is a map or a list, or nothing.
    fn below(&mut self, indent: usize) -> Option<(Tag, &'a str)> {
        let mut next = self.at;
        let mut tag = Tag::None;
        let (depth, value) = loop {
            let (depth, content) = indentation(self.lines.get(next)?);
            let (own, value) = properties(content);
            if own != Tag::None {
                tag = own;
            }
            let is_empty = without_comment(value).is_empty();
            // An anchor or a tag may have a line of its own before the value's.
            if !is_empty || own != Tag::None {
                break (depth, value);
            }
            next += 1;
        };
        let value = if without_comment(value).is_empty() { "" } else { value };
        let is_value = depth > indent
            && (tag != Tag::None || !value.is_empty())
            && item(value).is_none()
            && mark('?', value).is_none()
            && (value.starts_with(['{', '[']) || split_key(value).is_none());
        is_value.then(|| {
            self.at = next + 1;
            (tag, value)
        })
    }

    /// Reads a value that begins so and goes on in the lines that come.
    fn node(&mut self, path: String, value: &'a str, indent: usize, tag: Tag) {
        self.untagged(path, value, indent, tag == Tag::Text);
        tag.apply(&mut self.found);
    }

    /// With `is_text` it is a text, whatever it would stand for otherwise.
    fn untagged(&mut self, path: String, value: &'a str, indent: usize, is_text: bool) {
        if value.starts_with(['{', '[', '"', '\'']) {
            let text = self.inline(value);
            Flow::new(&text).node(path, &mut self.found);
        } else if value.starts_with(['|', '>']) {
            let value = self.block(value, indent);
            self.found.push((path, value));
        } else {
            let text = self.plain(value, indent);
            let value = if is_text { Value::Text(text) } else { plain(&text) };
            if value == Value::Nothing {
                self.parents.push((indent, path.rsplit('.').next().unwrap_or_default().to_owned()));
            }
            self.found.push((path, value));
        }
    }

    /// A value in braces or quotes, with the lines that it goes on in.
    fn inline(&mut self, value: &str) -> String {
        let (lines, at) = (&self.lines, &mut self.at);
        let mut more = std::iter::from_fn(|| {
            *at += 1;
            lines.get(*at - 1).copied()
        });
        Inline::of(value, &mut more)
    }

    /// A text without quotes; lines that are indented more go on with it.
    fn plain(&mut self, value: &'a str, indent: usize) -> String {
        let mut text = without_comment(value).to_owned();
        let mut last = value;
        // A comment is its end.
        while without_comment(last).len() == last.trim_end().len() {
            let empty =
                self.lines[self.at.min(self.lines.len())..].iter().take_while(|line| line.trim().is_empty());
            let empty = empty.count();
            let Some((depth, more)) = self.lines.get(self.at + empty).map(|line| indentation(line)) else {
                break;
            };
            if depth <= indent || more.starts_with('#') {
                break;
            }
            text.push_str(&if empty == 0 { " ".to_owned() } else { "\n".repeat(empty) });
            text.push_str(without_comment(more));
            last = more;
            self.at += empty + 1;
        }
        text.trim_end().to_owned()
    }

    /// A text after `|` or `>`.
    fn block(&mut self, header: &str, indent: usize) -> Value {
        let rest = &self.lines[self.at.min(self.lines.len())..];
        let is_text = |line: &&&str| line.trim().is_empty() || indentation(line).0 > indent;
        let lines: Vec<&str> = rest.iter().take_while(is_text).copied().collect();
        self.at += lines.len();
        text::block(without_comment(header), &lines, indent).map_or(Value::Unknown, Value::Text)
    }

    fn path(&self, key: Option<&str>) -> String {
        let names: Vec<&str> = self.parents.iter().map(|(_, name)| name.as_str()).chain(key).collect();
        names.join(".")
    }
}

/// The lines of a text, which a carriage return ends, too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = after.strip_prefix("\r\n").or_else(|| after.get(1..)).unwrap_or_default();
        Some(line)
    })
}

/// What comes after the dash of a list's item.
fn item(content: &str) -> Option<&str> {
    mark('-', content)
}

/// What comes after this letter, where it stands alone.
fn mark(letter: char, content: &str) -> Option<&str> {
    let rest = content.strip_prefix(letter)?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

/// How far a line is indented, which only blanks do, and what it has.
fn indentation(line: &str) -> (usize, &str) {
    (line.len() - line.trim_start_matches(' ').len(), line.trim())
}

/// A plain value up to a `#` that begins a comment.
fn without_comment(text: &str) -> &str {
    let begins = |at: usize| at == 0 || text[..at].ends_with(char::is_whitespace);
    let comment = text.match_indices('#').find(|(at, _)| begins(*at));
    comment.map_or(text, |(at, _)| &text[..at]).trim_end()
}

/// `key: value`, the key without its quotes.
fn split_key(content: &str) -> Option<(String, &str)> {
    if content.starts_with(['"', '\'']) {
        let mut quoted = Flow::new(content);
        let Value::Text(key) = quoted.word(&[]) else { return None };
        let value = quoted.rest().trim_start().strip_prefix(':')?;
        return Some((key, value.trim_start()));
    }
    let end = content
        .match_indices(':')
        .map(|(at, _)| at)
        .find(|at| content[at + 1..].is_empty() || content[at + 1..].starts_with(char::is_whitespace))?;
    let key = content[..end].trim_end();
    (!key.is_empty() && without_comment(key) == key)
        .then(|| (key.to_owned(), content[end + 1..].trim_start()))
}

#[cfg(test)]
mod tests;
