//! `iptables` in images that have their own: `nf_tables`' rules or the legacy ones, whichever the host has.
//!
//! The kernel has both at once, and rules in the wrong one meet packets in another order than the kubelet and the
//! host's administrator meant. So the image's `iptables` commands, which stand before Alpine's in PATH, are links to
//! this program. It starts the right one of iptables' two programs: the one that was chosen when it started kube-proxy or
//! the kubelet, or when the first of these commands was called in a container that was started another way (kubeadm
//! names kube-proxy itself as the command). The choice is made once in the life of a container.

mod choice;
mod kept;
mod newer;
mod rules;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::Duration;

use crate::child::captured;
use crate::failure::{USAGE, err};
use crate::init::{DEFAULT_PATH, NOT_EXECUTABLE, NOT_FOUND};
use crate::stop::HOST;
use crate::{host, path};
use choice::{Answer, choose};
use kept::Kept;
use rules::Rules;

/// A program that the choice is made for at its start.
struct User {
    program: &'static str,
    /// Overrules the choice: `nft` or `legacy`; `auto` or nothing leaves it to us.
    variable: &'static str,
    /// May it start without a choice? It works without iptables.
    starts_without: bool,
    /// Another image that does not have the trouble with newer rules.
    other_image: &'static str,
}

const USERS: [User; 2] = [
    User {
        program: "kube-proxy",
        variable: "KUBE_PROXY_IPTABLES",
        starts_without: false,
        other_image: "run a kube-proxy whose image has iptables 1.8.8 or newer",
    },
    User {
        program: "kubelet",
        variable: "KUBELET_IPTABLES",
        starts_without: true,
        other_image: "take the kubelet's image on micro, which runs the host's own iptables",
    },
];
/// The commands of iptables that they call.
const COMMANDS: [&str; 6] =
    ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];
/// Commands within `iptables` that change something, as they begin.
const CHANGES: [&str; 17] = [
    "-A",
    "-I",
    "-D",
    "-R",
    "-F",
    "-N",
    "-X",
    "-P",
    "-E",
    "--append",
    "--insert",
    "--delete",
    "--replace",
    "--flush",
    "--new",
    "--rename",
    "--policy",
];
/// Exit code of iptables' own for what may work when it is tried again (`RESOURCE_PROBLEM`).
const TRY_AGAIN: u8 = 4;
/// How long iptables may take to say which it is.
const LIMIT: Duration = Duration::from_secs(5);

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

    /// The one of this name.
    fn of(name: &str) -> Option<Self> {
        [Self::Nft, Self::Legacy].into_iter().find(|backend| backend.name() == name)
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
        let backend = programs.of_this_call(name, &args)?;
        programs.file(backend)
    }) {
        Ok(file) => file,
        Err(failure) => {
            err(&format!("{name}: {}", failure.message));
            return if failure.code == HOST { TRY_AGAIN } else { failure.code };
        }
    };
    // By argument: unlike the name in argv[0] this also reaches a program that is a script.
    let error = Process::new(&file).arg(name).args(args).exec();
    err(&format!("{name}: {}: {error}", file.display()));
    NOT_EXECUTABLE
}

/// Does this call change rules?
fn changes(name: &str, args: &[OsString]) -> bool {
    let is_change = |word: &OsString| {
        let word = word.to_string_lossy();
        CHANGES.iter().any(|change| word.starts_with(change))
    };
    name.ends_with("-restore") || !name.ends_with("-save") && args.iter().any(is_change)
}

/// Chooses if it is kube-proxy that `process` starts, or a kubelet whose image has its own iptables; says so, and lets the
/// process and its children know. Returns an exit code if what the variable demands cannot be done, or the start would
/// do harm.
pub(crate) fn prepare(program: &OsStr, process: &mut Process) -> Result<(), u8> {
    let name = Path::new(program).file_name();
    let Some(user) = USERS.iter().find(|user| name == Some(OsStr::new(user.program))) else { return Ok(()) };
    let chosen = Programs::find().and_then(|programs| {
        let answer = programs.chosen(&[user])?;
        let newer = Newer::look(&programs, answer.backend).map(|newer| newer.failure(user));
        Ok((answer, newer))
    });
    let said = |failure: &Failure| err(&format!("entrypoint: {}: {}", user.program, failure.message));
    match chosen {
        Ok((Answer { mut backend, why }, newer)) => {
            if let Some((failure, harmful)) = newer {
                said(&failure);
                if harmful && !user.starts_without && user.wish().is_none() {
                    return Err(failure.code);
                }
            }
            // For those that are called in the container, but are not its children.
            if user.wish().is_none()
                && let Some(kept) = Kept::here()
            {
                backend = kept.write(backend);
            }
            err(&format!("entrypoint: iptables is {}: {why}", backend.name()));
            process.env(user.variable, backend.name());
            Ok(())
        }
        // An image without iptables: kube-proxy knows best whether it needs it, and the kubelet has the host's.
        Err(failure) if failure.code == NOT_FOUND && user.wish().is_none() => {
            if !user.starts_without {
                said(&failure);
            }
            Ok(())
        }
        Err(failure) => {
            said(&failure);
            if failure.code == HOST && user.starts_without { Ok(()) } else { Err(failure.code) }
        }
    }
}

impl User {
    /// What its variable asks for; none if it leaves the choice to us.
    fn wish(&self) -> Option<OsString> {
        std::env::var_os(self.variable).filter(|value| !value.is_empty() && value != "auto")
    }
}

/// Rules of the host that this image's iptables reads wrongly.
struct Newer {
    version: [u32; 3],
    chains: Vec<String>,
}

impl Newer {
    fn look(programs: &Programs, backend: Backend) -> Option<Self> {
        if backend == Backend::Legacy {
            return None;
        }
        let chains = newer::chains();
        // Asked last: most hosts have no such rules.
        let version = programs.get(backend).filter(|_| !chains.is_empty()).and_then(version)?;
        (version < newer::FIRST).then_some(Self { version, chains })
    }

    /// What to say, and are chains of Kubernetes' own among them, which would be written back?
    fn failure(&self, user: &User) -> (Failure, bool) {
        const MOST: usize = 5;
        let [major, minor, patch] = self.version;
        let more = self.chains.len().saturating_sub(MOST);
        let shown = self.chains[..self.chains.len().min(MOST)].join(", ");
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message = format!(
            "rules of this host are of a newer iptables than this image's v{major}.{minor}.{patch}, which does not see what \
             they match and would write them back without it (kubernetes/kubernetes#112477): {shown}{more}\n  \
             {}; or let the host use legacy rules (`update-alternatives --set iptables /usr/sbin/iptables-legacy`, the same for \
             ip6tables) and restart it; {}={} starts it nevertheless",
            user.other_image,
            user.variable,
            Backend::Nft.name(),
        );
        let harmful = self.chains.iter().any(|chain| chain.contains(" KUBE-"));
        (Failure { code: HOST, message }, harmful)
    }
}

/// What a program says its version is.
fn version(program: &Path) -> Option<[u32; 3]> {
    newer::version(&captured(Process::new(program).args(["iptables", "--version"]), LIMIT).ok()?.text)
}

/// The kind of the host's own iptables, where the host can be looked at.
fn hosts() -> Option<Backend> {
    let file = host::find_all(&["iptables"]).ok()?.pop()?.ok()?;
    let said = host::output(&file, &["--version"], LIMIT).ok()?.text;
    [("(nf_tables)", Backend::Nft), ("(legacy)", Backend::Legacy)]
        .into_iter()
        .find_map(|(word, backend)| said.contains(word).then_some(backend))
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

    /// For a command: what was chosen in this container, or else is now.
    fn of_this_call(&self, name: &str, args: &[OsString]) -> Result<Backend, Failure> {
        let users: Vec<&User> = USERS.iter().collect();
        let wished = users.iter().any(|user| user.wish().is_some());
        let kept = if wished { None } else { Kept::here() };
        if let Some(backend) = kept.as_ref().and_then(Kept::read) {
            return Ok(backend);
        }
        let backend = self.chosen(&users)?.backend;
        if wished {
            return Ok(backend);
        }
        if let Some((failure, true)) = Newer::look(self, backend).map(|newer| newer.failure(&USERS[0])) {
            // Not kept: the next call looks again, and reading does no harm.
            return if changes(name, args) { Err(failure) } else { Ok(backend) };
        }
        Ok(kept.map_or(backend, |kept| kept.write(backend)))
    }

    /// What is asked for, what was chosen before, or what the host's rules say.
    fn chosen(&self, users: &[&User]) -> Result<Answer, Failure> {
        if let Some((wish, variable)) = users.iter().find_map(|user| Some((user.wish()?, user.variable))) {
            let Some(backend) = wish.to_str().and_then(Backend::of) else {
                let message = format!(
                    "{variable} is {}, but it can only be nft, legacy or auto",
                    wish.to_string_lossy()
                );
                return Err(Failure { code: USAGE, message });
            };
            self.file(backend)?;
            return Ok(Answer { backend, why: format!("{variable} says so") });
        }
        for backend in [Backend::Nft, Backend::Legacy] {
            if self.get(backend.other()).is_none() {
                let why = format!("{} is not in this image", backend.other().program());
                return Ok(Answer { backend, why });
            }
        }
        if let Some(backend) = Kept::here().as_ref().and_then(Kept::read) {
            return Ok(Answer { backend, why: "it was chosen before in this container".to_owned() });
        }
        let read = |backend, table: Option<&str>| {
            self.get(backend).map(|file| Rules::read(file, table)).unwrap_or_default()
        };
        choose(read, hosts).map_err(|backend| {
            let variables: Vec<String> = users.iter().map(|user| format!("{}=nft", user.variable)).collect();
            let message = format!(
                "{} did not print its rules in time, so which rules the host has is not known; {} or =legacy chooses",
                backend.program(),
                variables.join(" or ")
            );
            Failure { code: HOST, message }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_rules() {
        for (line, expected) in [
            ("iptables -w 5 -t nat -A KUBE-SERVICES -j RETURN", true),
            ("iptables -N X", true),
            ("iptables --delete-chain X", true),
            ("ip6tables-restore -w 5 --noflush --counters", true),
            ("iptables-save -t nat", false),
            ("iptables -t mangle -S KUBE-IPTABLES-HINT 1", false),
            ("iptables -w -C INPUT -j ACCEPT", false),
            ("iptables --version", false),
        ] {
            let mut words = line.split(' ').map(OsString::from);
            let name = words.next().unwrap().into_string().unwrap();
            assert_eq!(changes(&name, &words.collect::<Vec<_>>()), expected, "{line}");
        }
    }
}
