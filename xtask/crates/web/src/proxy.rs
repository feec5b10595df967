//! Which proxy a host is reached through, by the rules of Go's programs.
//!
//! Source: <https://pkg.go.dev/golang.org/x/net/http/httpproxy>: `HTTP_PROXY` for http and `HTTPS_PROXY` for https, in
//! capitals or not; `NO_PROXY` lists hosts, domains, addresses and networks, with ports if they matter; this machine is
//! never reached through one.

use std::net::IpAddr;

use anyhow::Result;
use exec::Run;
use fault::{Fault, Kind};

use crate::Origin;

/// This machine, as lists of exceptions name it.
const LOOPBACK: &str = "localhost,127.0.0.1,127.0.0.0/8,::1";

/// The proxies of an environment.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    /// A CGI program's `HTTP_PROXY` is what a request's `Proxy` header says.
    cgi: bool,
    exceptions: Vec<Exception>,
}

/// What is reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    All,
    Network(IpAddr, u8),
    Address(IpAddr, Option<String>),
    /// A name with a dot before it; whether the name itself is meant too; its port.
    Domain(String, bool, Option<String>),
}

impl Proxies {
    /// As this process's environment says.
    pub fn from_env() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    fn new(var: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            [name.to_owned(), name.to_ascii_lowercase()]
                .iter()
                .filter_map(|name| var(name))
                .find(|value| !value.trim().is_empty())
        };
        let url = |name: &str| {
            either(name).map(|text| {
                let text = text.trim().to_owned();
                if text.contains("://") { text } else { format!("http://{text}") }
            })
        };
        Self {
            http: url("HTTP_PROXY"),
            https: url("HTTPS_PROXY"),
            cgi: var("REQUEST_METHOD").is_some_and(|value| !value.is_empty()),
            exceptions: exceptions(&either("NO_PROXY").unwrap_or_default()),
        }
    }

    /// The URL of the proxy for this host; none if it is asked itself.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where the environment's word must not be taken.
    pub fn of(&self, to: &Origin) -> Result<Option<&str>> {
        let proxy = if to.https { &self.https } else { &self.http };
        let Some(proxy) = proxy.as_deref().filter(|_| !to.loopback() && !self.excepted(to)) else {
            return Ok(None);
        };
        if self.cgi && !to.https {
            let text =
                "HTTP_PROXY is not used where REQUEST_METHOD is set: who sends a request could have set it";
            return Err(Fault::new(Kind::Unavailable, text).into());
        }
        Ok(Some(proxy))
    }

    fn excepted(&self, to: &Origin) -> bool {
        let (address, port) = (to.address(), to.port.to_string());
        let here = |wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| *wanted == port);
        self.exceptions.iter().any(|exception| match exception {
            Exception::All => true,
            Exception::Network(network, bits) => address.is_some_and(|found| within(found, *network, *bits)),
            Exception::Address(wanted, port) => address == Some(*wanted) && here(port),
            Exception::Domain(domain, itself, port) => {
                let named = to.host.ends_with(domain) || *itself && to.host == domain[1..];
                named && here(port)
            }
        })
    }
}

/// The words of a `NO_PROXY`.
fn exceptions(text: &str) -> Vec<Exception> {
    let words = text.split(',').map(|word| word.trim().to_ascii_lowercase()).filter(|word| !word.is_empty());
    words.filter_map(|word| exception(&word)).collect()
}

fn exception(word: &str) -> Option<Exception> {
    if word == "*" {
        return Some(Exception::All);
    }
    if let Some((address, bits)) = word.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
        && let Ok(bits) = bits.parse::<u8>()
        && bits <= if address.is_ipv4() { 32 } else { 128 }
    {
        return Some(Exception::Network(address, bits));
    }
    let (host, port) = split_port(word);
    if host.is_empty() {
        return None;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Exception::Address(address.to_canonical(), port));
    }
    let host = if host.starts_with("*.") { &host[1..] } else { host };
    let itself = !host.starts_with('.');
    Some(Exception::Domain(if itself { format!(".{host}") } else { host.to_owned() }, itself, port))
}

/// A host, and the port after it; an IPv6 address without brackets has none.
fn split_port(word: &str) -> (&str, Option<String>) {
    let port = |port: &str| (!port.is_empty()).then(|| port.to_owned());
    if let Some((host, after)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, after.strip_prefix(':').and_then(port));
    }
    match word.split_once(':') {
        Some((host, after)) if !after.contains(':') => (host, port(after)),
        _ => (word, None),
    }
}

fn within(found: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (found, network) {
        (IpAddr::V4(found), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            found.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(found), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            found.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

/// How programs that fetch are told of proxies, certificates and logins.
const NETWORK: [&str; 11] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NETRC",
];

/// Lets a program reach the network as this one does. Its own rules may be others: this machine itself is among the
/// exceptions that it is told of.
pub fn connect(run: Run<'_>) -> Run<'_> {
    let run = NETWORK.iter().fold(run, |run, name| run.inherit(name));
    child(|name| std::env::var(name).ok()).into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

/// What it is to find in its environment beside that. Without a proxy that is nothing.
fn child(var: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let set = |name: &str| var(name).filter(|value| !value.trim().is_empty());
    let any = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    if !any.iter().any(|name| set(name).is_some()) {
        return Vec::new();
    }
    let given = set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default();
    let words = given.split(',').map(str::trim).filter(|word| !word.is_empty());
    let all = words.chain(LOOPBACK.split(',')).collect::<Vec<_>>().join(",");
    vec![("NO_PROXY", all.clone()), ("no_proxy", all)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(vars: &[(&str, &str)]) -> Proxies {
        Proxies::new(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn of(vars: &[(&str, &str)], url: &str) -> Option<String> {
        proxies(vars).of(&Origin::of(url).unwrap()).unwrap().map(str::to_owned)
    }

    #[test]
    fn each_scheme_has_its_own_proxy_and_no_other_variable_counts() {
        let both =
            [("HTTP_PROXY", "http://one:1"), ("https_proxy", "two:2"), ("ALL_PROXY", "http://three:3")];
        assert_eq!(of(&both, "http://a.example").as_deref(), Some("http://one:1"));
        assert_eq!(of(&both, "https://a.example").as_deref(), Some("http://two:2"));
        assert_eq!(of(&both[2..], "https://a.example"), None);
        assert_eq!(of(&both[..1], "https://a.example"), None);
        let capitals = [("HTTP_PROXY", "http://one:1"), ("http_proxy", "http://other:1")];
        assert_eq!(of(&capitals, "http://a.example").as_deref(), Some("http://one:1"));
        let empty = [("HTTP_PROXY", ""), ("http_proxy", "http://other:1")];
        assert_eq!(of(&empty, "http://a.example").as_deref(), Some("http://other:1"));
        let cgi = proxies(&[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")]);
        assert!(cgi.of(&Origin::of("http://a.example").unwrap()).is_err());
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        for url in ["http://localhost:5000", "http://127.0.0.1:5000", "http://127.3.2.1", "http://[::1]:5000"]
        {
            assert_eq!(of(&[("HTTP_PROXY", "http://one:1")], url), None, "{url}");
        }
        assert!(of(&[("HTTP_PROXY", "http://one:1")], "http://localhost.example").is_some());
    }

    /// The rows of Go's own test (`TestUseProxy` of golang.org/x/net/http/httpproxy) and more.
    #[test]
    fn exceptions_are_read_as_go_reads_them() {
        let list = "foobar.com, .barbaz.net,*.wild.example , 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, \
            2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, with.port:8080,, :80, /8";
        let direct = |url: &str| of(&[("HTTP_PROXY", "http://one:1"), ("NO_PROXY", list)], url).is_none();
        for url in [
            "http://foobar.com",
            "http://www.foobar.com",
            "http://FOOBAR.com:8080",
            "http://www.barbaz.net",
            "http://a.wild.example",
            "http://192.168.1.1:5000",
            "http://192.168.1.2:81",
            "http://192.168.1.3",
            "http://10.0.0.2:90",
            "http://10.0.0.3",
            "http://[2001:db8::52:0:1]",
            "http://[2001:db8::52:0:2]:443",
            "http://[2001:db8::52:0:3]",
            "http://[2002:db8:a::123]",
            "http://[fe80::1]:0".trim_end_matches(":0"),
        ] {
            if url.contains("fe80") {
                assert!(!direct(url), "{url}");
            } else {
                assert!(direct(url), "{url}");
            }
        }
        for url in [
            "http://barbaz.net",
            "http://wild.example",
            "http://notfoobar.com",
            "http://foobar.com.evil.example",
            "http://192.168.1.2",
            "http://192.168.1.3:81",
            "http://10.0.0.4",
            "http://[2001:db8::52:0:2]",
            "http://[2001:db8::52:0:3]:443",
            "http://[2002:db8:a:1::123]",
            "http://with.port",
            "http://8.8.8.8",
        ] {
            assert!(!direct(url), "{url}");
        }
        assert!(of(&[("HTTP_PROXY", "p:1"), ("no_proxy", " * ")], "http://any.example").is_none());
        assert!(of(&[("HTTP_PROXY", "p:1"), ("NO_PROXY", "0.0.0.0/0")], "http://8.8.8.8").is_none());
        assert!(of(&[("HTTP_PROXY", "p:1"), ("NO_PROXY", "0.0.0.0/0")], "http://any.example").is_some());
    }

    #[test]
    fn programs_that_fetch_are_told_of_this_machine() {
        let found = child(|name| match name {
            "https_proxy" => Some("p:1".to_owned()),
            "NO_PROXY" => Some(" a.example , .b ".to_owned()),
            _ => None,
        });
        assert_eq!(found[0].1, "a.example,.b,localhost,127.0.0.1,127.0.0.0/8,::1");
        assert!(found.iter().any(|(name, _)| *name == "no_proxy"));
        assert!(child(|_| None).is_empty());
    }
}
