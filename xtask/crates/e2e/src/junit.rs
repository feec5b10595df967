//! `JUnit`'s XML, as CI systems read it.

use crate::{Group, Outcome, Report};

/// A suite for each group, a case for each workload and fault; what made the cluster is a suite as well, so that its times
/// are seen beside the others.
pub fn junit(report: &Report) -> String {
    let mut suites = vec![cluster(report)];
    for group in Group::ALL {
        let cases: Vec<_> = report.cases.iter().filter(|case| case.group == group).collect();
        if cases.is_empty() {
            continue;
        }
        let mut text = String::new();
        for case in &cases {
            let inner = match &case.outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed { message } => {
                    let first = message.lines().next().unwrap_or_default();
                    format!("<failure message=\"{}\">{}</failure>", escaped(first), escaped(message))
                }
                Outcome::Skipped { reason } => format!("<skipped message=\"{}\"/>", escaped(reason)),
            };
            text.push_str(&one(group.name(), &case.name, case.seconds, &inner));
        }
        let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
        suites.push(suite(
            report,
            group.name(),
            &Counts {
                tests: cases.len(),
                failures: count(|outcome| matches!(outcome, Outcome::Failed { .. })),
                errors: 0,
                skipped: count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
                seconds: cases.iter().map(|case| case.seconds).sum(),
            },
            &text,
        ));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" time=\"{:.3}\">\n{}</testsuites>\n",
        escaped(&report.image),
        report.seconds,
        suites.concat()
    )
}

/// How the cluster came to be; what ended the run before its end is its error.
fn cluster(report: &Report) -> String {
    let mut text: String = report
        .phases
        .iter()
        .map(|phase| one("cluster", &format!("{}: {}", phase.node, phase.name), phase.seconds, ""))
        .collect();
    if let Some(error) = &report.error {
        let first = error.lines().next().unwrap_or_default();
        let inner = format!("<error message=\"{}\">{}</error>", escaped(first), escaped(error));
        text.push_str(&one("cluster", "run", 0.0, &inner));
    }
    let errors = usize::from(report.error.is_some());
    let seconds = report.phases.iter().map(|phase| phase.seconds).sum();
    let counts = Counts { tests: report.phases.len() + errors, failures: 0, errors, skipped: 0, seconds };
    suite(report, "cluster", &counts, &text)
}

struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    seconds: f64,
}

fn suite(report: &Report, name: &str, counts: &Counts, cases: &str) -> String {
    format!(
        "  <testsuite name=\"{name}\" timestamp=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" \
         time=\"{:.3}\">\n{cases}  </testsuite>\n",
        escaped(&report.started),
        counts.tests,
        counts.failures,
        counts.errors,
        counts.skipped,
        counts.seconds,
    )
}

fn one(class: &str, name: &str, seconds: f64, inner: &str) -> String {
    let begin =
        format!("    <testcase classname=\"e2e.{class}\" name=\"{}\" time=\"{seconds:.3}\"", escaped(name));
    if inner.is_empty() { format!("{begin}/>\n") } else { format!("{begin}>{inner}</testcase>\n") }
}

/// XML 1.0 has no characters for most of ASCII's controls, not even escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            char if u32::from(char) < 0x20 => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::sample;

    #[test]
    fn each_case_is_one_with_its_time_and_how_it_ended() {
        let mut report = sample();
        report.error = Some("the machine `node1` ended & \u{1}".to_owned());
        insta::assert_snapshot!(junit(&report), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="localhost/kubelet:v1.26.0-kubeadm-cni-micro" time="180.000">
          <testsuite name="cluster" timestamp="2026-01-02T03:04:05Z" tests="3" failures="0" errors="1" skipped="0" time="120.000">
            <testcase classname="e2e.cluster" name="node: kubeadm init" time="60.000"/>
            <testcase classname="e2e.cluster" name="node1: kubeadm join" time="60.000"/>
            <testcase classname="e2e.cluster" name="run" time="0.000"><error message="the machine `node1` ended &amp; �">the machine `node1` ended &amp; �</error></testcase>
          </testsuite>
          <testsuite name="workloads" timestamp="2026-01-02T03:04:05Z" tests="2" failures="1" errors="0" skipped="0" time="25.000">
            <testcase classname="e2e.workloads" name="deployment" time="12.500"/>
            <testcase classname="e2e.workloads" name="probes" time="12.500"><failure message="expected `a &lt;b&gt;`, found `c`">expected `a &lt;b&gt;`, found `c`
        at once</failure></testcase>
          </testsuite>
          <testsuite name="faults" timestamp="2026-01-02T03:04:05Z" tests="1" failures="0" errors="0" skipped="1" time="0.000">
            <testcase classname="e2e.faults" name="link-cut" time="0.000"><skipped message="not asked for"/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn a_run_without_cases_has_no_suite_of_them() {
        let mut report = sample();
        report.cases.clear();
        assert_eq!(junit(&report).matches("<testsuite ").count(), 1);
    }
}
