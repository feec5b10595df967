//! A page on where a build's time went, as cargo has it: steps over time, and beneath them processors and memory.

#![expect(clippy::cast_precision_loss, reason = "steps are few, and bytes far below 2^52")]

use maud::{Markup, html};
use progress::timings::{Sample, Step};

use crate::document;
use crate::figures::mib;

/// A build.
#[derive(Debug)]
pub struct Timings {
    /// What was built.
    pub title: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How many processors there are.
    pub processors: usize,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What the machine did now and then, the earliest first.
    pub samples: Vec<Sample>,
}

/// How wide and high drawings are, and each step's bar.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 120.0;
const BAR: f64 = 24.0;

/// The page.
pub fn timings(timings: &Timings) -> String {
    let body = html! {
        header { div { h1 { "Timings of a build" } p.muted { (timings.title) } } }
        main {
            (means(timings))
            h2 { "Steps" }
            (steps(timings))
            h2 { "Processors" }
            (curve(timings, "processors that are busy", timings.processors as f64, |it| it.busy))
            h2 { "Memory" }
            (curve(timings, "MiB resident", peak(timings).max(1.0), |it| mib(it.memory)))
        }
    };
    document("Timings of a build", include_str!("timings.css"), "", &body)
}

fn means(timings: &Timings) -> Markup {
    let each = [
        ("Time", format!("{:.1} s", timings.seconds), "from the plan to the last layout".to_owned()),
        (
            "Processors",
            format!("{:.0} %", utilisation(timings) * 100.0),
            format!("of {} busy", timings.processors),
        ),
        ("Memory", format!("{:.0} MiB", peak(timings)), "the most that was resident".to_owned()),
    ];
    html! {
        dl.means {
            @for (what, figure, words) in each {
                div { dt { (what) } dd { (figure) } dd.muted { (words) } }
            }
        }
    }
}

/// A bar a step, the earliest first.
fn steps(timings: &Timings) -> Markup {
    let mut steps: Vec<&Step> = timings.steps.iter().collect();
    steps.sort_by(|a, b| a.begin.total_cmp(&b.begin).then(b.end.total_cmp(&a.end)));
    let scale = WIDTH / timings.seconds.max(f64::MIN_POSITIVE);
    let height = BAR * steps.len().max(1) as f64;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label="Steps over time" {
            @for (number, step) in steps.iter().enumerate() {
                @let y = BAR * number as f64;
                @let label = format!("{}, {:.2} s", step.name, step.end - step.begin);
                rect.bar x=(format!("{:.1}", step.begin * scale)) y=(y + 2.0) height=(BAR - 4.0)
                    width=(format!("{:.1}", ((step.end - step.begin) * scale).max(1.0))) { title { (label) } }
                // On the side where there is room.
                @if step.begin * scale < WIDTH / 2.0 {
                    text x=(format!("{:.1}", step.begin * scale + 6.0)) y=(y + 16.0) { (label) }
                } @else {
                    text.end x=(format!("{:.1}", step.end * scale - 6.0)) y=(y + 16.0) { (label) }
                }
            }
        }
        div.scroll {
            table.plain {
                thead { tr { th { "Step" } th { "Begins, s" } th { "Takes, s" } } }
                tbody {
                    @for step in steps {
                        tr {
                            td { (step.name) }
                            td { (format!("{:.2}", step.begin)) }
                            td { (format!("{:.2}", step.end - step.begin)) }
                        }
                    }
                }
            }
        }
    }
}

fn curve(timings: &Timings, what: &str, most: f64, of: impl Fn(&Sample) -> f64) -> Markup {
    let scale = WIDTH / timings.seconds.max(f64::MIN_POSITIVE);
    let point = |sample: &Sample| {
        format!("{:.1},{:.1}", sample.at * scale, HEIGHT - of(sample).min(most) / most * HEIGHT)
    };
    let points: Vec<String> = timings.samples.iter().map(point).collect();
    html! {
        p.muted { (what) ", at the top " (format!("{most:.0}")) "; from 0 to " (format!("{:.1}", timings.seconds)) " s" }
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(what) {
            rect.ground width=(WIDTH) height=(HEIGHT) {}
            polyline.line points=(points.join(" ")) {}
        }
    }
}

/// How much of the processors was in use.
fn utilisation(timings: &Timings) -> f64 {
    let mut before = 0.0;
    let mut busy = 0.0;
    for sample in &timings.samples {
        busy += sample.busy * (sample.at - before);
        before = sample.at;
    }
    if before > 0.0 { busy / before / timings.processors.max(1) as f64 } else { 0.0 }
}

fn peak(timings: &Timings) -> f64 {
    mib(timings.samples.iter().map(|it| it.memory).max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, begin: f64, end: f64) -> Step {
        Step { name: name.to_owned(), begin, end }
    }

    fn example() -> Timings {
        let sample = |at, busy, memory| Sample { at, busy, memory };
        Timings {
            title: "kubelet <v1>".to_owned(),
            seconds: 10.0,
            processors: 2,
            steps: vec![step("late", 8.0, 10.0), step("early & long", 0.0, 8.0)],
            samples: vec![sample(5.0, 2.0, 3 << 20), sample(10.0, 1.0, 5 << 20)],
        }
    }

    #[test]
    fn what_was_done_when_is_on_the_page() {
        let page = timings(&example());
        for part in ["75 %", "5 MiB", "10.0 s", "early &amp; long, 8.00 s", "kubelet &lt;v1&gt;"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        // Bars begin where steps do, and are as long.
        assert!(page.contains(r#"x="800.0" y="26" height="20" width="200.0""#), "{page}");
        assert!(page.contains(r#"points="500.0,0.0 1000.0,60.0""#), "{page}");
    }

    #[test]
    fn a_build_of_nothing_has_a_page() {
        let page = timings(&Timings { steps: Vec::new(), samples: Vec::new(), seconds: 0.0, ..example() });
        assert!(page.contains("0 %") && !page.contains("NaN"), "{page}");
    }
}
