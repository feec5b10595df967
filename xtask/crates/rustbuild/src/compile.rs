//! The build itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use exec::Run;
use fault::{Fault, Kind};
use progress::Progress;
use store::Digest;

use crate::route::{self, PROGRAM, REMAPPED, RUST, RUST_COMMIT, ZIG, ZIGBUILD};
use crate::{Dirs, Job, Tools, artifact, rustup};

/// A program that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Builds the program of `job` and writes it to its file.
pub fn build(tools: &Tools, dirs: &Dirs, job: &Job, progress: &dyn Progress) -> Result<Built> {
    let name = format!("entrypoint {}", job.inputs.arch);
    let task = progress.task(&name, None);
    let home = dirs.work.join("home");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    check_versions(tools, dirs)?;
    rustup::ensure(tools, dirs, job.offline, progress)?;

    let mut run = Run::new(&tools.zigbuild)
        .args(["zigbuild", "--release", "--locked", "--target", &job.inputs.target, "--manifest-path"])
        .arg(job.source.join("Cargo.toml"))
        .args(["--bin", PROGRAM])
        .args(route::ARGUMENTS)
        .cwd(&dirs.work)
        // What unlocks -Zbuild-std in a released cargo.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(tools, dirs, job)?)
        .on_line(|line| task.detail(line.trim()));
    if job.offline {
        run = run.arg("--offline");
    } else {
        run = rustup::network(run);
    }
    if let Some(jobs) = job.jobs {
        run = run.args(["--jobs", &jobs.to_string()]);
    }
    for (name, value) in route::profile() {
        run = run.env(name, value);
    }
    environment(run, tools, dirs).run().with_context(|| format!("compiling the {name}"))?;

    let made = dirs.work.join("target").join(&job.inputs.target).join("release").join(PROGRAM);
    let bytes = fs::read(&made).with_context(|| format!("cannot read {}", made.display()))?;
    let places = [&tools.toolchain, &dirs.cargo_home, &dirs.work, &job.source];
    artifact::check(&bytes, &job.inputs, &places.map(PathBuf::as_path))?;
    write(&job.out, &bytes)?;
    Ok(Built { size: u64::try_from(bytes.len())?, sha256: Digest::of(&bytes).to_string() })
}

/// The environment of every cargo here: the caller's paths, and settings that overrule all config files.
pub(crate) fn environment<'a>(run: Run<'a>, tools: &Tools, dirs: &Dirs) -> Run<'a> {
    let bin = tools.toolchain.join("bin");
    let mut path = OsString::from(&bin);
    path.push(":");
    path.push(&tools.path);
    run.env("PATH", path)
        .env("HOME", dirs.work.join("home"))
        .env("LC_ALL", "C")
        .env("CARGO", bin.join("cargo"))
        .env("RUSTC", bin.join("rustc"))
        .env("CARGO_HOME", &dirs.cargo_home)
        .env("CARGO_TARGET_DIR", dirs.work.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TERM_COLOR", "never")
        // Empty means none, whatever a config file says.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
        .env("CARGO_ZIGBUILD_ZIG_PATH", &tools.zig)
        .env("CARGO_ZIGBUILD_CACHE_DIR", dirs.work.join("zigbuild"))
        .env("ZIG_GLOBAL_CACHE_DIR", &dirs.zig_cache)
        .env("ZIG_LOCAL_CACHE_DIR", &dirs.zig_cache)
}

/// Flags of rustc, separated as cargo wants them, so that paths may hold spaces.
fn rustflags(tools: &Tools, dirs: &Dirs, job: &Job) -> Result<OsString> {
    let [crate_name, cargo_name, rustc_name] = REMAPPED;
    let rustc_name = format!("{rustc_name}{RUST_COMMIT}");
    // rustc names the standard library's sources by that commit, unless it finds them on this machine.
    let library = tools.toolchain.join("lib/rustlib/src/rust");
    let mut flags: Vec<OsString> = route::rustflags().map(OsString::from).collect();
    for (from, to) in [
        (&dirs.cargo_home, cargo_name),
        (&dirs.work, "/work"),
        (&job.source, crate_name),
        (&library, rustc_name.as_str()),
    ] {
        // Compilers see either form, so both are taken out.
        let real = fs::canonicalize(from).unwrap_or_else(|_| from.clone());
        for form in [Some(from.clone()), (real != *from).then_some(real)].into_iter().flatten() {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(form);
            flag.push("=");
            flag.push(to);
            flags.push(flag);
        }
    }
    let joined = flags.join(OsStr::new("\u{1f}"));
    if flags.iter().any(|flag| flag.as_encoded_bytes().contains(&0x1f)) {
        let message = "a directory of the build has a control character (0x1f) in its name";
        return Err(Fault::new(Kind::Usage, message).help("build in another directory").into());
    }
    Ok(joined)
}

/// Refuses tools of other versions than the route's.
pub(crate) fn check_versions(tools: &Tools, dirs: &Dirs) -> Result<()> {
    let rustc = tools.toolchain.join("bin/rustc");
    let checks: [(&Path, &[&str], &str, &str); 4] = [
        (&rustc, &["-vV"], "release: ", RUST),
        (&rustc, &["-vV"], "commit-hash: ", RUST_COMMIT),
        (&tools.zig, &["version"], "", ZIG),
        (&tools.zigbuild, &["--version"], "cargo-zigbuild ", ZIGBUILD),
    ];
    for (program, args, prefix, expected) in checks {
        let run = Run::new(program).args(args);
        let output = environment(run, tools, dirs).run()?.stdout;
        let output = String::from_utf8_lossy(&output);
        let found = output.lines().find_map(|line| line.strip_prefix(prefix)).unwrap_or_default().trim();
        if found != expected {
            let message =
                format!("{} is another version than the entrypoint is built with", program.display());
            let message = format!("{message}\n  expected {prefix}{expected}\n  found    {prefix}{found}");
            let help =
                "the version decides the bytes: install the expected one (`cargo xtask doctor` says how)";
            return Err(Fault::new(Kind::Tool, message).help(help).into());
        }
    }
    Ok(())
}

/// Writes a program by renaming a complete file.
fn write(out: &Path, bytes: &[u8]) -> Result<()> {
    let dir = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).with_context(|| format!("cannot write {}", out.display()))?;
    files::write_with(out, 0o755, |file| Ok(file.write_all(bytes)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn another_version_is_refused_with_both() {
        let dir = tempfile::tempdir().unwrap();
        let program = |name: &str, says: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\nprintf '{says}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        program("bin/rustc", &format!("rustc\\nrelease: {RUST}\\ncommit-hash: {RUST_COMMIT}\\n"));
        let tools = Tools {
            toolchain: dir.path().into(),
            rustup: None,
            zig: program("zig", "0.12.1\\n"),
            zigbuild: program("zigbuild", &format!("cargo-zigbuild {ZIGBUILD}\\n")),
            path: "/usr/bin:/bin".into(),
        };
        let dirs =
            Dirs { cargo_home: dir.path().into(), work: dir.path().into(), zig_cache: dir.path().into() };
        let error = check_versions(&tools, &dirs).unwrap_err();
        assert_eq!(fault::exit_code(&error), 7);
        assert!(error.to_string().contains("expected 0.13.0\n  found    0.12.1"), "{error}");
        program("zig", &format!("{ZIG}\\n"));
        check_versions(&tools, &dirs).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        write(&out, b"one").unwrap();
        write(&out, b"two").unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"two");
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }
}
