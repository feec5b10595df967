//! Requests and answers.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is done with a request in place of the usual.
#[derive(Clone, Debug)]
pub enum Act {
    /// Nothing: the usual.
    Usual,
    /// This answer, and nothing else: what was sent is not kept.
    Say(Answer),
    /// The same, after which the connection ends.
    Last(Answer),
    /// The usual, so much later.
    Late(Duration),
    /// Half of the request's body is read and kept; then the connection ends.
    Break,
    /// The usual answer, with half of its body.
    Cut,
    /// The usual answer, with this header, which it may have, changed.
    Header(&'static str, String),
    /// The usual answer, a byte at a time.
    Drip,
    /// Nothing is answered, for so long.
    Stall(Duration),
    /// Nothing of a body is read, for so long.
    Deaf(Duration),
}

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// Was another host asked, which has the blobs?
    pub storage: bool,
}

impl Request {
    /// Method and path.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// A header's value, or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// How long the body is said to be.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        self.header("content-length").parse().unwrap_or(0)
    }

    /// Is the body in chunks, whose number nobody says before?
    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").eq_ignore_ascii_case("chunked")
    }

    /// Reads, and changes nothing?
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD")
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers; a length is added.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A status, and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// 200, with this.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into() }
    }

    /// An error as the distribution API has it.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self { body: format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#).into_bytes(), ..Self::status(status) }
    }

    /// With this header, too.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value)
    }

    /// With this header, and no other value of it.
    #[must_use]
    pub fn instead(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(key, _)| *key != name);
        self.with(name, value)
    }
}

/// A part of a query or form, without its escapes.
pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
