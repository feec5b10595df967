//! The program inside the images: `/usr/bin/entrypoint`, with the hard links `mount` and `umount`.
//!
//! - `entrypoint [FLAG...]` starts the kubelet with the image's default flags, then these.
//! - `entrypoint COMMAND [ARG...]` does one of [`COMMANDS`].
//! - `entrypoint PROGRAM [ARG...]` starts that program exactly as given.
//! - Called `mount` or `umount` it is that command, as far as the kubelet and CSI drivers call it.
//! - Called `uname`, `touch` or `nsenter` it is that command, as far as it is called on a node.
//! - A link in [`host::LINKS`] becomes the host's program of its name.
//! - Called `iptables`, in kube-proxy's image, it starts the iptables whose rules the host has.
//!
//! It stays the parent of what it starts: it forwards signals, reaps orphans and passes the exit code on.

mod applets;
mod args;
mod child;
mod cni;
mod failure;
mod host;
mod init;
mod iptables;
mod kubelet;
mod loopdev;
mod mount;
mod mountinfo;
mod path;
mod preflight;
mod regular;
mod repair;
mod signals;
mod stop;
mod umount;
mod yaml;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use args::Command;
use failure::err;
use stop::Stop;

/// Something that is done here, without starting a program; it returns the exit code.
type Do = fn(Vec<OsString>) -> u8;

/// What the program is when it is called by another name.
const LINKS: [(&str, Do); 5] = [
    ("mount", mount::main),
    ("umount", umount::main),
    ("nsenter", applets::nsenter),
    ("touch", applets::touch),
    ("uname", applets::uname),
];

/// Commands of its own, by the first word. A program of the same name is started by its path.
const COMMANDS: [(&str, Do); 3] =
    [("cni", cni::main), ("preflight", preflight::main), ("probe", kubelet::probe::main)];

/// What is done before a program starts.
struct Hook {
    /// The program.
    program: &'static str,
    /// Only where the image chooses the arguments, not where the user gave program and arguments?
    only_defaults: bool,
    /// Completes or checks the arguments; refuses the start with an error.
    run: fn(&mut Command) -> Result<(), Stop>,
}

/// In this order; the first that refuses ends it.
const BEFORE_START: [Hook; 5] = [
    Hook { program: "kubelet", only_defaults: false, run: kubelet::check },
    Hook { program: "kubelet", only_defaults: true, run: kubelet::wait },
    Hook { program: "kubelet", only_defaults: true, run: preflight::before_start },
    Hook { program: "kubelet", only_defaults: true, run: cni::at_start },
    Hook { program: "kubeadm", only_defaults: false, run: preflight::before_kubeadm },
];

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    let mut args: Vec<OsString> = words.collect();
    let named = |table: &[(&str, Do)], name: Option<&str>| {
        table.iter().find(|(known, _)| Some(*known) == name).map(|(_, main)| *main)
    };
    let link = Path::new(&called).file_name().and_then(|name| name.to_str());
    let code = if let Some(name) = host::called() {
        host::main(&name, args)
    } else if let Some(main) = named(&LINKS, link) {
        main(args)
    } else if let Some(name) = link.filter(|name| iptables::is_command(name)) {
        signals::end_by_default();
        iptables::main(name, args)
    } else {
        signals::end_by_default();
        match named(&COMMANDS, args.first().and_then(|word| word.to_str())) {
            Some(main) => main(args.split_off(1)),
            None => start(args::command(args)),
        }
    };
    ExitCode::from(code)
}

/// Starts a program once its hooks agree; its exit code.
fn start(mut command: Command) -> u8 {
    for hook in &BEFORE_START {
        if command.program == hook.program
            && (command.defaults || !hook.only_defaults)
            && let Err(stop) = (hook.run)(&mut command)
        {
            err(&stop.to_string());
            return stop.code;
        }
    }
    init::run(&command)
}
