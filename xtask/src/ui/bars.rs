//! Bars on a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use progress::{Progress, Task};

use super::plain;

/// A bar for each piece of work under way.
pub(crate) struct Bars {
    all: MultiProgress,
}

impl Bars {
    pub(crate) fn new() -> Self {
        Self { all: MultiProgress::new() }
    }
}

impl Progress for Bars {
    fn task(&self, name: &str, total: Option<u64>) -> Box<dyn Task> {
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{prefix:32!} {bar:24.cyan} {bytes:>10}/{total_bytes:10} {wide_msg}",
            ),
            None => (ProgressBar::new_spinner(), "{prefix:32!} {spinner:.cyan} {elapsed:>4} {wide_msg}"),
        };
        let bar = self.all.add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(plain(name).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Box::new(Bar(bar))
    }

    fn note(&self, line: &str) {
        // A terminal that is gone takes nothing; the build goes on.
        let _ = self.all.println(&*plain(line));
    }
}

struct Bar(ProgressBar);

impl Task for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn detail(&self, text: &str) {
        self.0.set_message(plain(text).into_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
