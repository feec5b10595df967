//! A newer Nix than this Debian has, of the next release's package: unpacked to a directory, not installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

use crate::{cmd, xtask};

/// Debian's release that has it.
const RELEASE: &str = "trixie";
/// What other packages would set up on an installed system, and programs of Debian's own: none is needed to run Nix.
const LEFT_OUT: [&str; 9] =
    ["nix-setup", "adduser", "passwd", "perl", "debconf", "dpkg", "tar", "libdebconf", "systemd"];

/// The program: unpacked once beside the tests' other tools.
pub fn program() -> Result<PathBuf> {
    let tools = xtask::program()?.parent().context("xtask is in no directory")?.join("test-tools");
    let dir = tools.join(format!("nix-{RELEASE}"));
    let program = dir.join("nix");
    if !program.is_file() {
        fs::create_dir_all(&tools)?;
        let new = tempfile::tempdir_in(&tools)?;
        unpack(new.path(), &dir)?;
        fs::rename(new.keep(), &dir).context("the newer Nix is there already, but has no program")?;
    }
    Ok(program)
}

/// Fetches Nix and its libraries with apt, verified by it as ever, and unpacks them in `dir`, which will be `place`.
fn unpack(dir: &Path, place: &Path) -> Result<()> {
    for state in ["lists/partial", "cache/archives/partial", "packages", "files"] {
        fs::create_dir_all(dir.join(state))?;
    }
    fs::write(dir.join("status"), "")?;
    fs::write(dir.join("sources.list"), format!("deb {} {RELEASE} main\n", site()?))?;
    apt("apt-get", dir, &["update"])?;
    let depends = [
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
        "nix-bin",
    ];
    let told = apt("apt-cache", dir, &depends)?;
    // The names at the start of a line are packages; those that are alternatives or only provided begin otherwise.
    let names = told.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    let names: Vec<&str> =
        names.filter(|name| !LEFT_OUT.iter().any(|package| name.starts_with(package))).collect();
    let download: Vec<&str> = ["download"].into_iter().chain(names).collect();
    apt("apt-get", dir, &download)?;
    let files = dir.join("files");
    for entry in fs::read_dir(dir.join("packages"))? {
        cmd::ok(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(&files))?;
    }
    let mut libraries: Vec<PathBuf> = WalkDir::new(&files)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().contains(".so"))
        .filter_map(|entry| entry.path().parent()?.strip_prefix(dir).ok().map(|path| place.join(path)))
        .collect();
    libraries.sort();
    libraries.dedup();
    let libraries: Vec<String> = libraries.iter().map(|path| path.display().to_string()).collect();
    // Its own loader and libraries: this machine's are older.
    let text = format!(
        "#!/bin/sh\nexec {place}/files/usr/lib64/ld-linux-x86-64.so.2 --library-path {} {place}/files/usr/bin/nix \"$@\"\n",
        libraries.join(":"),
        place = place.display()
    );
    let program = dir.join("nix");
    fs::write(&program, text)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    for done in ["lists", "cache", "packages"] {
        fs::remove_dir_all(dir.join(done))?;
    }
    Ok(())
}

/// Where this machine gets Debian's main archive from.
fn site() -> Result<String> {
    let format = "$(SITE) $(RELEASE)";
    let told =
        cmd::ok(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let mut lines = told.lines().filter_map(|line| line.split_once(' '));
    let site = lines.find(|(site, release)| !release.contains('-') && site.starts_with("http"));
    Ok(site.context("apt has no entry for Debian's main archive")?.0.to_owned())
}

/// apt's programs with a state of their own: neither this machine's lists nor its packages change.
fn apt(program: &str, dir: &Path, args: &[&str]) -> Result<String> {
    let set = |name: &str, path: &str| format!("{name}={}", dir.join(path).display());
    let told = cmd::ok(
        Command::new(program)
            .args(["-o", &set("Dir::Etc::sourcelist", "sources.list")])
            .args(["-o", &set("Dir::Etc::sourceparts", "none")])
            .args(["-o", &set("Dir::State::lists", "lists")])
            .args(["-o", &set("Dir::State::status", "status")])
            .args(["-o", &set("Dir::Cache", "cache")])
            .args(["-o", "APT::Sandbox::User=root"])
            .args(args)
            .current_dir(dir.join("packages")),
    )?;
    ensure!(!told.contains("\nE: "), "{program}: {told}");
    Ok(told)
}
