//! The pinned tools, looked for when the first thing is compiled, and verified then.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Result;
use toolchain::{Setup, verify_tools};

/// The tools, each found once.
pub struct Tools<'a> {
    /// What finding them needs to know.
    pub setup: Setup<'a>,
    go_cache: Option<PathBuf>,
    go: OnceLock<gobuild::Tools>,
    rust: OnceLock<rustbuild::Tools>,
}

impl<'a> Tools<'a> {
    /// `go_cache`: where Go keeps compiled packages, if not where the user's does.
    pub fn new(setup: Setup<'a>, go_cache: Option<PathBuf>) -> Self {
        Self { setup, go_cache, go: OnceLock::new(), rust: OnceLock::new() }
    }

    /// Go with zig as its C compiler; every file of both is hashed before the first use.
    pub fn go(&self) -> Result<&gobuild::Tools> {
        cached(&self.go, || {
            let go = self.setup.ensure_go()?;
            let zig = self.setup.ensure_zig()?;
            verify_tools(&[&go, &zig])?;
            // The user's own Go knows the user's settings; without one, the pinned Go has the defaults.
            let asked = exec::which("go").unwrap_or_else(|| go.program.clone());
            let mut host = gobuild::HostGo::read(&asked)?;
            if let Some(own) = &self.go_cache {
                host.build_cache.clone_from(own);
            }
            Ok(gobuild::Tools {
                go_root: go.tree.dir,
                zig: zig.program,
                zig_cache: self.setup.store.tool_cache("zig")?,
                host,
                offline: self.setup.offline,
            })
        })
    }

    /// Rust with zig as its linker.
    pub fn rust(&self) -> Result<&rustbuild::Tools> {
        cached(&self.rust, || {
            let zig = self.setup.ensure_zig()?;
            let zigbuild = self.setup.ensure_cargo_zigbuild()?;
            verify_tools(&[&zig, &zigbuild])?;
            let rust = self.setup.ensure_rust()?;
            let rustup = match (exec::which("rustup"), home("RUSTUP_HOME", ".rustup"), rust.name) {
                (Some(program), Some(home), Some(toolchain)) => {
                    Some(rustbuild::Rustup { program, home, toolchain })
                }
                _ => None,
            };
            Ok(rustbuild::Tools {
                toolchain: rust.dir,
                rustup,
                zig: zig.program,
                zigbuild: zigbuild.program,
                path: std::env::var_os("PATH").unwrap_or_default(),
            })
        })
    }

    /// Where the user's cargo keeps crates.
    pub fn cargo_home(&self) -> Result<PathBuf> {
        home("CARGO_HOME", ".cargo").map_or_else(|| self.setup.store.tool_cache("cargo"), Ok)
    }
}

/// A directory that a variable names, or that is in the user's home.
fn home(variable: &str, inside: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(variable).or_else(|| Some(set("HOME")?.join(inside)))
}

fn cached<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(found) = cell.get() {
        return Ok(found);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}
