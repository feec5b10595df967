//! Kubernetes' own conformance tests, run on the first machine of a cluster, as `tests/conformance` says for the release.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;
use serde::Deserialize;

use crate::outcome::{CaseReport, Outcome};
use crate::{Group, Machines, Place, Said};

/// Where lists of tests that are not run are, in a checkout: `RELEASE.toml` each.
const LISTS: &str = "tests/conformance";
/// What the names of the tests have, of which the last is conformance of what a node does alone.
const LABELS: [&str; 2] = ["[Conformance]", "[NodeConformance]"];
/// What the names of those have that disturb others, or that others disturb: they run last, one after another.
const SERIAL: &str = "[Serial]";
/// Of what a run writes.
const FILES: [(&str, &str); 2] = [("log", "conformance.log"), ("xml", "conformance.xml")];
/// Where all is on the machine.
const DIR: &str = "/var/lib/suite";
/// How often the machine is asked how far it is.
const POLL: Duration = Duration::from_secs(10);
/// For an answer of the machine's.
const SHORT: Duration = Duration::from_mins(5);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Texts of which a test's name has one; all are run without any.
    only: Vec<String>,
    /// How many tests run at a time.
    at_a_time: usize,
    list: List,
}

/// A list of tests that are not run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct List {
    #[serde(default)]
    not_run: Vec<NotRun>,
}

/// A test that is not run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotRun {
    test: String,
    reason: String,
}

/// A test as ginkgo reports it (`types.SpecReport` of github.com/onsi/ginkgo/v2).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Spec {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: String,
    /// In nanoseconds.
    run_time: i64,
    start_time: String,
    failure: Failure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Failure {
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reported {
    spec_reports: Option<Vec<Spec>>,
}

impl Suite {
    /// The suite of a release, by the list in the checkout at `root`; without one all of it is run.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for a list that is not one.
    pub fn read(root: &Path, release: &str, only: Vec<String>, at_a_time: usize) -> Result<Self> {
        let path = root.join(LISTS).join(format!("{release}.toml"));
        let list = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                Fault::new(Kind::InvalidData, format!("{} is not a list of tests: {error}", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => List::default(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        Ok(Self { only, at_a_time, list })
    }

    /// Runs it; returns what came of each test of the suite's own list, those that are not run with their reasons. In `out` are
    /// the suite's own `conformance.xml`, and what it said; of tests that run one after another `conformance-serial.xml`.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]; [`Kind::InvalidData`] for a list that names what is not a test of the suite; what the suite says, where it
    /// does not come to its end.
    pub(crate) fn run(
        &self,
        machines: &mut dyn Machines,
        started: jiff::Timestamp,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<CaseReport>> {
        let task = progress.task("list the conformance tests", None);
        let names: Vec<String> = specs(&ok(machines, &listing(), SHORT * 4)?.stdout)?
            .into_iter()
            .filter(|spec| spec.state == "passed")
            .map(|spec| spec.name())
            .collect();
        drop(task);
        let (chosen, mut reports) = self.divide(&names, seconds_between(started, jiff::Timestamp::now()))?;
        if chosen.is_empty() {
            return Ok(reports);
        }
        let (serial, others) = chosen.into_iter().partition(|name| name.contains(SERIAL));
        let parts: [(Vec<&str>, usize, &str); 2] = [(others, self.at_a_time, ""), (serial, 1, "-serial")];
        for (names, at_a_time, part) in parts.into_iter().filter(|(names, ..)| !names.is_empty()) {
            let found = wait(machines, &names, at_a_time, progress);
            for (from, to) in FILES {
                // What came to no end has perhaps no report.
                if let Ok(said) = ok(machines, &format!("cat {DIR}/run.{from}"), SHORT) {
                    let to = to.replace('.', &format!("{part}."));
                    files::write(&out.join(to), said.stdout.as_bytes())?;
                }
            }
            found?;
            let ran = specs(&ok(machines, &format!("cat {DIR}/run.json"), SHORT)?.stdout)?;
            let ran: BTreeMap<String, Spec> = ran.into_iter().map(|spec| (spec.name(), spec)).collect();
            reports.extend(names.into_iter().map(|name| report(name, ran.get(name), started)));
        }
        Ok(reports)
    }

    /// The tests to run, and reports of the others.
    fn divide<'a>(&self, names: &'a [String], now: f64) -> Result<(Vec<&'a str>, Vec<CaseReport>)> {
        let stale: Vec<&str> = self
            .list
            .not_run
            .iter()
            .map(|one| one.test.as_str())
            .filter(|test| !names.iter().any(|name| name == test))
            .collect();
        if !stale.is_empty() {
            let message = format!("{LISTS} names what is not a test of the suite:\n  {}", stale.join("\n  "));
            return Err(Fault::new(Kind::InvalidData, message).into());
        }
        let (mut chosen, mut others) = (Vec::new(), Vec::new());
        for name in names {
            let listed = self.list.not_run.iter().find(|one| one.test == *name);
            let wanted = self.only.is_empty() || self.only.iter().any(|text| name.contains(text));
            let reason = match listed {
                Some(one) => one.reason.clone(),
                None if wanted => {
                    chosen.push(name.as_str());
                    continue;
                }
                None => "not chosen".to_owned(),
            };
            others.push(case(name, now, 0.0, Outcome::Skipped { reason }));
        }
        Ok((chosen, others))
    }
}

/// Starts tests in the background, and waits for their end.
fn wait(
    machines: &mut dyn Machines,
    names: &[&str],
    at_a_time: usize,
    progress: &dyn Progress,
) -> Result<()> {
    let task = progress.task("conformance", Some(names.len() as u64));
    ok(machines, &start(names, at_a_time), SHORT)?;
    let mut done = 0;
    loop {
        exec::interrupt::sleep(POLL)?;
        // A machine that is busy may be late once: it is asked again.
        let said = ok(machines, PROGRESS, SHORT)?.stdout;
        let mut words = said.split_whitespace();
        let (passed, failed) = (count(words.next()), count(words.next()));
        task.advance((passed + failed).saturating_sub(done));
        done = done.max(passed + failed);
        task.detail(&format!("{failed} failed"));
        match words.next() {
            None => {}
            // Of tests that failed their report tells.
            Some("0" | "1") => return Ok(()),
            Some(code) => {
                let message = format!("ginkgo ended with {code}; what it said is in conformance.log");
                return Err(Fault::new(Kind::ToolFailed, message).into());
            }
        }
    }
}

/// How many passed and failed, and when it has ended its exit code.
const PROGRESS: &str = "cd /var/lib/suite
failed=$(grep -c '^. \\[FAILED\\]\\|^. \\[PANICKED\\]\\|^. \\[TIMEDOUT\\]' run.log)
all=$(grep -o '•' run.log | wc -l)
echo $((all > failed ? all - failed : 0)) $failed $(cat code 2>/dev/null)
";

fn count(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Arguments of the tests themselves: a cluster of nobody's cloud.
const ARGUMENTS: &str = "--provider=skeleton --kubeconfig=/etc/kubernetes/admin.conf --disable-log-dump \
    --kubectl-path=/usr/local/bin/kubectl";

/// Lists the tests, and runs none.
fn listing() -> String {
    let focus: Vec<String> = LABELS.iter().map(|label| escaped(label)).collect();
    format!(
        "set -e; mkdir -p {DIR}; cd {DIR}\n\
         e2e.test --ginkgo.dry-run --ginkgo.focus='{}' --ginkgo.json-report={DIR}/all.json {ARGUMENTS} >list.log 2>&1 || {{ tail -n 40 list.log; exit 1; }}\n\
         cat all.json\n",
        focus.join("|")
    )
}

/// Starts tests of these names; the exit code is in a file when they have ended.
fn start(names: &[&str], at_a_time: usize) -> String {
    let mut focus = String::new();
    for name in names {
        let _ = write!(focus, "{}{}$", if focus.is_empty() { "" } else { "|" }, escaped(name));
    }
    format!(
        "set -e; cd {DIR}; rm -f code run.*\ncat >focus <<'END'\n{focus}\nEND\n\
         cat >start.sh <<'END'\ncd {DIR}\n\
         ginkgo --procs={at_a_time} --no-color --timeout=24h --focus=\"$(cat focus)\" --output-dir={DIR} --json-report=run.json \
         --junit-report=run.xml $(command -v e2e.test) -- {ARGUMENTS} >run.log 2>&1\n\
         echo $? >code.new; mv code.new code\nEND\n\
         setsid sh start.sh >/dev/null 2>&1 </dev/null &\n"
    )
}

/// A text as a regular expression that it alone matches.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, char| {
        if char.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(char);
        out
    })
}

fn ok(machines: &mut dyn Machines, script: &str, limit: Duration) -> Result<Said> {
    let said = machines.run(Place::First, script, limit)?;
    if said.code == 0 {
        return Ok(said);
    }
    let message = format!("the conformance tests, exit code {}\n{}{}", said.code, said.stdout, said.stderr);
    Err(Fault::new(Kind::ToolFailed, message).into())
}

/// The tests of a report of ginkgo's; what is set up for all of them is left out.
fn specs(json: &str) -> Result<Vec<Spec>> {
    let suites: Vec<Reported> = serde_json::from_str(json).context("ginkgo's report")?;
    let all = suites.into_iter().flat_map(|suite| suite.spec_reports.unwrap_or_default());
    Ok(all.filter(|spec| spec.leaf_node_type == "It").collect())
}

impl Spec {
    /// The whole name, as the suite's focus sees it.
    fn name(&self) -> String {
        let containers = self.container_hierarchy_texts.iter().flatten();
        containers.chain([&self.leaf_node_text]).map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

fn report(name: &str, spec: Option<&Spec>, started: jiff::Timestamp) -> CaseReport {
    let Some(spec) = spec else {
        return case(name, 0.0, 0.0, failed("the suite's report does not have it"));
    };
    let outcome = match spec.state.as_str() {
        "passed" => Outcome::Passed,
        "skipped" => Outcome::Skipped { reason: format!("the suite: {}", spec.failure.message) },
        state => failed(&format!("{state}: {}", spec.failure.message)),
    };
    let start = spec.start_time.parse::<jiff::Timestamp>().unwrap_or(started);
    let seconds = Duration::from_nanos(u64::try_from(spec.run_time).unwrap_or(0)).as_secs_f64();
    case(name, seconds_between(started, start), seconds, outcome)
}

/// A clock may be set back meanwhile.
fn seconds_between(from: jiff::Timestamp, to: jiff::Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { message: message.to_owned() }
}

fn case(name: &str, start: f64, seconds: f64, outcome: Outcome) -> CaseReport {
    CaseReport {
        group: Group::Conformance,
        name: name.to_owned(),
        about: String::new(),
        start,
        seconds,
        outcome,
    }
}

#[cfg(test)]
mod tests;
