//! umount(8) as far as the kubelet, its volume plugins and CSI's k8s.io/mount-utils call it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::failure::{Failure, MOUNT, USAGE, err, out};
use crate::mount::helper;
use crate::mountinfo::{self, Entry};
use crate::{loopdev, path};

/// One call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    targets: Vec<OsString>,
    force: bool,
    lazy: bool,
    recursive: bool,
    detach_loop: bool,
    internal_only: bool,
    keep_paths: bool,
    no_mtab: bool,
    fake: bool,
    quiet: bool,
    verbose: bool,
    /// Text to print instead: help or version.
    print: Option<String>,
}

const HELP: &str = "\
Usage:
 umount [OPTION...] DIRECTORY|SOURCE...

Options:
 -R, --recursive          the mounts below, too
 -l, --lazy               detach now, clean up when it is no longer busy
 -f, --force              give up on a network filesystem that does not answer
 -d, --detach-loop        free its loop device
 -c, --no-canonicalize    take paths as they are
 -i, --internal-only      no umount.TYPE helper
     --fake               everything but the system call
 -n, --no-mtab            accepted; there is no mtab
 -t, --types LIST         accepted
 -q, --quiet              do not complain about what is not mounted
 -v, --verbose            say what was done
 -h, --help; -V, --version";

/// Runs the command; returns its exit code, the sum of its targets' codes as util-linux has it.
pub(crate) fn main(args: Vec<OsString>) -> u8 {
    let request = match parse(args) {
        Ok(request) => request,
        Err(failure) => {
            err(&format!("umount: {}", failure.message));
            return failure.code;
        }
    };
    if let Some(text) = &request.print {
        out(text);
        return 0;
    }
    request.targets.iter().map(|target| unmount_one(&request, target)).fold(0, u8::saturating_add)
}

fn parse(args: Vec<OsString>) -> Result<Request, Failure> {
    let mut parser = Parser::from_args(args);
    let mut request = Request::default();
    let usage = |error: lexopt::Error| Failure::usage("umount", &error.to_string());
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Short('f') | Long("force") => request.force = true,
            Short('l') | Long("lazy") => request.lazy = true,
            Short('R') | Long("recursive") => request.recursive = true,
            Short('d') | Long("detach-loop") => request.detach_loop = true,
            Short('i') | Long("internal-only") => request.internal_only = true,
            Short('c') | Long("no-canonicalize") => request.keep_paths = true,
            Short('n') | Long("no-mtab") => request.no_mtab = true,
            Short('q') | Long("quiet") => request.quiet = true,
            Short('v') | Long("verbose") => request.verbose = true,
            Long("fake") => request.fake = true,
            // With explicit targets util-linux does not look at the type either.
            Short('t') | Long("types") => {
                parser.value().map_err(usage)?;
            }
            Short('h') | Long("help") => request.print = Some(HELP.to_owned()),
            Short('V') | Long("version") => request.print = Some(crate::mount::version("umount")),
            Short('a' | 'A' | 'O' | 'N' | 'r')
            | Long("all" | "all-targets" | "test-opts" | "namespace" | "read-only") => {
                let message = "-a, -A, -O, -N and -r are not supported: name what to unmount";
                return Err(Failure::new(USAGE, message));
            }
            Short(name) => return Err(Failure::usage("umount", &format!("invalid option -- '{name}'"))),
            Long(name) => return Err(Failure::usage("umount", &format!("unrecognized option '--{name}'"))),
            Value(target) => request.targets.push(target),
        }
    }
    if request.targets.is_empty() && request.print.is_none() {
        return Err(Failure::usage("umount", "bad usage"));
    }
    Ok(request)
}

/// Unmounts what one word names; its exit code.
fn unmount_one(request: &Request, given: &OsStr) -> u8 {
    match try_one(request, given) {
        Ok(code) => code,
        Err(failure) => {
            if !(request.quiet && failure.message.contains(": not mounted")) {
                err(&format!("umount: {}", failure.message));
            }
            failure.code
        }
    }
}

fn try_one(request: &Request, given: &OsStr) -> Result<u8, Failure> {
    let Ok(table) = mountinfo::read() else {
        // Without /proc there is still umount(2).
        return unmount(request, given, None);
    };
    // What the table has as it stands is not touched: on a dead network filesystem that could hang.
    let plain = request.keep_paths || (path::is_plain(given) && mountinfo::at(&table, given).is_some());
    let target = if plain { given.to_owned() } else { path::canonical(given) };
    let found = mountinfo::at(&table, &target);
    if request.recursive {
        let Some(top) = found else {
            return Err(Failure::new(USAGE, format!("{}: not mounted", given.to_string_lossy())));
        };
        for entry in mountinfo::tree(&table, top) {
            let code = unmount(request, &entry.target, Some(entry))?;
            if code != 0 {
                return Ok(code);
            }
        }
        return Ok(0);
    }
    match found
        .or_else(|| mountinfo::of_source(&table, &target))
        .or_else(|| mountinfo::of_source(&table, given))
    {
        Some(entry) => unmount(request, &entry.target, Some(entry)),
        None if Path::new(given).exists() && request.keep_paths => unmount(request, given, None),
        None if Path::new(given).exists() => Err(Failure::at(MOUNT, given, "not mounted")),
        None => Err(Failure::at(MOUNT, given, "no mount point specified")),
    }
}

/// Unmounts one mount point, by its type's helper where there is one; its exit code.
fn unmount(request: &Request, target: &OsStr, entry: Option<&Entry>) -> Result<u8, Failure> {
    if let Some(entry) = entry
        && !request.internal_only
        && let Some(program) = helper::find("umount", &entry.fstype)
    {
        return run_helper(&program, request, entry);
    }
    let mut flags = UnmountFlags::empty();
    flags.set(UnmountFlags::FORCE, request.force);
    flags.set(UnmountFlags::DETACH, request.lazy);
    if !request.fake {
        rustix::mount::unmount(target, flags).map_err(|error| Failure::at(MOUNT, target, &why(error)))?;
        if let Some(entry) = entry.filter(|_| request.detach_loop) {
            loopdev::detach(&entry.source).map_err(|error| {
                let device = entry.source.to_string_lossy();
                Failure::at(MOUNT, target, &format!("unmounted, but {device} cannot be freed: {error}"))
            })?;
        }
    }
    if request.verbose {
        let source = entry.map_or("none".into(), |entry| entry.source.to_string_lossy());
        err(&format!("umount: {} ({source}) unmounted", target.to_string_lossy()));
    }
    Ok(0)
}

fn run_helper(program: &Path, request: &Request, entry: &Entry) -> Result<u8, Failure> {
    let switches =
        [(request.no_mtab, "-n"), (request.lazy, "-l"), (request.force, "-f"), (request.verbose, "-v")];
    let mut command = Command::new(program);
    command.arg(&entry.target).args(switches.iter().filter(|(given, _)| *given).map(|(_, switch)| switch));
    if entry.fstype.contains('.') && !program.to_string_lossy().ends_with(&entry.fstype) {
        command.args(["-t", &entry.fstype]);
    }
    match command.status() {
        Ok(status) => Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(MOUNT)),
        Err(error) => {
            let message = format!("the helper {} cannot be started: {error}", program.display());
            Err(Failure::at(MOUNT, &entry.target, &message))
        }
    }
}

/// Why umount(2) failed, in the words of util-linux; the kubelet looks for "not mounted".
fn why(error: Errno) -> String {
    match error {
        Errno::INVAL => "not mounted".into(),
        Errno::BUSY => "target is busy".into(),
        Errno::NOENT => "no mount point specified".into(),
        Errno::PERM => "must be superuser to unmount".into(),
        Errno::NXIO => "invalid block device".into(),
        Errno::IO => "can't write superblock".into(),
        Errno::ACCESS => "block devices are not permitted on filesystem".into(),
        _ => format!("umount(2) system call failed: {}", crate::mount::describe(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, Failure> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn command_lines() {
        let request = parsed("-fl /a /b").unwrap();
        assert!(request.force && request.lazy && !request.recursive);
        assert_eq!(request.targets, ["/a", "/b"]);
        let request = parsed("/a --recursive -t tmpfs --no-canonicalize -nvdqi --fake").unwrap();
        assert!(request.recursive && request.keep_paths && request.no_mtab && request.verbose);
        assert!(request.detach_loop && request.quiet && request.internal_only && request.fake);
        assert_eq!(request.targets, ["/a"]);
        assert!(parsed("--version").unwrap().print.is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        for (line, message) in [
            ("", "bad usage"),
            ("-l", "bad usage"),
            ("-z /a", "invalid option -- 'z'"),
            ("--bogus /a", "unrecognized option '--bogus'"),
            ("-a", "-a, -A, -O, -N and -r are not supported: name what to unmount"),
        ] {
            let failure = parsed(line).unwrap_err();
            assert_eq!((failure.code, failure.message.lines().next()), (1, Some(message)), "{line}");
        }
    }

    #[test]
    fn the_kubelet_finds_its_words() {
        // k8s.io/mount-utils, mount_linux.go: errNotMounted.
        assert_eq!(why(Errno::INVAL), "not mounted");
    }
}
