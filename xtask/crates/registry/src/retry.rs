//! What is tried again, how often, and after what time.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use ureq::{Error, Timeout};
use web::Answer;

use crate::client::{Client, header};

/// How many first pauses the longest is, and the longest wait that a registry may ask for.
const LONGEST: u32 = 50;
const LONGEST_ASKED: u32 = 300;

/// May this pass by itself?
pub(crate) fn is_transient(answer: &Answer) -> bool {
    matches!(answer.response.status().as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=524)
}

/// How often something was tried.
pub(crate) struct Tries<'c> {
    client: &'c Client<'c>,
    done: u32,
}

impl<'c> Tries<'c> {
    pub(crate) fn new(client: &'c Client<'_>) -> Self {
        Self { client, done: 0 }
    }

    /// Was this the last?
    pub(crate) fn are_spent(&self) -> bool {
        self.done >= self.client.options.retries
    }

    /// It got further than before: tries are counted from the start.
    pub(crate) fn start_anew(&mut self) {
        self.done = 0;
    }

    /// Waits before it is looked again for what may only take its time.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.done += 1;
        exec::interrupt::sleep(backoff(self.client.options.pause, self.done))
    }

    /// Waits before another try, as long as the registry says or longer each time; an error when there were enough.
    pub(crate) fn pause(&mut self, after: Result<Answer, Error>) -> Result<()> {
        // An interrupt breaks connections.
        exec::interrupt::check()?;
        let (spent, pause) = (self.are_spent(), self.client.options.pause);
        self.done += 1;
        let tries = self.done;
        let wait = match after {
            Ok(answer) => {
                if spent {
                    return Err(self.client.refused(&format!("given up after {tries} tries"), answer));
                }
                let asked = header(answer.response.headers(), "retry-after").and_then(retry_after);
                asked.map(|asked| asked.min(pause * LONGEST_ASKED) + jitter(pause))
            }
            Err(error) => {
                let bad_certificate = matches!(&error, Error::Io(error)
                    if error.kind() == std::io::ErrorKind::InvalidData);
                let lasting = matches!(error, Error::Tls(_) | Error::Rustls(_) | Error::BadUri(_));
                if spent || lasting || bad_certificate {
                    let what = match error {
                        // Of these the other side sent something.
                        Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => {
                            "answers with what is not HTTP"
                        }
                        Error::Timeout(Timeout::Resolve | Timeout::Connect) => "cannot be reached",
                        Error::Timeout(_) => "does not answer, or not to its end",
                        _ => "cannot be reached",
                    };
                    let text = format!("{what}: {error} ({tries} tries)");
                    return Err(self.client.protocol_error(&text));
                }
                None
            }
        };
        exec::interrupt::sleep(wait.unwrap_or_else(|| backoff(pause, tries)))
    }
}

/// Twice as long each time, and by chance up to half of it less, so that clients do not come back at once.
fn backoff(pause: Duration, tries: u32) -> Duration {
    let whole = (pause * (1 << tries.min(8))).min(pause * LONGEST);
    whole.saturating_sub(jitter(whole / 2))
}

/// Up to so long, by chance.
fn jitter(most: Duration) -> Duration {
    most * SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_micros() % 1000) / 1000
}

/// The time that a `Retry-After` says: seconds, or a date. Source: RFC 9110, 10.2.3.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    // A date that is past: at once.
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_has_two_forms() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        let date = |seconds: i64| {
            let when = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            retry_after(&when.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap()
        };
        assert!((3580..=3600).contains(&date(3600).as_secs()), "{:?}", date(3600));
        assert_eq!(date(-3600), Duration::ZERO);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        for bad in ["", "soon", "-1", "1.5", "99999999999999999999999", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(bad), None, "{bad}");
        }
    }

    #[test]
    fn pauses_grow_and_differ() {
        let pause = Duration::from_millis(200);
        for tries in 1..40 {
            let (wait, most) = (backoff(pause, tries), (pause * (1 << tries.min(8))).min(pause * LONGEST));
            assert!(wait <= most && wait >= most / 2, "{tries}: {wait:?}");
        }
        let waits: std::collections::BTreeSet<_> = (0..100)
            .map(|_| {
                std::thread::sleep(Duration::from_micros(70));
                backoff(pause, 3)
            })
            .collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
