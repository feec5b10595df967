//! Other architectures' programs, under qemu's user mode.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cmd;

/// The emulator for an architecture.
pub fn program(arch: &str) -> Result<&'static str> {
    match arch {
        "arm64" => Ok("qemu-aarch64-static"),
        "arm32v7" => Ok("qemu-arm-static"),
        other => bail!("no emulator known for `{other}`"),
    }
}

/// Runs a static program to its end, however that is.
pub fn output(arch: &str, file: &Path, args: &[&str]) -> Result<cmd::Output> {
    cmd::output(Command::new(program(arch)?).arg(file).args(args))
}
