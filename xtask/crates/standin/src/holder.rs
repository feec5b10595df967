//! A process that holds namespaces: it makes what they need, says that it is ready, and stays until its standard input is closed,
//! which happens at the latest when our own process ends.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

/// Starts one, and returns once it is ready; `what` is what it is for.
///
/// # Errors
/// [`Kind::ToolFailed`] with what it said if it ends instead.
pub(crate) fn start(command: &mut Command, what: &str) -> Result<Child> {
    let mut holder = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut ready = String::new();
    BufReader::new(holder.stdout.take().context("no pipe")?).read_line(&mut ready)?;
    if ready.trim() == "ready" {
        return Ok(holder);
    }
    let mut said = String::new();
    holder.stderr.take().context("no pipe")?.read_to_string(&mut said)?;
    holder.wait()?;
    Err(Fault::new(Kind::ToolFailed, format!("no {what}:\n{said}"))
        .help("run it as root, on a kernel with namespaces, bridges and veth")
        .into())
}
