//! Goes through the cases, on whatever runs their steps.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fault::{Fault, Kind};
use progress::Progress;

use crate::cases::{BASE, BASE_READY, PRELUDE};
use crate::outcome::{CaseReport, Outcome, Pod, pods};
use crate::{Case, Machines, Place, Step};

/// How long a step may take: its script waits for less.
const LIMIT: Duration = Duration::from_mins(25);
/// How many of a script's last lines a failure repeats.
const TAIL: usize = 40;
/// How often what is applied is tried: a slow server may give no answer in time, and the same again does no harm.
const TRIES: usize = 5;

/// A run of cases.
pub struct Runner<'a> {
    /// When the run began.
    pub since: Instant,
    /// The same by the clock.
    pub started: jiff::Timestamp,
    /// What scripts know, as in `FIRST=node`.
    pub names: Vec<(&'static str, String)>,
    /// Hears what is done.
    pub progress: &'a dyn Progress,
}

impl Runner<'_> {
    /// Applies what cases need, and runs one after another; the same one several times in a row if it is there as often. A case
    /// that fails does not end the run; `failed` is called with it at once, while all is as it was left.
    ///
    /// # Errors
    /// [`Kind::Interrupted`], and where nothing can be applied.
    pub fn run(
        &self,
        machines: &mut dyn Machines,
        cases: &[&Case],
        mut failed: impl FnMut(&mut dyn Machines, &CaseReport),
    ) -> Result<(Vec<CaseReport>, Vec<Pod>)> {
        let again = |number: usize| number > 0 && cases.get(number) == cases.get(number - 1);
        let first = cases.iter().enumerate().filter(|(number, _)| !again(*number));
        let manifests: Vec<&str> = [BASE]
            .into_iter()
            .chain(first.map(|(_, case)| case.manifest))
            .filter(|text| !text.is_empty())
            .collect();
        self.apply(machines, &manifests.join("\n---\n"))?;
        let task = self.progress.task("wait for what all cases use", None);
        match self.script(machines, Place::First, BASE_READY) {
            Err(error) if fault::is(&error, Kind::Interrupted) => return Err(error),
            // Cases say themselves what they miss.
            _ => drop(task),
        }
        let (mut reports, mut ready) = (Vec::new(), BTreeMap::new());
        for (number, case) in cases.iter().enumerate() {
            if again(number) && !case.manifest.is_empty() {
                self.apply(machines, case.manifest)?;
            }
            let start = self.since.elapsed();
            let task =
                self.progress.task(&format!("{} ({} of {})", case.name, number + 1, cases.len()), None);
            let outcome = match self.case(machines, case) {
                Ok(()) => Outcome::Passed,
                Err(error) if fault::is(&error, Kind::Interrupted) => return Err(error),
                Err(error) => Outcome::Failed { message: format!("{error:#}") },
            };
            drop(task);
            let report = CaseReport {
                group: case.group,
                name: case.name.to_owned(),
                about: case.about.to_owned(),
                start: start.as_secs_f64(),
                seconds: self.since.elapsed().saturating_sub(start).as_secs_f64(),
                outcome,
            };
            let word = if report.outcome == Outcome::Passed { "passed" } else { "FAILED" };
            let next = cases.get(number + 1).map_or(String::new(), |next| format!("; next: {}", next.name));
            let now = self.since.elapsed().as_secs_f64();
            self.progress
                .note(&format!("{now:7.1} s  {word}  {} in {:.1} s{next}", case.name, report.seconds));
            if let Outcome::Failed { message } = &report.outcome {
                self.progress.note(message);
                failed(machines, &report);
            }
            // Its pods are gone after this.
            if !case.manifest.is_empty() || number + 1 == cases.len() {
                match self.pods(machines) {
                    Err(error) if fault::is(&error, Kind::Interrupted) => return Err(error),
                    found => {
                        ready
                            .extend(found.unwrap_or_default().into_iter().map(|pod| (pod.name.clone(), pod)));
                    }
                }
            }
            self.clean(machines, case, report.outcome != Outcome::Passed, again(number + 1))?;
            reports.push(report);
        }
        let mut pods: Vec<Pod> = ready.into_values().collect();
        pods.sort_by(|one, other| one.start.total_cmp(&other.start).then_with(|| one.name.cmp(&other.name)));
        Ok((reports, pods))
    }

    fn case(&self, machines: &mut dyn Machines, case: &Case) -> Result<()> {
        for (number, step) in case.steps.iter().enumerate() {
            let done = match *step {
                Step::Run(place, script) => self.script(machines, place, script).map(drop),
                Step::Restart(place) => machines.restart(place),
                Step::Replace(place, other) => machines.replace(place, other),
                Step::Unplug(place) => machines.plug(place, false),
                Step::Plug(place) => machines.plug(place, true),
                Step::Reboot(place) => machines.boot(place, false),
                Step::CutPower(place) => machines.boot(place, true),
            };
            done.with_context(|| format!("step {} of {}, {step}", number + 1, case.steps.len()))?;
        }
        Ok(())
    }

    /// Runs a script with the prelude; returns its standard output.
    fn script(&self, machines: &mut dyn Machines, place: Place, script: &str) -> Result<String> {
        let mut names = String::new();
        for (name, value) in &self.names {
            names.push_str(&format!("{name}='{value}'\n"));
        }
        let said = machines.run(place, &format!("{PRELUDE}\n{names}{script}\n"), LIMIT)?;
        if said.code == 0 {
            return Ok(said.stdout);
        }
        let text = format!("{}{}", said.stdout, said.stderr);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        Err(Fault::new(Kind::ToolFailed, format!("exit code {}\n{tail}", said.code)).into())
    }

    fn apply(&self, machines: &mut dyn Machines, yaml: &str) -> Result<()> {
        let _task = self.progress.task("apply what the cases need", None);
        let script = format!("kubectl apply --filename - >/dev/null <<'END'\n{yaml}\nEND");
        let mut tries = 1;
        loop {
            match self.script(machines, Place::First, &script) {
                Ok(_) => return Ok(()),
                Err(error) if fault::is(&error, Kind::Interrupted) || tries == TRIES => {
                    return Err(error.context("applying what the cases need"));
                }
                Err(_) => {
                    tries += 1;
                    // Where it is slow, the API server may be ended by its own probes. If it stays away, the next try says so.
                    _ = self.script(machines, Place::First, "steady");
                }
            }
        }
    }

    /// Takes away what a case had, whether it passed or not, and waits for that only if the same comes `again`. What is left of one
    /// that failed is in nobody else's way.
    fn clean(&self, machines: &mut dyn Machines, case: &Case, failed: bool, again: bool) -> Result<()> {
        for step in case.steps {
            match *step {
                Step::Unplug(place) => machines.plug(place, true)?,
                Step::Replace(place, true) if failed => machines.replace(place, false)?,
                _ => {}
            }
        }
        if case.manifest.is_empty() {
            return Ok(());
        }
        // With what belongs to it, which might pass for the next one's.
        let how = if again { "--cascade=foreground --wait=true" } else { "--wait=false" };
        let script = format!(
            "kubectl delete --ignore-not-found {how} --filename - >/dev/null <<'END'\n{}\nEND",
            case.manifest
        );
        match self.script(machines, Place::First, &script) {
            Err(error) if fault::is(&error, Kind::Interrupted) => Err(error),
            _ => Ok(()),
        }
    }

    /// Pods that are ready now, with their times.
    fn pods(&self, machines: &mut dyn Machines) -> Result<Vec<Pod>> {
        let list = self.script(machines, Place::First, "kubectl get pods --all-namespaces --output=json")?;
        Ok(pods(&serde_json::from_str(&list)?, self.started))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use progress::Silent;
    use tempfile::TempDir;

    use super::*;
    use crate::{Group, Said};

    /// Runs scripts here, where kubectl is a program that notes how it is called.
    struct Here {
        dir: TempDir,
        done: Vec<String>,
        gone: bool,
    }

    impl Here {
        fn new() -> Self {
            let dir = TempDir::new().unwrap();
            let kubectl = dir.path().join("kubectl");
            let text = "#!/bin/sh\necho \"$*\" >>${0%/*}/calls\n\
                case $1 in apply | delete) cat >>${0%/*}/input ;; esac\necho '{\"items\": []}'\n";
            fs::write(&kubectl, text).unwrap();
            assert!(Command::new("chmod").arg("755").arg(&kubectl).status().unwrap().success());
            Self { dir, done: Vec::new(), gone: false }
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
        }
    }

    impl Machines for Here {
        fn run(&mut self, place: Place, script: &str, _limit: Duration) -> Result<Said> {
            if self.gone {
                return Err(Fault::new(Kind::ToolFailed, "the machine ended").into());
            }
            let file = self.dir.path().join("script");
            fs::write(&file, script)?;
            let path = format!("{}:/usr/bin:/bin", self.dir.path().display());
            let out = Command::new("bash")
                .arg(file)
                .env("PATH", path)
                .env("PLACE", format!("{place:?}"))
                .output()?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Ok(Said {
                code: out.status.code().unwrap(),
                stdout: text(&out.stdout),
                stderr: text(&out.stderr),
            })
        }

        fn restart(&mut self, place: Place) -> Result<()> {
            self.done.push(format!("restart {place:?}"));
            Ok(())
        }

        fn replace(&mut self, place: Place, other: bool) -> Result<()> {
            self.done.push(format!("replace {place:?} {other}"));
            Ok(())
        }

        fn plug(&mut self, place: Place, plugged: bool) -> Result<()> {
            self.done.push(format!("plug {place:?} {plugged}"));
            Ok(())
        }

        fn boot(&mut self, place: Place, power: bool) -> Result<()> {
            self.done.push(format!("boot {place:?} {power}"));
            Ok(())
        }

        fn collect(&mut self, _dir: &Path) -> Result<Vec<String>> {
            Ok(Vec::new())
        }
    }

    fn case(name: &'static str, manifest: &'static str, steps: &'static [Step]) -> Case {
        Case { group: Group::Workload, name, about: "", manifest, steps, needs: &[] }
    }

    fn run(here: &mut Here, cases: &[Case]) -> Result<(Vec<CaseReport>, Vec<String>)> {
        let names = vec![("FIRST", "node".to_owned())];
        let runner =
            Runner { since: Instant::now(), started: jiff::Timestamp::now(), names, progress: &Silent };
        let mut told = Vec::new();
        let all: Vec<&Case> = cases.iter().collect();
        let (reports, _) = runner.run(here, &all, |_, report| told.push(report.name.clone()))?;
        Ok((reports, told))
    }

    #[test]
    fn a_case_that_fails_says_what_it_found_and_the_next_one_runs() {
        let mut here = Here::new();
        let cases = [
            case(
                "bad",
                "kind: Bad",
                &[Step::Run(Place::First, "echo so; same a b"), Step::Restart(Place::First)],
            ),
            case("good", "", &[Step::Run(Place::Second, "same $FIRST node; same $PLACE Second")]),
        ];
        let (reports, told) = run(&mut here, &cases).unwrap();
        let Outcome::Failed { message } = &reports[0].outcome else { panic!("{reports:?}") };
        for words in ["step 1 of 2", "First", "exit code 1", "so\nexpected `b`, found `a`"] {
            assert!(message.contains(words), "no `{words}`: {message}");
        }
        assert_eq!(reports[1].outcome, Outcome::Passed);
        assert_eq!(told, ["bad"]);
        assert_eq!(here.done, Vec::<String>::new(), "no step after the one that failed");
    }

    #[test]
    fn what_cases_need_is_applied_once_and_each_ones_own_is_deleted_after_it() {
        let mut here = Here::new();
        let cases = [case("one", "kind: One", &[]), case("two", "", &[])];
        run(&mut here, &cases).unwrap();
        let calls = here.read("calls");
        let verbs: Vec<&str> = calls.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(verbs, ["apply", "--namespace", "rollout", "get", "delete", "get"]);
        assert_eq!(here.read("input"), format!("{BASE}\n---\nkind: One\nkind: One\n"));
    }

    #[test]
    fn a_case_that_is_repeated_has_what_it_needs_each_time() {
        let mut here = Here::new();
        let one = case("one", "kind: One", &[]);
        let (reports, _) = run(&mut here, &[one, one, case("two", "", &[])]).unwrap();
        assert_eq!(reports.len(), 3);
        let text = here.read("input");
        assert_eq!(text, format!("{BASE}\n---\nkind: One\n{}", "kind: One\n".repeat(3)));
        let calls = here.read("calls");
        let waits: Vec<&str> = calls.split(' ').filter(|word| word.starts_with("--wait=")).collect();
        assert_eq!(waits, ["--wait=true", "--wait=false"]);
    }

    #[test]
    fn a_cable_is_plugged_in_again_also_after_a_failure() {
        let mut here = Here::new();
        let steps: &[Step] =
            &[Step::Unplug(Place::Second), Step::Run(Place::First, "false"), Step::Plug(Place::Second)];
        run(&mut here, &[case("cut", "", steps)]).unwrap();
        assert_eq!(here.done, ["plug Second false", "plug Second true"]);
    }

    #[test]
    fn a_node_has_its_own_kubelet_again_also_after_a_failure() {
        let mut here = Here::new();
        let steps: &[Step] = &[
            Step::Replace(Place::Second, true),
            Step::Run(Place::First, "false"),
            Step::Replace(Place::Second, false),
        ];
        run(&mut here, &[case("other", "", steps)]).unwrap();
        assert_eq!(here.done, ["replace Second true", "replace Second false"]);
    }

    #[test]
    fn where_nothing_can_be_applied_nothing_is_run() {
        let mut here = Here { gone: true, ..Here::new() };
        let error = run(&mut here, &[case("one", "", &[])]).unwrap_err();
        assert!(
            format!("{error:#}").contains("applying what the cases need: the machine ended"),
            "{error:#}"
        );
    }

    #[test]
    fn the_preludes_functions_hold_what_they_say() {
        let mut here = Here::new();
        let cases = [
            case("await", "", &[Step::Run(Place::First, "n=0; f() { [ -e $HOME/never ]; }; await 1 f")]),
            case(
                "await says",
                "",
                &[Step::Run(Place::First, "f() { echo told; }; same \"$(await 5 f)\" told")],
            ),
            case(
                "has",
                "",
                &[Step::Run(Place::First, "has 'one two' two; ! has one two 2>/dev/null; has a b")],
            ),
        ];
        let (reports, told) = run(&mut here, &cases).unwrap();
        assert_eq!(told, ["await", "has"]);
        let message = |index: usize| match &reports[index].outcome {
            Outcome::Failed { message } => message.clone(),
            other => panic!("{other:?}"),
        };
        assert!(message(0).contains("not within 1 s: f"), "{}", message(0));
        assert!(message(2).ends_with("no `b` in:\na"), "{}", message(2));
    }
}
