//! Harmless runs of the programs that are built, on this machine or under qemu.

use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use exec::Finished;
use fault::{Fault, Kind};
use gobuild::{Program, Target};
use toolchain::Host;

/// Where the CNI plugins' packages are: those of its own project, and flannel's.
const CNI: [&str; 2] = ["github.com/containernetworking/plugins/", "github.com/flannel-io/cni-plugin/"];

/// How a program is asked for its version, which changes nothing anywhere.
#[derive(Debug)]
pub struct Probe {
    /// The name that it is called by.
    pub name: String,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

impl Probe {
    /// CNI plugins by the CNI specification's VERSION command, kubeadm by a verb, others by `--version`.
    pub fn of(program: &Program) -> Self {
        let (args, env): (&[&str], &[(&str, &str)]) = match program.package.as_str() {
            package if CNI.iter().any(|module| package.starts_with(module)) => {
                (&[], &[("CNI_COMMAND", "VERSION")])
            }
            package if package.ends_with("/kubeadm") => (&["version"], &[]),
            _ => (&["--version"], &[]),
        };
        Self { name: program.name.clone(), args, env }
    }
}

impl fmt::Display for Probe {
    /// As one would type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env = self.env.iter().map(|(name, value)| format!("{name}={value}"));
        let words = env.chain([self.name.clone()]).chain(self.args.iter().map(|arg| (*arg).to_owned()));
        write!(f, "`{}`", words.collect::<Vec<_>>().join(" "))
    }
}

/// What runs programs of an architecture here: this machine, or an emulator.
#[derive(Debug)]
pub struct Machine {
    emulator: Option<PathBuf>,
}

impl Machine {
    /// For programs of a target, on this host.
    ///
    /// # Errors
    /// `Tool` if it takes a qemu that is not installed.
    pub fn of(target: &Target, host: Host) -> Result<Self> {
        let Target { goarch: arch, qemu, .. } = target;
        if arch == host.arch() {
            return Ok(Self { emulator: None });
        }
        let found = exec::which(&format!("{qemu}-static")).or_else(|| exec::which(qemu));
        match found {
            Some(emulator) => Ok(Self { emulator: Some(emulator) }),
            None => Err(Fault::new(
                Kind::Tool,
                format!("`{qemu}` is not installed, so a packed program for {arch} cannot be tested here"),
            )
            .help(format!(
                "Debian: `apt-get install qemu-user-static`; or pack on a machine of {arch}, or set `pack = \"none\"`"
            ))
            .into()),
        }
    }

    /// This machine itself.
    #[cfg(test)]
    pub fn own() -> Self {
        Self { emulator: None }
    }

    /// Is it this machine itself, so that times mean something?
    pub fn is_own(&self) -> bool {
        self.emulator.is_none()
    }

    /// Runs the probe on `file`, which is linked into `dir` by the program's name, as images have it.
    pub fn run(&self, probe: &Probe, file: &Path, dir: &Path) -> Result<Finished> {
        let link = link(probe, file, dir)?;
        let run = match &self.emulator {
            Some(emulator) => exec::Run::new(emulator).arg(link),
            None => exec::Run::new(link),
        };
        let run = probe.env.iter().fold(run.args(probe.args), |run, (name, value)| run.env(name, value));
        run.cwd(dir).finish()
    }

    /// How long one run of the probe takes, from `exec` to its end.
    ///
    /// # Errors
    /// `Failed` if it fails.
    pub fn time(&self, probe: &Probe, file: &Path, dir: &Path) -> Result<Duration> {
        exec::interrupt::check()?;
        let link = link(probe, file, dir)?;
        let mut command = self.emulator.as_ref().map_or_else(
            || Command::new(&link),
            |emulator| {
                let mut command = Command::new(emulator);
                command.arg(&link);
                command
            },
        );
        command.args(probe.args).env_clear().envs(probe.env.iter().copied()).current_dir(dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let since = Instant::now();
        let status = command.status().with_context(|| format!("starting {}", link.display()))?;
        let took = since.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(Fault::new(Kind::ToolFailed, format!("{probe} failed ({status})")).into())
        }
    }
}

/// The program under its name: a hard link to a copy, for what is in the store is not linked to.
fn link(probe: &Probe, file: &Path, dir: &Path) -> Result<PathBuf> {
    let (copy, link) = (dir.join(".program"), dir.join(&probe.name));
    let make = || {
        fs::create_dir_all(dir)?;
        if !copy.exists() {
            fs::copy(file, &copy)?;
            fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        }
        fs::hard_link(&copy, &link)
    };
    if !link.exists() {
        make().with_context(|| format!("linking {} to {}", file.display(), link.display()))?;
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(name: &str, package: &str) -> String {
        Probe::of(&Program { name: name.into(), package: package.into(), init_flags: false }).to_string()
    }

    #[test]
    fn each_program_is_asked_in_its_way() {
        assert_eq!(probe("kubelet", "k8s.io/kubernetes/cmd/kubelet"), "`kubelet --version`");
        assert_eq!(probe("kubeadm", "k8s.io/kubernetes/cmd/kubeadm"), "`kubeadm version`");
        assert_eq!(
            probe("bridge", "github.com/containernetworking/plugins/plugins/main/bridge"),
            "`CNI_COMMAND=VERSION bridge`"
        );
    }
}
