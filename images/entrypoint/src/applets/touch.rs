//! touch(1): files that are there, with the time of now or of another file.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;

use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::{Done, print, unknown};
use crate::failure::{Failure, USAGE, err};
use crate::mount::describe;

const HELP: &str = "\
Usage: touch [OPTION]... FILE...

  -a                    change the time of access only
  -m                    change the time of modification only
  -c, --no-create       make no file
  -h, --no-dereference  change a symbolic link itself
  -r, --reference=FILE  the times of this file instead of now
      --help, --version";

/// One call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    access: bool,
    modification: bool,
    no_create: bool,
    no_follow: bool,
    reference: Option<OsString>,
    files: Vec<OsString>,
}

fn parse(args: Vec<OsString>) -> Result<Request, Done> {
    let usage = |error: lexopt::Error| Err(Failure::usage("touch", &error.to_string()));
    let mut parser = Parser::from_args(args);
    let mut request = Request::default();
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Short('a') => request.access = true,
            Short('m') => request.modification = true,
            Short('c') | Long("no-create") => request.no_create = true,
            Short('h') | Long("no-dereference") => request.no_follow = true,
            Short('r') | Long("reference") => request.reference = Some(parser.value().map_err(usage)?),
            Short('f') => {}
            Short('d' | 't') | Long("date" | "time") => {
                return Err(Err(Failure::new(USAGE, "a time by -d or -t is not supported: use -r FILE")));
            }
            Long("help") => return Err(Ok(print(HELP))),
            Long("version") => return Err(Ok(print(&crate::mount::version("touch")))),
            Value(file) => request.files.push(file),
            other => return Err(Err(unknown("touch", &other))),
        }
    }
    if request.files.is_empty() {
        return Err(Err(Failure::usage("touch", "missing file operand")));
    }
    Ok(request)
}

pub(super) fn run(args: Vec<OsString>) -> Done {
    let request = match parse(args) {
        Ok(request) => request,
        Err(done) => return done,
    };
    let times = times(&request)?;
    let mut code = 0;
    for file in &request.files {
        if let Err((what, error)) = touch(&request, file, &times) {
            err(&format!("touch: {what} '{}': {}", file.to_string_lossy(), describe(error)));
            code = USAGE;
        }
    }
    Ok(code)
}

/// Both times as utimensat(2) wants them.
fn times(request: &Request) -> Result<Timestamps, Failure> {
    let special = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
    let (mut last_access, mut last_modification) = (special(UTIME_NOW), special(UTIME_NOW));
    if let Some(reference) = &request.reference {
        let found = if request.no_follow {
            std::fs::symlink_metadata(reference)
        } else {
            std::fs::metadata(reference)
        };
        let found = found.map_err(|error| {
            let (file, error) = (reference.to_string_lossy(), crate::preflight::describe(&error));
            Failure::new(USAGE, format!("failed to get attributes of '{file}': {error}"))
        })?;
        last_access = Timespec { tv_sec: found.atime(), tv_nsec: found.atime_nsec() };
        last_modification = Timespec { tv_sec: found.mtime(), tv_nsec: found.mtime_nsec() };
    }
    if request.access && !request.modification {
        last_modification = special(UTIME_OMIT);
    }
    if request.modification && !request.access {
        last_access = special(UTIME_OMIT);
    }
    Ok(Timestamps { last_access, last_modification })
}

/// One file; what failed, and why.
fn touch(request: &Request, file: &OsStr, times: &Timestamps) -> Result<(), (&'static str, Errno)> {
    let mut not_opened = None;
    if !request.no_create && !request.no_follow {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // A directory may be touched, though not written.
        not_opened = rustix::fs::open(file, flags, Mode::from_raw_mode(0o666))
            .err()
            .filter(|error| *error != Errno::ISDIR);
    }
    let at = if request.no_follow { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() };
    match (rustix::fs::utimensat(CWD, file, times, at), not_opened) {
        (Ok(()), _) => Ok(()),
        (Err(Errno::NOENT), _) if request.no_create => Ok(()),
        // Why it was not made says more than that it is not there.
        (Err(_), Some(error)) => Err(("cannot touch", error)),
        (Err(error), None) => Err(("setting times of", error)),
    }
}
