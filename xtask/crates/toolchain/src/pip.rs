//! Wheels from the Python package index, fetched by the user's own pip with the user's own settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fault::{Fault, Kind};

use crate::networked;

/// Downloads a project's wheel into the empty directory `dir` and returns its path, whatever its name is.
///
/// `platforms` are pip's platform tags; none for a wheel that runs anywhere.
pub(crate) fn download(
    project: &str,
    version: Option<&str>,
    platforms: &[String],
    dir: &Path,
) -> Result<PathBuf> {
    let wanted = match version {
        Some(version) => format!("{project}=={version}"),
        None => project.to_owned(),
    };
    let mut run = python()?.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]);
    run = run.args(["--disable-pip-version-check", "--progress-bar", "off"]);
    for platform in platforms {
        run = run.args(["--platform", platform]);
    }
    let finished = run.arg("-d").arg(dir).arg(&wanted).cwd(dir).finish()?;
    if !finished.status.success() {
        return Err(failure(&wanted, &finished.stderr_tail).into());
    }
    let mut files = std::fs::read_dir(dir).context("pip's directory is gone")?;
    match files.next() {
        Some(file) => Ok(file.context("pip's directory cannot be read")?.path()),
        None => Err(Fault::new(Kind::Unavailable, format!("pip downloaded nothing for {wanted}")).into()),
    }
}

/// `python3` with the user's settings for pip.
pub(crate) fn python() -> Result<exec::Run<'static>> {
    if exec::which("python3").is_none() {
        return Err(Fault::new(
            Kind::Tool,
            "`python3` is not installed, or not in PATH; its pip fetches pinned tools",
        )
        .help(crate::doctor::INSTALL_PIP)
        .into());
    }
    let mut run = networked("python3").inherit("REQUESTS_CA_BUNDLE").inherit("VIRTUAL_ENV");
    for (name, value) in std::env::vars_os() {
        if ["PIP_", "PYENV_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            run = run.env(name, value);
        }
    }
    Ok(run)
}

fn failure(wanted: &str, stderr: &str) -> Fault {
    if stderr.contains("No module named pip") {
        return Fault::new(Kind::Tool, "`python3` has no pip, which fetches pinned tools")
            .help(crate::doctor::INSTALL_PIP);
    }
    let mut message = format!("pip cannot get {wanted}");
    // One line of pip's names every version that was not it.
    let lines = stderr.lines().filter(|line| !line.contains("Ignored the following versions"));
    for line in lines.filter(|line| !line.trim().is_empty()) {
        message.push_str("\n  | ");
        message.push_str(line);
    }
    Fault::new(Kind::Unavailable, message)
        .help("check the network and pip's settings (`python3 -m pip config list`), or give a directory that has the wheel with --mirror")
}

/// The platform tags in a wheel's file name: its last part, less `any`.
pub(crate) fn platforms(file: &str) -> Vec<String> {
    let tags = file.trim_end_matches(".whl").rsplit('-').next().unwrap_or_default();
    tags.split('.').filter(|tag| *tag != "any").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_name() {
        let file =
            "ziglang-0.13.0-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl";
        assert_eq!(
            platforms(file),
            ["manylinux_2_12_x86_64", "manylinux2010_x86_64", "musllinux_1_1_x86_64"]
        );
        assert!(platforms("certifi-2026.10.18-py3-none-any.whl").is_empty());
    }

    #[test]
    fn what_pip_says_is_told() {
        insta::assert_snapshot!(failure("zig==1", "/usr/bin/python3: No module named pip"), @"`python3` has no pip, which fetches pinned tools");
        insta::assert_snapshot!(failure("zig==1", "ERROR: Ignored the following versions: 1, 2\nERROR: No matching distribution\n"), @r"
        pip cannot get zig==1
          | ERROR: No matching distribution
        ");
    }
}
