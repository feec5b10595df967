//! The scalars of a YAML or JSON document by the names that lead to them, as far as configuration files of Kubernetes
//! use YAML: nested maps by indentation or in braces, values on one line or several, in any style. Lists are known by
//! their key only; further documents are passed over, as the kubelet does. What is there and is not understood, such as
//! an alias, is known to be there.

mod flow;
mod text;

use flow::{Flow, Inline, plain};

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

/// A document as `a.b.c` and value, in its order.
#[derive(Debug, Default)]
pub(crate) struct Scalars(Vec<(String, Value)>);

impl Scalars {
    /// Reads a document. The kubelet itself says what is wrong with its file.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().collect();
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
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        ends.into_iter().any(|end| self.last(&path[..end]) == Some(&Value::Unknown))
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
        while let Some(line) = self.lines.get(self.at).copied() {
            self.at += 1;
            let (indent, mut content) = indentation(line);
            if line.starts_with("...") {
                break;
            }
            if let Some(rest) = line.strip_prefix("---")
                && (rest.is_empty() || rest.starts_with(char::is_whitespace))
            {
                if !self.found.is_empty() {
                    break;
                }
                content = rest.trim();
            }
            // Neither ends the maps above it.
            if !content.is_empty() && !content.starts_with('#') {
                self.line(indent, content);
            }
        }
    }

    fn line(&mut self, mut indent: usize, mut content: &'a str) {
        self.parents.retain(|(depth, _)| *depth < indent);
        // What is in a list has a path that nobody asks for.
        while let Some(item) = item(content) {
            self.parents.push((indent, ".".to_owned()));
            indent += content.len() - item.trim_start().len();
            content = item.trim_start();
        }
        if content.starts_with(['{', '[']) {
            self.node(self.path(None), content, indent);
        } else if let Some((key, value)) = split_key(content) {
            self.entry(indent, key, without_properties(value));
        }
    }

    fn entry(&mut self, indent: usize, key: String, value: &'a str) {
        let path = self.path(Some(&key));
        let on_next_line = without_comment(value).is_empty();
        let value = if on_next_line { self.below(indent) } else { Some(value) };
        if let Some(value) = value {
            self.node(path, value, indent);
        } else {
            self.found.push((path, Value::Nothing));
            self.parents.push((indent, key));
        }
    }

    /// A value that begins on a line of its own, below its key; none if what is there is a map or a list, or nothing.
    fn below(&mut self, indent: usize) -> Option<&'a str> {
        let mut next = self.at;
        let (depth, content) = loop {
            match indentation(self.lines.get(next)?) {
                (_, content) if content.is_empty() || content.starts_with('#') => next += 1,
                found => break found,
            }
        };
        let value = without_properties(content);
        let is_value = depth > indent
            && !value.is_empty()
            && item(value).is_none()
            && !value.starts_with("? ")
            && (value.starts_with(['{', '[']) || split_key(value).is_none());
        is_value.then(|| {
            self.at = next + 1;
            value
        })
    }

    /// Reads a value that begins so and goes on in the lines that come.
    fn node(&mut self, path: String, value: &'a str, indent: usize) {
        if value.starts_with(['{', '[', '"', '\'']) {
            let (lines, at) = (&self.lines, &mut self.at);
            let mut more = std::iter::from_fn(|| {
                *at += 1;
                lines.get(*at - 1).copied()
            });
            let text = Inline::of(value, &mut more);
            Flow::new(&text).node(path, &mut self.found);
        } else if value.starts_with(['|', '>']) {
            let value = self.block(value, indent);
            self.found.push((path, value));
        } else {
            let text = self.plain(value, indent);
            let value = plain(&text);
            if value == Value::Nothing {
                self.parents.push((indent, path.rsplit('.').next().unwrap_or_default().to_owned()));
            }
            self.found.push((path, value));
        }
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

/// What comes after the dash of a list's item.
fn item(content: &str) -> Option<&str> {
    content.strip_prefix("- ").or(content.strip_prefix('-').filter(|rest| rest.is_empty()))
}

/// A value without its anchor and its tag.
fn without_properties(mut value: &str) -> &str {
    while value.starts_with(['&', '!']) {
        value = value.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    value
}

/// How far a line is indented, and what it has.
fn indentation(line: &str) -> (usize, &str) {
    let content = line.trim_start();
    (line.len() - content.len(), content.trim_end())
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
mod tests {
    use super::*;

    #[test]
    fn maps_by_indentation_and_in_braces() {
        let text = "\
# made by kubeadm
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous:
    enabled: false   # no
  x509:
    clientCAFile: \"/etc/kubernetes/pki/ca.crt\"
authorization: {mode: Webhook, webhook: {cacheTTL: '0s', x: [1, {y: 2}]},
  last: z}
clusterDNS:
- 10.96.0.10
- a: x
  b: y
-
  b: z
resolvConf: /run/systemd/resolve/resolv.conf
url: unix:///run/x.sock
'quoted': it's # a comment
empty:
same: level
---
resolvConf: /of/another/document
";
        let scalars = Scalars::parse(text);
        for (path, value) in [
            ("apiVersion", Some("kubelet.config.k8s.io/v1beta1")),
            ("authentication.anonymous.enabled", Some("false")),
            ("authentication.x509.clientCAFile", Some("/etc/kubernetes/pki/ca.crt")),
            ("authorization.mode", Some("Webhook")),
            ("authorization.webhook.cacheTTL", Some("0s")),
            ("authorization.last", Some("z")),
            ("resolvConf", Some("/run/systemd/resolve/resolv.conf")),
            ("url", Some("unix:///run/x.sock")),
            ("quoted", Some("it's")),
            ("same", Some("level")),
            ("clusterDNS", None),
            ("clusterDNS.b", None),
            ("b", None),
            ("empty", None),
            ("clusterDNS.a", None),
        ] {
            assert_eq!(scalars.get(path), value, "{path}");
        }
    }

    #[test]
    fn json_is_yaml() {
        let scalars = Scalars::parse("{\n  \"a\": {\"b\": \"c, d\"},\n  \"f\": true, \"l\": [\"x\", 1]\n}\n");
        assert_eq!(scalars.get("a.b"), Some("c, d"));
        assert_eq!(scalars.get("f"), Some("true"));
    }

    #[test]
    fn values_as_the_kubelet_reads_them() {
        let text = "\
--- # one document
none: ~
nothing: Null   # none
quoted: \"null\"
empty: ''
off: no
on: 'yes'
folded: one
  two # three
lines: |-
  inner: {

  inner: x
double: \"a\\\"b
  c: # d\" # e
single: 'it''s # it'
escape: \"\\u0041\"
anchor: &name /path
map: &other
  in: !!str 5
alias: *name
list: [a, {b: c},
  \"]\", [d]]
braces: {a: b, list: [{c: d}], ~: x, last: null}
text: a{b
issue: a#b
'with: colon': 1
no # key: x
last:
  in: {c: d} # e
---
last: 2
";
        let scalars = Scalars::parse(text);
        for (path, value) in [
            ("none", None),
            ("nothing", None),
            ("quoted", Some("null")),
            ("empty", Some("")),
            ("off", Some("false")),
            ("on", Some("yes")),
            ("folded", Some("one two")),
            ("lines", Some("inner: {\n\ninner: x")),
            ("lines.inner", None),
            ("double", Some("a\"b c: # d")),
            ("single", Some("it's # it")),
            ("escape", Some("A")),
            ("anchor", Some("/path")),
            ("map.in", Some("5")),
            ("alias", None),
            ("list", None),
            ("braces.a", Some("b")),
            ("braces.c", None),
            ("braces.last", None),
            ("text", Some("a{b")),
            ("issue", Some("a#b")),
            ("with: colon", Some("1")),
            ("last", None),
            ("last.in.c", Some("d")),
        ] {
            assert_eq!(scalars.get(path), value, "{path}");
        }
        let keys: Vec<&str> = scalars.keys().collect();
        let expected = "none nothing quoted empty off on folded lines double single escape anchor map alias list braces \
            text issue with:_colon last";
        assert_eq!(keys.join(" ").replace("with: colon", "with:_colon"), expected);
    }

    #[test]
    fn nothing_ends_the_maps_above_it_but_a_key() {
        let text = "a:\n  b: 1\n\n# c\n  d: 2\n\t\n#e\n  f:\n\n    # g\n\n    h: 3\n# i\nj: 4\n";
        let scalars = Scalars::parse(text);
        for (path, value) in [("a.b", "1"), ("a.d", "2"), ("a.f.h", "3"), ("j", "4")] {
            assert_eq!(scalars.get(path), Some(value), "{path}");
        }
    }

    #[test]
    fn values_begin_on_lines_of_their_own() {
        let text = "\
next:
  unix:///x
quoted:

  # a comment
  \"a: b\"
flow:
  {a: b,
   c: [d]}
map:
  \"a\": b
list:
  - a: b
same:
- a
tagged: !!str
  5
anchored: &x
  a: 1
text:
  >-
    a
    b
last: one

  two
";
        let scalars = Scalars::parse(text);
        for (path, value) in [
            ("next", Some("unix:///x")),
            ("quoted", Some("a: b")),
            ("flow.a", Some("b")),
            ("map", None),
            ("map.a", Some("b")),
            ("list", None),
            ("same", None),
            ("tagged", Some("5")),
            ("anchored.a", Some("1")),
            ("text", Some("a b")),
            ("last", Some("one\ntwo")),
        ] {
            assert_eq!(scalars.get(path), value, "{path}");
        }
        let keys: Vec<&str> = scalars.keys().collect();
        assert_eq!(keys.join(" "), "next quoted flow map list same tagged anchored text last");
    }

    #[test]
    fn what_is_not_understood_is_known_to_be_there() {
        let scalars = Scalars::parse("a: *x\nb: {c: *x, d: \"\\q\"}\ne: ~\nf: 1\ng: \"open\nh: |9\n  x\n");
        for (path, unknown) in [
            ("a", true),
            ("a.b.c", true),
            ("b", false),
            ("b.c", true),
            ("b.d", true),
            ("e", false),
            ("f", false),
            ("f.x", false),
            ("g", true),
            ("nothing", false),
        ] {
            assert_eq!(scalars.is_unknown(path), unknown, "{path}");
        }
        let mut over = Scalars::parse("a: *x");
        over.extend(Scalars::parse("a: 1"));
        assert!(!over.is_unknown("a") && over.get("a") == Some("1"));
    }

    #[test]
    fn depth_is_bounded() {
        for open in ["[", "{a: ", "- ", "{[", "a:\n "] {
            Scalars::parse(&open.repeat(100_000));
        }
    }

    #[test]
    fn any_text_is_survived() {
        let text = "--- é\n- - x: \"\\\n'a''b: [}]: |\n  é\nx: &a !b 'é\na: {b: [c, \"d}, 'e\n  f: {{{ g:\n - :\n:\n'\": x\n# é: {";
        let ends = text.char_indices().map(|(at, _)| at);
        for end in ends {
            Scalars::parse(&text[..end]);
            Scalars::parse(&text[end..]);
        }
    }
}
