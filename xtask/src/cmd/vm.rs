//! `vm`: a machine with an image in its container runtime.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use project::{Selection, Session};
use serde::Serialize;
use tempfile::NamedTempFile;
use vm::accel::Accel;
use vm::{Arch, Console, Flavour, Init, Machine, Options, Runtime, Sink, System, archive};

use crate::context::Context;
use crate::flags::{BuildFlags, InitName, RuntimeName};

/// Start a virtual machine, with images in its container runtime, and run scripts in it.
///
/// A stock kernel, a real process 1, containerd and the tools of a usual host, made of the distribution's packages once (as
/// root) and kept in the store. What runs in the machine changes nothing outside of it, and it has no network. Without
/// --run, its console is the terminal; `exit` ends it.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm                                                a shell as root in a machine
  cargo xtask vm --image kubelet-v1_26_0 --run script.sh  $IMAGE is the image's name there
  echo 'cat /proc/1/comm' | cargo xtask vm --init systemd --runtime podman --run -
  cargo xtask vm --arch arm64 --image target/images/kubelet-v1_26_0-arm64 --run script.sh --timeout 1200

Ends with the exit code of the first script that fails; 124 if that took too long. More: docs/vm.md.")]
pub(crate) struct Vm {
    /// Import an image: an attribute, which is built, or a layout. The first one's name is $IMAGE in scripts.
    #[arg(long, value_name = "ATTR|LAYOUT")]
    image: Vec<String>,
    /// What runs the kubelet's container; pods are always containerd's.
    #[arg(long, value_enum, default_value_t)]
    runtime: RuntimeName,
    /// The processor: amd64, arm64 or arm32v7 [default: the first image's, else this machine's].
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Process 1.
    #[arg(long, value_enum, default_value_t)]
    init: InitName,
    /// The version of cgroups.
    #[arg(long, value_name = "1|2", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    cgroup: u8,
    /// Run this script as root, by the shell or by what its first line names; `-` is standard input. Several run one after
    /// another.
    #[arg(long, value_name = "SCRIPT")]
    run: Vec<PathBuf>,
    /// Put a file into the machine before scripts run, with its mode.
    #[arg(long, value_name = "FILE:PATH")]
    file: Vec<String>,
    /// Install a package besides the usual ones; the machine's system is made for it.
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Add an empty disk: /dev/vdb or later, by the serial number disk0, disk1 ...
    #[arg(long, value_name = "MIB")]
    disk: Vec<u64>,
    /// Memory.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u32,
    /// Processors.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    cpus: u16,
    /// End a script after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Write what the machine says on its console to this file [default: target/vm/console.log].
    #[arg(long, value_name = "FILE")]
    console: Option<PathBuf>,
    /// Boot this kernel, which has virtio and the root's filesystem built in.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Use this disk as the root, a bare filesystem or qcow2; its own /sbin/init is process 1. It is not changed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["init", "package"])]
    rootfs: Option<PathBuf>,
    #[command(flatten)]
    how: BuildFlags,
}

/// An image on its way into the machine.
struct Import {
    name: String,
    archive: NamedTempFile,
}

/// When what was reached, in seconds since the machine was switched on.
#[derive(Serialize)]
struct Milestone {
    name: String,
    seconds: f64,
}

#[derive(Serialize)]
struct Report {
    version: u32,
    kvm: bool,
    milestones: Vec<Milestone>,
    scripts: Vec<ScriptReport>,
}

#[derive(Serialize)]
struct ScriptReport {
    script: String,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Vm {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let runtime = Runtime::from(self.runtime);
        let init = Init::from(self.init);
        let flavour = Flavour { arch: self.arch()?, init, runtime, packages: self.package.clone() };
        let scripts = self.run.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let files = self.file.iter().map(|words| parse_file(words)).collect::<Result<Vec<_>>>()?;
        let imports = self.images(context, flavour.arch)?;

        let session = Session::open(&context.checkout, self.how.options())?;
        let system = System::of(&flavour, &session.store, &*context.checkout.progress)?;
        let system = system.with(self.kernel.as_deref(), self.rootfs.as_deref())?;
        let accel = Accel::find(&system, &session.store, &*context.checkout.progress)?;
        let log = self.console.clone().unwrap_or_else(|| context.checkout.root.join("target/vm/console.log"));
        let interactive = scripts.is_empty();
        let options = Options {
            accel,
            cpus: self.cpus,
            memory: self.memory,
            cgroup_v1: self.cgroup == 1,
            network: None,
            disks: self.disk.iter().map(|mib| mib << 20).collect(),
            images: imports.iter().map(|import| import.archive.path().to_owned()).collect(),
            console: if interactive { Console::Terminal(log) } else { Console::Log(log) },
        };
        let mut report =
            Report { version: 1, kvm: accel == Accel::Kvm, milestones: Vec::new(), scripts: Vec::new() };
        let how = if accel == Accel::Kvm { "with KVM" } else { "emulated" };
        context.note(&format!("switch on a machine, {}, {how}", flavour.arch.name()));
        if interactive && self.rootfs.is_some() {
            // It need not have what the agent needs.
            Machine::switch_on(&system, &options)?.wait_end()?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut machine = Machine::boot(&system, &options)?;
        let mut reached = |machine: &Machine, name: &str| {
            let seconds = machine.since.elapsed().as_secs_f64();
            context.note(&format!("{seconds:6.1} s  {name}"));
            report.milestones.push(Milestone { name: name.to_owned(), seconds });
        };
        reached(&machine, "process 1 is up");
        machine.wait_runtime(runtime)?;
        reached(&machine, &format!("{} is up", runtime.name()));
        for (index, import) in imports.iter().enumerate() {
            machine.import(runtime, index)?;
            reached(&machine, &format!("imported {}", import.name));
        }
        machine.put(environment(runtime, &imports).as_bytes(), 0o644, "/run/vm/env")?;
        for (bytes, mode, path) in &files {
            machine.put(bytes, *mode, path)?;
        }
        if interactive {
            machine.wait_end()?;
            return Ok(ExitCode::SUCCESS);
        }
        let limit = Duration::from_secs(self.timeout);
        for (path, script) in self.run.iter().zip(&scripts) {
            let ended = if context.json {
                let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
                let ended =
                    machine.run(script, limit, &mut Sink { stdout: &mut stdout, stderr: &mut stderr })?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (stdout, stderr) = (text(&stdout), text(&stderr));
                report.scripts.push(ScriptReport {
                    script: path.display().to_string(),
                    code: ended.code,
                    stdout,
                    stderr,
                });
                ended
            } else {
                let (stdout, stderr) = (&mut std::io::stdout(), &mut std::io::stderr());
                machine.run(script, limit, &mut Sink { stdout, stderr })?
            };
            if ended.code != 0 {
                if ended.code == 124 {
                    context.note(&format!("{}: not done after {} s", path.display(), self.timeout));
                }
                if context.json {
                    context.print_json(&report)?;
                }
                return Ok(ExitCode::from(u8::try_from(ended.code).unwrap_or(u8::MAX)));
            }
        }
        if context.json {
            context.print_json(&report)?;
        }
        std::io::stdout().flush().context("standard output")?;
        Ok(ExitCode::SUCCESS)
    }

    /// What was asked for, else what the first image is for, else this machine's.
    fn arch(&self) -> Result<Arch> {
        if let Some(name) = &self.arch {
            return Ok(Arch::parse(name)?);
        }
        let named = self.image.first().and_then(|image| image.trim_end_matches('/').rsplit('-').next());
        match named.and_then(|name| Arch::parse(name).ok()).or_else(Arch::host) {
            Some(arch) => Ok(arch),
            None => Err(Fault::new(Kind::Usage, "no machine has this machine's processor")
                .help("name another one by --arch")
                .into()),
        }
    }

    /// Builds what has to be built, and packs all for the machine.
    fn images(&self, context: &Context, arch: Arch) -> Result<Vec<Import>> {
        let mut imports = Vec::new();
        for image in &self.image {
            let layout = if Path::new(image).is_dir() {
                PathBuf::from(image)
            } else {
                self.build(context, image, arch)?
            };
            let _task = context.checkout.progress.task(&format!("pack {}", layout.display()), None);
            let archive = NamedTempFile::new().context("cannot make a temporary file")?;
            let names = archive::pack(&layout, arch, archive.as_file())?;
            let name = names.into_iter().next().context("a layout without a name")?;
            imports.push(Import { name, archive });
        }
        Ok(imports)
    }

    fn build(&self, context: &Context, attribute: &str, arch: Arch) -> Result<PathBuf> {
        let suffix = format!("-{}", arch.name());
        let attribute =
            if attribute.ends_with(&suffix) { attribute.to_owned() } else { format!("{attribute}{suffix}") };
        context.checkout.build_one(&Selection::of(vec![attribute]), self.how.options())
    }
}

/// What scripts have in their environment.
fn environment(runtime: Runtime, imports: &[Import]) -> String {
    let names: Vec<&str> = imports.iter().map(|import| import.name.as_str()).collect();
    let first = names.first().copied().unwrap_or_default();
    format!("export RUNTIME='{}' IMAGE='{first}' IMAGES='{}'\n", runtime.name(), names.join(" "))
}

fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(|error| unreadable(path, &error).into())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Kind::NotFound, format!("cannot read {}: {error}", path.display()))
}

/// `FILE:PATH`: its bytes, its mode and where it goes.
fn parse_file(words: &str) -> Result<(Vec<u8>, u32, String)> {
    let Some((from, to)) = words.rsplit_once(':').filter(|(_, to)| to.starts_with('/')) else {
        let message = format!("--file {words}: expected FILE:PATH with an absolute path in the machine");
        return Err(Fault::new(Kind::Usage, message).into());
    };
    let from = Path::new(from);
    let open = || {
        let mode = File::open(from)?.metadata()?.permissions().mode() & 0o7777;
        Ok((fs::read(from)?, mode))
    };
    let (bytes, mode) = open().map_err(|error| unreadable(from, &error))?;
    Ok((bytes, mode, to.to_owned()))
}
