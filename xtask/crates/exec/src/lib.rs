//! Child processes: a cleared environment, output kept for the error message, and an end when the user
//! interrupts.

mod end;
pub mod interrupt;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};

pub use end::status;

/// How many of the last lines of standard error an error message repeats.
const TAIL: usize = 25;
/// How much standard output is kept, in bytes; what is captured here are short answers and JSON.
const STDOUT_LIMIT: u64 = 256 << 20;

/// Hears each line of standard error.
type Listener<'a> = Box<dyn FnMut(&str) + Send + 'a>;

/// A program to run. Its environment holds only what is given here, its standard input is empty, and it has a
/// process group of its own that ends with us.
pub struct Run<'a> {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    grace: Duration,
    on_line: Option<Listener<'a>>,
}

/// What a program that ended left behind.
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// The last lines of standard error.
    pub stderr_tail: String,
}

impl<'a> Run<'a> {
    /// Runs `program`: a path, or a name looked up in our own PATH.
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            grace: end::GRACE,
            on_line: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the otherwise empty environment; a later value wins.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Passes on a variable of our own environment, if it is set.
    #[must_use]
    pub fn inherit(self, name: &str) -> Self {
        match std::env::var_os(name) {
            Some(value) => self.env(name, value),
            None => self,
        }
    }

    /// Runs in this directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Gives it this time to end by itself when the user interrupts, in place of three seconds: none is right for what keeps
    /// nothing but in a directory of ours.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Calls back with each line of standard error as it comes.
    #[must_use]
    pub fn on_line(mut self, call: impl FnMut(&str) + Send + 'a) -> Self {
        self.on_line = Some(Box::new(call));
        self
    }

    /// The command as a person would type it, without the environment.
    pub fn display(&self) -> String {
        let words =
            std::iter::once(self.program.as_os_str()).chain(self.args.iter().map(OsString::as_os_str));
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    /// Runs it; a program that fails is an error with the last lines it wrote to standard error.
    pub fn run(self) -> Result<Finished> {
        let display = self.display();
        let finished = self.finish()?;
        if finished.status.success() {
            return Ok(finished);
        }
        let mut message = format!("`{display}` failed ({})", finished.status);
        for line in finished.stderr_tail.lines() {
            message.push_str("\n  | ");
            message.push_str(line);
        }
        Err(Fault::new(Kind::ToolFailed, message).into())
    }

    /// Runs it where one that is missing or fails is an answer, too: none. An interrupt answers nothing.
    pub fn answer(self) -> Result<Option<Finished>> {
        let finished = self.run().ok();
        interrupt::check()?;
        Ok(finished)
    }

    /// Runs it, whatever its exit status.
    pub fn finish(mut self) -> Result<Finished> {
        interrupt::check()?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.drain(..));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        let mut child = end::spawn(&mut command).map_err(|error| start_fault(&self.program, &error))?;
        let stdout = child.stdout.take().context("no pipe for standard output")?;
        let stderr = child.stderr.take().context("no pipe for standard error")?;
        let on_line = self.on_line.as_mut();
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut bytes = Vec::new();
                BufReader::new(stdout).take(STDOUT_LIMIT).read_to_end(&mut bytes).map(|_| bytes)
            });
            let tail = scope.spawn(move || read_lines(stderr, on_line));
            let status = end::wait_for(&mut child, self.grace, |_| {})?;
            let stdout =
                reader.join().map_err(|_| anyhow::anyhow!("the reader of standard output died"))??;
            let stderr_tail =
                tail.join().map_err(|_| anyhow::anyhow!("the reader of standard error died"))?;
            interrupt::check()?;
            Ok(Finished { status, stdout, stderr_tail })
        })
    }
}

fn start_fault(program: &Path, error: &std::io::Error) -> Fault {
    let name = program.display();
    if error.kind() == std::io::ErrorKind::NotFound {
        return Fault::new(Kind::Tool, format!("`{name}` is not installed, or not in PATH"))
            .help("`cargo xtask doctor` says what is missing and how to install it");
    }
    Fault::new(Kind::Tool, format!("`{name}` cannot be started: {error}"))
}

fn read_lines(from: impl Read, mut on_line: Option<&mut Listener<'_>>) -> String {
    let mut tail = VecDeque::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(call) = on_line.as_mut() {
            call(&text);
        }
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(text);
        line.clear();
    }
    tail.into_iter().collect::<Vec<_>>().join("\n")
}

/// git, which may ask the user's helpers for a password, and nobody else.
pub fn git() -> Run<'static> {
    let run = Run::new("git").env("GIT_TERMINAL_PROMPT", "0");
    ["PATH", "HOME", "GIT_DIR", "GIT_WORK_TREE"].into_iter().fold(run, Run::inherit)
}

/// The full path of a program in PATH, if it is there and executable.
pub fn which(name: &str) -> Option<PathBuf> {
    which_in(std::env::var_os("PATH")?, name)
}

/// The same of another PATH.
pub fn which_in(path: impl AsRef<OsStr>, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path.as_ref())
        .map(|dir| dir.join(name))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Run<'static> {
        Run::new("/bin/sh").arg("-c").arg(script)
    }

    #[test]
    fn the_environment_is_cleared() {
        let out = Run::new("/usr/bin/env").env("ONLY", "this").run().unwrap();
        assert_eq!(out.stdout, b"ONLY=this\n");
    }

    #[test]
    fn a_failure_shows_the_command_and_the_last_lines() {
        let error = sh("for i in $(seq 100); do echo line $i >&2; done; exit 3").run().err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.contains("line 100") && !text.contains("line 75\n"),
            "{text}"
        );
        assert_eq!(fault::exit_code(&error), 8);
    }

    #[test]
    fn a_missing_program_is_a_tool_fault() {
        let error = Run::new("no-such-program").run().err().unwrap();
        assert_eq!(fault::exit_code(&error), 7);
    }

    #[test]
    fn lines_arrive_as_they_are_written() {
        let mut seen = Vec::new();
        sh("echo one >&2; echo two >&2").on_line(|line| seen.push(line.to_owned())).run().unwrap();
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn large_output_on_both_pipes_does_not_block() {
        let out = sh("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2").run().unwrap();
        assert_eq!(out.stdout.len(), 3_000_000);
    }
}
