//! `iptables` in kube-proxy's image: `nf_tables`' rules or the legacy ones, whichever the host has.
//!
//! The kernel has both at once, and rules in the wrong one meet packets in another order than the kubelet and the
//! host's administrator meant. So the image's `iptables` commands, which stand before Alpine's in PATH, are links to
//! this program. It starts the right one of iptables' two programs: the one that was chosen when it started
//! kube-proxy, else one it chooses now, for whoever calls `iptables` in a container that was started another way
//! (kubeadm names kube-proxy itself as the command). Nothing is written, so a read-only root file system will do.

mod choice;
mod rules;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use crate::failure::{USAGE, err};
use crate::init::{DEFAULT_PATH, NOT_EXECUTABLE, NOT_FOUND};
use crate::path;
use choice::{Answer, choose};
use rules::Rules;

/// Overrules the choice: `nft` or `legacy`; `auto` or nothing leaves it to us.
const VARIABLE: &str = "KUBE_PROXY_IPTABLES";
/// The program that the choice is made for at its start.
const KUBE_PROXY: &str = "kube-proxy";
/// The commands of iptables that kube-proxy calls.
const COMMANDS: [&str; 6] =
    ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];

/// One of the kernel's two sets of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Nft,
    Legacy,
}

impl Backend {
    /// As iptables itself names it, and our variable.
    fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }

    /// The program that is all of iptables' commands for it.
    fn program(self) -> &'static str {
        match self {
            Self::Nft => "xtables-nft-multi",
            Self::Legacy => "xtables-legacy-multi",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Nft => Self::Legacy,
            Self::Legacy => Self::Nft,
        }
    }
}

/// Is this the name of a command that [`main`] stands for?
pub(crate) fn is_command(name: &str) -> bool {
    COMMANDS.contains(&name)
}

/// The command of this name: becomes iptables' program of the right kind. Returns an exit code if that fails.
pub(crate) fn main(name: &str, args: Vec<OsString>) -> u8 {
    // Without a word on how it was chosen: kube-proxy reads what its iptables writes.
    let file = match Programs::find().and_then(|programs| {
        let chosen = programs.chosen()?;
        programs.file(chosen.backend)
    }) {
        Ok(file) => file,
        Err(failure) => {
            err(&format!("{name}: {}", failure.message));
            return failure.code;
        }
    };
    // By argument: unlike the name in argv[0] this also reaches a program that is a script.
    let error = Process::new(&file).arg(name).args(args).exec();
    err(&format!("{name}: {}: {error}", file.display()));
    NOT_EXECUTABLE
}

/// Chooses if it is kube-proxy that `process` starts, says so, and lets the process and its children know. Returns an
/// exit code if what the variable demands cannot be done.
pub(crate) fn prepare(program: &OsStr, process: &mut Process) -> Result<(), u8> {
    if Path::new(program).file_name() != Some(OsStr::new(KUBE_PROXY)) {
        return Ok(());
    }
    match Programs::find().and_then(|programs| programs.chosen()) {
        Ok(Answer { backend, why }) => {
            err(&format!("entrypoint: iptables is {}: {why}", backend.name()));
            process.env(VARIABLE, backend.name());
            Ok(())
        }
        Err(failure) => {
            err(&format!("entrypoint: {KUBE_PROXY}: {}", failure.message));
            // An image without iptables: kube-proxy knows best whether it needs it.
            if failure.code == NOT_FOUND && wish().is_none() { Ok(()) } else { Err(failure.code) }
        }
    }
}

/// What the variable asks for; none if it leaves the choice to us.
fn wish() -> Option<OsString> {
    std::env::var_os(VARIABLE).filter(|value| !value.is_empty() && value != "auto")
}

/// What to print after the command's name, and the exit code.
struct Failure {
    code: u8,
    message: String,
}

/// iptables' programs in this image.
struct Programs {
    nft: Option<PathBuf>,
    legacy: Option<PathBuf>,
}

impl Programs {
    fn find() -> Result<Self, Failure> {
        let variable = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
        let find = |backend: Backend| path::find_program(OsStr::new(backend.program()), &variable).ok();
        let found = Self { nft: find(Backend::Nft), legacy: find(Backend::Legacy) };
        if found.nft.is_none() && found.legacy.is_none() {
            let [nft, legacy] = [Backend::Nft, Backend::Legacy].map(Backend::program);
            let message = format!("neither {nft} nor {legacy} is in this image's PATH");
            return Err(Failure { code: NOT_FOUND, message });
        }
        Ok(found)
    }

    fn get(&self, backend: Backend) -> Option<&Path> {
        let file = match backend {
            Backend::Nft => &self.nft,
            Backend::Legacy => &self.legacy,
        };
        file.as_deref()
    }

    fn file(&self, backend: Backend) -> Result<PathBuf, Failure> {
        self.get(backend).map(Path::to_owned).ok_or_else(|| Failure {
            code: NOT_FOUND,
            message: format!("{} is not in this image's PATH", backend.program()),
        })
    }

    /// What is asked for, or what the host's rules say.
    fn chosen(&self) -> Result<Answer, Failure> {
        if let Some(wish) = wish() {
            let backend = match wish.to_str() {
                Some("nft") => Backend::Nft,
                Some("legacy") => Backend::Legacy,
                _ => {
                    let message = format!(
                        "{VARIABLE} is {}, but it can only be nft, legacy or auto",
                        wish.to_string_lossy()
                    );
                    return Err(Failure { code: USAGE, message });
                }
            };
            self.file(backend)?;
            return Ok(Answer { backend, why: format!("{VARIABLE} says so") });
        }
        for backend in [Backend::Nft, Backend::Legacy] {
            if self.get(backend.other()).is_none() {
                let why = format!("{} is not in this image", backend.other().program());
                return Ok(Answer { backend, why });
            }
        }
        Ok(choose(|backend, table| {
            self.get(backend).map(|file| Rules::read(file, table)).unwrap_or_default()
        }))
    }
}
