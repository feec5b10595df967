//! uname(1).

use std::ffi::OsString;

use lexopt::Arg::{Long, Short};
use lexopt::Parser;

use super::{Done, print, unknown};
use crate::failure::{Failure, out};

const HELP: &str = "\
Usage: uname [OPTION]...

  -a, --all                all of the following
  -s, --kernel-name        (without an option, too)
  -n, --nodename
  -r, --kernel-release
  -v, --kernel-version
  -m, --machine
  -o, --operating-system
  -p, --processor          not known
  -i, --hardware-platform  not known
      --help, --version";

/// The letters of what is asked for.
fn parse(args: Vec<OsString>) -> Result<String, Done> {
    let mut parser = Parser::from_args(args);
    let mut wanted = String::new();
    while let Some(arg) = parser.next().map_err(|error| Err(Failure::usage("uname", &error.to_string())))? {
        wanted.push(match arg {
            Short(letter @ ('a' | 's' | 'n' | 'r' | 'v' | 'm' | 'o' | 'p' | 'i')) => letter,
            Long("all") => 'a',
            Long("kernel-name") => 's',
            Long("nodename") => 'n',
            Long("kernel-release") => 'r',
            Long("kernel-version") => 'v',
            Long("machine") => 'm',
            Long("operating-system") => 'o',
            Long("processor") => 'p',
            Long("hardware-platform") => 'i',
            Long("help") => return Err(Ok(print(HELP))),
            Long("version") => return Err(Ok(print(&crate::mount::version("uname")))),
            other => return Err(Err(unknown("uname", &other))),
        });
    }
    Ok(wanted)
}

pub(super) fn run(args: Vec<OsString>) -> Done {
    let wanted = match parse(args) {
        Ok(wanted) if wanted.is_empty() => "s".to_owned(),
        Ok(wanted) => wanted,
        Err(done) => return done,
    };
    let system = rustix::system::uname();
    let all = wanted.contains('a');
    let texts = [
        ('s', system.sysname().to_string_lossy()),
        ('n', system.nodename().to_string_lossy()),
        ('r', system.release().to_string_lossy()),
        ('v', system.version().to_string_lossy()),
        ('m', system.machine().to_string_lossy()),
        ('p', "unknown".into()),
        ('i', "unknown".into()),
        ('o', "GNU/Linux".into()),
    ];
    let shown = texts
        .iter()
        .filter(|(letter, _)| if all { !matches!(letter, 'p' | 'i') } else { wanted.contains(*letter) });
    out(&shown.map(|(_, text)| text.as_ref()).collect::<Vec<_>>().join(" "));
    Ok(0)
}
