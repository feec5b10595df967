//! Runs a line of shell in a mount namespace of its own, with util-linux's `mount` or ours.

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

/// What a line of shell left behind.
pub(crate) struct Outcome {
    pub code: i32,
    pub stdout: String,
    /// The first line of standard error.
    pub first_error: String,
    /// The mounts below the directory of the test, without numbers that differ between runs.
    pub mounts: String,
}

/// This machine: where util-linux is, and where ours stands under the names `mount` and `umount`.
pub(crate) struct Host {
    dir: PathBuf,
}

const SCRIPT: &str = r#"
D="$1/d"; AS_NOBODY="setpriv --reuid=65534 --regid=65534 --clear-groups"
# What util-linux remembers of mounts must not outlive the case.
"$5" -t tmpfs run /run
mkdir -p "$D"; mount -t tmpfs base "$D"; cd "$D" || exit 99
mkdir a a/sub b c s up wk; echo f >f; echo g >g; ln -s b blink; ln -s nowhere dang
mount -t tmpfs -o size=1m,nosuid t1 c; mount -t tmpfs s s; mkdir s/n; mount --make-shared s
exec 9<f
eval "$2" >/dev/null 2>&1
(PATH="$3$PATH"; eval "$4") >"$1/out" 2>"$1/err"
code=$?
cat /proc/self/mountinfo >"$1/mounts"
exit $code
"#;

impl Host {
    /// `None`, with a line that says so, where the test cannot run.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !is_root() {
            eprintln!("skipped {test}: it needs root for mount namespaces");
            return None;
        }
        let dir = PathBuf::from(format!("/tmp/entrypoint-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        // A copy: the build directory may be closed to the unprivileged user of some cases.
        std::fs::copy(env!("CARGO_BIN_EXE_entrypoint"), dir.join("bin/entrypoint")).unwrap();
        for name in ["mount", "umount"] {
            symlink("entrypoint", dir.join("bin").join(name)).unwrap();
        }
        let version = Command::new("mount").arg("--version").output().unwrap();
        assert!(
            String::from_utf8_lossy(&version.stdout).contains("util-linux"),
            "this compares with util-linux"
        );
        Some(Self { dir })
    }

    /// A path in the directory of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Prepares with `setup`, then runs `line` with util-linux's programs, or with `ours`.
    pub(crate) fn run(&self, setup: &str, line: &str, ours: bool) -> Outcome {
        let path = if ours { format!("{}/bin:", self.dir.display()) } else { String::new() };
        let status = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", SCRIPT, "sh"])
            .arg(&self.dir)
            .args([setup, &path, line])
            // Util-linux would write to the host's /run when it covers it.
            .arg(self.dir.join("bin/mount"))
            .env("LC_ALL", "C")
            .status()
            .unwrap();
        let read = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        Outcome {
            code: status.code().unwrap_or(-1),
            stdout: read("out"),
            first_error: read("err").lines().next().unwrap_or_default().to_owned(),
            mounts: mounts(&read("mounts"), &self.dir.to_string_lossy()),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Tests of namespaces need it.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// The lines of mountinfo below `dir`: peer groups numbered by appearance, ids and devices left out.
fn mounts(table: &str, dir: &str) -> String {
    let mut groups = HashMap::new();
    let mut lines = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if !fields[4].starts_with(dir) {
            continue;
        }
        let shown = fields[3..].iter().map(|field| match field.split_once(':') {
            Some((kind @ ("shared" | "master" | "propagate_from"), group)) => {
                let next = groups.len();
                let number = *groups.entry(group.to_owned()).or_insert(next);
                format!("{kind}:{number}")
            }
            _ => (*field).to_owned(),
        });
        lines.push(shown.collect::<Vec<_>>().join(" "));
    }
    lines.join("\n")
}
