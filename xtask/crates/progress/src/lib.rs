//! What libraries tell of their progress, without knowing how it is shown.
//!
//! The program decides: bars on a terminal, plain lines in CI, nothing under `--quiet`.

pub mod timings;

/// Receives progress. Shared by all threads of a build.
pub trait Progress: Send + Sync {
    /// A piece of work begins; it ends when the returned task is dropped.
    /// `total` is in bytes for transfers and compression, `None` where the length is not known.
    fn task(&self, name: &str, total: Option<u64>) -> Box<dyn Task>;

    /// One line worth reading: a tool was added, a cache was rebuilt.
    fn note(&self, line: &str);
}

/// A piece of work under way.
pub trait Task: Send + Sync {
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);

    /// What it is at just now: a package being compiled, a file being fetched.
    fn detail(&self, text: &str);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn task(&self, _name: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }

    fn note(&self, _line: &str) {}
}

impl Task for Silent {
    fn advance(&self, _bytes: u64) {}

    fn detail(&self, _text: &str) {}
}
