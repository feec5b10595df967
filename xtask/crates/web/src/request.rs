//! One request, and the redirects it is answered with.

use std::sync::Arc;

use anyhow::Result;
use fault::{Fault, Kind};
use ureq::config::ConfigBuilder;
use ureq::http::{HeaderValue, Request, Response, Uri};
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};
use ureq::{Agent, AsSendBody, Proxy, SendBody};

use crate::body::{Body, Part};
use crate::origin::{join, shown};
use crate::wire::{Dial, Names};
use crate::{Origin, Patience, Proxies};

/// How many redirects are followed.
const REDIRECTS: u32 = 5;

/// A client.
#[derive(Clone, Debug)]
pub struct Web {
    agent: Agent,
    proxies: Arc<Proxies>,
    patience: Patience,
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// `GET` and its kind.
    pub method: &'a str,
    /// An absolute URL.
    pub url: &'a str,
    /// Headers that everybody may see.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Body<'a>,
    /// An `Authorization`, and who alone is shown it.
    pub secret: Option<(&'a Origin, &'a str)>,
    /// Request or answer is a blob: only its pace is limited, not its whole time.
    pub large: bool,
}

impl<'a> Ask<'a> {
    /// A request without headers, body and secret, and with a small answer.
    pub fn new(method: &'a str, url: &'a str) -> Self {
        Self { method, url, headers: &[], body: Body::None, secret: None, large: false }
    }
}

/// What was answered, and by whom.
#[derive(Debug)]
pub struct Answer {
    /// The answer: any status, except of a redirect that was followed.
    pub response: Response<ureq::Body>,
    /// Who gave it, after redirects.
    pub from: Origin,
    /// The URL that it was asked for by, after redirects.
    pub url: String,
}

impl Web {
    /// A client with these settings and the environment's proxies; what `config` says of times, proxies, redirects and
    /// statuses that are errors does not count.
    pub fn new(config: ConfigBuilder<AgentScope>, patience: Patience) -> Self {
        let config = patience.configure(config.proxy(None)).build();
        let dial = ().chain(ConnectProxyConnector::default()).chain(Dial).chain(RustlsConnector::default());
        let agent = Agent::with_parts(config, dial, Names);
        Self { agent, proxies: Arc::new(Proxies::from_env()), patience }
    }

    /// Asks. Redirects are followed: those of `GET` and `HEAD`, and 301, 302, 307 and 308 of others, which keep their method
    /// and body. Inside is what a try later may change: a connection that fails.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] for URLs that cannot be asked, redirects without an end or to http from https, and for what
    /// no header can say; [`Kind::Interrupted`].
    pub fn ask(&self, ask: &Ask<'_>) -> Result<Result<Answer, ureq::Error>> {
        let mut url = ask.url.to_owned();
        let reads = matches!(ask.method, "GET" | "HEAD");
        for _ in 0..=REDIRECTS {
            exec::interrupt::check()?;
            let from = Origin::of(&url)?;
            let asked = self.once(ask, &url, &from)?;
            // What fails because of an interrupt says so in no better way.
            exec::interrupt::check()?;
            let response = match asked {
                Ok(response) => response,
                Err(error) => return Ok(Err(error)),
            };
            let status = response.status().as_u16();
            let redirect = matches!(status, 301 | 302 | 307 | 308) || reads && status == 303;
            let location = response.headers().get("location").filter(|_| redirect);
            let Some(location) = location else { return Ok(Ok(Answer { response, from, url })) };
            let Some(next) = join(&url, location.as_bytes()) else {
                // Behind a question mark are signatures.
                let path = location.as_bytes().split(|byte| *byte == b'?').next().unwrap_or_default();
                let location = shown(path);
                let text = format!(
                    "{from} redirects to `Location` {location}, which is not a URL that can be asked"
                );
                return Err(Fault::new(Kind::Unavailable, text).into());
            };
            let to = Origin::of(&next)?;
            if !to.https && (from.https || !reads && to != from) {
                let text = format!("{from} redirects to {to}, which is not encrypted");
                return Err(Fault::new(Kind::Unavailable, text).into());
            }
            url = next;
        }
        let text = format!("{} redirects more than {REDIRECTS} times", Origin::of(ask.url)?);
        Err(Fault::new(Kind::Unavailable, text).into())
    }

    fn once(
        &self,
        ask: &Ask<'_>,
        url: &str,
        to: &Origin,
    ) -> Result<Result<Response<ureq::Body>, ureq::Error>> {
        let bad = |what: &str| {
            Fault::new(Kind::Unavailable, format!("{to} cannot be asked: {what} is not one that can be sent"))
        };
        let uri: Uri = url.parse().map_err(|_| bad(&format!("the URL {}", shown(url.as_bytes()))))?;
        // Bytes are wanted as their digests are of them: proxies compress where nobody says no.
        let mut request =
            Request::builder().method(ask.method).uri(uri).header("accept-encoding", "identity");
        for (name, value) in ask.headers {
            let sent = HeaderValue::from_str(value);
            let sent = sent.map_err(|_| bad(&format!("`{name}` {}", shown(value.as_bytes()))))?;
            request = request.header(*name, sent);
        }
        if let Some((_, value)) = ask.secret.filter(|(whose, _)| *whose == to) {
            // What is a secret is not repeated.
            let secret = HeaderValue::from_str(value).map_err(|_| bad("its password or token"))?;
            request = request.header("authorization", secret);
        }
        let bad = |_| bad("the request");
        let proxy = match self.proxies.of(to)? {
            None => None,
            Some(proxy) => Some(reach(proxy).ok_or_else(|| {
                // It may have a password in it.
                let name = if to.https { "HTTPS_PROXY" } else { "HTTP_PROXY" };
                Fault::new(Kind::Unavailable, format!("{name} does not name a proxy that can be used"))
                    .help("write `http://HOST:PORT`")
            })?),
        };
        let large = ask.large;
        Ok(match ask.body {
            Body::None => self.run(request.body(()).map_err(bad)?, proxy, large),
            Body::Bytes(bytes) => self.run(request.body(bytes).map_err(bad)?, proxy, large),
            Body::File { file, from, length, sent } => {
                let mut part = Part { file, at: from, left: length, sent };
                let request = request.header("content-length", length);
                let request = request.body(SendBody::from_reader(&mut part)).map_err(bad)?;
                self.run(request, proxy, large)
            }
        })
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        proxy: Option<Proxy>,
        large: bool,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let request = self
            .agent
            .configure_request(request)
            .proxy(proxy)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_per_call((!large).then_some(self.patience.whole))
            .build();
        self.agent.run(request)
    }
}

/// The proxy of this URL; none where its host or port is not one, in place of which others would be asked.
fn reach(url: &str) -> Option<Proxy> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Origin::of(&format!("{scheme}://{host}")).ok()?;
    Proxy::new(url).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for (url, port) in [
            ("http://proxy.example:3128", 3128),
            ("http://proxy.example:3128/", 3128),
            ("http://me:p%40ss@[::1]:3128", 3128),
            ("http://proxy.example", 80),
            ("https://proxy.example", 443),
        ] {
            assert_eq!(reach(url).unwrap().port(), port, "{url}");
        }
        for bad in [
            "http://proxy.example:99999",
            "http://proxy.example:0",
            "http://proxy.example:x",
            "http://me@:3128",
            "http://",
            "socks5://proxy.example:1080",
            "proxy.example:3128",
            "http://a b:1",
            "http://\u{fc}.example",
        ] {
            assert!(reach(bad).is_none(), "{bad}");
        }
    }
}
