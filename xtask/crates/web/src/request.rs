//! One request, and the redirects it is answered with.

use std::sync::Arc;

use anyhow::Result;
use fault::{Fault, Kind};
use ureq::config::ConfigBuilder;
use ureq::http::{Request, Response};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, Proxy};

use crate::origin::join;
use crate::{Origin, Proxies};

/// How many redirects are followed.
const REDIRECTS: u32 = 5;

/// A client.
#[derive(Clone, Debug)]
pub struct Web {
    agent: Agent,
    proxies: Arc<Proxies>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// `GET` and its kind. Redirects of `GET` and `HEAD` are followed.
    pub method: &'a str,
    /// An absolute URL.
    pub url: &'a str,
    /// Headers that everybody may see.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Option<&'a [u8]>,
    /// An `Authorization`, and who alone is shown it.
    pub secret: Option<(&'a Origin, &'a str)>,
}

/// What was answered, and by whom.
#[derive(Debug)]
pub struct Answer {
    /// The answer: any status, except of a redirect that was followed.
    pub response: Response<Body>,
    /// Who gave it, after redirects.
    pub from: Origin,
}

impl Web {
    /// A client with these settings and the environment's proxies; what `config` says of proxies, redirects and statuses
    /// that are errors does not count.
    pub fn new(config: ConfigBuilder<AgentScope>) -> Self {
        let agent = Agent::new_with_config(config.proxy(None).build());
        Self { agent, proxies: Arc::new(Proxies::from_env()) }
    }

    /// Asks. Inside is what a try later may change: a connection that fails.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] for URLs that cannot be asked, redirects without an end or to http from https, and for what
    /// no header can say; [`Kind::Interrupted`].
    pub fn ask(&self, ask: &Ask<'_>) -> Result<Result<Answer, ureq::Error>> {
        let mut url = ask.url.to_owned();
        let follows = matches!(ask.method, "GET" | "HEAD");
        for _ in 0..=REDIRECTS {
            exec::interrupt::check()?;
            let from = Origin::of(&url)?;
            let response = match self.once(ask, &url, &from)? {
                Ok(response) => response,
                Err(error) => return Ok(Err(error)),
            };
            let redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let location = response.headers().get("location").filter(|_| follows && redirect);
            let Some(location) = location else { return Ok(Ok(Answer { response, from })) };
            let next = location.to_str().ok().and_then(|location| join(&url, location));
            let Some(next) = next else {
                let text = format!("{from} redirects to {location:?}, which is not a URL that can be asked");
                return Err(Fault::new(Kind::Unavailable, text).into());
            };
            let to = Origin::of(&next)?;
            if from.https && !to.https {
                let text = format!("{from} redirects to {to}, which is not encrypted");
                return Err(Fault::new(Kind::Unavailable, text).into());
            }
            url = next;
        }
        let text = format!("{} redirects more than {REDIRECTS} times", Origin::of(ask.url)?);
        Err(Fault::new(Kind::Unavailable, text).into())
    }

    fn once(&self, ask: &Ask<'_>, url: &str, to: &Origin) -> Result<Result<Response<Body>, ureq::Error>> {
        let mut request = Request::builder().method(ask.method).uri(url);
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        if let Some((_, value)) = ask.secret.filter(|(whose, _)| *whose == to) {
            request = request.header("authorization", value);
        }
        let proxy = match self.proxies.of(to)? {
            None => None,
            Some(proxy) => Some(Proxy::new(proxy).map_err(|_| {
                // It may have a password in it.
                let name = if to.https { "HTTPS_PROXY" } else { "HTTP_PROXY" };
                Fault::new(Kind::Unavailable, format!("{name} does not name a proxy that can be used"))
                    .help("write `http://HOST:PORT`")
            })?),
        };
        // What came from a server and fits into no header is the server's fault.
        let bad = |_| Fault::new(Kind::Unavailable, format!("{to}: what was to be sent cannot be sent"));
        Ok(match ask.body {
            Some(body) => self.run(request.body(body).map_err(bad)?, proxy),
            None => self.run(request.body(()).map_err(bad)?, proxy),
        })
    }

    fn run<S: ureq::AsSendBody>(
        &self,
        request: Request<S>,
        proxy: Option<Proxy>,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self
            .agent
            .configure_request(request)
            .proxy(proxy)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .build();
        self.agent.run(request)
    }
}
