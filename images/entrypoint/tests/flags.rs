//! The facts about the kubelet's flags and fields (src/kubelet/*.tsv) against the sources of Kubernetes.
//!
//! Each release's sources are looked for in Go's module cache, or in `KUBERNETES_MODULES`. `go mod download
//! k8s.io/kubernetes@v1.M.P k8s.io/component-base@v0.M.P k8s.io/kubelet@v0.M.P` brings them there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FLAGS: &str = include_str!("../src/kubelet/flags.tsv");
const FIELDS: &str = include_str!("../src/kubelet/fields.tsv");
/// Minor releases that the tables speak of.
const MINORS: std::ops::RangeInclusive<u8> = 22..=37;

/// Where the kubelet registers its flags; a release has some of these files.
const SOURCES: [(&str, &str); 9] = [
    ("kubernetes@v1", "cmd/kubelet/app/options/options.go"),
    ("kubernetes@v1", "cmd/kubelet/app/options/container_runtime.go"),
    ("kubernetes@v1", "cmd/kubelet/app/options/globalflags.go"),
    ("kubernetes@v1", "cmd/kubelet/app/options/globalflags_linux.go"),
    ("kubernetes@v1", "pkg/kubelet/config/flags.go"),
    ("component-base@v0", "logs/config.go"),
    ("component-base@v0", "logs/options.go"),
    ("component-base@v0", "logs/logs.go"),
    ("component-base@v0", "logs/api/v1/options.go"),
];
/// What `klog.InitFlags` registers.
const KLOG: [(&str, &str); 13] = [
    ("add-dir-header", "bool"),
    ("alsologtostderr", "bool"),
    ("log-backtrace-at", "value"),
    ("log-dir", "value"),
    ("log-file", "value"),
    ("log-file-max-size", "value"),
    ("logtostderr", "bool"),
    ("one-output", "bool"),
    ("skip-headers", "bool"),
    ("skip-log-headers", "bool"),
    ("stderrthreshold", "value"),
    ("v", "value"),
    ("vmodule", "value"),
];
/// Flags of cadvisor that take no value; the kubelet registers all of cadvisor's by name.
const CADVISOR_BOOLS: [&str; 5] =
    ["docker-only", "docker-tls", "enable-load-reader", "log-cadvisor-usage", "storage-driver-secure"];
/// Marked as deprecated once, and no longer.
const MARK_TAKEN_BACK: [&str; 1] = ["cloud-provider"];

/// What one release has: kind, and whether it is marked as deprecated, by name.
type Real = BTreeMap<String, (&'static str, bool)>;

/// A flag or field: from which release on, until which, and for flags the kind and since when it is deprecated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    kind: String,
    since: u8,
    deprecated: Option<u8>,
    removed: Option<u8>,
}

/// Where a module of a minor release is, whichever patch release.
fn module(module: &str, minor: u8) -> Option<PathBuf> {
    let cache = std::env::var_os("KUBERNETES_MODULES").map(PathBuf::from).or_else(|| {
        let output = Command::new("go").args(["env", "GOMODCACHE"]).output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().into())
    })?;
    let start = format!("{module}.{minor}.");
    let dirs = fs::read_dir(cache.join("k8s.io")).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let is = |dir: &Path| {
        dir.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&start))
    };
    dirs.filter(|dir| is(dir)).max()
}

/// The parameters of each call of a function whose name starts so, with the rest of that name.
fn calls<'a>(source: &'a str, start: &'a str) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
    source.match_indices(start).filter_map(move |(at, _)| {
        let line = source[..at].rsplit('\n').next()?.trim_start();
        if line.starts_with("//") || line.ends_with(|end: char| end.is_alphanumeric() || end == '.') {
            return None;
        }
        let (rest, call) = source[at + start.len()..].split_once('(')?;
        rest.chars().all(char::is_alphanumeric).then(|| (rest, parameters(call)))
    })
}

/// Splits Go's text at the commas of one call, which ends at the closing parenthesis.
fn parameters(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut quote, mut escaped, mut found) = (0, 0, None, false, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        if let Some(open) = quote {
            quote = (escaped || byte != open).then_some(open);
            escaped = open == b'"' && byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' | b'`' => quote = Some(byte),
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                found.push(text[start..at].trim());
                break;
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The name in a parameter: a string, or one of the constants that name a flag.
fn name(parameter: &str) -> Option<String> {
    if parameter.to_lowercase().ends_with("logflushfreqflagname") {
        return Some("log-flush-frequency".into());
    }
    // Of cAdvisor, from 1.37 on.
    if parameter == "cadvisorflags.HousekeepingInterval" {
        return Some("housekeeping-interval".into());
    }
    Some(parameter.strip_prefix('"')?.strip_suffix('"')?.replace('_', "-"))
}

/// The flags of a minor release: kind, and whether marked as deprecated. `None` where the sources are not all there.
fn flags_of(minor: u8) -> Option<Real> {
    let mut flags = BTreeMap::from([("help".into(), ("bool", false)), ("version".into(), ("bool", false))]);
    let mut deprecated = Vec::new();
    for (of, path) in SOURCES {
        let Ok(source) = fs::read_to_string(module(of, minor)?.join(path)) else { continue };
        for (function, parameters) in calls(&source, "fs.") {
            if function == "MarkDeprecated" {
                deprecated.extend(name(parameters[0]));
            } else if function.strip_suffix('P').unwrap_or(function).ends_with("Var") {
                let kind = if function.starts_with("Bool") { "bool" } else { "value" };
                if let Some(name) = parameters.get(1).and_then(|parameter| name(parameter)) {
                    flags.insert(name, (kind, false));
                }
            }
        }
        for (function, parameters) in calls(&source, "register") {
            let Some(flag) = parameters.get(2).and_then(|parameter| name(parameter)) else { continue };
            let kind = if CADVISOR_BOOLS.contains(&&*flag) { "bool" } else { "value" };
            flags.insert(flag, (kind, function == "Deprecated"));
        }
        // Registered by the package, not on a flag set that can be seen here.
        if source.contains("pflag.Duration(logFlushFreqFlagName") {
            flags.insert("log-flush-frequency".into(), ("value", false));
        }
        if source.contains("klog.InitFlags(") {
            flags.extend(KLOG.map(|(name, kind)| (name.to_owned(), (kind, false))));
        }
    }
    for name in deprecated {
        flags.get_mut(&name)?.1 = true;
    }
    Some(flags)
}

/// The fields at the top of a minor release's `KubeletConfiguration`.
fn fields_of(minor: u8) -> Option<Real> {
    let source = fs::read_to_string(module("kubelet@v0", minor)?.join("config/v1beta1/types.go")).ok()?;
    let (_, structure) = source.split_once("type KubeletConfiguration struct")?;
    let (structure, _) = structure.split_once("\n}")?;
    let tags = structure.split("json:\"").skip(1).filter_map(|tag| tag.split([',', '"']).next());
    Some(tags.filter(|tag| !tag.is_empty()).map(|tag| (tag.to_owned(), ("field", false))).collect())
}

/// A table's facts, by name. Columns: name, kind, since, deprecated, removed, and words for people.
fn facts(table: &str) -> BTreeMap<String, Fact> {
    let minor = |cell: &str| match cell {
        "-" => None,
        cell => Some(cell.strip_prefix("1.").and_then(|minor| minor.parse().ok()).expect(cell)),
    };
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('\t').collect();
        assert_eq!(cells.len(), 7, "{row}");
        let [since, deprecated, removed] = [2, 3, 4].map(|column| minor(cells[column]));
        let since = since.unwrap_or(*MINORS.start());
        (cells[0].to_owned(), Fact { kind: cells[1].to_owned(), since, deprecated, removed })
    })
    .collect()
}

/// What is wrong of a table, by what one release's sources say.
fn differences(facts: &BTreeMap<String, Fact>, minor: u8, real: &Real) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, (kind, deprecated)) in real {
        let Some(fact) = facts.get(name) else {
            wrong.push(format!("1.{minor} has {name} ({kind}), the table has not"));
            continue;
        };
        if fact.since > minor || fact.removed.is_some_and(|removed| removed <= minor) {
            wrong.push(format!(
                "1.{minor} has {name}, the table says from 1.{} to {:?}",
                fact.since, fact.removed
            ));
        }
        let marked = fact.deprecated.is_some_and(|since| since <= minor);
        if fact.kind != *kind || (marked != *deprecated && !MARK_TAKEN_BACK.contains(&&**name)) {
            wrong.push(format!("1.{minor}: {name} is {kind}, deprecated: {deprecated}; the table: {fact:?}"));
        }
    }
    for (name, fact) in facts {
        let said = fact.since <= minor && fact.removed.is_none_or(|removed| removed > minor);
        if said && !real.contains_key(name) {
            wrong.push(format!("1.{minor} has no {name}, the table says it has"));
        }
    }
    wrong
}

fn check(table: &str, of: fn(u8) -> Option<Real>, at_least: usize) {
    let facts = facts(table);
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    for minor in MINORS {
        match of(minor) {
            Some(real) => {
                assert!(
                    real.len() >= at_least,
                    "1.{minor}: only {} names were found in the sources",
                    real.len()
                );
                wrong.extend(differences(&facts, minor, &real));
            }
            None => missing.push(format!("1.{minor}")),
        }
    }
    if !missing.is_empty() {
        eprintln!("skipped for {}: their sources are not in Go's module cache", missing.join(", "));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn flags_are_those_of_the_sources() {
    check(FLAGS, flags_of, 100);
}

#[test]
fn fields_are_those_of_the_sources() {
    check(FIELDS, fields_of, 90);
}

#[test]
fn a_flag_that_is_gone_has_a_source_and_says_what_to_do() {
    for row in FLAGS.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = row.split('\t').collect();
        let gone = cells[4] != "-";
        assert!(!gone || (cells[5] != "-" && cells[6].starts_with("https://")), "{row}");
    }
}

#[test]
fn a_difference_is_seen() {
    let real = BTreeMap::from([("new".to_owned(), ("value", false)), ("old".to_owned(), ("value", true))]);
    let table = "old\tbool\t-\t-\t-\t-\t-\ngone\tbool\t-\t-\t-\t-\t-\nlate\tbool\t1.26\t-\t-\t-\t-\n";
    let wrong = differences(&facts(table), 25, &real);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}

#[test]
fn calls_are_found_in_go() {
    let source = "
	// fs.StringVar(&f.No, \"no\", \"\", \"\")
	fs.BoolVar(&f.A, \"a_b\", f(1, 2), \"Say \\\"x, y)\\\".\" +
		`raw \")`)
	other.fs.StringVar(&f.C, \"c\")
	fs.VarP(NewMap(&c.M, \",\"), \"v\", \"v\", \"level\")";
    let found: Vec<_> =
        calls(source, "fs.").map(|(function, parameters)| (function, name(parameters[1]))).collect();
    assert_eq!(found, [("BoolVar", Some("a-b".into())), ("VarP", Some("v".into()))]);
}
