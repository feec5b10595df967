//! When each step began and ended, and what the machine did meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the machine is looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// Ticks a second of the times in `/proc/stat`: `USER_HZ`.
const USER_HZ: f64 = 100.0;
/// The unit of `/proc/PID/statm` on the architectures that builds run on, in bytes.
const PAGE: u64 = 4096;

/// A step, in seconds since the beginning.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is made.
    pub name: String,
    /// When it began.
    pub begin: f64,
    /// When it ended.
    pub end: f64,
}

/// A moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, in seconds since the beginning.
    pub at: f64,
    /// How many processors were busy since the sample before.
    pub busy: f64,
    /// What was resident of all processes of the build, in bytes.
    pub memory: u64,
}

/// Steps, in the order they ended.
pub struct Timings {
    begin: Instant,
    steps: Mutex<Vec<Step>>,
}

impl Default for Timings {
    fn default() -> Self {
        Self { begin: Instant::now(), steps: Mutex::default() }
    }
}

impl Timings {
    /// Runs a step and keeps when it began and ended.
    pub fn measure<T>(&self, step: &str, run: impl FnOnce() -> T) -> T {
        let begin = self.seconds();
        let result = run();
        let step = Step { name: step.to_owned(), begin, end: self.seconds() };
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        result
    }

    /// How long it is since the beginning, in seconds.
    pub fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// All steps so far.
    pub fn take(&self) -> Vec<Step> {
        std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the machine from now on.
    pub fn watch(&self) -> Watch {
        let begin = self.begin;
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            let (mut busy, mut since) = (busy_seconds(), Instant::now());
            while !until.load(Ordering::Relaxed) {
                std::thread::park_timeout(PERIOD);
                let (now, at) = (busy_seconds(), Instant::now());
                let passed = at.duration_since(since).as_secs_f64();
                let busy_now = (now - busy) / passed.max(f64::MIN_POSITIVE);
                samples.push(Sample {
                    at: begin.elapsed().as_secs_f64(),
                    busy: busy_now,
                    memory: resident(),
                });
                (busy, since) = (now, at);
            }
            samples
        });
        Watch { over, thread }
    }
}

/// Somebody who looks at the machine.
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Watch {
    /// What was seen; none where the kernel says nothing.
    pub fn end(self) -> Vec<Sample> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_default()
    }
}

/// How long all processors together were busy since the machine started (proc(5): all but idle and iowait).
fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (ticks.iter().sum::<f64>() - idle) / USER_HZ
}

/// What is resident of this process and of those that it started, in bytes.
fn resident() -> u64 {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name before it may hold anything.
        let parent: Option<u32> =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![std::process::id()];
    let mut sum = 0;
    while let Some(pid) = all.pop() {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 =
            statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        sum += pages * PAGE;
        all.extend(children.remove(&pid).into_iter().flatten());
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_the_machine_are_seen() {
        let timings = Timings::default();
        let watch = timings.watch();
        let sum = timings.measure("work", || {
            let since = Instant::now();
            let mut sum = 0_u64;
            while since.elapsed() < Duration::from_millis(300) {
                sum = std::hint::black_box(sum + 1);
            }
            sum
        });
        let samples = watch.end();
        let [step] = &timings.take()[..] else { panic!("not one step") };
        assert!(sum > 0 && step.name == "work" && step.end - step.begin >= 0.3, "{step:?}");
        assert!(
            samples.iter().any(|it| it.busy > 0.1) && samples.iter().all(|it| it.memory > 1 << 20),
            "{samples:?}"
        );
    }
}
