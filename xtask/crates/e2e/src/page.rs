//! A run as a page: what passed, when, and how long pods took.

mod timeline;

use maud::{Markup, html};

use crate::{CaseReport, Group, Outcome, Report};

/// Writes the page. All names are escaped; it needs nothing but itself.
pub fn page(report: &Report) -> String {
    let title = title(report);
    let body = html! {
        a.skip href="#cases" { "Skip to the cases" }
        header {
            div {
                h1 { (title) }
                p.muted {
                    (report.image) ", run by " (report.runtime) ", on " (report.nodes.len()) " machines, each " @if report.machines == "vm" { "a virtual one" } @else { "of namespaces" }
                    @if report.emulated { " whose processors are emulated: times are ten to twenty times those of real ones" }
                    "; began " time datetime=(report.started) { (report.started) } "."
                }
            }
        }
        main {
            (figures(report))
            @if let Some(error) = &report.error {
                section aria-labelledby="error" { h2 #error { "Ended early" } pre.message { (error) } }
            }
            (failures(report))
            section aria-labelledby="timeline" {
                h2 #timeline { "Timeline" }
                div.scroll.wide { (timeline::draw(report)) }
            }
            (cases(report))
            (suite(report))
            (pods(report))
        }
    };
    report::document(&title, include_str!("page/page.css"), "", &body)
}

fn title(report: &Report) -> String {
    let (passed, failed, skipped) = report.counts();
    let all = passed + failed;
    match (report.error.is_some(), failed) {
        (true, _) => format!("Kubernetes {}: the run ended early", report.release),
        (false, 0) if skipped == 0 => format!("Kubernetes {}: all {all} passed", report.release),
        (false, 0) => format!("Kubernetes {}: {passed} passed, {skipped} not run", report.release),
        (false, _) => format!("Kubernetes {}: {failed} of {all} failed", report.release),
    }
}

/// The few figures that count.
fn figures(report: &Report) -> Markup {
    let (passed, failed, _) = report.counts();
    let cluster = report.phases.iter().map(|phase| phase.start + phase.seconds).fold(0.0, f64::max);
    html! {
        section aria-label="Figures" {
            dl.means {
                div { dt { "passed" } dd { (passed) " / " (passed + failed) } dd.muted { "workloads and faults" } }
                div { dt { "cluster" } dd { (duration(cluster)) } dd.muted { "from nothing to Ready nodes" } }
                @for (share, word) in [(0.5, "half of all pods"), (0.95, "95 % of all pods")] {
                    @if let Some(seconds) = report.start_of(share) {
                        div {
                            dt { (word) }
                            dd { (duration(seconds)) }
                            dd.muted { "or less from the API to ready, of " (report.pods.len()) }
                        }
                    }
                }
            }
        }
    }
}

fn failures(report: &Report) -> Markup {
    html! {
        @if report.failed().next().is_some() {
            section aria-labelledby="failed" {
                h2 #failed { "Failed" }
                @for case in report.failed() {
                    h3 { (case.name) }
                    p { (case.about) }
                    @if let Outcome::Failed { message } = &case.outcome { pre.message { (message) } }
                }
            }
        }
    }
}

fn cases(report: &Report) -> Markup {
    html! {
        section aria-labelledby="cases" {
            h2 #cases { "Workloads and faults" }
            div.scroll {
                table.plain {
                    thead { tr {
                        th scope="col" { "name" }
                        th scope="col" { "what holds" }
                        th scope="col" { "result" }
                        th.number scope="col" { "time" }
                    } }
                    tbody {
                        @for case in of_table(report) {
                            tr {
                                th scope="row" { (case.name) }
                                td { (case.about) }
                                td class=(class(case)) { (word(case)) }
                                td.number { (duration(case.seconds)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Workloads and faults.
fn of_table(report: &Report) -> impl Iterator<Item = &CaseReport> {
    report.cases.iter().filter(|case| case.group != Group::Conformance)
}

/// Kubernetes' own tests: how many of them passed, and the others by name with the reason.
fn suite(report: &Report) -> Markup {
    let all: Vec<&CaseReport> = report.cases.iter().filter(|case| case.group == Group::Conformance).collect();
    let passed = all.iter().filter(|case| case.outcome == Outcome::Passed).count();
    html! {
        @if !all.is_empty() {
            section aria-labelledby="conformance" {
                h2 #conformance { "Kubernetes' own tests" }
                p { (passed) " of " (all.len()) " passed." }
                div.scroll {
                    table.plain {
                        thead { tr { th scope="col" { "not passed" } th scope="col" { "result" } th scope="col" { "why" } } }
                        tbody {
                            @for case in &all {
                                @let why = match &case.outcome {
                                    Outcome::Passed => None,
                                    Outcome::Skipped { reason } => Some(reason.as_str()),
                                    Outcome::Failed { message } => message.lines().next(),
                                };
                                @if let Some(why) = why {
                                    tr { th scope="row" { (case.name) } td class=(class(case)) { (word(case)) } td { (why) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn pods(report: &Report) -> Markup {
    html! {
        @if !report.pods.is_empty() {
            section aria-labelledby="pods" {
                h2 #pods { "Pods" }
                div.scroll {
                    table.plain {
                        thead { tr {
                            th scope="col" { "pod" } th scope="col" { "node" }
                            th.number scope="col" { "at" } th.number scope="col" { "ready within" }
                        } }
                        tbody {
                            @for pod in &report.pods {
                                tr {
                                    th scope="row" { (pod.name) } td { (pod.node) }
                                    td.number { (duration(pod.start)) } td.number { (duration(pod.seconds)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn word(case: &CaseReport) -> &'static str {
    match case.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed { .. } => "failed",
        Outcome::Skipped { .. } => "not run",
    }
}

fn class(case: &CaseReport) -> &'static str {
    match case.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed { .. } => "failed",
        Outcome::Skipped { .. } => "skipped",
    }
}

/// A time as people say it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run takes hours at most")]
fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    format!("{} min {} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::sample;

    #[test]
    fn the_title_says_how_it_went() {
        let mut report = sample();
        assert_eq!(title(&report), "Kubernetes v1.26.0: 1 of 2 failed");
        report.cases.retain(|case| word(case) != "failed");
        assert_eq!(title(&report), "Kubernetes v1.26.0: 1 passed, 1 not run");
        report.cases.retain(|case| word(case) == "passed");
        assert_eq!(title(&report), "Kubernetes v1.26.0: all 1 passed");
        report.error = Some("gone".to_owned());
        assert_eq!(title(&report), "Kubernetes v1.26.0: the run ended early");
        assert!(page(&report).contains(">gone</pre>"));
    }

    #[test]
    fn times_are_as_people_say_them() {
        assert_eq!([59.94, 60.0, 3599.9].map(duration), ["59.9 s", "1 min 0 s", "60 min 0 s"]);
    }

    #[test]
    fn no_name_is_ever_markup_and_nothing_is_asked_for() {
        let hostile = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
        let mut report = sample();
        report.error = Some(hostile.to_owned());
        for text in [&mut report.image, &mut report.runtime, &mut report.release, &mut report.started] {
            *text = hostile.to_owned();
        }
        for case in &mut report.cases {
            (case.name, case.about) = (hostile.to_owned(), hostile.to_owned());
            case.outcome = Outcome::Failed { message: hostile.to_owned() };
        }
        report.phases[0].name = hostile.to_owned();
        report.pods[0].name = hostile.to_owned();
        let page = page(&report);
        for bad in ["<script", "<img", " style=", " onclick", "https://", "url(", "@import"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("script-src 'none'"));
    }

    #[test]
    fn kubernetes_own_tests_are_counted_and_named_where_they_did_not_pass() {
        let mut report = sample();
        assert!(!page(&report).contains("Kubernetes' own tests"));
        let own = |name: &str, start, outcome| CaseReport {
            group: Group::Conformance,
            name: name.to_owned(),
            about: String::new(),
            start,
            seconds: 7.0,
            outcome,
        };
        report.cases.extend([
            own("[sig-a] passes", 150.0, Outcome::Passed),
            own("[sig-a] passes, too", 155.0, Outcome::Passed),
            own("[sig-a] fails", 160.0, Outcome::Failed { message: "found `2`\nthere".to_owned() }),
            own("[sig-a] rests", 0.0, Outcome::Skipped { reason: "pulls an image".to_owned() }),
        ]);
        report.cases.last_mut().unwrap().seconds = 0.0;
        let (page, mut text) = (page(&report), String::new());
        for part in [
            "2 of 4 passed.",
            "[sig-a] fails",
            "<td>found `2`</td>",
            "[sig-a] rests",
            "pulls an image",
            ">17.0 s ✗ failed<",
        ] {
            if !page.contains(part) {
                text.push_str(part);
            }
        }
        assert_eq!(text, "", "{page}");
        assert!(!page.contains("[sig-a] passes"), "one bar and one figure are enough for them");
    }

    #[test]
    fn a_run_of_nothing_has_a_page() {
        let mut report = sample();
        (report.cases, report.pods, report.phases) = (vec![], vec![], vec![]);
        report.seconds = 0.0;
        let page = page(&report);
        assert!(page.contains("all 0 passed") && !page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
