//! One life of one kubelet, from its start to its end, with all that it used on the way.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Task;
use serde::Serialize;
use standin::containerd::{Containerd, Namespace};
use standin::kubelet::{self, Kubelet, Settings};
use standin::{image, wait_every};

use crate::process::{Memory, Process};
use crate::{Options, Side, exec_time, pods};

/// Each pod is looked at again this often, not once a minute: a short rest has many syncs then, and they are most of
/// what it costs.
const SYNC_FREQUENCY: &str = "syncFrequency: 1s\n";
/// How long a kubelet is left alone between two phases, so that what one began is not counted in the next.
const SETTLE: Duration = Duration::from_secs(4);
/// How long any one thing may take that is waited for.
const LIMIT: Duration = Duration::from_mins(3);
/// How often healthz is asked, which costs a kubelet nothing before it listens.
const HEALTH_PAUSE: Duration = Duration::from_millis(5);
/// How often cgroups are looked at, which costs a kubelet nothing.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How often the kubelet is asked for its pods, which costs it something.
const ASK_PAUSE: Duration = Duration::from_millis(500);
/// The cgroup of all pods, below the host's.
const PODS: &str = "kubepods";
/// Where the kubelet keeps what pods have on disk.
const POD_DIRS: &str = "/var/lib/kubelet/pods";

/// What one life used. CPU is the user and system time of the kubelet's process alone: none of containerd's, runc's or
/// of programs that the kubelet starts.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Seconds of `kubelet --version`, start to end: the best of several.
    pub version_wall: f64,
    /// CPU seconds of the same.
    pub version_cpu: f64,
    /// Seconds from the process's start to healthz ok, exact to 10 ms.
    pub start_wall: f64,
    /// CPU seconds in these.
    pub start_cpu: f64,
    /// The same, and what was used until 4 s later, when what the start began has ended.
    pub settled_cpu: f64,
    /// Seconds from the drop of the manifests to all pods Running: the mean of the times that this was done.
    pub pods_wall: f64,
    /// CPU seconds in these, by pod.
    pub pod_cpu: f64,
    /// CPU seconds a second at rest, with all pods Running.
    pub rest_cpu: f64,
    /// How often the kubelet synced a pod while at rest.
    pub syncs: u64,
    /// CPU seconds by such a sync: all that a kubelet at rest uses is shared out to them.
    pub sync_cpu: f64,
    /// CPU seconds by pod from the removal of the manifests until nothing of the pods is left.
    pub removal_cpu: f64,
    /// Bytes resident at rest.
    pub rss: u64,
    /// Of these, heap, stacks and data.
    pub rss_anonymous: u64,
    /// Of these, pages of files: the program, above all.
    pub rss_file: u64,
    /// Bytes resident at rest, with each shared page divided by how many share it.
    pub pss: u64,
    /// The most bytes that were resident until then.
    pub rss_peak: u64,
}

/// Lives one life on a fresh host.
pub(crate) fn live(side: &Side, options: &Options, task: &dyn Task) -> Result<Sample> {
    let scratch = tempfile::tempdir().context("a temporary directory cannot be made")?;
    task.detail("a host with containerd");
    let containerd = Containerd::start(scratch.path())?;
    let name = containerd.import(Namespace::Default, &side.layout, "localhost/kubelet")?;
    let command = [image::entrypoint(&side.layout)?, Kubelet::FLAGS.map(str::to_owned).to_vec()].concat();
    let settings = Settings {
        env: &side.env,
        program: side.program.as_deref(),
        config: SYNC_FREQUENCY,
        ..Settings::default()
    };
    task.detail("start");
    let kubelet = Kubelet::start_with(&containerd, &name, &command, &settings)?;
    let measured = Life { containerd: &containerd, kubelet: &kubelet, side, options, task }.measure();
    let sample = measured.map_err(|error| with_log(error, &kubelet.log()))?;
    kubelet.terminate()?;
    containerd.host.stop()?;
    Ok(sample)
}

/// An error with the end of what the kubelet logged.
fn with_log(error: anyhow::Error, log: &str) -> anyhow::Error {
    if fault::is(&error, Kind::Interrupted) {
        return error;
    }
    let lines: Vec<_> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(10)..].join("\n  | ");
    error.context(format!("the kubelet could not be measured; it logged at last:\n  | {tail}"))
}

struct Life<'a> {
    containerd: &'a Containerd,
    kubelet: &'a Kubelet<'a>,
    side: &'a Side,
    options: &'a Options,
    task: &'a dyn Task,
}

impl Life<'_> {
    fn measure(&self) -> Result<Sample> {
        let (process, start_wall, start_cpu) = self.start()?;
        settle()?;
        let settled_cpu = process.cpu()?;
        let mut pods = self.start_pods(process)?;
        settle()?;
        self.task.detail("rest");
        let Rest { cpu, wall, syncs, memory } = self.rest(process)?;
        let mut removal = self.remove_pods(process)?;
        for _ in 1..self.options.cycles {
            settle()?;
            pods = pods.and(self.start_pods(process)?);
            settle()?;
            removal = removal.and(self.remove_pods(process)?);
        }
        let (version_wall, version_cpu) = self.version()?;
        let cycles = count(self.options.cycles as u64);
        let share = |used: Used| used.cpu.as_secs_f64() / (cycles * count(self.options.pods as u64));
        Ok(Sample {
            version_wall,
            version_cpu,
            start_wall: start_wall.as_secs_f64(),
            start_cpu: start_cpu.as_secs_f64(),
            settled_cpu: settled_cpu.as_secs_f64(),
            pods_wall: pods.wall.as_secs_f64() / cycles,
            pod_cpu: share(pods),
            rest_cpu: cpu.as_secs_f64() / wall.as_secs_f64(),
            syncs,
            sync_cpu: cpu.as_secs_f64() / count(syncs),
            removal_cpu: share(removal),
            rss: memory.rss,
            rss_anonymous: memory.anonymous,
            rss_file: memory.file,
            pss: memory.pss,
            rss_peak: memory.peak,
        })
    }

    /// Waits until it is healthy; its process, and what wall and CPU time that took.
    fn start(&self) -> Result<(Process, Duration, Duration)> {
        let process = wait_every(HEALTH_PAUSE, "process of the kubelet", LIMIT, || {
            Ok(self.kubelet.pid().ok().map(Process))
        })?;
        wait_every(HEALTH_PAUSE, "healthy kubelet", LIMIT, || {
            let cpu = process.cpu()?;
            let healthy = self.containerd.host.http(10248, "/healthz").is_ok_and(|text| text == "ok");
            Ok(if healthy { Some((process, process.age()?, cpu)) } else { None })
        })
    }

    fn start_pods(&self, process: Process) -> Result<Used> {
        self.task.detail("pods start");
        let begin = Begin::now(process)?;
        let pods = self.options.pods;
        pods::add(&self.containerd.host.path(kubelet::MANIFESTS), pods)?;
        // The sandbox's process and the container's own. The kubelet is asked only once they are there.
        wait_every(LOOK_PAUSE, "process of each pod", LIMIT, || {
            process.cpu()?;
            Ok((self.containerd.host.processes(PODS).len() >= 2 * pods).then_some(()))
        })?;
        wait_every(ASK_PAUSE, "pods that are all Running", LIMIT, || {
            Ok((self.kubelet.running()?.len() >= pods).then_some(()))
        })?;
        begin.used()
    }

    fn rest(&self, process: Process) -> Result<Rest> {
        let syncs_before = self.syncs()?;
        let begin = Begin::now(process)?;
        sleep(self.options.rest)?;
        let Used { wall, cpu } = begin.used()?;
        let memory = process.memory()?;
        let syncs = self.syncs()?.saturating_sub(syncs_before);
        if syncs == 0 {
            return Err(Fault::new(Kind::ToolFailed, "the kubelet synced no pod while it was at rest")
                .help("a longer --rest has more syncs")
                .into());
        }
        Ok(Rest { cpu, wall, syncs, memory })
    }

    /// How often pods were synced so far, by the kubelet's own count.
    fn syncs(&self) -> Result<u64> {
        let metrics = self.containerd.host.http(10255, "/metrics")?;
        synced(&metrics).context("the kubelet's metrics do not say how often it synced pods")
    }

    fn remove_pods(&self, process: Process) -> Result<Used> {
        self.task.detail("pods end");
        let begin = Begin::now(process)?;
        let host = &self.containerd.host;
        pods::remove(&host.path(kubelet::MANIFESTS), self.options.pods)?;
        wait_every(LOOK_PAUSE, "end of all pods", LIMIT, || {
            process.cpu()?;
            let ended = host.processes(PODS).is_empty();
            let removed = || fs::read_dir(host.path(POD_DIRS)).is_ok_and(|mut dirs| dirs.next().is_none());
            Ok((ended && removed()).then_some(()))
        })?;
        begin.used()
    }

    /// The best wall and CPU time of `kubelet --version`. The best, not the median: it does the same each time, so that
    /// what is more than the least was done by something else.
    fn version(&self) -> Result<(f64, f64)> {
        let program = self.kubelet.path(kubelet::PROGRAM)?;
        self.task.detail("kubelet --version");
        let once = |_| exec_time::once(&program, &["--version"], &self.side.env);
        let all = (0..self.options.starts).map(once).collect::<Result<Vec<_>>>()?;
        let best = |time: fn(&exec_time::ExecTime) -> Duration| {
            all.iter().map(time).min().unwrap_or_default().as_secs_f64()
        };
        Ok((best(|took| took.wall), best(|took| took.cpu)))
    }
}

struct Rest {
    cpu: Duration,
    wall: Duration,
    syncs: u64,
    memory: Memory,
}

/// The begin of a phase.
struct Begin {
    process: Process,
    since: Instant,
    cpu: Duration,
}

/// What a phase took.
#[derive(Clone, Copy)]
struct Used {
    wall: Duration,
    cpu: Duration,
}

impl Begin {
    fn now(process: Process) -> Result<Self> {
        Ok(Self { process, since: Instant::now(), cpu: process.cpu()? })
    }

    fn used(&self) -> Result<Used> {
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        Ok(Used { wall: self.since.elapsed(), cpu })
    }
}

impl Used {
    fn and(self, more: Self) -> Self {
        Self { wall: self.wall + more.wall, cpu: self.cpu + more.cpu }
    }
}

fn settle() -> Result<()> {
    sleep(SETTLE)
}

/// Sleeps, unless the user interrupts.
fn sleep(time: Duration) -> Result<()> {
    let since = Instant::now();
    while let Some(left) = time.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
        exec::interrupt::check()?;
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
    Ok(())
}

/// The number of syncs in the kubelet's metrics, in Prometheus' text format.
fn synced(metrics: &str) -> Option<u64> {
    const COUNT: &str = r#"kubelet_pod_worker_duration_seconds_count{operation_type="sync"} "#;
    metrics.lines().find_map(|line| line.strip_prefix(COUNT))?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_are_counted_by_the_kubelet() {
        let metrics = "# TYPE x histogram
kubelet_pod_worker_duration_seconds_count{operation_type=\"create\"} 3
kubelet_pod_worker_duration_seconds_sum{operation_type=\"sync\"} 0.5
kubelet_pod_worker_duration_seconds_count{operation_type=\"sync\"} 17
";
        assert_eq!(synced(metrics), Some(17));
        assert_eq!(synced("kubelet_pod_worker_duration_seconds_count{operation_type=\"create\"} 3"), None);
    }

    #[test]
    fn an_error_shows_the_end_of_the_log() {
        let log = (1..=12).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
        let text = format!("{:#}", with_log(anyhow::anyhow!("it ended"), &log));
        assert!(text.contains("| line 3\n") && text.contains("| line 12: it ended"), "{text}");
        assert!(!text.contains("line 2\n"), "{text}");
    }
}
