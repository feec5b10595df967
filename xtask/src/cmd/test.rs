//! `test`: what CI runs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use fault::{Fault, Kind};
use files::Room;
use project::{BuildOptions, Session};
use skip::Skipped;

use crate::context::Context;
use crate::ui::say;

/// The entrypoint's crate, which is a workspace of its own.
const ENTRYPOINT: &str = "images/entrypoint/Cargo.toml";

/// Run every check and test: format, lints, generated files, unit and whole-program tests, fuzz targets.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test
  cargo xtask test --full     also the long ones: every architecture's and release's kubelet, builds from empty
                              caches, kubelet and kubeadm joined beside each alone, Go closures made again
  cargo xtask test --quick    only what needs neither root, nor an image, nor a C++ compiler")]
pub(crate) struct Test {
    /// Also the long ones.
    #[arg(long)]
    full: bool,
    /// Leave out the whole-program tests and the fuzz targets.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
}

impl Test {
    pub(crate) fn run(&self, context: &Context) -> Result<()> {
        let list = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        let room = Room::new()?;
        let done = self.steps(context, list.path(), room.path());
        summary(&skip::read(list.path()));
        done
    }

    /// All that there is to do; tests add themselves to `list` where they do not run, and have what is temporary in `room`.
    fn steps(&self, context: &Context, list: &Path, room: &Path) -> Result<()> {
        let cargo = |args: &[&str]| {
            let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            command.args(args).current_dir(&context.checkout.root).env(skip::LIST, list).env("TMPDIR", room);
            command
        };
        let deny = ["--", "-D", "warnings"];
        step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
        step("format, entrypoint", &mut cargo(&["fmt", "--manifest-path", ENTRYPOINT, "--check"]))?;
        step(
            "format, fuzz targets",
            &mut cargo(&["fmt", "--manifest-path", libfuzzer::MANIFEST, "--check"]),
        )?;
        // Theirs is a workspace of its own, which is compiled last of all.
        let tree = ["tree", "--locked", "--depth=0", "--manifest-path", libfuzzer::MANIFEST];
        step("lock, fuzz targets", &mut cargo(&tree))?;
        let clippy = |more: &[&'static str]| [&["clippy", "--all-targets", "--locked"], more, &deny].concat();
        step("lints", &mut cargo(&clippy(&["--workspace"])))?;
        step("lints, entrypoint", &mut cargo(&clippy(&["--manifest-path", ENTRYPOINT])))?;
        let itself = std::env::current_exe().context("our own path")?;
        let generated: [(&str, &[&str]); 4] = [
            ("Go closures", &["lock", "go", "--check", "--offline"]),
            ("plan for Nix", &["lock", "plan", "--check"]),
            ("README's table of sizes", &["size", "table", "--check"]),
            ("README's chart of sizes", &["size", "chart", "--check"]),
        ];
        for (name, args) in generated {
            step(name, Command::new(&itself).args(args).current_dir(&context.checkout.root))?;
        }

        let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
        tests.env("XTASK", &itself);
        give_tools(context, &mut tests)?;
        if self.quick {
            tests.args(["--exclude", "tests"]);
        }
        if self.full {
            tests.env("FULL", "1");
        }
        step("tests", &mut tests)?;
        if self.full {
            // They compile Kubernetes three times, and fetch modules.
            let packages = ["--package", "gobuild", "--package", "testimage"];
            let mut long = cargo(&["test", "--tests", "--locked", "--no-fail-fast"]);
            long.args(packages);
            give_tools(context, &mut long)?;
            step("long tests of Go builds", long.args(["--", "--ignored"]))?;
        }
        step("tests, entrypoint", &mut cargo(&["test", "--locked", "--manifest-path", ENTRYPOINT]))?;
        if self.quick {
            return Ok(());
        }
        // Each time from the same random numbers.
        let short = ["fuzz", "--seconds", "3", "--seed", "1"];
        step("fuzz targets", Command::new(&itself).args(short).current_dir(&context.checkout.root))
    }
}

/// Counts and names the tests that passed without having run.
fn summary(skipped: &[Skipped]) {
    if skipped.is_empty() {
        return;
    }
    say(&format!("== skipped: {}", counted(skipped.len())));
    for Skipped { program, test, why } in skipped {
        say(&format!("  {program} {test}: {why}"));
    }
}

fn counted(tests: usize) -> String {
    if tests == 1 { "1 test".to_owned() } else { format!("{tests} tests") }
}

/// Tests that compile are given the pinned tools, so that they never skip here. The store is closed again: tests clean
/// and spoil theirs.
fn give_tools(context: &Context, tests: &mut Command) -> Result<()> {
    let session = Session::open(&context.checkout, BuildOptions::default())?;
    let tools = session.tools()?;
    let (go, rust) = (tools.go()?, tools.rust()?);
    tests.env("GOBUILD_TEST_GOROOT", &go.go_root).env("GOBUILD_TEST_ZIG", &go.zig);
    tests.env("GOBUILD_TEST_ZIG_CACHE", &go.zig_cache);
    tests.env("RUSTBUILD_TEST_ZIG", &rust.zig).env("RUSTBUILD_TEST_ZIGBUILD", &rust.zigbuild);
    Ok(())
}

/// Runs a step with its output shown as it comes; the whole of it goes on only if it succeeds.
fn step(name: &str, command: &mut Command) -> Result<()> {
    timed(name, || {
        let status = exec::status(command.stdin(Stdio::null()))?;
        if status.success() {
            return Ok(());
        }
        Err(Fault::new(Kind::ToolFailed, format!("{name}: {status}"))
            .help(format!("alone: {command:?}"))
            .into())
    })
}

/// Says that a step begins, and how long it took.
fn timed(name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    exec::interrupt::check()?;
    let since = Instant::now();
    say(&format!("== {name}"));
    let done = step();
    say(&format!("== {name}: {:.0} s", since.elapsed().as_secs_f64()));
    done
}
