//! Carries out one mount.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::candidates::{Types, is_known, is_nodev};
use super::cli::Request;
use super::message::{self, Call};
use super::options::{BIND, MOVE, OF_A_BIND, Options, RDONLY, REMOUNT, SILENT};
use super::{helper, probe, source};
use crate::failure::{Failure, MOUNT, USAGE, err, out};
use crate::{host, mountinfo, path};

/// What is to be mounted where, after all look-ups.
struct Job {
    source: OsString,
    target: OsString,
    options: Options,
    /// The type asked for, or that of the mount to be changed.
    types: Option<String>,
    only_writable: bool,
    /// Why the host's helper program of the type cannot be run, where one was looked for.
    helper: Option<host::Missing>,
}

/// Does what is asked for.
pub(crate) fn perform(request: &Request) -> Result<(), Failure> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let selinux = is_nodev(&known, "selinuxfs");
    let parsed = Options::parse(request.options.iter().map(String::as_str), selinux)?;
    let mut job = look_up(request, parsed, &known, selinux)?;

    if only_propagation(request, &job.options) {
        return finish(request, &job, &format!("{} propagation flags changed", job.target.to_string_lossy()));
    }
    if job.options.loop_device && !job.options.has(BIND | MOVE | REMOUNT) && Path::new(&job.source).is_file()
    {
        let message = "-o loop: this mount makes no loop devices: set one up by losetup and mount that";
        return Err(Failure::at(MOUNT, &job.target, message));
    }
    if let Some(mode) = job.options.mkdir {
        make_mount_point(&job.target, mode)?;
    }

    let kernel_only = job.options.has(BIND | MOVE) || request.internal_only;
    if let Some(fstype) = job.types.as_deref()
        && !kernel_only
    {
        if let Some(program) = helper::find("mount", fstype) {
            return Err(exec_helper(&program, fstype, request, &job, false));
        }
        // The host is asked only for what the kernel does not mount by itself.
        if helper::needed(fstype).is_some() || !is_known(&known, fstype) {
            match host::mount_helper(&helper::names("mount", fstype)) {
                Ok(program) => return Err(exec_helper(&program, fstype, request, &job, true)),
                Err(why) => job.helper = Some(why),
            }
        }
    }
    if !request.fake {
        mount(&job, &known)?;
    }
    let (from, to) = (job.source.to_string_lossy(), job.target.to_string_lossy());
    let done = match () {
        () if job.options.has(BIND) => format!("{from} bound on {to}"),
        () if job.options.has(MOVE) => format!("{from} moved to {to}"),
        () => format!("{from} mounted on {to}"),
    };
    finish(request, &job, &done)
}

/// `--make-...` of one mount point, and nothing else.
fn only_propagation(request: &Request, options: &Options) -> bool {
    request.make && request.either.is_some() && request.types.is_none() && options.only_propagation()
}

/// Finds the source and the mount point, and for a remount the options it has already.
fn look_up(request: &Request, options: Options, known: &str, selinux: bool) -> Result<Job, Failure> {
    let only_writable = request.only_writable;
    let canonical =
        |given: &OsStr| if request.keep_paths { given.to_owned() } else { path::canonical(given) };
    let Some(either) = &request.either else {
        let given = request.source.clone().unwrap_or_default();
        let target = request.target.clone().unwrap_or_default();
        let Some(mut source) = source::resolve(&given, Path::new("/dev/disk")) else {
            let message = format!("can't find {}", given.to_string_lossy());
            return Err(Failure::at(USAGE, &target, &message));
        };
        let mut types = request.types.clone();
        if types.as_deref().is_none_or(|types| types == "auto") && !options.has(BIND | MOVE | REMOUNT) {
            types = source::network_type(&source).map(str::to_owned).or(types);
        }
        // The source of a tmpfs is a name, even where a file happens to be called so.
        let is_name =
            types.as_deref().is_some_and(|types| is_nodev(known, types)) && !options.has(BIND | MOVE);
        if !is_name {
            source = canonical(&source);
        }
        return Ok(Job { source, target: canonical(&target), options, types, only_writable, helper: None });
    };

    if only_propagation(request, &options) {
        return Ok(Job {
            source: "none".into(),
            target: canonical(either),
            options,
            types: None,
            only_writable,
            helper: None,
        });
    }
    if options.has(REMOUNT) {
        return look_up_remount(request, &canonical(either), selinux);
    }
    if options.has(BIND | MOVE) {
        let message = "a source and a mount point are needed, only one of them is given";
        return Err(Failure::at(MOUNT, &canonical(either), message));
    }
    Err(Failure::at(USAGE, either, "can't find in /etc/fstab"))
}

/// A remount by mount point or source alone: what it has, then what is asked for.
fn look_up_remount(request: &Request, at: &OsStr, selinux: bool) -> Result<Job, Failure> {
    let table = mountinfo::read()?;
    let Some(entry) = mountinfo::at(&table, at).or_else(|| mountinfo::of_source(&table, at)) else {
        let missing = Path::new(at).symlink_metadata().is_err();
        let message =
            if missing { "mount point does not exist" } else { "mount point not mounted or bad option" };
        return Err(Failure::at(MOUNT, at, message));
    };
    let present = entry.options();
    let lists = std::iter::once(present.as_str()).chain(request.options.iter().map(String::as_str));
    Ok(Job {
        source: entry.source.clone(),
        target: entry.target.clone(),
        options: Options::parse(lists, selinux)?,
        types: Some(request.types.clone().unwrap_or_else(|| entry.fstype.clone())),
        only_writable: request.only_writable,
        helper: None,
    })
}

/// The mount itself, with what the kernel wants in further calls.
fn mount(job: &Job, known: &str) -> Result<(), Failure> {
    let flags = job.options.flags;
    if job.options.has(BIND | MOVE | REMOUNT) {
        call(job, job.types.as_deref().unwrap_or("none"), flags)
            .map_err(|error| failure(job, None, flags, error))?;
        if job.options.has(BIND) && !job.options.has(REMOUNT) && job.options.has(OF_A_BIND) {
            // A bind mount takes over the flags of its source; its own come in a second call.
            let flags = flags | REMOUNT;
            call(job, "none", flags).map_err(|error| failure(job, None, flags, error))?;
        }
        return Ok(());
    }
    let types = match job.types.as_deref() {
        None | Some("auto" | "") => probe::fstype(Path::new(&job.source)).or(job.types.as_deref()),
        given => given,
    };
    match Types::new(types, known) {
        Types::One(fstype) => {
            mount_type(job, &fstype, flags).map_err(|error| failure(job, Some(&fstype), flags, error))
        }
        Types::Try(list) => {
            let mut verdict = Errno::NODEV;
            for fstype in list {
                match mount_type(job, &fstype, flags | SILENT) {
                    Ok(()) => return Ok(()),
                    Err(error @ (Errno::INVAL | Errno::NODEV)) => {
                        // "Not this filesystem" says more than "not in this kernel".
                        verdict = if verdict == Errno::INVAL { verdict } else { error };
                    }
                    Err(error) => return Err(failure(job, None, flags, error)),
                }
            }
            Err(failure(job, None, flags, verdict))
        }
    }
}

/// Mounts one type; what is write-protected read-only, unless `-w` forbids it.
fn mount_type(job: &Job, fstype: &str, flags: u32) -> Result<(), Errno> {
    match call(job, fstype, flags) {
        Err(Errno::ROFS | Errno::ACCESS) if flags & RDONLY == 0 && !job.only_writable => {
            call(job, fstype, flags | RDONLY)?;
            let target = job.target.to_string_lossy();
            err(&format!("mount: {target}: WARNING: source write-protected, mounted read-only."));
            Ok(())
        }
        done => done,
    }
}

/// mount(2).
fn call(job: &Job, fstype: &str, flags: u32) -> Result<(), Errno> {
    let data = job.options.data.join(",");
    let data = (!data.is_empty()).then(|| CString::new(data)).transpose().map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(
        job.source.as_os_str(),
        job.target.as_os_str(),
        fstype,
        MountFlags::from_bits_retain(flags),
        data.as_deref(),
    )
}

/// Changes propagation as asked for, then says what was done if that is wanted.
fn finish(request: &Request, job: &Job, done: &str) -> Result<(), Failure> {
    for flags in job.options.propagation.iter().filter(|_| !request.fake) {
        rustix::mount::mount("none", job.target.as_os_str(), "", MountFlags::from_bits_retain(*flags), None)
            .map_err(|error| {
                Failure::at(MOUNT, &job.target, &message::propagation_failed(&job.target, error))
            })?;
    }
    if request.verbose {
        out(&format!("mount: {done}."));
    }
    Ok(())
}

fn failure(job: &Job, fstype: Option<&str>, flags: u32, error: Errno) -> Failure {
    if let Some(program) = fstype.and_then(helper::needed) {
        let error = message::describe(error);
        let hosts = job.helper.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let text = format!(
            "this type needs the helper program {program}, which is not in this image{hosts} (mount(2): {error})"
        );
        return Failure::at(MOUNT, &job.target, &text);
    }
    let call =
        Call { source: &job.source, target: &job.target, fstype, flags, only_writable: job.only_writable };
    Failure::at(MOUNT, &job.target, &message::mount_failed(&call, error))
}

/// `-o X-mount.mkdir`: the mount point and its parents, where there are none.
fn make_mount_point(target: &OsStr, mode: u32) -> Result<(), Failure> {
    let result = std::fs::DirBuilder::new().recursive(true).mode(mode).create(target);
    match result {
        Err(error) if !Path::new(target).exists() => {
            Err(Failure::at(MOUNT, target, &format!("cannot make the mount point: {error}")))
        }
        _ => Ok(()),
    }
}

/// Becomes mount.TYPE, this image's or the host's; returns only if that fails.
fn exec_helper(program: &Path, fstype: &str, request: &Request, job: &Job, on_host: bool) -> Failure {
    if on_host && let Err(why) = host::shares(Path::new(&job.target)) {
        let text =
            format!("the host's {} would mount it where it is not seen here: {why}", program.display());
        return Failure::at(MOUNT, &job.target, &text);
    }
    let mut command = Command::new(program);
    command.arg(&job.source).arg(&job.target);
    let switches =
        [(request.sloppy, "-s"), (request.fake, "-f"), (request.no_mtab, "-n"), (request.verbose, "-v")];
    command.args(switches.iter().filter(|(given, _)| *given).map(|(_, switch)| switch));
    command.arg("-o").arg(job.options.for_helper());
    if fstype.contains('.') && !program.to_string_lossy().ends_with(fstype) {
        command.args(["-t", fstype]);
    }
    let error = if on_host { host::become_program(&mut command) } else { command.exec().to_string() };
    Failure::at(MOUNT, &job.target, &format!("the helper {} cannot be started: {error}", program.display()))
}
