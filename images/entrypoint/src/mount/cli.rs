//! The command line of mount(8).

use std::ffi::OsString;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

use crate::failure::{Failure, USAGE};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Help or version.
    Print(String),
    /// The table of mounts, of these types.
    List(Option<String>),
    /// A mount.
    Mount(Request),
}

/// One call, before anything is looked up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) types: Option<String>,
    /// All options in the order given, operations and `-r`, `-w` among them.
    pub(crate) options: Vec<String>,
    pub(crate) source: Option<OsString>,
    pub(crate) target: Option<OsString>,
    /// The only path given: a mount point or a source, to be looked up.
    pub(crate) either: Option<OsString>,
    /// `--make-...` was given.
    pub(crate) make: bool,
    pub(crate) fake: bool,
    pub(crate) verbose: bool,
    pub(crate) internal_only: bool,
    pub(crate) keep_paths: bool,
    pub(crate) no_mtab: bool,
    pub(crate) sloppy: bool,
    /// `-w`: never fall back to read-only.
    pub(crate) only_writable: bool,
}

const HELP: &str = "\
Usage:
 mount [-l] [-t TYPES]
 mount [OPTION...] [-t TYPE] [-o OPTIONS] SOURCE DIRECTORY
 mount -o remount[,OPTIONS] DIRECTORY
 mount --make-[r]shared|[r]slave|[r]private|[r]unbindable DIRECTORY

Options:
 -t, --types TYPE         filesystem type, or a list to try
 -o, --options LIST       options, separated by commas
 -B, --bind               show a directory or file at a second place
 -R, --rbind              the same, with all mounts below
 -M, --move               move a mount
 -r, --read-only          -o ro
 -w, --rw, --read-write   -o rw, and never fall back to read-only
 -m, --mkdir[=MODE]       make the mount point if there is none
     --source, --target   name them explicitly
 -L LABEL, -U UUID        a source by label or UUID
 -c, --no-canonicalize    take paths as they are
 -f, --fake               everything but the system call
 -i, --internal-only      no mount.TYPE helper
 -l, --show-labels        accepted; labels are not shown
 -n, --no-mtab            accepted; there is no mtab
 -s                       passed on to helpers
 -v, --verbose            say what was done
 -h, --help; -V, --version

There is no fstab here, and no loop devices are made.";

/// Reads a command line.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Action, Failure> {
    let mut parser = Parser::from_args(args);
    let mut request = Request::default();
    let mut paths = Vec::new();
    let mut only_listing = true;
    while let Some(arg) = parser.next().map_err(|error| usage(&error))? {
        match arg {
            Short('t') | Long("types") => request.types = Some(text(&mut parser)?),
            Short('l') | Long("show-labels") => {}
            Short('v') | Long("verbose") => request.verbose = true,
            Short('h') | Long("help") => return Ok(Action::Print(HELP.to_owned())),
            Short('V') | Long("version") => return Ok(Action::Print(version("mount"))),
            Value(path) => paths.push(path),
            other => {
                only_listing = false;
                let owned = other.into_owned();
                option(&owned, &mut parser, &mut request)?;
            }
        }
    }
    if only_listing && paths.is_empty() {
        return Ok(Action::List(request.types));
    }
    place(paths, &mut request)?;
    Ok(Action::Mount(request))
}

/// An option that asks for a mount.
fn option(arg: &OwnedArg, parser: &mut Parser, request: &mut Request) -> Result<(), Failure> {
    match arg.as_str() {
        "o" | "options" => request.options.push(text(parser)?),
        "B" | "bind" => request.options.push("bind".into()),
        "R" | "rbind" => request.options.push("rbind".into()),
        "M" | "move" => request.options.push("move".into()),
        "r" | "read-only" => request.options.push("ro".into()),
        "w" | "rw" | "read-write" => {
            request.options.push("rw".into());
            request.only_writable = true;
        }
        "m" | "mkdir" => {
            let mode = parser.optional_value().map(ValueExt::string).transpose().map_err(|e| usage(&e))?;
            let mode = mode.map(|mode| format!("={mode}")).unwrap_or_default();
            request.options.push(format!("X-mount.mkdir{mode}"));
        }
        "source" => request.source = Some(parser.value().map_err(|error| usage(&error))?),
        "target" => request.target = Some(parser.value().map_err(|error| usage(&error))?),
        "L" | "label" => request.source = Some(format!("LABEL={}", text(parser)?).into()),
        "U" | "uuid" => request.source = Some(format!("UUID={}", text(parser)?).into()),
        "c" | "no-canonicalize" => request.keep_paths = true,
        "f" | "fake" => request.fake = true,
        "i" | "internal-only" => request.internal_only = true,
        "n" | "no-mtab" => request.no_mtab = true,
        "s" => request.sloppy = true,
        "a" | "all" | "F" | "fork" | "T" | "fstab" | "O" | "test-opts" => {
            return Err(Failure::new(USAGE, format!("{}: there is no fstab in this image", arg.shown())));
        }
        "N" | "namespace" => {
            return Err(Failure::new(USAGE, "-N is not supported: run it by nsenter in that namespace"));
        }
        name => match name.strip_prefix("make-") {
            Some(kind) if super::options::propagation(kind).is_some() => {
                request.options.push(kind.to_owned());
                request.make = true;
            }
            _ => return Err(Failure::usage("mount", &arg.unknown())),
        },
    }
    Ok(())
}

/// Tells which path is the source and which the mount point.
fn place(mut paths: Vec<OsString>, request: &mut Request) -> Result<(), Failure> {
    let bad = || Err(Failure::usage("mount", "bad usage"));
    match (request.source.is_some(), request.target.is_some(), paths.len()) {
        (true, true, 0) => {}
        (false, false, 2) => {
            request.target = paths.pop();
            request.source = paths.pop();
        }
        (true, false, 1) => request.target = paths.pop(),
        (false, true, 1) => request.source = paths.pop(),
        (false, false, 1) => request.either = paths.pop(),
        (false, true, 0) => request.either = request.target.take(),
        (true, false, 0) => request.either = request.source.take(),
        _ => return bad(),
    }
    Ok(())
}

fn text(parser: &mut Parser) -> Result<String, Failure> {
    parser.value().and_then(ValueExt::string).map_err(|error| usage(&error))
}

/// What this program says to `--version`.
pub(crate) fn version(command: &str) -> String {
    format!("{command} of containerized-kubelet's entrypoint {}", env!("CARGO_PKG_VERSION"))
}

/// A command line that [`lexopt`] refuses.
fn usage(error: &lexopt::Error) -> Failure {
    Failure::usage("mount", &error.to_string())
}

/// An option that outlives the parser's borrow.
pub(crate) struct OwnedArg {
    name: String,
    long: bool,
}

impl OwnedArg {
    /// Its name without dashes.
    pub(crate) fn as_str(&self) -> &str {
        // A long option of one letter must not be taken for the short one.
        if self.long && self.name.chars().count() == 1 { "" } else { &self.name }
    }

    /// Its name with dashes.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", if self.long { "--" } else { "-" }, self.name)
    }

    /// What to say when there is no such option, in the words of getopt(3).
    pub(crate) fn unknown(&self) -> String {
        if self.long {
            format!("unrecognized option '--{}'", self.name)
        } else {
            format!("invalid option -- '{}'", self.name)
        }
    }
}

/// Makes an [`OwnedArg`] of an option.
pub(crate) trait IntoOwned {
    /// The option, owned.
    fn into_owned(self) -> OwnedArg;
}

impl IntoOwned for lexopt::Arg<'_> {
    fn into_owned(self) -> OwnedArg {
        match self {
            Short(name) => OwnedArg { name: name.to_string(), long: false },
            Long(name) => OwnedArg { name: name.to_owned(), long: true },
            Value(value) => OwnedArg { name: value.to_string_lossy().into_owned(), long: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(line: &str) -> Request {
        match parse(line.split_whitespace().map(OsString::from).collect()) {
            Ok(Action::Mount(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn failure(line: &str) -> Failure {
        parse(line.split_whitespace().map(OsString::from).collect()).expect_err(line)
    }

    #[test]
    fn what_the_kubelet_calls() {
        let request = mount("-t tmpfs -o size=64k,noswap tmpfs /var/lib/kubelet/x");
        assert_eq!(request.types.as_deref(), Some("tmpfs"));
        assert_eq!(request.options, ["size=64k,noswap"]);
        assert_eq!(request.source, Some("tmpfs".into()));
        assert_eq!(request.target, Some("/var/lib/kubelet/x".into()));
        let request = mount("--no-canonicalize -o bind /proc/7/fd/9 /x");
        assert!(request.keep_paths);
        let request = mount("-o bind,remount,ro /a /b");
        assert_eq!(request.options, ["bind,remount,ro"]);
        assert_eq!(mount("--make-rshared /").options, ["rshared"]);
    }

    #[test]
    fn spellings_are_one() {
        let long = mount("--types=ext4 --options ro --fake --verbose --source /s --target /t");
        for line in [
            "-t ext4 -o ro -f -v /s /t",
            "-fvtext4 -oro /s /t",
            "/s -fv /t -o ro -t ext4",
            "-t ext4 -oro -fv -- /s /t",
        ] {
            assert_eq!(mount(line), long, "{line}");
        }
    }

    #[test]
    fn order_decides_between_read_only_and_writable() {
        assert_eq!(mount("-r -o rw /s /t").options, ["ro", "rw"]);
        assert_eq!(mount("-o ro -w /s /t").options, ["ro", "rw"]);
    }

    #[test]
    fn one_path_is_looked_up_later() {
        assert_eq!(mount("-o remount,ro /t").either, Some("/t".into()));
        assert_eq!(mount("-o remount --target /t").either, Some("/t".into()));
        assert_eq!(mount("-L data /t").source, Some("LABEL=data".into()));
    }

    #[test]
    fn listing() {
        let parse = |line: &str| parse(line.split_whitespace().map(OsString::from).collect());
        assert_eq!(parse(""), Ok(Action::List(None)));
        assert_eq!(parse("-l"), Ok(Action::List(None)));
        assert_eq!(parse("-v -t tmpfs,proc"), Ok(Action::List(Some("tmpfs,proc".into()))));
        assert!(matches!(parse("--version"), Ok(Action::Print(_))));
    }

    #[test]
    fn nonsense_is_refused_as_util_linux_does() {
        for (line, message) in [
            ("a b c", "bad usage"),
            ("-o ro", "bad usage"),
            ("--source a --target b c", "bad usage"),
            ("-z a b", "invalid option -- 'z'"),
            ("--bogus", "unrecognized option '--bogus'"),
            ("--make-bogus a", "unrecognized option '--make-bogus'"),
            ("--t a", "unrecognized option '--t'"),
            ("-a", "-a: there is no fstab in this image"),
            ("-N 1 a b", "-N is not supported: run it by nsenter in that namespace"),
        ] {
            let failure = failure(line);
            assert_eq!(failure.code, 1);
            assert_eq!(failure.message.lines().next(), Some(message), "{line}");
        }
        assert_eq!(failure("-o").code, 1);
    }
}
