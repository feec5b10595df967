//! What a run found.

use std::path::Path;

use anyhow::Result;
use fault::{Fault, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Group;

/// The version of a report as JSON.
pub const VERSION: u32 = 1;

/// A run: all that the page and `JUnit`'s file are made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// The kubelet's release.
    pub release: String,
    /// The name of the nodes' image.
    pub image: String,
    /// What runs the kubelet's container.
    pub runtime: String,
    /// What machines are: `vm`, `namespaces`.
    pub machines: String,
    /// Were processors emulated? Times say little then.
    pub emulated: bool,
    /// The nodes' names.
    pub nodes: Vec<String>,
    /// How long all took, in seconds.
    pub seconds: f64,
    /// How the cluster came to be.
    pub phases: Vec<Phase>,
    /// Workloads and faults, in the order in which they ran.
    pub cases: Vec<CaseReport>,
    /// Pods that became ready.
    pub pods: Vec<Pod>,
    /// What ended the run before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A part of making the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What was done.
    pub name: String,
    /// To which node.
    pub node: String,
    /// When it began, in seconds from the run's beginning.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
}

/// A workload or a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseReport {
    /// Which kind.
    pub group: Group,
    /// Its name.
    pub name: String,
    /// What it asserts.
    pub about: String,
    /// When it began, in seconds from the run's beginning.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is", deny_unknown_fields)]
pub enum Outcome {
    /// All that it asserts holds.
    Passed,
    /// It does not.
    Failed {
        /// What was expected and found.
        message: String,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// A pod that became ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// `namespace/name`.
    pub name: String,
    /// Its node.
    pub node: String,
    /// When the API server took it, in seconds from the run's beginning.
    pub start: f64,
    /// From then until it was ready.
    pub seconds: f64,
}

impl Report {
    /// Those that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed { .. }))
    }

    /// How many passed, failed and were skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let skipped =
            self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped { .. })).count();
        let failed = self.failed().count();
        (self.cases.len() - failed - skipped, failed, skipped)
    }

    /// The time within which this share of pods became ready, by the nearest rank; none without pods.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank is between one and the number of pods"
    )]
    pub fn start_of(&self, share: f64) -> Option<f64> {
        let mut seconds: Vec<f64> = self.pods.iter().map(|pod| pod.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let rank = (share * seconds.len() as f64).ceil().max(1.0) as usize;
        seconds.get(rank - 1).copied()
    }

    /// What a person reads first.
    pub fn summary(&self) -> String {
        let (passed, failed, _) = self.counts();
        let pods = match (self.start_of(0.5), self.start_of(0.95)) {
            (Some(half), Some(most)) => {
                format!("; pods were ready within {half:.0} s (half of them), {most:.0} s (95 %)")
            }
            _ => String::new(),
        };
        format!(
            "{} by {} on {} machines: {passed} of {} passed in {:.0} s{pods}",
            self.image,
            self.runtime,
            self.nodes.len(),
            passed + failed,
            self.seconds
        )
    }

    /// Demands that the run came to its end, and that nothing failed in it. `out`: where results are.
    pub fn check(&self, out: &Path) -> Result<()> {
        let logs = out.join("logs");
        if let Some(error) = &self.error {
            let first = error.lines().next().unwrap_or_default();
            return Err(Fault::new(Kind::ToolFailed, format!("the run ended early: {first}"))
                .help(format!("logs: {}", logs.display()))
                .into());
        }
        match failure(self.failed()) {
            None => Ok(()),
            Some((message, alone)) => Err(Fault::new(Kind::ToolFailed, message)
                .help(format!("logs: {}; alone: {alone}", logs.display()))
                .into()),
        }
    }
}

/// What failed, if something did, and the options that run it alone.
fn failure<'a>(failed: impl Iterator<Item = &'a CaseReport>) -> Option<(String, String)> {
    let (suite, cases): (Vec<_>, Vec<_>) = failed.partition(|case| case.group == Group::Conformance);
    let mut names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    // One that ran several times in a row is named once.
    names.dedup();
    let mut failed: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut alone: Vec<String> = names.iter().map(|name| format!("--case {name}")).collect();
    if !suite.is_empty() {
        failed.push(format!("{} of Kubernetes' own tests", suite.len()));
        alone.push("--conformance --focus NAME".to_owned());
    }
    (!failed.is_empty()).then(|| (format!("failed: {}", failed.join(", ")), alone.join(" ")))
}

/// Pods in what `kubectl get pods --output=json` answers that became ready, timed from `started`. A pod that is not ready, or
/// that is there by a file of the kubelet's and not by the API, has no time to tell.
pub(crate) fn pods(list: &Value, started: jiff::Timestamp) -> Vec<Pod> {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|pod| timed(pod, started)).collect()
}

fn timed(pod: &Value, started: jiff::Timestamp) -> Option<Pod> {
    let meta = &pod["metadata"];
    if meta["annotations"].get("kubernetes.io/config.source").is_some_and(|source| source == "file") {
        return None;
    }
    let ready = pod["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == "Ready")?;
    if ready["status"] != "True" {
        return None;
    }
    let time = |value: &Value| value.as_str()?.parse::<jiff::Timestamp>().ok();
    let (created, ready) = (time(&meta["creationTimestamp"])?, time(&ready["lastTransitionTime"])?);
    let seconds = |from: jiff::Timestamp, to: jiff::Timestamp| to.duration_since(from).as_secs_f64();
    Some(Pod {
        name: format!("{}/{}", meta["namespace"].as_str()?, meta["name"].as_str()?),
        node: pod["spec"]["nodeName"].as_str()?.to_owned(),
        start: seconds(started, created),
        seconds: seconds(created, ready),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A run with one of each.
    pub(crate) fn sample() -> Report {
        let case = |group, name: &str, start, outcome| CaseReport {
            group,
            name: name.to_owned(),
            about: format!("what {name} is about"),
            start,
            seconds: if matches!(outcome, Outcome::Skipped { .. }) { 0.0 } else { 12.5 },
            outcome,
        };
        let failed = Outcome::Failed { message: "expected `a <b>`, found `c`\nat once".to_owned() };
        let skipped = Outcome::Skipped { reason: "not asked for".to_owned() };
        let phase = |name: &str, node: &str, start| Phase {
            name: name.into(),
            node: node.into(),
            start,
            seconds: 60.0,
        };
        let pod =
            |name: &str, seconds| Pod { name: name.into(), node: "node1".into(), start: 130.0, seconds };
        Report {
            version: VERSION,
            started: "2026-01-02T03:04:05Z".to_owned(),
            release: "v1.26.0".to_owned(),
            image: "localhost/kubelet:v1.26.0-kubeadm-cni-micro".to_owned(),
            runtime: "containerd".to_owned(),
            machines: "vm".to_owned(),
            emulated: true,
            nodes: vec!["node".to_owned(), "node1".to_owned()],
            seconds: 180.0,
            phases: vec![phase("kubeadm init", "node", 0.0), phase("kubeadm join", "node1", 60.0)],
            cases: vec![
                case(Group::Workload, "deployment", 120.0, Outcome::Passed),
                case(Group::Workload, "probes", 132.5, failed),
                case(Group::Fault, "link-cut", 145.0, skipped),
            ],
            pods: vec![pod("default/a", 4.0), pod("default/b", 9.0)],
            error: None,
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_counts() {
        let report = sample();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        assert_eq!(report.counts(), (1, 1, 1));
        assert_eq!(report.failed().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["probes"]);
    }

    #[test]
    fn a_share_of_pods_is_by_the_nearest_rank() {
        let mut report = sample();
        assert_eq!((report.start_of(0.5), report.start_of(0.95)), (Some(4.0), Some(9.0)));
        report.pods.clear();
        assert_eq!(report.start_of(0.5), None);
    }

    #[test]
    fn pods_are_timed_by_what_the_server_says_of_them() {
        let pod = |name: &str, status: &str, config: &str| {
            json!({"metadata": {"namespace": "default", "name": name, "creationTimestamp": "2026-01-02T03:05:05Z",
                    "annotations": {"kubernetes.io/config.source": config}},
                "spec": {"nodeName": "node1"},
                "status": {"conditions": [{"type": "Initialized", "status": "True"},
                    {"type": "Ready", "status": status, "lastTransitionTime": "2026-01-02T03:05:12Z"}]}})
        };
        let list = json!({"items": [pod("a", "True", "api"), pod("b", "False", "api"), pod("c", "True", "file"), {}]});
        let found = pods(&list, "2026-01-02T03:04:05Z".parse().unwrap());
        let name = "default/a".to_owned();
        assert_eq!(found, [Pod { name, node: "node1".to_owned(), start: 60.0, seconds: 7.0 }]);
        assert!(pods(&json!({}), jiff::Timestamp::UNIX_EPOCH).is_empty());
    }

    #[test]
    fn what_failed_is_named_with_what_runs_it_alone() {
        let case = |group, name: &str| CaseReport {
            group,
            name: name.to_owned(),
            about: String::new(),
            start: 0.0,
            seconds: 1.0,
            outcome: Outcome::Failed { message: String::new() },
        };
        assert_eq!(failure([].iter()), None);
        let mut failed = vec![case(Group::Workload, "probes"), case(Group::Fault, "link-cut")];
        let both = ("failed: probes, link-cut".to_owned(), "--case probes --case link-cut".to_owned());
        assert_eq!(failure(failed.iter()), Some(both));
        failed.extend([case(Group::Conformance, "[sig-a] a"), case(Group::Conformance, "[sig-a] b")]);
        let (message, alone) = failure(failed.iter()).unwrap();
        assert_eq!(message, "failed: probes, link-cut, 2 of Kubernetes' own tests");
        assert_eq!(alone, "--case probes --case link-cut --conformance --focus NAME");
    }
}
