//! What the kernel knows of one process: CPU time to the nanosecond, memory, when it started.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

/// Ticks a second of the times in `/proc/PID/stat`: `USER_HZ`, the same on every architecture that images are for.
const USER_HZ: u64 = 100;

/// A process, by its id in our namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) i32);

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// All that is resident.
    pub(crate) rss: u64,
    /// Heap, stacks, data that was written to.
    pub(crate) anonymous: u64,
    /// Pages of files, which the kernel can drop and read again; the program itself, above all. Those of a file on
    /// tmpfs are among them: there the kernel calls them shared memory.
    pub(crate) file: u64,
    /// Resident, with each shared page divided by how many share it.
    pub(crate) pss: u64,
    /// The most that was resident since the start.
    pub(crate) peak: u64,
}

impl Process {
    /// User and system time used so far by all its threads, those that ended too, and none of its children.
    ///
    /// By the process's own clock: the tick of `/proc/PID/stat` is as long as the start of half a pod.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.0));
        let time = clock.and_then(clock_gettime).context("the process has no CPU clock: it ended")?;
        Ok(time.into())
    }

    /// How long ago it started; exact to a tick of 10 ms.
    pub(crate) fn age(self) -> Result<Duration> {
        let stat = self.file("stat")?;
        let since = started(&stat).with_context(|| format!("/proc/{}/stat has no start time", self.0))?;
        let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
        Ok(now.saturating_sub(since))
    }

    /// Its memory just now.
    pub(crate) fn memory(self) -> Result<Memory> {
        let (status, rollup) = (self.file("status")?, self.file("smaps_rollup")?);
        memory(&status, &rollup)
            .with_context(|| format!("/proc/{} does not say how much is resident", self.0))
    }

    fn file(self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

/// When a process started, since boot: field 22 of its `stat` (proc(5)). Fields are counted from the last `)`, for the
/// program's name before it may hold anything.
fn started(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    Some(Duration::from_millis(ticks * 1000 / USER_HZ))
}

fn memory(status: &str, rollup: &str) -> Option<Memory> {
    Some(Memory {
        rss: field(status, "VmRSS")?,
        anonymous: field(status, "RssAnon")?,
        file: field(status, "RssFile")? + field(status, "RssShmem")?,
        pss: field(rollup, "Pss")?,
        peak: field(status, "VmHWM")?,
    })
}

/// A line `NAME:   123 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};

    use super::*;

    fn ourselves() -> Process {
        Process(i32::try_from(id()).unwrap())
    }

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = format!("7 (a) b (c) S {} 4242 1 2", "0 ".repeat(18).trim());
        assert_eq!(started(&stat), Some(Duration::from_millis(42_420)));
        assert_eq!(started("7 (a) S 1 2"), None);
    }

    #[test]
    fn memory_is_read_from_the_kernel_s_lines() {
        let status = "VmHWM:\t 9 kB\nVmRSS:\t 8 kB\nRssAnon:\t 1 kB\nRssFile:\t 3 kB\nRssShmem:\t 4 kB\n";
        let rollup = "Rss: 8 kB\nPss:    2 kB\nPss_Dirty: 1 kB\n";
        let expected =
            Memory { rss: 8 << 10, anonymous: 1 << 10, file: 7 << 10, pss: 2 << 10, peak: 9 << 10 };
        assert_eq!(memory(status, rollup), Some(expected));
        assert_eq!(memory(status, "Pss: many"), None);
    }

    #[test]
    fn work_takes_cpu_and_sleep_does_not() {
        let process = ourselves();
        let before = process.cpu().unwrap();
        let mut sum = 0_u64;
        while process.cpu().unwrap() < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        let sleeper = Command::new("sleep").arg("0.2").spawn().unwrap();
        let sleeps = Process(i32::try_from(sleeper.id()).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        assert!(sleeps.cpu().unwrap() < Duration::from_millis(50));
        let age = sleeps.age().unwrap();
        assert!(age >= Duration::from_millis(80) && age < Duration::from_secs(30), "{age:?}");
        let ended = sleeper.wait_with_output().unwrap();
        assert!(ended.status.success());
        assert!(sleeps.cpu().is_err());
    }

    #[test]
    fn our_own_memory_adds_up() {
        let Memory { rss, anonymous, file, pss, peak } = ourselves().memory().unwrap();
        assert!(rss > 0 && pss > 0 && peak >= rss && anonymous + file <= rss + (1 << 20));
    }
}
