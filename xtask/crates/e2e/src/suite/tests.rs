use fault::exit_code;
use progress::Silent;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A machine whose suite has three tests and runs them as it is told.
struct Suited {
    asked: Vec<String>,
    report: Value,
    code: &'static str,
}

fn spec(name: &str, state: &str, message: &str) -> Value {
    json!({"ContainerHierarchyTexts": ["[sig-a]", "Things"], "LeafNodeType": "It", "LeafNodeText": name, "State": state,
        "RunTime": 1_500_000_000, "StartTime": "2026-01-02T03:05:05.5+01:00", "Failure": {"Message": message}})
}

fn suited(specs: &[Value]) -> Suited {
    let setup = json!({"LeafNodeType": "SynchronizedBeforeSuite", "State": "passed"});
    let all: Vec<&Value> = std::iter::once(&setup).chain(specs).collect();
    Suited { asked: Vec::new(), report: json!([{"SuiteDescription": "s", "SpecReports": all}]), code: "0" }
}

impl Machines for Suited {
    fn run(&mut self, _: Place, script: &str, _: Duration) -> Result<Said> {
        self.asked.push(script.to_owned());
        let stdout = if script.contains("--ginkgo.dry-run") {
            let name = |name: &str, state: &str| spec(name, state, "");
            let names =
                [name("a (1)", "passed"), name("b", "passed"), name("c", "passed"), name("d", "skipped")];
            json!([{"SpecReports": names}]).to_string()
        } else if script.contains("run.json") && script.starts_with("cat ") {
            self.report.to_string()
        } else if script == PROGRESS {
            format!("2 1 {}\n", self.code)
        } else {
            "said\n".to_owned()
        };
        Ok(Said { code: 0, stdout, stderr: String::new() })
    }

    fn restart(&mut self, _: Place) -> Result<()> {
        unreachable!("no case")
    }

    fn replace(&mut self, _: Place, _: bool) -> Result<()> {
        unreachable!("no case")
    }

    fn plug(&mut self, _: Place, _: bool) -> Result<()> {
        unreachable!("no case")
    }

    fn boot(&mut self, _: Place, _: bool) -> Result<()> {
        unreachable!("no case")
    }

    fn collect(&mut self, _: &Path) -> Result<Vec<String>> {
        unreachable!("no case")
    }
}

fn suite(list: &str, only: &[&str]) -> Result<Suite> {
    let root = TempDir::new()?;
    fs::create_dir_all(root.path().join(LISTS))?;
    fs::write(root.path().join(LISTS).join("v1.2.3.toml"), list)?;
    Suite::read(root.path(), "v1.2.3", only.iter().map(|text| (*text).to_owned()).collect(), 2)
}

fn run(suite: &Suite, machine: &mut Suited) -> Result<(Vec<CaseReport>, TempDir)> {
    let out = TempDir::new()?;
    let started = "2026-01-02T02:05:00Z".parse()?;
    let reports = suite.run(machine, started, out.path(), &Silent)?;
    Ok((reports, out))
}

#[test]
fn each_test_of_the_suite_is_reported_once_with_what_came_of_it_or_why_not() {
    let list = "[[not-run]]\ntest = '[sig-a] Things c'\nreason = 'no such thing here'\n";
    let mut machine = suited(&[spec("a (1)", "passed", ""), spec("b", "failed", "expected 1, got 2\nthere")]);
    machine.code = "1";
    let (reports, out) = run(&suite(list, &[]).unwrap(), &mut machine).unwrap();
    let told: Vec<(&str, &Outcome)> = reports.iter().map(|one| (one.name.as_str(), &one.outcome)).collect();
    let failed = Outcome::Failed { message: "failed: expected 1, got 2\nthere".to_owned() };
    let skipped = Outcome::Skipped { reason: "no such thing here".to_owned() };
    assert_eq!(
        told,
        [
            ("[sig-a] Things c", &skipped),
            ("[sig-a] Things a (1)", &Outcome::Passed),
            ("[sig-a] Things b", &failed)
        ]
    );
    assert_eq!((reports[1].start, reports[1].seconds), (5.5, 1.5));
    assert_eq!(fs::read_to_string(out.path().join("conformance.xml")).unwrap(), "said\n");
    let start = machine.asked.iter().find(|script| script.contains("setsid")).unwrap();
    assert!(start.contains("\\[sig\\-a\\] Things a \\(1\\)$|\\[sig\\-a\\] Things b$\n"), "{start}");
    assert!(start.contains("--procs=2"), "{start}");
}

#[test]
fn what_the_suite_skips_itself_says_why_and_what_it_does_not_report_has_failed() {
    let mut machine = suited(&[spec("a (1)", "skipped", "Only for Windows")]);
    let (reports, _out) = run(&suite("", &["Things a", "b"]).unwrap(), &mut machine).unwrap();
    let outcome = |name: &str| &reports.iter().find(|one| one.name.ends_with(name)).unwrap().outcome;
    assert_eq!(outcome("a (1)"), &Outcome::Skipped { reason: "the suite: Only for Windows".to_owned() });
    assert!(
        matches!(outcome("b"), Outcome::Failed { message } if message.contains("report does not have it"))
    );
    assert_eq!(outcome("c"), &Outcome::Skipped { reason: "not chosen".to_owned() });
    assert_eq!(reports.len(), 3);
}

#[test]
fn a_list_that_names_what_is_not_a_test_or_is_not_a_list_is_refused() {
    let list = "[[not-run]]\ntest = '[sig-a] Things gone'\nreason = 'once'\n";
    let error = run(&suite(list, &[]).unwrap(), &mut suited(&[])).unwrap_err();
    assert_eq!(exit_code(&error), exit_code(&Fault::new(Kind::InvalidData, "").into()));
    assert!(error.to_string().ends_with("not a test of the suite:\n  [sig-a] Things gone"), "{error}");
    let error = suite("[[not-run]]\ntest = 'a'\n", &[]).unwrap_err();
    assert!(error.to_string().contains("v1.2.3.toml is not a list of tests"), "{error}");
}

#[test]
fn a_suite_that_came_to_no_end_is_an_error_and_what_it_said_is_kept() {
    let mut machine = suited(&[]);
    machine.code = "137";
    let out = TempDir::new().unwrap();
    let all = suite("", &[]).unwrap();
    let error = all.run(&mut machine, jiff::Timestamp::UNIX_EPOCH, out.path(), &Silent).unwrap_err();
    assert!(error.to_string().contains("ginkgo ended with 137"), "{error}");
    assert!(out.path().join("conformance.log").exists());
}

/// `PROGRESS` on what ginkgo wrote, by the shell.
#[test]
fn what_is_done_is_counted_in_what_ginkgo_writes() {
    let dir = TempDir::new().unwrap();
    let log = "Running Suite\n••S•\n------------------------------\n• [FAILED] [6.1 seconds]\n[sig-a] x\n------------------------------\n\
        • [SLOW TEST] [61.0 seconds]\n•\n";
    fs::write(dir.path().join("run.log"), log).unwrap();
    let script = PROGRESS.replace(DIR, &dir.path().display().to_string());
    let count = || {
        let out = std::process::Command::new("bash").arg("-c").arg(&script).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(count(), "5 1");
    fs::write(dir.path().join("code"), "1\n").unwrap();
    assert_eq!(count(), "5 1 1");
}
