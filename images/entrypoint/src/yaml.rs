//! The scalars of a YAML or JSON document by the names that lead to them, as far as configuration files of Kubernetes
//! use YAML: nested maps by indentation or in braces, values on one line or over several in quotes. Lists and texts of
//! several lines (`|`, `>`) are known by their key only; aliases are not followed; further documents are passed over,
//! as the kubelet does.

mod flow;

use flow::{Flow, Inline, plain};

/// A document as `a.b.c` and value, in its order; none where the value is null, a map or a list.
#[derive(Debug, Default)]
pub(crate) struct Scalars(Vec<(String, Option<String>)>);

impl Scalars {
    /// Reads a document. What is not understood is left out: the kubelet itself says what is wrong with its file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut found = Vec::new();
        let mut parents: Vec<(usize, String)> = Vec::new();
        let mut lines = text.trim_start_matches('\u{feff}').lines().peekable();
        while let Some(line) = lines.next() {
            let (mut indent, mut content) = indentation(line);
            if line.starts_with("...") {
                break;
            }
            if let Some(rest) = line.strip_prefix("---")
                && (rest.is_empty() || rest.starts_with(char::is_whitespace))
            {
                if !found.is_empty() {
                    break;
                }
                content = rest.trim();
            }
            parents.retain(|(depth, _)| *depth < indent);
            // What is in a list has a path that nobody asks for.
            while let Some(item) =
                content.strip_prefix("- ").or(content.strip_prefix('-').filter(|rest| rest.is_empty()))
            {
                parents.push((indent, ".".to_owned()));
                indent += content.len() - item.trim_start().len();
                content = item.trim_start();
            }
            let (key, mut value) = if content.starts_with(['{', '[']) {
                (None, content)
            } else {
                let Some((key, value)) = split_key(content) else { continue };
                (Some(key), value)
            };
            let names: Vec<&str> =
                parents.iter().map(|(_, name)| name.as_str()).chain(key.as_deref()).collect();
            let path = names.join(".");
            // An anchor or a tag: what it is put on follows.
            while value.starts_with(['&', '!']) {
                value = value.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
            }
            if value.starts_with(['{', '[', '"', '\'']) {
                let text = Inline::of(value, &mut lines);
                Flow::new(&text).node(path, &mut found);
                continue;
            }
            if value.starts_with(['|', '>']) {
                let is_text = |line: &&str| line.trim().is_empty() || indentation(line).0 > indent;
                while lines.next_if(is_text).is_some() {}
                value = "";
            }
            let mut text = without_comment(value).to_owned();
            while !text.is_empty()
                && let Some(more) = lines.next_if(|line| indentation(line).0 > indent)
            {
                text.push(' ');
                text.push_str(without_comment(more.trim()));
            }
            let value = plain(text.trim_end());
            if let Some(key) = key.filter(|_| value.is_none()) {
                parents.push((indent, key));
            }
            found.push((path, value));
        }
        Self(found)
    }

    /// Puts another document over this one.
    pub(crate) fn extend(&mut self, over: Self) {
        self.0.extend(over.0);
    }

    /// The value by its path; of several the last.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.iter().rfind(|(found, _)| found == path)?.1.as_deref()
    }

    /// All keys at the top, whatever their values are.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_str()).filter(|path| !path.contains('.'))
    }
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
        let key = quoted.word(&[])?;
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
            ("lines", None),
            ("lines.inner", None),
            ("double", Some("a\"b c: # d")),
            ("single", Some("it's # it")),
            ("escape", None),
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
