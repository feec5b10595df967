//! Plain lines: one when a piece of work begins, one when it took long enough to wonder about.

use std::time::{Duration, Instant};

use progress::{Progress, Task};

use super::{plain, say};

/// Work that took less than this ends without a line.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// Plain lines on standard error.
pub(crate) struct Lines {
    /// Details too?
    pub(crate) verbose: bool,
}

impl Progress for Lines {
    fn task(&self, name: &str, _total: Option<u64>) -> Box<dyn Task> {
        say(&plain(name));
        Box::new(Line { name: name.to_owned(), since: Instant::now(), verbose: self.verbose })
    }

    fn note(&self, line: &str) {
        say(&plain(line));
    }
}

struct Line {
    name: String,
    since: Instant,
    verbose: bool,
}

impl Task for Line {
    fn advance(&self, _bytes: u64) {}

    fn detail(&self, text: &str) {
        if self.verbose {
            say(&plain(&format!("  {}: {text}", self.name)));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let took = self.since.elapsed();
        if took >= WORTH_A_LINE {
            say(&plain(&format!("{}: {:.1} s", self.name, took.as_secs_f64())));
        }
    }
}
