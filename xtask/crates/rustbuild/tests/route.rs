//! Builds the entrypoint for real: the tools come from the environment, or the test says that it was skipped.
//!
//! - `RUSTBUILD_TEST_ZIG` and `RUSTBUILD_TEST_ZIGBUILD`: the pinned programs;
//! - `FULL`: build it for all architectures of the catalog, not for `amd64` alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use catalog::{Arch, Catalog};
use rustbuild::{Built, Dirs, Job, Rustup, Tools};

fn tools(test: &str) -> Option<Tools> {
    let program = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_file());
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let toolchain = PathBuf::from(String::from_utf8(sysroot.stdout).ok()?.trim());
    let (Some(zig), Some(zigbuild)) = (program("RUSTBUILD_TEST_ZIG"), program("RUSTBUILD_TEST_ZIGBUILD"))
    else {
        eprintln!("skipped {test}: RUSTBUILD_TEST_ZIG and RUSTBUILD_TEST_ZIGBUILD name no programs");
        return None;
    };
    let rustup = exec::which("rustup").map(|program| Rustup {
        program,
        home: std::env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from),
        toolchain: rustbuild::route::RUST.to_owned(),
    });
    Some(Tools { toolchain, rustup, zig, zigbuild, path: "/usr/local/bin:/usr/bin:/bin".into() })
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| "/".into(), PathBuf::from)
}

fn arches() -> Vec<Arch> {
    let full = std::env::var_os("FULL").is_some();
    let text = fs::read_to_string(source().join("../catalog.toml")).unwrap();
    let all = Catalog::parse(&text, "catalog.toml").unwrap().arches;
    all.into_iter().filter(|arch| full || arch.name == *"amd64").collect()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/entrypoint").canonicalize().unwrap()
}

/// Copies a crate, its files made in the opposite order, closed to others.
fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
    for entry in entries.into_iter().filter(|entry| entry.file_name() != "target") {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[test]
fn the_same_bytes_from_another_place_without_a_network() {
    let Some(tools) = tools("the_same_bytes_from_another_place_without_a_network") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let user_home = std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from);
    let first = Dirs {
        cargo_home: user_home,
        work: scratch.path().join("work"),
        zig_cache: scratch.path().join("zig"),
    };
    rustbuild::fetch(&tools, &first, &source(), &progress::Silent).unwrap();

    // Another source directory, cargo home, work directory (with a space), config file and number of jobs.
    let second = Dirs {
        cargo_home: scratch.path().join("other cargo"),
        work: scratch.path().join("other work"),
        zig_cache: scratch.path().join("other zig"),
    };
    fs::create_dir_all(&second.cargo_home).unwrap();
    let config = "[profile.release]\nopt-level = 3\n[build]\nrustflags = [\"-Ctarget-cpu=native\"]\n";
    fs::write(second.cargo_home.join("config.toml"), config).unwrap();
    let moved = scratch.path().join("elsewhere/copied crate");
    copy(&source(), &moved);
    rustbuild::fetch(&tools, &second, &moved, &progress::Silent).unwrap();

    for arch in arches() {
        let build = |dirs: &Dirs, source: &Path, name: &str, offline: bool, jobs: Option<usize>| -> Built {
            let out = scratch.path().join(name).join(arch.name.as_str());
            let inputs = rustbuild::inputs(&arch, source).unwrap();
            let job = Job { inputs, source: source.into(), out: out.clone(), offline, jobs };
            let begin = std::time::Instant::now();
            let built = rustbuild::build(&tools, dirs, &job, &progress::Silent).unwrap();
            eprintln!("{}: {built:?} in {} s", arch.name, begin.elapsed().as_secs());
            assert_eq!(fs::metadata(out).unwrap().len(), built.size);
            built
        };
        let one = build(&first, &source(), "one", true, None);
        let two = build(&second, &moved, "two", true, Some(1));
        assert_eq!(one, two, "{}", arch.name);
        let inputs = |source: &Path| rustbuild::inputs(&arch, source).unwrap();
        assert_eq!(inputs(&source()), inputs(&moved));
        assert!(one.size < 700_000, "{} bytes", one.size);
        runs(&scratch.path().join("one").join(arch.name.as_str()), &arch);
    }
}

/// Runs it, under qemu for a foreign arch: as `mount`, and as the parent of a program.
fn runs(program: &Path, arch: &Arch) {
    let native = arch.rust.starts_with(std::env::consts::ARCH);
    let emulator = (!native).then(|| format!("{}-static", arch.qemu));
    if emulator.as_ref().is_some_and(|emulator| exec::which(emulator).is_none()) {
        eprintln!("not run: {} on this machine", arch.name);
        return;
    }
    let link = program.with_file_name("mount");
    let _ = fs::remove_file(&link);
    fs::hard_link(program, &link).unwrap();
    let run = |program: &Path, args: &[&str]| {
        let mut command = Command::new(emulator.as_ref().map_or(program, |name| Path::new(name)));
        command.args(emulator.as_ref().map(|_| program)).args(args).output().unwrap()
    };
    let version = run(&link, &["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("mount of "), "{version:?}");
    assert_eq!(run(program, &["/bin/sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(run(program, &["no-such-program"]).status.code(), Some(127));
}
