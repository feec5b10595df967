//! Whom one speaks to.

use std::fmt;
use std::net::IpAddr;

use anyhow::Result;
use fault::{Fault, Kind};
use ureq::http::Uri;

/// Scheme, host and port of a URL: what must be the same for a secret to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Encrypted?
    pub https: bool,
    /// In lower case; an IPv6 address is without its brackets.
    pub host: String,
    /// As written, or the scheme's own.
    pub port: u16,
}

impl Origin {
    /// The origin of an absolute URL.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] for what is not one, or has a user and a password in it.
    pub fn of(url: &str) -> Result<Self> {
        let bad = || Fault::new(Kind::Unavailable, format!("{url:?} is not a URL that can be asked"));
        Ok(url.parse::<Uri>().ok().as_ref().and_then(Self::of_uri).ok_or_else(bad)?)
    }

    fn of_uri(uri: &Uri) -> Option<Self> {
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        // `host:99999` has a port that no `u16` is: it must not become the scheme's own.
        let after = authority.as_str().get(authority.host().len()..)?;
        let port = match after.strip_prefix(':') {
            None if after.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        Some(Self { https, host, port: port.unwrap_or(if https { 443 } else { 80 }) })
    }

    /// Is it this machine, by a name or address that is never another's?
    pub fn loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.is_loopback())
    }

    /// The host, if it is an address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}", self.host)?;
        if self.port == (if self.https { 443 } else { 80 }) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// The URL that a `Location` of an answer from `base` names; none where that is not one. What is not ASCII in its path,
/// and what else a URL may not have there, is escaped, as browsers do.
pub fn join(base: &str, location: &[u8]) -> Option<String> {
    let uri: Uri = base.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    let location = location.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
    if location.is_empty() {
        return None;
    }
    let (host, rest) = split_host(location);
    let (host, rest) = (std::str::from_utf8(host).ok()?, escape(rest));
    let rest = rest.as_str();
    let url = if !host.is_empty() {
        if host.contains("://") { format!("{host}{rest}") } else { format!("{scheme}:{host}{rest}") }
    } else if rest.starts_with('/') {
        format!("{scheme}://{authority}{rest}")
    } else if rest.starts_with('?') {
        format!("{scheme}://{authority}{}{rest}", uri.path())
    } else {
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let mut segments: Vec<&str> = uri.path().split('/').collect();
        segments.pop();
        for segment in path.split('/') {
            match segment {
                ".." if segments.len() > 1 => drop(segments.pop()),
                // Above the top is the top.
                "." | ".." => {}
                other => segments.push(other),
            }
        }
        format!("{scheme}://{authority}{}{query}", segments.join("/"))
    };
    Origin::of(&url).ok().map(|_| url)
}

/// Scheme and host of a `Location`, if it has them, and the rest.
fn split_host(location: &[u8]) -> (&[u8], &[u8]) {
    let ends = |byte: &u8| matches!(byte, b'/' | b'?');
    let first = location.iter().position(ends).unwrap_or(location.len());
    let start = match location.get(first..) {
        Some([b'/', b'/', ..]) if first == 0 || location[first - 1] == b':' => first + 2,
        _ => return (b"", location),
    };
    let length = location[start..].iter().position(ends).unwrap_or(location.len() - start);
    location.split_at(start + length)
}

/// Path and query as a URL may have them; control characters stay, and make it none.
fn escape(text: &[u8]) -> String {
    let odd = |byte: u8| byte == b' ' || !byte.is_ascii() || b"\"<>\\^`{|}".contains(&byte);
    text.iter().map(|&b| if odd(b) { format!("%{b:02X}") } else { char::from(b).to_string() }).collect()
}

/// What somebody else wrote, as a message repeats it: in quotes, with escapes, and its beginning alone if it is long.
pub fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 120;
    let cut = if text.len() > LONGEST { "..." } else { "" };
    format!("{:?}{cut}", String::from_utf8_lossy(&text[..text.len().min(LONGEST)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_host_is_known_however_it_is_written() {
        let of = |url: &str| Origin::of(url).unwrap();
        assert_eq!(of("https://A.example/v2/"), of("https://a.example:443"));
        assert_eq!(of("http://[::1]:80/"), of("http://[::1]"));
        for (one, other) in [
            ("https://a.example", "http://a.example:443"),
            ("https://a.example", "https://a.example:444"),
            ("https://a.example", "https://a.example.org"),
        ] {
            assert_ne!(of(one), of(other));
        }
        assert_eq!(of("https://[2001:db8::1]:5000/x").to_string(), "https://[2001:db8::1]:5000");
        assert_eq!(of("http://A:80").to_string(), "http://a");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in [
            "",
            "a",
            "/a",
            "ftp://a",
            "http://",
            "http://:80",
            "http://u:p@a/",
            "http://a@b",
            "http://a:99999/",
            "http://a:0",
            "http://a:-1/",
            "http://a b/",
            "http://a\\@b/",
            "http://a\n/",
            "http://a:80:80/",
        ] {
            assert!(Origin::of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        let loopback = |url: &str| Origin::of(url).unwrap().loopback();
        assert!(
            loopback("http://localhost:5000") && loopback("http://127.9.0.1") && loopback("http://[::1]")
        );
        assert!(loopback("http://LOCALHOST") && loopback("http://[::ffff:127.0.0.1]"));
        assert!(!loopback("http://localhost.example.org") && !loopback("http://10.0.0.1"));
    }

    #[test]
    fn locations_are_joined() {
        let join = |location: &str| join("http://a.example:5000/v2/b/c?d", location.as_bytes());
        for (location, url) in [
            ("https://b.example/x", "https://b.example/x"),
            ("//b.example/x", "http://b.example/x"),
            ("/x?y#z", "http://a.example:5000/x?y"),
            ("?y", "http://a.example:5000/v2/b/c?y"),
            ("x", "http://a.example:5000/v2/b/x"),
            ("../x/./y?z=../", "http://a.example:5000/v2/x/y?z=../"),
            ("../../../../x", "http://a.example:5000/x"),
            (" /a b/\u{fc}?x=\u{e9}|\"", "http://a.example:5000/a%20b/%C3%BC?x=%C3%A9%7C%22"),
            ("https://b.example/\\\u{e9}", "https://b.example/%5C%C3%A9"),
            ("https://b.example?x=/y", "https://b.example?x=/y"),
            ("x?to=https://b.example/", "http://a.example:5000/v2/b/x?to=https://b.example/"),
        ] {
            assert_eq!(join(location).as_deref(), Some(url));
        }
        for bad in [
            "",
            " ",
            "#x",
            "javascript://x",
            "http://u@a/",
            "http://a:99999/",
            "\u{7f}",
            "//",
            "///x",
            "http://",
            "://",
            "http://a b/",
            "//\u{fc}.example/",
            "//a\\@b/",
            "/a\tb",
        ] {
            assert_eq!(join(bad), None, "{bad}");
        }
    }
}
