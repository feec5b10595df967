//! A stand-in host, whose process 1 can be entered, and a container on it that has the host's pid namespace.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Process 1 of the host: `$1` the directory of the test, `$2` what prepares the host, `$3` the container's process, `$4`
/// what is run in it. Its /usr/local/sbin is empty but for what `$2` puts there.
const HOST: &str = r#"
D="$1"; mount -t tmpfs host /usr/local/sbin; cd "$D"
program() { printf '#!/bin/sh\n%s\n' "$2" >"/usr/local/sbin/$1"; chmod +x "/usr/local/sbin/$1"; }
mkdir -p shared; mount -t tmpfs shared shared; mount --make-shared shared
eval "$2" || exit 98
unshare -m --propagation unchanged sh -c "$3" sh "$D" "$4"
code=$?
exit $code
"#;

/// The container's process: links to the entrypoint where an image has them, and none of the host's programs in
/// /usr/local/sbin. `link` adds links.
const CONTAINER: &str = r#"
D="$1"; mount -t tmpfs none /usr/local/sbin; mount -t tmpfs links /usr/libexec; cd "$D"
cp entrypoint /usr/libexec/entrypoint; L=/usr/libexec/host; mkdir $L
link() { for name in "$@"; do mkdir -p "$L/$(dirname "$name")"; ln /usr/libexec/entrypoint "$L/$name"; done; }
own() { ln -sf /usr/libexec/entrypoint "/usr/local/sbin/$1"; hash -r; }
(eval "$2")
code=$?
exit $code
"#;

/// What a line of shell in the container left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    /// Standard output as text, without white space around it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

/// A directory for one test.
pub(crate) struct Standin {
    dir: PathBuf,
}

impl Standin {
    /// `None`, with a line that says so, where the test cannot run.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
            eprintln!("skipped {test}: it needs root for mount namespaces");
            return None;
        }
        let dir = PathBuf::from(format!("/tmp/standin-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_entrypoint"), dir.join("entrypoint")).unwrap();
        Some(Self { dir })
    }

    /// The directory of the test, which host and container have at the same path.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Prepares the host by `host`, then runs `inside` in the container.
    pub(crate) fn run(&self, host: &str, inside: &str) -> Outcome {
        let output = Command::new("unshare")
            .args(["-pfm", "--mount-proc", "sh", "-c", HOST, "sh"])
            .arg(&self.dir)
            .args([host, CONTAINER, inside])
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let code = output.status.code().unwrap_or(-1);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(code, 98, "the host is not prepared: {stderr}");
        Outcome { code, stdout: output.stdout, stderr }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
