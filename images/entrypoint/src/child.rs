//! Runs a program that is only asked something: within a time, and not beyond our own end.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::signals;

/// The most that is kept of what a program says.
const MOST: usize = 1 << 20;
/// How often a program is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// What a program said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output and standard error, as they came.
    pub(crate) text: String,
}

/// Why a program gave no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// It could not be started.
    Failed(io::Error),
    /// It was ended, with what it had started, after this time.
    Late(Duration),
}

/// Runs a command without input; the error says why it did not end by itself.
pub(crate) fn captured(command: &mut Command, limit: Duration) -> Result<Output, String> {
    let name = OsStr::to_string_lossy(command.get_program()).into_owned();
    let mut bytes = Vec::new();
    let code = read(command, true, limit, &mut |part| {
        let room = MOST - bytes.len();
        bytes.extend_from_slice(&part[..part.len().min(room)]);
    });
    match code {
        Ok(code) => Ok(Output { code, text: String::from_utf8_lossy(&bytes).into_owned() }),
        Err(Unanswered::Failed(error)) => Err(format!("failed to run {name}: {error}")),
        Err(Unanswered::Late(limit)) => Err(format!("{name} did not end within {} ms", limit.as_millis())),
    }
}

/// Runs a command without input and gives its standard output (with `errors`, standard error, too) to `take` as it comes;
/// its exit code, none if a signal ended it.
pub(crate) fn read(
    command: &mut Command,
    errors: bool,
    limit: Duration,
    take: &mut dyn FnMut(&[u8]),
) -> Result<Option<i32>, Unanswered> {
    let (mut reader, writer) = io::pipe().map_err(Unanswered::Failed)?;
    let other = if errors { writer.try_clone().map_err(Unanswered::Failed)?.into() } else { Stdio::null() };
    command.stdin(Stdio::null()).stdout(writer).stderr(other).process_group(0);
    signals::end_along(command);
    let child = command.spawn();
    // What holds the other end of the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.map_err(Unanswered::Failed)?;
    let group = Pid::from_child(&child);
    let _asked = signals::Asked::now(group);
    rustix::io::ioctl_fionbio(&reader, true).map_err(|error| Unanswered::Failed(error.into()))?;
    let end = Instant::now() + limit;
    let mut buffer = vec![0; 1 << 16];
    loop {
        // In this order: what it said before its end is there once it has ended.
        let status = child.try_wait().map_err(Unanswered::Failed)?;
        // An endless answer is not an answer either.
        while Instant::now() < end
            && let Ok(count @ 1..) = reader.read(&mut buffer)
        {
            take(&buffer[..count]);
        }
        if let Some(status) = status {
            return Ok(status.code());
        }
        if Instant::now() >= end {
            // Its children as well: they would keep on for nobody.
            signals::send_group(group, libc::SIGKILL);
            let _ = child.wait();
            return Err(Unanswered::Late(limit));
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(text: &str, limit: Duration) -> Result<Output, String> {
        captured(Command::new("/bin/sh").args(["-c", text]), limit)
    }

    #[test]
    fn all_that_is_said_is_captured() {
        let long = Duration::from_secs(30);
        let output = shell("echo out; echo err >&2; exit 3", long).unwrap();
        assert_eq!((output.code, output.text.as_str()), (Some(3), "out\nerr\n"));
        let output = shell("head -c 300000 /dev/zero; kill -9 $$", long).unwrap();
        assert_eq!((output.code, output.text.len()), (None, 300_000));
        assert_eq!(shell("cat", long).unwrap().text, "");
        assert!(captured(&mut Command::new("/no/such"), long).unwrap_err().contains("/no/such"));
    }

    #[test]
    fn only_so_much_is_kept_and_all_of_it_is_given() {
        let long = Duration::from_secs(30);
        let text = "head -c 3000000 /dev/zero; echo err >&2";
        assert_eq!(shell(text, long).unwrap().text.len(), MOST);
        let mut count = 0;
        let code = read(Command::new("/bin/sh").args(["-c", text]), false, long, &mut |part| {
            count += part.len();
        });
        assert_eq!((code.unwrap(), count), (Some(0), 3_000_000));
    }

    #[test]
    fn time_is_limited() {
        for text in ["sleep 60 & sleep 60", "sleep 60 | cat", "yes"] {
            let start = Instant::now();
            let why = shell(text, Duration::from_millis(100)).unwrap_err();
            assert!(why.contains("/bin/sh did not end within 100 ms"), "{why}");
            assert!(start.elapsed() < Duration::from_secs(20), "{text}");
        }
    }
}
