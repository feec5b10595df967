//! The scalars of a YAML or JSON document by the names that lead to them, as far as configuration files of Kubernetes
//! use YAML: nested maps by indentation or in braces. Lists, anchors and further documents are passed over.

/// A document as `a.b.c` and value, in its order.
#[derive(Debug, Default)]
pub(crate) struct Scalars(Vec<(String, String)>);

impl Scalars {
    /// Reads a document. What is not understood is left out: the kubelet itself says what is wrong with its file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut found = Vec::new();
        let mut parents: Vec<(usize, String)> = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let content = without_comment(line);
            let indent = content.len() - content.trim_start().len();
            let content = content.trim();
            if content == "..." || (content == "---" && !found.is_empty()) {
                break;
            }
            if content.starts_with(['{', '"', '\'']) || content.contains(':') {
                parents.retain(|(depth, _)| *depth < indent);
                let (key, value) = if content.starts_with('{') {
                    (None, content)
                } else {
                    let Some((key, value)) = split_key(content) else { continue };
                    (Some(key), value)
                };
                let names: Vec<&str> =
                    parents.iter().map(|(_, name)| name.as_str()).chain(key.as_deref()).collect();
                let path = names.join(".");
                if value.starts_with('{') {
                    let mut flow = value.to_owned();
                    while depth(&flow) > 0
                        && let Some(more) = lines.next()
                    {
                        flow.push(' ');
                        flow.push_str(without_comment(more).trim());
                    }
                    Flow { rest: &flow }.map(&path, &mut found);
                } else if value.is_empty() {
                    parents.extend(key.map(|key| (indent, key)));
                } else {
                    found.push((path, unquoted(value)));
                }
            }
        }
        Self(found)
    }

    /// The value by its path; of several the last.
    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.iter().rfind(|(found, _)| found == path).map(|(_, value)| value.as_str())
    }
}

/// The line up to a `#` that begins a comment.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        match quote {
            Some(open) => quote = (letter != open).then_some(open),
            None if letter == '#' && before.is_whitespace() => return &line[..at],
            None if matches!(letter, '"' | '\'') && matches!(before, ' ' | ':' | '{' | ',' | '[') => {
                quote = Some(letter);
            }
            None => {}
        }
        before = letter;
    }
    line
}

/// `key: value`, the key without its quotes.
fn split_key(content: &str) -> Option<(String, &str)> {
    if content.starts_with("- ") || content == "-" {
        return None;
    }
    let end = content
        .match_indices(':')
        .map(|(at, _)| at)
        .find(|at| content[at + 1..].is_empty() || content[at + 1..].starts_with(char::is_whitespace))?;
    Some((unquoted(content[..end].trim()), content[end + 1..].trim()))
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    text.to_owned()
}

/// How many braces are open at the end.
fn depth(text: &str) -> usize {
    text.chars().fold(0_usize, |open, letter| match letter {
        '{' => open + 1,
        '}' => open.saturating_sub(1),
        _ => open,
    })
}

/// `{a: b, c: {d: e}}`, which JSON is as well.
struct Flow<'a> {
    rest: &'a str,
}

impl<'a> Flow<'a> {
    fn map(&mut self, path: &str, found: &mut Vec<(String, String)>) {
        self.skip("{");
        loop {
            self.skip(",");
            if self.rest.is_empty() || self.skip("}") {
                return;
            }
            let key = self.word(&[':', ',', '}']);
            if !self.skip(":") {
                continue;
            }
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            if self.rest.trim_start().starts_with('{') {
                self.map(&path, found);
            } else if self.skip("[") {
                while !self.rest.is_empty() && !self.skip("]") {
                    self.word(&[',', ']']);
                    self.skip(",");
                }
            } else {
                let value = self.word(&[',', '}']);
                found.push((path, value));
            }
        }
    }

    fn skip(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }

    /// A quoted text, or all up to one of these letters.
    fn word(&mut self, ends: &[char]) -> String {
        self.rest = self.rest.trim_start();
        for quote in ['"', '\''] {
            if let Some(inner) = self.rest.strip_prefix(quote) {
                let (word, rest) = inner.split_once(quote).unwrap_or((inner, ""));
                self.rest = rest;
                return word.to_owned();
            }
        }
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest): (&'a str, &'a str) = self.rest.split_at(end);
        self.rest = rest;
        word.trim().to_owned()
    }
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
- a: b
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
    fn any_text_is_survived() {
        let text = "a: {b: [c, \"d}, 'e\n  f: {{{ g:\n - :\n:\n'\": x\n# é: {";
        let ends = text.char_indices().map(|(at, _)| at);
        for end in ends {
            Scalars::parse(&text[..end]);
            Scalars::parse(&text[end..]);
        }
    }
}
