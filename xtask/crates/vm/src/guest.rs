//! What a machine's owner runs in it, and how an answer is read.

use anyhow::Result;
use fault::{Fault, Kind};

use crate::Runtime;

/// A script that waits until the runtimes answer, and gives containerd the image that pods are made from.
pub fn up(runtime: Runtime) -> String {
    format!("exec /usr/lib/vm/up {}", runtime.name())
}

/// A script that imports what [`crate::Options::images`] has at this place.
pub fn import(runtime: Runtime, index: usize) -> String {
    format!("exec /usr/lib/vm/import {} image{index}", runtime.name())
}

/// What a script wrote to standard output, if it ended with 0.
///
/// # Errors
/// [`Kind::ToolFailed`] with all that it wrote.
pub fn answer(script: &str, code: i32, stdout: &[u8], stderr: &[u8]) -> Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if code == 0 {
        return Ok(text(stdout));
    }
    let message = format!(
        "a script in the machine failed with {code}:\n{}\n{}{}",
        script.trim_end(),
        text(stdout),
        text(stderr)
    );
    Err(Fault::new(Kind::ToolFailed, message).into())
}
