//! Becomes a program of the host, or asks one.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::access::{Closed, enter, visit};
use super::find::{Missing, places, search};
use super::{path, scope, table};
use crate::child::{Output, captured};
use crate::failure::err;
use crate::init::{NOT_EXECUTABLE, NOT_FOUND};

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
