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
    for open in ["[", "{a: ", "- ", "{[", "a:\n ", "? ", ": "] {
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

#[test]
fn merged_keys_are_not_known() {
    let scalars =
        Scalars::parse("a: &x {b: 1}\nm:\n  <<: *x\n  c: 2\n'z': !!str no\nf: {d: !!str no, e: !x y}\n");
    for (path, value, unknown) in [
        ("a.b", Some("1"), false),
        ("m.c", Some("2"), true),
        ("m.b", None, true),
        ("m", None, false),
        ("z", Some("no"), false),
        ("f.d", Some("no"), false),
        ("f.e", None, true),
    ] {
        assert_eq!((scalars.get(path), scalars.is_unknown(path)), (value, unknown), "{path}");
    }
    assert!(Scalars::parse("b: 1\n<<: *x\n").is_unknown("any"));
    assert!(Scalars::parse("? <<\n: *x\nb: 1\n").is_unknown("any"));
}

#[test]
fn keys_after_a_question_mark() {
    let text = "? a\n: 1\n? 'b'  # c\n\n# d\n:\n  x\n?\n  c d\n  e\n: {f: 1}\n? g\n: h: 1\n  i: 2\n? j\n: - k: 1\n? |-\n  l\n:\n  m: ~\n\
        ? n\no:\n- ? p\n  : 1\nq: 2\n";
    let scalars = Scalars::parse(text);
    for (path, value) in [
        ("a", Some("1")),
        ("b", Some("x")),
        ("c d e.f", Some("1")),
        ("g.h", Some("1")),
        ("g.i", Some("2")),
        ("j", None),
        ("j.k", None),
        ("l.m", None),
        ("n", None),
        ("o", None),
        ("p", None),
        ("q", Some("2")),
    ] {
        assert_eq!((scalars.get(path), scalars.is_unknown(path)), (value, false), "{path}");
    }
    let keys: Vec<_> = scalars.keys().collect();
    assert_eq!(keys, ["a", "b", "c d e", "g", "j", "l", "n", "o", "q"]);
    // What may be any key.
    for key in ["{a: b}", "[a]", "- a", "*x", "a: b", "? a", ""] {
        assert!(Scalars::parse(&format!("z: 1\n? {key}\n: c\n")).is_unknown("any"), "{key}");
    }
}

#[test]
fn a_carriage_return_ends_a_line() {
    let scalars = Scalars::parse("a: 1\rb: # c\r  d: x\r   y\r\ne: |\r  1\r\r  2\r\nf: '3\r\r4'");
    for (path, value) in [("a", "1"), ("b.d", "x y"), ("e", "1\n\n2\n"), ("f", "3\n4")] {
        assert_eq!(scalars.get(path), Some(value), "{path}");
    }
}
