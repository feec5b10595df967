//! Finding and fetching tools, with stand-ins for the programs that fetch: what they deliver, and what they get wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use progress::Silent;
use store::{Digest, Store};
use toolchain::{Host, Lock, Setup, verify_tools};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const LOCK: &str = include_str!("../../../../images/locks/toolchains.json");
const INNER: &str = "TOOLCHAIN_TEST_DIR";

/// A directory with a store, a mirror, and a `bin` that is all of PATH.
struct Place {
    dir: PathBuf,
    store: Store,
    lock: Lock,
    offline: std::cell::Cell<bool>,
}

/// Runs the calling test again in a process of its own whose PATH is only a directory for stand-ins.
fn alone(test: &str, body: impl FnOnce(Place)) {
    if let Some(dir) = std::env::var_os(INNER) {
        let dir = PathBuf::from(dir);
        let store = Store::open(dir.join("store")).unwrap();
        let lock = Lock::parse(LOCK, Path::new("toolchains.json")).unwrap();
        return body(Place { dir, store, lock, offline: false.into() });
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["bin", "mirror", "home"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INNER, dir.path())
        .env("PATH", dir.path().join("bin"))
        .env("HOME", dir.path().join("home"))
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}

impl Place {
    fn setup(&self) -> Setup<'_> {
        Setup {
            store: &self.store,
            lock: &self.lock,
            host: Host::LinuxAmd64,
            offline: self.offline.get(),
            mirrors: vec![self.dir.join("mirror")],
            progress: &Silent,
        }
    }

    /// Puts a program in PATH.
    fn program(&self, name: &str, script: &str) {
        self.file(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n").as_bytes());
    }

    /// Writes an executable file, by rename: a file that is being written to cannot be run.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Locks this wheel as zig's.
    fn lock_zig(&mut self, bytes: &[u8]) -> String {
        let file = &mut self.lock.zig.hosts.linux_amd64;
        (file.size, file.sha256) = (bytes.len() as u64, Digest::of(bytes));
        file.file.clone()
    }

    /// Locks this zip as Go's.
    fn lock_go(&mut self, bytes: &[u8]) -> String {
        let zip = &mut self.lock.go.hosts.linux_amd64;
        (zip.size, zip.sha256) = (bytes.len() as u64, Digest::of(bytes));
        zip.h1.clone()
    }

    fn says(&self, error: &anyhow::Error) -> String {
        let hint = fault::of(error).and_then(|fault| fault.hint()).unwrap_or("none");
        format!("{error:#}\nhelp: {hint}").replace(self.dir.to_str().unwrap(), "DIR")
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn wheel() -> Vec<u8> {
    archive(&[("ziglang/zig", "#!/bin/sh\n"), ("ziglang/lib/std.zig", "const x = 1;\n")])
}

fn go_zip() -> Vec<u8> {
    let root = "golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64";
    let names = ["bin/go", "pkg/tool/linux_amd64/link", "src/_go.mod"].map(|name| format!("{root}/{name}"));
    archive(&names.each_ref().map(|name| (name.as_str(), "x")))
}

#[test]
fn offline_and_absent() {
    alone("offline_and_absent", |place| {
        place.offline.set(true);
        let error = place.setup().ensure_zig().unwrap_err();
        assert_eq!(fault::exit_code(&error), 5);
        insta::assert_snapshot!(place.says(&error), @r"
        zig 0.13.0 is not in the store, and nothing is fetched offline
        help: run `cargo xtask fetch ATTR` once with a network, or give a directory that has it with --mirror
        ");
        assert_eq!(fault::exit_code(&place.setup().ensure_go().unwrap_err()), 5);
        assert_eq!(fault::exit_code(&place.setup().ensure_ca_certificates().unwrap_err()), 5);
    });
}

#[test]
fn a_mirror_is_asked_first_and_not_trusted() {
    alone("a_mirror_is_asked_first_and_not_trusted", |mut place| {
        place.offline.set(true);
        let wheel = wheel();
        let name = place.lock_zig(&wheel);
        let mirrored = place.dir.join("mirror").join(&name);
        let mut flipped = wheel.clone();
        flipped[40] ^= 1;
        for bad in [&flipped[..], &wheel[..wheel.len() - 1], b""] {
            fs::write(&mirrored, bad).unwrap();
            let error = place.setup().ensure_zig().unwrap_err();
            assert_eq!(fault::exit_code(&error), 6);
            assert!(place.says(&error).contains(&name), "{error:#}");
        }
        fs::write(&mirrored, &wheel).unwrap();
        let tool = place.setup().ensure_zig().unwrap();
        let id = format!("store/trees/zig-0.13.0-{}/ziglang/zig", Digest::of(&wheel).short());
        assert_eq!(tool.program, place.dir.join(id));
        verify_tools(&[&tool, &tool]).unwrap();
        // From here on the store has it.
        fs::remove_file(&mirrored).unwrap();
        place.setup().ensure_zig().unwrap();
        fs::write(tool.tree.dir.join("ziglang/lib/std.zig"), "const x = 2;\n").unwrap();
        let error = verify_tools(&[&tool]).unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        assert!(error.to_string().contains("ziglang/lib/std.zig"));
    });
}

#[test]
fn nothing_in_path() {
    alone("nothing_in_path", |place| {
        let setup = place.setup();
        let say = |error: anyhow::Error| {
            assert_eq!(fault::exit_code(&error), 7, "{error:#}");
            place.says(&error)
        };
        insta::assert_snapshot!(say(setup.ensure_zig().unwrap_err()), @r"
        `python3` is not installed, or not in PATH; its pip fetches pinned tools
        help: install Python 3 with pip, for example with your distribution's packages `python3` and `python3-pip`
        ");
        insta::assert_snapshot!(say(setup.ensure_go().unwrap_err()), @r"
        `go` is not installed, or not in PATH; it fetches the pinned Go
        help: install any Go from 1.21 on, for example with your distribution's package `golang-go`
        ");
        insta::assert_snapshot!(say(setup.ensure_rust().unwrap_err()), @r"
        Rust 1.95.0 (59807616e) is not installed
        help: run `rustup toolchain install 1.95.0 --profile minimal`
        ");
        insta::assert_snapshot!(say(setup.find_upx(false).unwrap_err()), @r"
        UPX 4.2.4 is not installed, or not in PATH
        help: from release v4.2.4 of upx/upx take upx-4.2.4-amd64_linux.tar.xz, check it: `echo 75cab4e57ab72fb4585ee45ff36388d280c7afd72aa03e8d4b9c3cbddb474193  upx-4.2.4-amd64_linux.tar.xz | sha256sum -c`, and put its `upx` into PATH
        ");
        let checks = toolchain::doctor::doctor(&setup, &[("qemu-arm", "arm32v7")], &[]).unwrap();
        let bad: BTreeMap<_, _> =
            checks.iter().filter(|check| !check.ok).map(|check| (&*check.name, check)).collect();
        for name in
            ["rust", "go", "pip", "zig", "pinned-go", "cargo-zigbuild", "ca-certificates", "upx", "docker"]
        {
            assert!(bad[name].repair.is_some(), "{name}");
        }
        assert!(bad["go"].required && bad["pip"].required && bad["rust"].required && !bad["zig"].required);
    });
}

#[test]
fn what_pip_delivers_is_verified() {
    alone("what_pip_delivers_is_verified", |mut place| {
        let wheel = wheel();
        let name = place.lock_zig(&wheel);
        let source = place.file("wheel", &wheel);
        place.program("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
        let error = place.setup().ensure_zig().unwrap_err();
        assert_eq!(fault::exit_code(&error), 7);
        assert!(place.says(&error).contains("has no pip"));

        place.program("python3", "echo 'ERROR: no such host' >&2; exit 1");
        let error = place.setup().ensure_zig().unwrap_err();
        assert_eq!(fault::exit_code(&error), 5);
        insta::assert_snapshot!(place.says(&error), @r"
        pip cannot get ziglang==0.13.0
          | ERROR: no such host
        help: check the network and pip's settings (`python3 -m pip config list`), or give a directory that has the wheel with --mirror
        ");

        // `-d DIR` are the last arguments but the requirement.
        let deliver = |as_name: &str, from: &Path| {
            format!(
                "echo \"$@\" > {0}/args; while [ \"$1\" != -d ]; do shift; done; /bin/cp {1} \"$2/{as_name}\"",
                place.dir.display(),
                from.display()
            )
        };
        place.program("python3", &deliver("ziglang-0.13.0.post1-py3-none-any.whl", &source));
        let error = place.setup().ensure_zig().unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        assert!(place.says(&error).contains("post1"));

        let truncated = place.file("truncated", &wheel[..wheel.len() / 2]);
        place.program("python3", &deliver(&name, &truncated));
        let error = place.setup().ensure_zig().unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        assert!(place.says(&error).contains(&name));

        place.program("python3", &deliver(&name, &source));
        let tool = place.setup().ensure_zig().unwrap();
        verify_tools(&[&tool]).unwrap();
        let args = fs::read_to_string(place.dir.join("args")).unwrap();
        assert!(
            args.contains("--platform manylinux_2_12_x86_64 ")
                && args.trim_end().ends_with(" ziglang==0.13.0"),
            "{args}"
        );
    });
}

#[test]
fn what_go_delivers_is_verified() {
    alone("what_go_delivers_is_verified", |mut place| {
        let zip = go_zip();
        let h1 = place.lock_go(&zip);
        let source = place.file("zip", &zip);
        place.program(
            "go",
            "echo '{\"Path\": \"golang.org/toolchain\", \"Error\": \"no such host\"}'; exit 1",
        );
        let error = place.setup().ensure_go().unwrap_err();
        assert_eq!(fault::exit_code(&error), 5);
        insta::assert_snapshot!(place.says(&error), @r"
        golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64 is not available: no such host
        help: check the network and GOPROXY (`go env GOPROXY`), or give a directory that has its zip with --mirror
        ");

        let deliver =
            |zip: &Path, sum: &str| format!("echo '{{\"Zip\": \"{}\", \"Sum\": \"{sum}\"}}'", zip.display());
        place.program("go", &deliver(&source, "h1:another"));
        let error = place.setup().ensure_go().unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        assert!(place.says(&error).contains("h1:another"));

        let mut flipped = zip.clone();
        flipped[60] ^= 1;
        place.program("go", &deliver(&place.file("flipped", &flipped), &h1));
        assert_eq!(fault::exit_code(&place.setup().ensure_go().unwrap_err()), 6);

        place.program("go", &deliver(&source, &h1));
        let tool = place.setup().ensure_go().unwrap();
        let mode = |name: &str| fs::metadata(tool.tree.dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("bin/go"), mode("pkg/tool/linux_amd64/link"), mode("src/_go.mod")),
            (0o755, 0o755, 0o644)
        );
        verify_tools(&[&tool]).unwrap();
    });
}

#[test]
fn a_lock_that_names_a_hostile_archive() {
    alone("a_lock_that_names_a_hostile_archive", |mut place| {
        let bytes = archive(&[("../../escaped", "x")]);
        let name = place.lock_zig(&bytes);
        place.file(&format!("mirror/{name}"), &bytes);
        let error = place.setup().ensure_zig().unwrap_err();
        assert_eq!(fault::exit_code(&error), 6);
        assert!(place.says(&error).contains("it holds `..`"), "{error:#}");
        assert!(fs::read_dir(place.dir.join("store/trees")).unwrap().next().is_none());
    });
}

#[test]
fn certificates_are_checked_by_themselves() {
    alone("certificates_are_checked_by_themselves", |mut place| {
        let bytes = archive(&[("certifi/cacert.pem", "-----BEGIN")]);
        let ca = &mut place.lock.ca_certificates;
        (ca.wheel.size, ca.wheel.sha256) = (bytes.len() as u64, Digest::of(&bytes));
        let name = ca.wheel.file.clone();
        place.file(&format!("mirror/{name}"), &bytes);
        assert_eq!(fault::exit_code(&place.setup().ensure_ca_certificates().unwrap_err()), 6);
        place.lock.ca_certificates.member.sha256 = Digest::of("-----BEGIN");
        let certificates = place.setup().ensure_ca_certificates().unwrap();
        assert_eq!(fs::read(certificates.path).unwrap(), b"-----BEGIN");
    });
}

#[test]
fn rust_is_found_by_its_commit_or_installed() {
    alone("rust_is_found_by_its_commit_or_installed", |place| {
        let rust = place.lock.rust.clone();
        let dir = place.dir.join("rust");
        let compiler = |commit: &str| {
            let said = format!("#!/bin/sh\necho 'release: {}'; echo 'commit-hash: {commit}'\n", rust.version);
            place.file("rust/bin/rustc", said.as_bytes());
            place.file("rust/bin/cargo", b"#!/bin/sh\n");
        };
        compiler("0000000000000000000000000000000000000000");
        let marker = place.dir.join("installed");
        let rustup = format!(
            "echo \"$@\" >> {0}/asked\ncase \"$1 $2\" in\n'toolchain list') echo 'stable-x86_64 (default)';;\n'which --toolchain') echo {1}/bin/rustc;;\n'toolchain install') : > {2};;\nesac",
            place.dir.display(),
            dir.display(),
            marker.display()
        );
        place.program("rustup", &rustup);
        place.offline.set(true);
        let error = place.setup().ensure_rust().unwrap_err();
        assert_eq!(fault::exit_code(&error), 7);
        assert!(!marker.exists());
        place.offline.set(false);
        // What it installs is another compiler all the same.
        assert_eq!(fault::exit_code(&place.setup().ensure_rust().unwrap_err()), 6);
        assert!(marker.exists());
        let asked = fs::read_to_string(place.dir.join("asked")).unwrap();
        assert!(asked.contains("toolchain install 1.95.0 --profile minimal"), "{asked}");

        compiler(&rust.commit);
        let found = place.setup().ensure_rust().unwrap();
        assert_eq!((found.dir, found.name.as_deref()), (dir, Some("stable-x86_64")));
        assert!(found.cargo.is_file());
    });
}

#[test]
fn another_upx_only_where_allowed() {
    alone("another_upx_only_where_allowed", |place| {
        place.program("upx", "echo 'upx 4.2.2'");
        let error = place.setup().find_upx(false).unwrap_err();
        assert_eq!(fault::exit_code(&error), 7);
        assert!(place.says(&error).starts_with("`DIR/bin/upx` is UPX 4.2.2, the locked one is 4.2.4"));
        let upx = place.setup().find_upx(true).unwrap();
        assert!(!upx.locked && upx.version == "4.2.2");
        place.program("upx", "echo 'upx 4.2.4'");
        assert!(place.setup().find_upx(false).unwrap().locked);
    });
}
