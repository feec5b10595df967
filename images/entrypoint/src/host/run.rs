//! Becomes a program of the host, or asks one.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::access::{Closed, enter, visit};
use super::find::{Missing, places, search};
use super::{path, scope, table};
use crate::failure::err;
use crate::init::{NOT_EXECUTABLE, NOT_FOUND};
use crate::signals;

/// The most that is read of what a program says.
const MOST: usize = 1 << 20;
/// How often a program is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// What a program of the host said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output and standard error, as they came.
    pub(crate) text: String,
}

/// The link of this name: becomes the host's program. Returns an exit code if that fails.
pub(crate) fn main(name: &OsStr, args: Vec<OsString>) -> u8 {
    let shown = name.to_string_lossy();
    if let Some(code) = scope::instead(name, &args) {
        return code;
    }
    let Some(program) = name.to_str() else { return NOT_FOUND };
    let directory = std::env::current_dir().ok();
    let found = places()
        .and_then(|places| enter().map(|()| places))
        .map_err(Missing::Closed)
        .and_then(|places| search(program, &places));
    let file = match found {
        Ok(file) => file,
        Err(missing) => {
            err(&format!("{shown}: {missing}{}", table::without(program)));
            return NOT_FOUND;
        }
    };
    let mut command = Command::new(&file);
    command.arg0(program).args(args);
    let error = replace(&mut command, directory);
    err(&format!("{shown}: failed to start the host's {}: {error}", file.display()));
    NOT_EXECUTABLE
}

/// Becomes a program of the host that is named by its path there. Returns only why that is not possible.
pub(crate) fn become_program(command: &mut Command) -> String {
    let directory = std::env::current_dir().ok();
    match enter() {
        Ok(()) => replace(command, directory).to_string(),
        Err(closed) => closed.to_string(),
    }
}

/// In the host's mount namespace: execve(2), in the same directory where there is one of that path.
fn replace(command: &mut Command, directory: Option<PathBuf>) -> std::io::Error {
    if let Some(directory) = directory {
        // Where the host does not have it, its root directory is where we are.
        let _ = std::env::set_current_dir(directory);
    }
    let given = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", path::on_host(&given, Path::is_dir)).exec()
}

/// Runs a program of the host, which [`super::find`] found, to its end or to the end of the time: what it says of itself.
pub(crate) fn output(file: &Path, args: &[&str], limit: Duration) -> Result<Output, String> {
    let mut command = Command::new(file);
    if let Some(name) = file.file_name() {
        command.arg0(name);
    }
    let done = visit(|| {
        let given = std::env::var_os("PATH").unwrap_or_default();
        captured(command.args(args).env("PATH", path::on_host(&given, Path::is_dir)), limit)
    });
    done.map_err(|closed: Closed| closed.to_string())?
}

/// Runs a command without input; the error says why it did not end by itself.
pub(super) fn captured(command: &mut Command, limit: Duration) -> Result<Output, String> {
    let name = OsStr::to_string_lossy(command.get_program()).into_owned();
    let failed = |error: std::io::Error| format!("failed to run {name}: {error}");
    let (mut reader, writer) = std::io::pipe().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let mut child = command.process_group(0).spawn().map_err(failed)?;
    // What holds the other end of the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    rustix::io::ioctl_fionbio(&reader, true).map_err(|error| failed(error.into()))?;
    let (end, mut bytes) = (Instant::now() + limit, Vec::new());
    loop {
        // In this order: what it said before its end is there once it has ended.
        let status = child.try_wait().map_err(failed)?;
        let _ = Read::by_ref(&mut reader).take(MOST as u64).read_to_end(&mut bytes);
        bytes.truncate(MOST);
        if let Some(status) = status {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return Ok(Output { code: status.code(), text });
        }
        if Instant::now() >= end {
            // Its children as well: they would keep on for nobody.
            signals::send_group(Pid::from_child(&child), libc::SIGKILL);
            let _ = child.wait();
            return Err(format!("{name} did not end within {} ms", limit.as_millis()));
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str, limit: Duration) -> Result<Output, String> {
        captured(Command::new("/bin/sh").args(["-c", text]), limit)
    }

    #[test]
    fn all_that_is_said_is_captured() {
        let long = Duration::from_secs(30);
        let output = shell("echo out; echo err >&2; exit 3", long).unwrap();
        assert_eq!((output.code, output.text.as_str()), (Some(3), "out\nerr\n"));
        let output = shell("head -c 300000 /dev/zero; kill -9 $$", long).unwrap();
        assert_eq!((output.code, output.text.len()), (None, 300_000));
        assert_eq!(shell("cat", long).unwrap().text, "");
        assert!(captured(&mut Command::new("/no/such"), long).unwrap_err().contains("/no/such"));
    }

    #[test]
    fn time_is_limited() {
        let start = Instant::now();
        let why = shell("sleep 60 & sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(why.contains("/bin/sh did not end within 100 ms"), "{why}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
