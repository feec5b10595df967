//! A stand-in for an image with iptables.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::ENTRYPOINT;

/// What runtimes mount at /dev of each container.
const DEV: &str =
    "mount -t tmpfs -o mode=755 dev /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5\n";

pub(crate) fn is_root(test: &str) -> bool {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        eprintln!("skipped {test}: it needs root for a container");
    }
    root
}

/// An image: `sbin` has what Alpine's package iptables has there, `links` are ours, `bin` has kube-proxy.
pub(crate) struct Image {
    pub(crate) dir: PathBuf,
}

impl Image {
    pub(crate) fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("entrypoint-iptables-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for name in ["sbin", "links", "bin"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let image = Self { dir };
        for name in ["iptables", "iptables-save", "iptables-restore"] {
            for name in [name.to_owned(), name.replace("ip", "ip6")] {
                symlink(ENTRYPOINT, image.dir.join("links").join(&name)).unwrap();
                // Alpine's own: the legacy one, whatever the host has.
                symlink("xtables-legacy-multi", image.dir.join("sbin").join(name)).unwrap();
            }
        }
        image.program(
            "bin/kube-proxy",
            "iptables --version; iptables-save; ip6tables-restore --noflush\nexit $1",
        );
        image
    }

    pub(crate) fn program(&self, path: &str, script: &str) {
        // By another process: a file that this one has open for writing cannot be executed, and a test beside this one
        // may start a program, which has it open for a moment, too.
        let mut install = Command::new("install");
        install.args(["-m", "755", "/dev/stdin"]).arg(self.dir.join(path)).stdin(Stdio::piped());
        let mut child = install.spawn().unwrap();
        write!(child.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// iptables' program for one backend: it logs how it is called, and saves these lines for IPv4 and IPv6.
    pub(crate) fn multi(&self, backend: &str, ipv4: &str, ipv6: &str) {
        for (command, lines) in [("iptables-save", ipv4), ("ip6tables-save", ipv6)] {
            fs::write(self.dir.join(format!("{backend}-{command}")), format!("{lines}\n")).unwrap();
        }
        let dir = self.dir.display();
        self.program(
            &format!("sbin/xtables-{backend}-multi"),
            &format!(
                "echo {backend} \"$@\" >>{dir}/log\ncase $1 in *-save) cat {dir}/{backend}-$1;; *) echo {backend} \"$@\";; esac"
            ),
        );
    }

    /// One that fails, as on a kernel without what it needs.
    pub(crate) fn broken(&self, backend: &str) {
        self.program(&format!("sbin/xtables-{backend}-multi"), "echo 'Protocol not supported' >&2\nexit 1");
    }

    /// Runs a program of the image, or the entrypoint, with this wish in the environment.
    pub(crate) fn run(&self, program: &str, args: &[&str], wish: Option<&str>) -> Output {
        self.command(program, args, wish).output().unwrap()
    }

    pub(crate) fn command(&self, program: &str, args: &[&str], wish: Option<&str>) -> Command {
        let at = |name: &str| self.dir.join(name).display().to_string();
        let mut command = Command::new(program);
        command.args(args).env_remove("KUBE_PROXY_IPTABLES").env_remove("KUBELET_IPTABLES");
        command.env("PATH", [at("links"), at("bin"), at("sbin"), "/usr/bin:/bin".into()].join(":"));
        command.envs(wish.map(|wish| ("KUBE_PROXY_IPTABLES", wish)));
        command
    }

    /// Runs a script in a container: with mounts, processes, a network and a /dev of its own.
    pub(crate) fn contain(&self, script: &str) -> Vec<String> {
        let script = format!(
            "D={0}; E={ENTRYPOINT}; rules() {{ echo \"$3\" >$D/$1-$2-save; }}\n{DEV}{script}",
            self.dir.display()
        );
        let args = ["-mpf", "--net", "--mount-proc", "--propagation", "private", "sh", "-ec", &script];
        let output = self.run("unshare", &args, None);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        let said = [output.stderr, output.stdout].concat();
        String::from_utf8(said).unwrap().lines().map(str::to_owned).collect()
    }

    /// Starts kube-proxy: what it said, the entrypoint's line first.
    pub(crate) fn kube_proxy(&self, wish: Option<&str>) -> Vec<String> {
        let output = self.run(ENTRYPOINT, &["kube-proxy", "7"], wish);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        let said = [output.stderr, output.stdout].concat();
        String::from_utf8(said).unwrap().lines().map(str::to_owned).collect()
    }

    /// How iptables' programs were called since the last time.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let _ = fs::remove_file(self.dir.join("log"));
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The process that `unshare` has made.
pub(crate) fn first_child(child: &Child) -> String {
    let file = format!("/proc/{0}/task/{0}/children", child.id());
    let read = || fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
    wait_for("a child", || {
        let inner = read();
        fs::read_link(format!("/proc/{inner}/exe"))
            .is_ok_and(|exe| exe == Path::new(ENTRYPOINT).canonicalize().unwrap())
    });
    read()
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
