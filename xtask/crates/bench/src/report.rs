//! What was measured: a table for people, a value for machines.

use std::fs;

use serde::Serialize;

use crate::life::Sample;
use crate::stats::{Ratio, Summary, Verdict};
use crate::{Options, Side};

/// How a quantity is shown.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Milliseconds,
    Mebibytes,
}

/// A quantity of a [`Sample`].
struct Metric {
    /// Its name for machines: that of the sample's field.
    key: &'static str,
    what: &'static str,
    unit: Unit,
    value: fn(&Sample) -> f64,
    /// Does `--check` look at it?
    checked: bool,
}

const METRICS: [Metric; 15] = {
    use Unit::{Mebibytes, Milliseconds};
    const fn metric(key: &'static str, what: &'static str, unit: Unit, value: fn(&Sample) -> f64) -> Metric {
        Metric { key, what, unit, value, checked: false }
    }
    const fn checked(key: &'static str, what: &'static str, unit: Unit, value: fn(&Sample) -> f64) -> Metric {
        Metric { key, what, unit, value, checked: true }
    }
    [
        checked("pod_cpu", "CPU per pod started", Milliseconds, |s| s.pod_cpu),
        checked("sync_cpu", "CPU per sync at rest", Milliseconds, |s| s.sync_cpu),
        metric("rest_cpu", "CPU per second at rest", Milliseconds, |s| s.rest_cpu),
        metric("removal_cpu", "CPU per pod removed", Milliseconds, |s| s.removal_cpu),
        metric("start_cpu", "CPU, start to healthz", Milliseconds, |s| s.start_cpu),
        metric("settled_cpu", "CPU, start and 4 s more", Milliseconds, |s| s.settled_cpu),
        metric("start_wall", "time, start to healthz", Milliseconds, |s| s.start_wall),
        metric("pods_wall", "time, pods all Running", Milliseconds, |s| s.pods_wall),
        metric("version_cpu", "CPU of --version", Milliseconds, |s| s.version_cpu),
        metric("version_wall", "time of --version", Milliseconds, |s| s.version_wall),
        metric("rss", "resident", Mebibytes, |s| bytes(s.rss)),
        metric("rss_anonymous", "  heap and data", Mebibytes, |s| bytes(s.rss_anonymous)),
        metric("rss_file", "  pages of files", Mebibytes, |s| bytes(s.rss_file)),
        metric("pss", "  proportional", Mebibytes, |s| bytes(s.pss)),
        metric("rss_peak", "  at most so far", Mebibytes, |s| bytes(s.rss_peak)),
    ]
};

/// Both sides of a quantity, in seconds or bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Which one: a field of [`Sample`].
    pub metric: &'static str,
    /// A's.
    pub a: Summary,
    /// B's.
    pub b: Summary,
    /// B divided by A.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// Of the ratio and the limit.
    pub verdict: Verdict,
    /// Is it one of those that must be within the limit?
    pub checked: bool,
}

/// Where it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    kernel: String,
    processor: String,
    cpus: usize,
    /// The load averages at the end, as the kernel gives them.
    load: String,
}

/// All of a measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    version: u32,
    a: Side,
    b: Side,
    pods: usize,
    cycles: usize,
    rounds: usize,
    rest_seconds: f64,
    /// How many times A's value B's may be.
    limit: f64,
    machine: Machine,
    /// Each quantity compared.
    pub metrics: Vec<Comparison>,
    samples_a: Vec<Sample>,
    samples_b: Vec<Sample>,
}

impl Report {
    pub(crate) fn new(a: &Side, b: &Side, options: &Options, of_a: Vec<Sample>, of_b: Vec<Sample>) -> Self {
        let limit = options.limit;
        let compare = |metric: &Metric| {
            let values = |samples: &[Sample]| samples.iter().map(metric.value).collect::<Vec<_>>();
            let (a, b) = (values(&of_a), values(&of_b));
            let ratio = Ratio::of(&a, &b);
            Comparison {
                metric: metric.key,
                a: Summary::of(&a),
                b: Summary::of(&b),
                ratio,
                verdict: ratio.verdict(limit),
                checked: metric.checked,
            }
        };
        Self {
            version: 1,
            a: a.clone(),
            b: b.clone(),
            pods: options.pods,
            cycles: options.cycles,
            rounds: of_a.len(),
            rest_seconds: options.rest.as_secs_f64(),
            limit,
            machine: Machine::this(),
            metrics: METRICS.iter().map(compare).collect(),
            samples_a: of_a,
            samples_b: of_b,
        }
    }

    /// The names of the checked quantities that were not shown to be within the limit.
    pub fn not_within(&self) -> Vec<&'static str> {
        let failed = self.metrics.iter().filter(|row| row.checked && row.verdict != Verdict::Within);
        failed.map(|row| row.metric).collect()
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("A {}", self.a.described()),
            format!("B {}", self.b.described()),
            format!(
                "{} rounds of {} pods on {} x {}, load {}; median (min .. max)",
                self.rounds, self.pods, self.machine.cpus, self.machine.processor, self.machine.load
            ),
            String::new(),
            format!("{:27} {:^30} {:^30} B/A (95 % interval)", "", "A", "B"),
        ];
        lines.extend(METRICS.iter().zip(&self.metrics).map(|(metric, row)| self.line(metric, row)));
        if self.rounds < 6 {
            lines.push("Too few rounds to judge anything by: 6 are the least.".to_owned());
        }
        lines.join("\n")
    }

    fn line(&self, metric: &Metric, row: &Comparison) -> String {
        let (scale, unit) = match metric.unit {
            Unit::Milliseconds => (1e3, "ms"),
            Unit::Mebibytes => (1.0 / f64::from(1 << 20), "MiB"),
        };
        let side = |Summary { median, min, max }: Summary| {
            format!("{:9.2} ({:.2} .. {:.2})", median * scale, min * scale, max * scale)
        };
        let interval =
            row.ratio.interval.map(|(low, high)| format!(" ({low:.3} .. {high:.3})")).unwrap_or_default();
        let limit = (self.limit - 1.0) * 100.0;
        let verdict = match row.verdict {
            Verdict::Within => format!("at most {limit:.0} % more"),
            Verdict::Over => format!("more than {limit:.0} % more"),
            Verdict::Unsure => "too noisy to judge".to_owned(),
        };
        let name = format!("{}, {unit}", metric.what);
        format!("{name:27} {:30} {:30} {:.3}{interval}  {verdict}", side(row.a), side(row.b), row.ratio.ratio)
    }
}

/// The most telling quantities of one life.
pub(crate) fn brief(sample: &Sample) -> String {
    let (pod, sync) = (sample.pod_cpu * 1e3, sample.sync_cpu * 1e3);
    let resident = bytes(sample.rss) / f64::from(1 << 20);
    format!("{pod:.2} ms CPU per pod started, {sync:.3} ms per sync, {resident:.1} MiB resident")
}

impl Side {
    fn described(&self) -> String {
        let env = if self.env.is_empty() { String::new() } else { format!(" with {}", self.env.join(" ")) };
        match &self.program {
            Some(_) => format!("{} in {}{env}", self.name, self.layout.display()),
            None => format!("{}{env}", self.name),
        }
    }
}

impl Machine {
    /// For people: processors, kernel and load.
    pub(crate) fn described(&self) -> String {
        format!("{} x {}, Linux {}, load {}", self.cpus, self.processor, self.kernel, self.load)
    }

    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let [kernel, processor, load] = ["6.1", "Some CPU", "1.00 2.00 3.00"].map(str::to_owned);
        Self { kernel, processor, cpus: 2, load }
    }

    pub(crate) fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = read("/proc/loadavg");
        Self {
            kernel: read("/proc/sys/kernel/osrelease"),
            processor: model.map(|(_, name)| name.to_owned()).unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            load: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is resident is far below 2^52 bytes")]
fn bytes(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(factor: f64) -> Sample {
        Sample {
            version_wall: 0.03 * factor,
            version_cpu: 0.031 * factor,
            start_wall: 0.4,
            start_cpu: 0.1 * factor,
            settled_cpu: 0.3 * factor,
            pods_wall: 1.2,
            pod_cpu: 0.0144 * factor,
            rest_cpu: 0.02 * factor,
            syncs: 140,
            sync_cpu: 0.002 * factor,
            removal_cpu: 0.008 * factor,
            rss: 67 << 20,
            rss_anonymous: 21 << 20,
            rss_file: 46 << 20,
            pss: 67 << 20,
            rss_peak: 68 << 20,
        }
    }

    fn report(factors: &[f64]) -> Report {
        let side = |name: &str, env: &[&str]| Side {
            name: name.to_owned(),
            layout: "layout".into(),
            program: (name == "kubelet").then(|| name.into()),
            env: env.iter().map(ToString::to_string).collect(),
        };
        let options = Options {
            pods: 10,
            rounds: factors.len(),
            cycles: 3,
            rest: Duration::from_secs(30),
            starts: 20,
            limit: 1.05,
        };
        let of_a = factors.iter().map(|_| sample(1.0)).collect();
        let of_b = factors.iter().map(|factor| sample(*factor)).collect();
        let (a, b) = (side("layout", &[]), side("kubelet", &["GOGC=20"]));
        let mut report = Report::new(&a, &b, &options, of_a, of_b);
        report.machine = Machine::example();
        report
    }

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!(report(&[1.1, 1.2, 1.3, 1.2, 1.1, 1.2]).table(), @r"
        A layout
        B kubelet in layout with GOGC=20
        6 rounds of 10 pods on 2 x Some CPU, load 1.00 2.00 3.00; median (min .. max)

                                                  A                              B                B/A (95 % interval)
        CPU per pod started, ms         14.40 (14.40 .. 14.40)         17.28 (15.84 .. 18.72)     1.196 (1.100 .. 1.300)  more than 5 % more
        CPU per sync at rest, ms         2.00 (2.00 .. 2.00)            2.40 (2.20 .. 2.60)       1.196 (1.100 .. 1.300)  more than 5 % more
        CPU per second at rest, ms      20.00 (20.00 .. 20.00)         24.00 (22.00 .. 26.00)     1.196 (1.100 .. 1.300)  more than 5 % more
        CPU per pod removed, ms          8.00 (8.00 .. 8.00)            9.60 (8.80 .. 10.40)      1.196 (1.100 .. 1.300)  more than 5 % more
        CPU, start to healthz, ms      100.00 (100.00 .. 100.00)      120.00 (110.00 .. 130.00)   1.196 (1.100 .. 1.300)  more than 5 % more
        CPU, start and 4 s more, ms    300.00 (300.00 .. 300.00)      360.00 (330.00 .. 390.00)   1.196 (1.100 .. 1.300)  more than 5 % more
        time, start to healthz, ms     400.00 (400.00 .. 400.00)      400.00 (400.00 .. 400.00)   1.000 (1.000 .. 1.000)  at most 5 % more
        time, pods all Running, ms    1200.00 (1200.00 .. 1200.00)   1200.00 (1200.00 .. 1200.00) 1.000 (1.000 .. 1.000)  at most 5 % more
        CPU of --version, ms            31.00 (31.00 .. 31.00)         37.20 (34.10 .. 40.30)     1.196 (1.100 .. 1.300)  more than 5 % more
        time of --version, ms           30.00 (30.00 .. 30.00)         36.00 (33.00 .. 39.00)     1.196 (1.100 .. 1.300)  more than 5 % more
        resident, MiB                   67.00 (67.00 .. 67.00)         67.00 (67.00 .. 67.00)     1.000 (1.000 .. 1.000)  at most 5 % more
          heap and data, MiB            21.00 (21.00 .. 21.00)         21.00 (21.00 .. 21.00)     1.000 (1.000 .. 1.000)  at most 5 % more
          pages of files, MiB           46.00 (46.00 .. 46.00)         46.00 (46.00 .. 46.00)     1.000 (1.000 .. 1.000)  at most 5 % more
          proportional, MiB             67.00 (67.00 .. 67.00)         67.00 (67.00 .. 67.00)     1.000 (1.000 .. 1.000)  at most 5 % more
          at most so far, MiB           68.00 (68.00 .. 68.00)         68.00 (68.00 .. 68.00)     1.000 (1.000 .. 1.000)  at most 5 % more
        ");
        assert_eq!(report(&[1.2; 6]).not_within(), ["pod_cpu", "sync_cpu"]);
        assert_eq!(report(&[1.0; 6]).not_within(), [""; 0]);
    }

    #[test]
    fn one_round_is_not_judged_by() {
        let one = report(&[1.0]);
        assert!(one.table().ends_with("Too few rounds to judge anything by: 6 are the least."));
        assert_eq!(one.not_within(), ["pod_cpu", "sync_cpu"]);
        assert_eq!(brief(&sample(1.0)), "14.40 ms CPU per pod started, 2.000 ms per sync, 67.0 MiB resident");
    }
}
