//! The pinned compilers, modules made for a test, and programs compared with each other.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test program uses some of this")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gobuild::{
    Common, Compilers, Edits, Flags, HostGo, JoinSource, LinkerVars, Program, Recipe, Release, Spec, Target,
    Tools,
};

pub const COMPILERS: Compilers<'static> = Compilers { go: "1.26.8", zig: "0.13.0" };
pub const RELEASE: Release<'static> = Release {
    version: "v1.26.0",
    commit: Some("b46a3f887ca979b1a5d14fd39cb1af43e7e5d12d"),
    date: "2022-12-08T19:51:45Z",
};
/// The CNI plugins of v0.9.1: directory and name.
pub const CNI: [(&str, &str); 17] = [
    ("meta", "bandwidth"),
    ("main", "bridge"),
    ("ipam", "dhcp"),
    ("meta", "firewall"),
    ("meta", "flannel"),
    ("main", "host-device"),
    ("ipam", "host-local"),
    ("main", "ipvlan"),
    ("main", "loopback"),
    ("main", "macvlan"),
    ("meta", "portmap"),
    ("main", "ptp"),
    ("meta", "sbr"),
    ("ipam", "static"),
    ("meta", "tuning"),
    ("main", "vlan"),
    ("meta", "vrf"),
];
pub const FLANNEL: [&str; 5] = ["bridge", "flannel", "host-local", "loopback", "portmap"];

/// The compilers that `cargo xtask test` names in the environment, if it does.
pub fn tools() -> Option<Tools> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(go_root), Some(zig), Some(zig_cache)) =
        (path("GOBUILD_TEST_GOROOT"), path("GOBUILD_TEST_ZIG"), path("GOBUILD_TEST_ZIG_CACHE"))
    else {
        skip::say("GOBUILD_TEST_GOROOT, GOBUILD_TEST_ZIG and GOBUILD_TEST_ZIG_CACHE are not all set");
        return None;
    };
    let host = HostGo::read(&go_root.join("bin/go")).unwrap();
    Some(Tools { go_root, zig, zig_cache, host, offline: false })
}

pub fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/go")
}

pub fn target(name: &str) -> Target {
    let text = std::fs::read_to_string(images().join("../catalog.toml")).unwrap();
    let catalog = catalog::Catalog::parse(&text, "catalog.toml").unwrap();
    Target::of(catalog.arches.iter().find(|arch| arch.name == *name).unwrap())
}

pub fn host_target() -> Target {
    target(if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" })
}

pub fn edits() -> Edits {
    Edits::read(&images()).unwrap()
}

pub fn recipe(spec: &Spec, programs: Vec<Program>, target: Target) -> Recipe {
    let closure = gobuild::Closure::read(&images(), spec).unwrap();
    let stamps = match spec {
        Spec::Cni { version, .. } => LinkerVars::new().cni(version),
        Spec::Programs { .. } | Spec::Crictl { .. } => LinkerVars::new(),
        Spec::Kube { .. } | Spec::KubeUnedited { .. } | Spec::Kubeadm { .. } => {
            LinkerVars::new().kubernetes(RELEASE)
        }
    };
    let join = JoinSource::read(&images().join("join")).unwrap();
    let edits = edits();
    let flags = Flags { tags: vec!["providerless".into()], ..Flags::default() };
    Recipe::new(programs, closure, target, stamps, flags, COMPILERS, Common { edits: &edits, join: &join })
        .unwrap()
}

pub fn cni(names: &[&str], target: Target) -> Recipe {
    let all = CNI.iter().filter(|(_, name)| names.contains(name));
    let programs = all.map(|(kind, name)| Program::cni(kind, name)).collect();
    recipe(&plugins(), programs, target)
}

/// The closure of the plugins of v0.9.1.
pub fn plugins() -> Spec {
    let packages = CNI.map(|(kind, name)| Program::cni(kind, name).package).to_vec();
    Spec::Cni { version: "v0.9.1".into(), packages, carried: Vec::new() }
}

/// Puts a module into the proxy that is a directory in `dir`.
pub fn serve(dir: &Path, path: &str, version: &str, files: &[(&str, &str)]) {
    let at = dir.join("proxy").join(path).join("@v");
    fs::create_dir_all(&at).unwrap();
    let (_, go_mod) = files.iter().find(|(name, _)| *name == "go.mod").unwrap();
    fs::write(at.join(format!("{version}.info")), format!(r#"{{"Version":"{version}"}}"#)).unwrap();
    fs::write(at.join(format!("{version}.mod")), go_mod).unwrap();
    let mut zip = zip::ZipWriter::new(fs::File::create(at.join(format!("{version}.zip"))).unwrap());
    for (name, text) in files {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("{path}@{version}/{name}"), options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

/// Has modules fetched from that proxy alone.
pub fn ask(dir: &Path, tools: &mut Tools) {
    tools.host.mod_cache = dir.join("modules");
    let address = format!("file://{}", dir.join("proxy").display());
    tools.host.network = [("GOPROXY".to_owned(), address), ("GOSUMDB".to_owned(), "off".to_owned())].into();
}

/// A directory that is removed even though modules in it are read-only.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for entry in walkdir::WalkDir::new(self.0.path()).into_iter().flatten() {
            if entry.file_type().is_dir() {
                let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755));
            }
        }
    }
}

/// Makes `file` writable and changes a byte in its middle.
pub fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(file, bytes).unwrap();
}

/// A way to run a program: how it is called, with which variables, and what it reads.
#[derive(Clone, Debug, Default)]
pub struct Call<'a> {
    pub args: Vec<&'a str>,
    pub env: Vec<(&'a str, &'a str)>,
    pub stdin: &'a str,
}

pub fn call<'a>(args: &[&'a str]) -> Call<'a> {
    Call { args: args.to_vec(), ..Call::default() }
}

/// Exit code, standard output, standard error without times and process numbers.
pub fn run(file: &Path, name: &str, how: &Call<'_>) -> (Option<i32>, String, String) {
    let mut child = Command::new(file)
        .arg0(name)
        .args(&how.args)
        .env_clear()
        .envs(how.env.iter().copied())
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads nothing closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(how.stdin.as_bytes());
    let out = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(without_time).collect::<String>();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

/// Cuts date, time and process number from a klog line (`E1124 03:10:00.123456   12345 server.go:1] ...`).
fn without_time(line: &str) -> String {
    let is_klog = line.len() > 22
        && line.starts_with(['I', 'W', 'E', 'F'])
        && line.as_bytes()[1..5].iter().all(u8::is_ascii_digit)
        && line.is_char_boundary(21);
    if !is_klog {
        return format!("{line}\n");
    }
    let rest = line[21..].trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}{rest}\n", &line[..1])
}
