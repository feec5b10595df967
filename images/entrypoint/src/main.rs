//! The program inside the images: `/usr/bin/entrypoint`, with the hard links `mount` and `umount`.
//!
//! - `entrypoint [FLAG...]` starts the kubelet with the image's default flags, then these.
//! - `entrypoint PROGRAM [ARG...]` starts that program exactly as given.
//! - Called `mount` or `umount` it is that command, as far as the kubelet and CSI drivers call it.
//! - Called `iptables`, in kube-proxy's image, it starts the iptables whose rules the host has.
//!
//! It stays the parent of what it starts: it forwards signals, reaps orphans and passes the exit code on.

mod args;
mod failure;
mod init;
mod iptables;
mod loopdev;
mod mount;
mod mountinfo;
mod path;
mod signals;
mod umount;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let args: Vec<OsString> = words.collect();
    let code = match Path::new(&called).file_name().and_then(|name| name.to_str()) {
        Some("mount") => mount::main(args),
        Some("umount") => umount::main(args),
        Some(name) if iptables::is_command(name) => iptables::main(name, args),
        _ => init::run(&args::command(args)),
    };
    ExitCode::from(code)
}
