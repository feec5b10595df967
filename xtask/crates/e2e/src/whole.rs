//! A run from nothing to its report.

use std::iter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cluster::{Cluster, Kit};
use fault::Kind;
use progress::Progress;

use crate::outcome::{CaseReport, Outcome, Phase, Report, VERSION};
use crate::{Able, CASES, Case, Group, Machines, Runner, Suite, junit, logs, page, telling};

/// Where logs are, in the run's directory.
const LOGS: &str = "logs";
/// Of how many cases that failed the logs are kept: what fails after that fails for the same reason.
const KEPT: usize = 3;
/// How many of a node's lines the console shows.
const LINES: usize = 8;

/// Makes a cluster of two machines, runs the cases and then Kubernetes' own suite, and takes all down. What was found is in `out`:
/// `report.json`, `junit.xml`, `index.html`, consoles, and where something failed `logs`, of which the most telling lines are noted.
///
/// # Errors
/// [`Kind::Interrupted`], and where `out` cannot be written to; that a cluster cannot be made is in the report.
pub fn run(
    kit: Kit,
    release: &str,
    cases: &[&Case],
    suite: Option<&Suite>,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Report> {
    let logs = out.join(LOGS);
    if logs.exists() {
        std::fs::remove_dir_all(&logs).with_context(|| format!("removing {}", logs.display()))?;
    }
    let started = jiff::Timestamp::now();
    let able = Able { nodes: kit.nodes(), init: kit.init(), other: kit.other().is_some() };
    let cases: Vec<&Case> = cases.iter().copied().filter(|case| able.lack(case).is_none()).collect();
    let mut cluster = Cluster::new(kit)?;
    let mut report = Report {
        version: VERSION,
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        release: release.to_owned(),
        image: cluster.kit().image().to_owned(),
        runtime: cluster.kit().runtime().name().to_owned(),
        machines: able.nodes.name().to_owned(),
        emulated: cluster.kit().emulated(),
        nodes: Vec::new(),
        seconds: 0.0,
        phases: Vec::new(),
        cases: Vec::new(),
        pods: Vec::new(),
        error: None,
    };
    let made = cluster.init(progress).and_then(|()| cluster.join(progress));
    report.nodes = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    report.phases = cluster.steps.iter().map(phase).collect();
    let done = made.and_then(|()| {
        let runner = Runner { since: cluster.since, started, names: names(&cluster, release), progress };
        let mut kept = 0;
        runner.run(&mut cluster, &cases, |machines, case| {
            let dir = logs.join(&case.name);
            // Of one that is repeated, those of the first time.
            if kept < KEPT && !dir.exists() {
                kept += 1;
                keep(machines, &dir, progress);
            }
        })
    });
    match done {
        Ok((ran, pods)) => {
            (report.cases, report.pods) = (ran, pods);
            if let Some(suite) = suite {
                let ran = cluster.untaint().and_then(|()| suite.run(&mut cluster, started, out, progress));
                match ran {
                    Ok(ran) => report.cases.extend(ran),
                    Err(error) if fault::is(&error, Kind::Interrupted) => return Err(error),
                    Err(error) => report.error = Some(format!("{error:#}")),
                }
                let failed = |case: &CaseReport| {
                    matches!((case.group, &case.outcome), (Group::Conformance, Outcome::Failed { .. }))
                };
                if report.error.is_some() || report.cases.iter().any(failed) {
                    keep(&mut cluster, &logs.join(Group::Conformance.name()), progress);
                }
            }
        }
        Err(error) if fault::is(&error, Kind::Interrupted) => {
            return Err(error);
        }
        Err(error) => {
            keep(&mut cluster, &logs, progress);
            report.error = Some(format!("{error:#}"));
        }
    }
    let now = cluster.since.elapsed().as_secs_f64();
    report.cases.extend(not_run(&report.cases, able, now));
    report.seconds = cluster.since.elapsed().as_secs_f64();
    let json = serde_json::to_string_pretty(&report)? + "\n";
    for (name, text) in [("report.json", json), ("junit.xml", junit(&report)), ("index.html", page(&report))]
    {
        files::write(&out.join(name), text.as_bytes())?;
    }
    Ok(report)
}

/// All of the table that did not run: nothing of it goes unmentioned.
fn not_run(ran: &[CaseReport], able: Able, now: f64) -> Vec<CaseReport> {
    let missing = CASES.iter().filter(|case| !ran.iter().any(|report| report.name == case.name));
    let report = |case: &Case| CaseReport {
        group: case.group,
        name: case.name.to_owned(),
        about: case.about.to_owned(),
        start: now,
        seconds: 0.0,
        outcome: Outcome::Skipped {
            reason: able.lack(case).unwrap_or("not chosen, or the run ended before it").to_owned(),
        },
    };
    missing.map(report).collect()
}

/// What scripts know: the release, and the machines.
fn names(cluster: &Cluster, release: &str) -> Vec<(&'static str, String)> {
    let words = [("FIRST", "FIRST_ADDRESS"), ("SECOND", "SECOND_ADDRESS")];
    let both = cluster.nodes.iter().zip(words);
    let machines =
        both.flat_map(|(node, (name, address))| [(name, node.name.clone()), (address, node.address.clone())]);
    iter::once(("RELEASE", release.to_owned())).chain(machines).collect()
}

fn phase(step: &cluster::Step) -> Phase {
    let seconds = Duration::as_secs_f64;
    Phase {
        name: step.name.clone(),
        node: step.node.clone(),
        start: seconds(&step.start),
        seconds: seconds(&step.took),
    }
}

/// Keeps the logs of all machines, and notes what tells most. That it fails changes nothing of what is reported.
fn keep(machines: &mut dyn Machines, dir: &Path, progress: &dyn Progress) {
    let task = progress.task("collect the logs of all nodes", None);
    let kept = machines.collect(dir);
    drop(task);
    match kept {
        Ok(nodes) => {
            for node in nodes {
                let log = logs::kubelet(dir, &node);
                for line in telling(&log, LINES) {
                    progress.note(&format!("  {node}: {line}"));
                }
            }
            progress.note(&format!("  all logs: {}", dir.display()));
        }
        Err(error) => progress.note(&format!("the logs cannot be kept: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use cluster::Nodes;
    use vm::Init;

    use super::*;
    use crate::outcome::tests::sample;

    #[test]
    fn what_ran_and_what_did_not_is_the_whole_table() {
        let mut ran = sample().cases;
        ran.truncate(2);
        let able = Able { nodes: Nodes::Namespaces, init: Init::Busybox, other: false };
        let missing = not_run(&ran, able, 9.0);
        assert_eq!(missing.len() + ran.len(), CASES.len());
        let names = |reports: &[CaseReport]| reports.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        assert!(names(&missing).iter().all(|name| !names(&ran).contains(name)));
        assert!(missing.iter().all(|case| matches!(case.outcome, Outcome::Skipped { .. })));
        let with = |words: &str| -> Vec<&str> {
            let has = |case: &&CaseReport| matches!(&case.outcome, Outcome::Skipped { reason } if reason.contains(words));
            missing.iter().filter(has).map(|case| case.name.as_str()).collect()
        };
        assert_eq!(with("--other"), ["another-release"]);
        assert_eq!(with("--nodes vm"), ["swap", "node-reboots", "power-cut", "power-cut-first"]);
        assert_eq!(with("--init systemd"), ["graceful-shutdown"]);
    }
}
