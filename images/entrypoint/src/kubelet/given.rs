//! The flags of a kubelet's command line, read as the kubelet reads them (github.com/spf13/pflag).

use std::ffi::{OsStr, OsString};
use std::ops::Range;

use super::facts::Fact;

/// A flag that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its name, without dashes before it, `_` as `-`.
    pub(crate) name: String,
    /// Its value; `true` for a flag without one. Bytes that are not text are replaced.
    pub(crate) value: String,
}

/// The flags, in the order given. A value is never taken for a flag: which flags have one is a fact.
pub(crate) fn flags(args: &[OsString]) -> Vec<Given> {
    placed(args).into_iter().map(|(flag, _)| flag).collect()
}

/// Takes away those flags, with their values, of which `keep` does not want to keep one.
pub(crate) fn retain(args: &mut Vec<OsString>, keep: impl Fn(&Given) -> bool) {
    for (_, words) in placed(args).into_iter().rev().filter(|(flag, _)| !keep(flag)) {
        args.drain(words);
    }
}

/// The flags, each with its words.
fn placed(args: &[OsString]) -> Vec<(Given, Range<usize>)> {
    let mut words = args.iter().map(|word| word.to_string_lossy()).peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let at = args.len() - words.len() - 1;
        let (name, attached) = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            // The end of the flags.
            (Some(""), _) => break,
            (Some(long), _) => long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value))),
            (None, Some(short)) if !short.is_empty() => match short.split_at_checked(1) {
                Some((name, "")) => (name, None),
                Some((name, value)) => (name, Some(value.strip_prefix('=').unwrap_or(value))),
                None => continue,
            },
            _ => continue,
        };
        let name = if name == "h" { "help".to_owned() } else { name.replace('_', "-") };
        let takes_value = Fact::flag(&name).map(|fact| fact.takes_value);
        let value = match (attached, takes_value) {
            (Some(value), _) => value.to_owned(),
            (None, Some(true)) => words.next().unwrap_or_default().into_owned(),
            (None, Some(false)) => "true".to_owned(),
            // Not known here: what follows is its value unless it looks like a flag.
            (None, None) => words.next_if(|next| !next.starts_with('-')).unwrap_or_default().into_owned(),
        };
        let end = args.len() - words.len();
        found.push((Given { name, value }, at..end));
    }
    found
}

/// The value of a flag: of several the last, as the kubelet has it.
pub(crate) fn value<'a>(flags: &'a [Given], name: &str) -> Option<&'a str> {
    flags.iter().rfind(|flag| flag.name == name).map(|flag| flag.value.as_str())
}

/// Is the kubelet only asked to print something?
pub(super) fn only_prints(flags: &[Given]) -> bool {
    ["help", "version"].iter().any(|name| value(flags, name).is_some())
}

/// The path that is the value of a flag in these words, unless it is empty.
pub(crate) fn path<'a>(flags: &'a [Given], name: &str) -> Option<&'a OsStr> {
    value(flags, name).filter(|value| !value.is_empty()).map(OsStr::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_pflag_reads_them() {
        for (line, expected) in [
            ("", ""),
            ("--config=/x --v=2", "config=/x v=2"),
            ("--config /x -v 2", "config=/x v=2"),
            ("-v4 -v=5", "v=4 v=5"),
            ("--node_ip=1.2.3.4", "node-ip=1.2.3.4"),
            ("--register-node false --fail-swap-on=false", "register-node=true fail-swap-on=false"),
            ("--hostname-override --config=/x --v=1", "hostname-override=--config=/x v=1"),
            ("--config=a=b=c", "config=a=b=c"),
            ("--kubeconfig= --config", "kubeconfig= config="),
            ("--v=1 -- --config=/x", "v=1"),
            ("-h --version", "help=true version=true"),
            ("--later --v=1", "later= v=1"),
            ("--later x --v=1", "later=x v=1"),
            ("- word", ""),
        ] {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let shown: Vec<String> =
                flags(&args).iter().map(|flag| format!("{}={}", flag.name, flag.value)).collect();
            assert_eq!(shown.join(" "), expected, "{line}");
        }
    }

    #[test]
    fn the_last_one_wins() {
        let args = ["--config=/a", "--config=/b", "--kubeconfig="].map(OsString::from);
        let flags = flags(&args);
        assert_eq!(value(&flags, "config"), Some("/b"));
        assert_eq!(path(&flags, "kubeconfig"), None);
        assert_eq!(value(&flags, "v"), None);
    }

    #[test]
    fn flags_are_taken_away_with_their_values() {
        for (line, expected) in [
            ("", ""),
            ("--a=1 --network-plugin=cni --v=2", "--a=1 --v=2"),
            ("--network-plugin cni -v 2 --network_plugin", "-v 2"),
            ("--hostname-override --network-plugin --v=2", "--hostname-override --network-plugin --v=2"),
            ("--v=2 -- --network-plugin=cni", "--v=2 -- --network-plugin=cni"),
        ] {
            let mut args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            retain(&mut args, |flag| flag.name != "network-plugin");
            let left: Vec<&str> = args.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(left.join(" "), expected, "{line}");
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        use std::os::unix::ffi::OsStringExt;
        for bytes in [&b"-\xff\xfe"[..], b"--\xff=\xfe", b"-\xc3\xa9=1", b"--=", b"-=", b"---"] {
            flags(&[OsString::from_vec(bytes.to_vec())]);
        }
    }
}
