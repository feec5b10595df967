//! Times of images: seconds since 1970, written as RFC 3339 in UTC.

use anyhow::Result;
use fault::{Fault, Kind};
use jiff::Timestamp;

/// A time in seconds since 1970 as RFC 3339, such as `2022-12-08T19:51:43Z`; times beyond what RFC 3339 has stop at the
/// last one there is.
pub fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The seconds since 1970 of a time in RFC 3339.
///
/// # Errors
/// [`Kind::InvalidData`] for what is not such a time, or one before 1970.
pub fn parse(text: &str) -> Result<u64> {
    let seconds = text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok());
    seconds.ok_or_else(|| {
        Fault::new(Kind::InvalidData, format!("{text:?} is not a time like 2022-12-08T19:51:43Z")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        // Made with `date -u -d @SECONDS +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_670_529_103, "2022-12-08T19:51:43Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(parse(text).unwrap(), seconds);
        }
        assert!(rfc3339(u64::MAX).starts_with("9999-12-"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "yesterday", "2022-12-08", "2022-13-08T00:00:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(fault::exit_code(&parse(bad).unwrap_err()), 3, "{bad}");
        }
    }
}
