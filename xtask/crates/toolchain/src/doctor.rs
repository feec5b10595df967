//! What this machine has, what it lacks, and the command that fixes it.

use std::borrow::Cow;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::{Setup, pip, rust, upx};

pub(crate) const INSTALL_PIP: &str =
    "install Python 3 with pip, for example with your distribution's packages `python3` and `python3-pip`";
const INSTALL_GO: &str =
    "install any Go from 1.21 on, for example with your distribution's package `golang-go`";
/// What a build of one image with cold caches writes, in bytes, and some room.
const DISK: u64 = 12 << 30;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `go`, `rust`.
    pub name: Cow<'static, str>,
    /// Is it as needed?
    pub ok: bool,
    /// Does a build fail without it, and not add it by itself?
    pub required: bool,
    /// What was found.
    pub found: String,
    /// What is needed.
    pub expected: String,
    /// The command that fixes it.
    pub repair: Option<String>,
}

/// Looks at everything; what costs a fetch or a full hash is not done here. `emulators` are qemu's programs, each with the
/// architecture whose programs it runs; `machines` are architectures, each with the program that emulates its machines and
/// Debian's package of it.
pub fn doctor(
    setup: &Setup,
    emulators: &[(&str, &str)],
    machines: &[(&str, &str, &str)],
) -> Result<Vec<Check>> {
    let mut checks = rust_checks(setup);
    checks.push(go());
    checks.push(pip_check());
    checks.extend(stored(setup)?);
    checks.push(upx_check(setup));
    checks.extend(runtimes(machines));
    checks.extend(emulators.iter().map(|(qemu, arch)| {
        let expected = format!("to run {arch} programs on {}", setup.host.arch());
        installed((*qemu).to_owned().into(), &format!("{qemu}-static"), &expected, "qemu-user-static")
    }));
    checks.push(disk(setup.store.root()));
    // A program that was interrupted is not one that is missing.
    exec::interrupt::check()?;
    Ok(checks)
}

fn rust_checks(setup: &Setup) -> Vec<Check> {
    let locked = &setup.lock.rust;
    // A toolchain from other archives is a finding, not an end.
    let found = rust::find(locked);
    let mut checks = vec![Check {
        name: "rust".into(),
        ok: matches!(found, Ok(Some(_))),
        required: true,
        found: match &found {
            Ok(Some(toolchain)) => toolchain.dir.display().to_string(),
            Ok(None) => "none of this commit".to_owned(),
            Err(error) => format!("{error:#}"),
        },
        expected: format!("Rust {}, commit {}", locked.version, locked.commit),
        repair: Some(rust::install_command(locked)),
    }];
    if let Ok(Some(toolchain)) = &found {
        let rustlib = toolchain.dir.join("lib/rustlib");
        let name = toolchain.name.as_deref().unwrap_or(&locked.version);
        let ok = rustlib.join("src/rust/library").is_dir();
        checks.push(added(
            "rust-src",
            ok,
            "rust-src",
            format!("rustup component add --toolchain {name} rust-src"),
        ));
    }
    checks
}

/// What a build adds by itself.
fn added(name: &'static str, ok: bool, expected: &str, repair: String) -> Check {
    let found = if ok { "installed" } else { "not installed; a build adds it" };
    Check {
        name: name.into(),
        ok,
        required: false,
        found: found.to_owned(),
        expected: expected.to_owned(),
        repair: Some(repair),
    }
}

fn go() -> Check {
    let said = exec::which("go").and_then(|path| {
        let run = exec::Run::new(path)
            .args(["env", "GOVERSION"])
            .env("GOTOOLCHAIN", "local")
            .inherit("HOME")
            .inherit("PATH");
        run.run().ok().map(|done| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    });
    Check {
        name: "go".into(),
        ok: said.as_deref().is_some_and(new_enough),
        required: true,
        found: said.unwrap_or_else(|| "none in PATH".to_owned()),
        expected: "any Go from 1.21 on, which fetches the pinned one".to_owned(),
        repair: Some(INSTALL_GO.to_owned()),
    }
}

/// Is `go1.26.8` at least 1.21, the first that knows of toolchains as modules?
fn new_enough(version: &str) -> bool {
    let mut numbers =
        version.trim_start_matches("go").split(['.', '-', 'r']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(21))
}

fn pip_check() -> Check {
    let said = pip::python().and_then(|run| run.args(["-m", "pip", "--version"]).run());
    Check {
        name: "pip".into(),
        ok: said.is_ok(),
        required: true,
        found: match said {
            Ok(done) => String::from_utf8_lossy(&done.stdout)
                .split(" from ")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            Err(error) => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        },
        expected: "Python 3 with pip".to_owned(),
        repair: Some(INSTALL_PIP.to_owned()),
    }
}

/// The tools that builds fetch: are they in the store yet?
fn stored(setup: &Setup) -> Result<Vec<Check>> {
    let (lock, host) = (setup.lock, setup.host);
    let tools = [
        ("pinned-go", "go", &lock.go.version, &lock.go.hosts.get(host).sha256),
        ("zig", "zig", &lock.zig.version, &lock.zig.hosts.get(host).sha256),
        (
            "cargo-zigbuild",
            "cargo-zigbuild",
            &lock.cargo_zigbuild.version,
            &lock.cargo_zigbuild.hosts.get(host).sha256,
        ),
        (
            "ca-certificates",
            "ca-certificates",
            &lock.ca_certificates.version,
            &lock.ca_certificates.wheel.sha256,
        ),
    ];
    let check = |(name, tree, version, sha256): (&'static str, _, &String, _)| {
        let id = store::TreeId { name: tree, version, sha256 };
        let found = setup.store.find_tree(&id)?;
        Ok(Check {
            name: Cow::from(name),
            ok: found.is_some(),
            required: false,
            found: found.map_or_else(
                || "not in the store; a build fetches it".to_owned(),
                |tree| tree.dir.display().to_string(),
            ),
            expected: format!("{tree} {version}"),
            repair: Some("cargo xtask fetch ATTR".to_owned()),
        })
    };
    tools.into_iter().map(check).collect()
}

fn upx_check(setup: &Setup) -> Check {
    let found = setup.find_upx(true);
    Check {
        name: "upx".into(),
        ok: found.as_ref().is_ok_and(|upx| upx.locked),
        required: false,
        found: found.map_or_else(|_| "none in PATH".to_owned(), |found| found.version),
        expected: format!("UPX {}, only for packed components", setup.lock.upx.version),
        repair: Some(upx::install(&setup.lock.upx, setup.host)),
    }
}

fn runtimes(machines: &[(&str, &str, &str)]) -> Vec<Check> {
    let check = |(name, program, expected, package): (&'static str, _, _, _)| {
        installed(name.into(), program, expected, package)
    };
    let programs = [
        ("containerd", "containerd", "to run images: containerd", "containerd"),
        ("ctr", "ctr", "to import images into containerd: ctr", "containerd"),
        ("runc", "runc", "to run images: runc", "runc"),
        ("docker", "docker", "to load images into docker", "docker.io"),
    ];
    let emulators = machines.iter().map(|(arch, program, package)| {
        installed(format!("vm-{arch}").into(), program, &format!("to boot a machine: {program}"), package)
    });
    let parts = [
        ("vm-packages", "mmdebstrap", "to make a machine's system: mmdebstrap", "mmdebstrap"),
        ("vm-disk", "qemu-img", "to make a machine's disk: qemu-img", "qemu-utils"),
    ];
    programs.map(check).into_iter().chain(emulators).chain(parts.map(check)).collect()
}

fn installed(name: Cow<'static, str>, program: &str, expected: &str, package: &str) -> Check {
    let path = exec::which(program);
    Check {
        name,
        ok: path.is_some(),
        required: false,
        found: path.map_or_else(|| "none in PATH".to_owned(), |path| path.display().to_string()),
        expected: expected.to_owned(),
        repair: Some(format!("apt-get install {package}")),
    }
}

fn disk(root: &Path) -> Check {
    let free =
        rustix::fs::statvfs(root).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)).unwrap_or_default();
    let gib = |bytes: u64| bytes >> 30;
    Check {
        name: "disk".into(),
        ok: free >= DISK,
        required: true,
        found: format!("{} GiB free at `{}`", gib(free), root.display()),
        expected: format!("{} GiB for a first build", gib(DISK)),
        repair: Some(
            "cargo xtask gc, or set KUBELET_IMAGES_STORE to a directory on a larger disk".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_from_1_21_on_will_do() {
        for good in ["go1.21", "go1.21.0", "go1.26.8", "go1.22rc1", "go2.0"] {
            assert!(new_enough(good), "{good}");
        }
        for bad in ["go1.20.14", "go1.9", "devel", ""] {
            assert!(!new_enough(bad), "{bad}");
        }
    }
}
