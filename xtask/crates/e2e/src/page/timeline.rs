//! What ran when, as a picture: a bar for each part of making the cluster, each case and each pod.

use maud::{Markup, html};

use super::{class, duration};
use crate::{CaseReport, Group, Outcome, Report};

/// Of the whole picture, in its own units.
const WIDTH: f64 = 960.0;
/// Where times begin: names are on the left of it.
const LEFT: f64 = 210.0;
/// What is kept free for the time of a bar that ends last.
const RIGHT: f64 = 80.0;
const ROW: f64 = 20.0;
const BAR: f64 = 12.0;
/// The axis at the top.
const TOP: f64 = 28.0;
/// Seconds between ticks: the first of these that gives at most this many.
const TICKS: [u32; 11] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
const MOST_TICKS: f64 = 9.0;
/// A bar is seen however short it was.
const LEAST: f64 = 1.5;

struct Bar {
    name: String,
    kind: &'static str,
    start: f64,
    seconds: f64,
    /// Beside its time, for those who do not see its colour.
    mark: &'static str,
}

/// Draws it. What it shows is in the page's tables, too.
pub(super) fn draw(report: &Report) -> Markup {
    let lanes = lanes(report);
    let end = lanes
        .iter()
        .flat_map(|(_, bars)| bars)
        .map(|bar| bar.start + bar.seconds)
        .fold(report.seconds, f64::max);
    let scale = |seconds: f64| LEFT + seconds.max(0.0) / end.max(1.0) * (WIDTH - LEFT - RIGHT);
    let rows: usize = lanes.iter().map(|(_, bars)| bars.len() + 1).sum();
    let height = TOP + ROW * f64::from(u32::try_from(rows).unwrap_or(u32::MAX));
    let mut y = TOP;
    let mut placed = Vec::new();
    for (lane, bars) in &lanes {
        placed.push((y, None, *lane));
        y += ROW;
        for bar in bars {
            placed.push((y, Some(bar), ""));
            y += ROW;
        }
    }
    html! {
        svg.timeline role="img" aria-label="When what ran; the tables below have the same figures"
            viewBox=(format!("0 0 {WIDTH} {height:.0}")) {
            @for tick in ticks(end) {
                line x1=(number(scale(tick))) x2=(number(scale(tick))) y1=(number(TOP - 8.0)) y2=(number(height)) {}
                text.tick x=(number(scale(tick))) y="14" text-anchor="middle" { (clock(tick)) }
            }
            @for (y, bar, lane) in placed {
                @match bar {
                    None => text.lane x="0" y=(number(y + BAR)) { (lane) }
                    Some(bar) => {
                        text x="8" y=(number(y + BAR)) { (shortened(&bar.name)) }
                        rect class=(bar.kind) x=(number(scale(bar.start))) y=(number(y + 2.0)) rx="2" height=(number(BAR))
                            width=(number((scale(bar.start + bar.seconds) - scale(bar.start)).max(LEAST))) {}
                        text.took x=(number(scale(bar.start + bar.seconds) + 6.0)) y=(number(y + BAR)) {
                            (duration(bar.seconds)) (bar.mark)
                        }
                    }
                }
            }
        }
    }
}

fn lanes(report: &Report) -> Vec<(&'static str, Vec<Bar>)> {
    let phases = report.phases.iter().map(|phase| Bar {
        name: format!("{}: {}", phase.node, phase.name),
        kind: "phase",
        start: phase.start,
        seconds: phase.seconds,
        mark: "",
    });
    let ran = report
        .cases
        .iter()
        .filter(|case| case.group != Group::Conformance && !matches!(case.outcome, Outcome::Skipped { .. }));
    let cases = ran.map(|case| Bar {
        name: case.name.clone(),
        kind: class(case),
        start: case.start,
        seconds: case.seconds,
        mark: match case.outcome {
            Outcome::Failed { .. } => " ✗ failed",
            Outcome::Passed | Outcome::Skipped { .. } => "",
        },
    });
    let pods = report.pods.iter().map(|pod| Bar {
        name: pod.name.clone(),
        kind: "pod",
        start: pod.start,
        seconds: pod.seconds,
        mark: "",
    });
    let lanes = [
        ("Cluster", phases.collect()),
        ("Cases", cases.chain(suite(report)).collect()),
        ("Pods", pods.collect::<Vec<_>>()),
    ];
    lanes.into_iter().filter(|(_, bars): &(_, Vec<Bar>)| !bars.is_empty()).collect()
}

/// Kubernetes' own tests, several of which run at a time, as one bar.
fn suite(report: &Report) -> Option<Bar> {
    let ran = |case: &&CaseReport| case.group == Group::Conformance && case.seconds > 0.0;
    let ran: Vec<&CaseReport> = report.cases.iter().filter(ran).collect();
    let start = ran.iter().map(|case| case.start).reduce(f64::min)?;
    let end = ran.iter().map(|case| case.start + case.seconds).fold(start, f64::max);
    let failed = ran.iter().any(|case| matches!(case.outcome, Outcome::Failed { .. }));
    let (kind, mark) = if failed { ("failed", " ✗ failed") } else { ("passed", "") };
    Some(Bar { name: Group::Conformance.name().to_owned(), kind, start, seconds: end - start, mark })
}

fn ticks(end: f64) -> Vec<f64> {
    let step = TICKS.into_iter().map(f64::from).find(|step| end / step <= MOST_TICKS);
    let step = step.unwrap_or(f64::from(TICKS[TICKS.len() - 1]));
    let mut ticks = vec![0.0];
    while let Some(last) = ticks.last().copied()
        && last + step <= end
    {
        ticks.push(last + step);
    }
    ticks
}

/// Minutes and seconds from the beginning.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ticks are whole seconds")]
fn clock(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{}:{:02}", whole / 60, whole % 60)
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

/// Names are beside the bars, not below them.
fn shortened(name: &str) -> String {
    const MOST: usize = 32;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    name.chars().take(MOST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::tests::sample;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0.0), [0.0]);
        assert_eq!(ticks(65.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks(1500.0), [0.0, 300.0, 600.0, 900.0, 1200.0, 1500.0]);
        assert_eq!(clock(1505.0), "25:05");
    }

    #[test]
    fn a_bar_is_where_its_time_is() {
        let mut report = sample();
        report.seconds = 670.0;
        // One unit a second from 210 on.
        let picture = draw(&report).into_string();
        let bar = r#"<rect class="passed" x="330.0" y="110.0" rx="2" height="12.0" width="12.5"></rect>"#;
        assert!(picture.contains(bar), "{picture}");
        assert_eq!(
            picture.matches("<rect").count(),
            report.phases.len() + 2 + report.pods.len(),
            "not what did not run"
        );
        assert!(picture.contains("✗ failed"));
    }

    #[test]
    fn long_names_are_cut_where_a_character_ends() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(40)).chars().count(), 32);
    }
}
