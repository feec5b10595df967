//! What the route needs of the Rust toolchain, and how rustup adds it.

use std::path::Path;

use anyhow::Result;
use exec::Run;
use fault::{Fault, Kind};
use progress::Progress;

use crate::route::RUST;
use crate::{Dirs, Tools};

/// Has the toolchain the standard library's sources?
fn is_there(toolchain: &Path) -> bool {
    toolchain.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
}

/// Makes sure that the toolchain has what is needed; `offline` nothing is added.
pub(crate) fn ensure(tools: &Tools, dirs: &Dirs, offline: bool, progress: &dyn Progress) -> Result<()> {
    if is_there(&tools.toolchain) {
        return Ok(());
    }
    let name = tools.rustup.as_ref().map_or(RUST, |rustup| &rustup.toolchain);
    let words = ["component", "add", "--toolchain", name, "rust-src"];
    let command = format!("rustup {}", words.join(" "));
    let lacks =
        format!("the Rust toolchain in {} lacks the standard library's sources", tools.toolchain.display());
    let rustup = match &tools.rustup {
        Some(rustup) if !offline => rustup,
        _ => return Err(Fault::new(Kind::Tool, lacks).help(format!("run `{command}`")).into()),
    };
    progress.note(&format!("{lacks}: adding it by `{command}`"));
    let added = Run::new(&rustup.program)
        .args(words)
        .env("PATH", &tools.path)
        .env("HOME", dirs.work.join("home"))
        .env("RUSTUP_HOME", &rustup.home)
        .env("CARGO_HOME", &dirs.cargo_home)
        .env("RUSTUP_AUTO_INSTALL", "0");
    let finished = network(added).finish()?;
    if finished.status.success() && is_there(&tools.toolchain) {
        return Ok(());
    }
    let message = format!("{lacks}, and `{command}` could not add it:\n{}", finished.stderr_tail);
    Err(Fault::new(Kind::Unavailable, message)
        .help("check the network, then run that command by hand")
        .into())
}

/// Passes on how this machine reaches the network.
pub(crate) fn network(run: Run<'_>) -> Run<'_> {
    web::connect(run).inherit("CARGO_HTTP_CAINFO").inherit("RUSTUP_DIST_SERVER")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Rustup;

    fn tools(toolchain: &Path, rustup: Option<Rustup>) -> Tools {
        Tools {
            toolchain: toolchain.into(),
            rustup,
            zig: "zig".into(),
            zigbuild: "z".into(),
            path: "/bin:/usr/bin".into(),
        }
    }

    /// A rustup that adds what it is told to.
    fn fake(dir: &Path) -> Rustup {
        use std::os::unix::fs::PermissionsExt;
        let program = dir.join("rustup");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{0}/calls\n[ $5 = rust-src ] && mkdir -p {0}/lib/rustlib/src/rust/library && \
             : >{0}/lib/rustlib/src/rust/library/Cargo.lock\nexit 0\n",
            dir.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Rustup { program, home: dir.join("home"), toolchain: "1.95.0".into() }
    }

    fn dirs(dir: &Path) -> Dirs {
        Dirs {
            cargo_home: dir.join("cargo"),
            work: PathBuf::from("/nowhere"),
            zig_cache: PathBuf::from("/nowhere"),
        }
    }

    #[test]
    fn a_lack_is_repaired_once_and_said() {
        struct Notes(std::sync::Mutex<Vec<String>>);
        impl Progress for Notes {
            fn task(&self, _: &str, _: Option<u64>) -> Box<dyn progress::Task> {
                Box::new(progress::Silent)
            }
            fn note(&self, line: &str) {
                self.0.lock().unwrap().push(line.to_owned());
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let tools = tools(dir.path(), Some(fake(dir.path())));
        let notes = Notes(std::sync::Mutex::default());
        for _ in 0..2 {
            ensure(&tools, &dirs(dir.path()), false, &notes).unwrap();
        }
        let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
        assert_eq!(calls, "component add --toolchain 1.95.0 rust-src\n");
        assert_eq!(notes.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn offline_or_without_rustup_the_command_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (rustup, offline) in [(Some(fake(dir.path())), true), (None, false)] {
            let tools = tools(dir.path(), rustup);
            let error = ensure(&tools, &dirs(dir.path()), offline, &progress::Silent).unwrap_err();
            let hint = fault::of(&error).and_then(Fault::hint);
            assert_eq!(hint, Some("run `rustup component add --toolchain 1.95.0 rust-src`"));
            assert_eq!(fault::exit_code(&error), 7);
        }
        assert!(!dir.path().join("calls").exists());
    }

    #[test]
    fn a_rustup_that_fails_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let rustup =
            Rustup { program: "/bin/false".into(), home: dir.path().into(), toolchain: "1.95.0".into() };
        let tools = tools(dir.path(), Some(rustup));
        let error = ensure(&tools, &dirs(dir.path()), false, &progress::Silent).unwrap_err();
        assert_eq!(fault::exit_code(&error), 5);
    }
}
